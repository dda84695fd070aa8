"""Where things are, and how a program is run whose words are then judged."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
sys.path.insert(0, str(DEPLOY))
OFFICES = ("node-1", "node-2", "node-3", "tagger-1", "tagger-2", "tagger-3", "registrar", "uniqueness", "post", "registry", "front")
PROCESSES = (*OFFICES, "wallet")


def run(*command, **options):
    """Its code, and everything it said."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    return done.returncode, done.stdout


def hufu():
    """The program, where a test asks it; `./test supply` gives it."""
    return os.environ.get("HUFU_BIN")


def table():
    """deploy/offices.toml with what it leaves out, as deploy/generate reads it."""
    loader = {"__name__": "generate", "__file__": str(DEPLOY / "generate")}
    exec(compile((DEPLOY / "generate").read_text(), str(DEPLOY / "generate"), "exec"), loader)
    return loader["table"]()


class Folder(unittest.TestCase):
    """Tests with a folder of their own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="hufu-supply-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def passes(self, *command, **options):
        code, said = run(*command, **options)
        self.assertEqual(code, 0, said)
        return said

    def fails(self, *command, because, **options):
        code, said = run(*command, **options)
        self.assertNotEqual(code, 0, said)
        self.assertIn(because, said)
        return said
