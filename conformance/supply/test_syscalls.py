"""What the unit forbids an office by SystemCallFilter, no office does: all of them run the tour under strace, each as its own user."""

import os
import re
import shutil
import unittest

from project import DEPLOY, Folder, hufu, run

WORLD = ("unshare", "--net", "--pid", "--mount", "--fork", "--kill-child=KILL", "--mount-proc")


def group(name):
    """The system calls of one of systemd's sets."""
    _, said = run("systemd-analyze", "syscall-filter", "--no-pager", name)
    calls = set()
    for line in map(str.strip, said.splitlines()[1:]):
        if line.startswith("@"):
            calls |= group(line)
        elif line and not line.startswith("#"):
            calls.add(line)
    return calls


def allowed(unit):
    """What the unit's filter lets through."""
    calls = set()
    for line in re.findall(r"(?m)^SystemCallFilter=(.*)$", unit):
        named = set().union(*(group(word) if word.startswith("@") else {word} for word in line.removeprefix("~").split()))
        calls = calls - named if line.startswith("~") else calls | named
    return calls


@unittest.skipUnless(hufu() and os.geteuid() == 0, "needs the program, and root for users of their own")
class SystemCalls(Folder):
    def test_no_office_asks_the_system_for_what_its_unit_forbids(self):
        # Users of the offices go through it.
        self.folder.chmod(0o755)
        program = self.folder / "hufu"
        shutil.copy(hufu(), program)
        traced = f"""
            ip link set lo up
            {program} init {self.folder}/offices --sandbox --dealt
            strace -ff -qq -o {self.folder}/trace {program} sandbox up {self.folder}/offices --users --tour
        """
        self.passes(*WORLD, "bash", "-ec", traced)
        asked, processes = set(), 0
        for trace in self.folder.glob("trace.*"):
            text = trace.read_text(errors="replace")
            # What `hufu up` itself did, as root, until a process was its own user is not the office's. Threads have files of their own.
            _, changed, after = re.split(r"(?m)^(setuid\(\d+\)) .*$", text, maxsplit=1) if "setuid(" in text else ("", "", text)
            processes += bool(changed)
            if changed or "execve(" not in text:
                asked |= set(re.findall(r"(?m)^([a-z0-9_]+)\(", after))
        self.assertGreaterEqual(processes, 12)
        self.assertIn("futex", asked)
        may = allowed((DEPLOY / "systemd/hufu@.service").read_text())
        self.assertEqual(asked - may, set())
        self.assertNotIn("mount", may)
        self.assertNotIn("setuid", may)


if __name__ == "__main__":
    unittest.main()
