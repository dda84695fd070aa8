"""The units: what `deploy/systemd/install` makes of a deployment's folder, judged by systemd itself."""

import pathlib
import re
import shutil
import stat
import unittest

from project import DEPLOY, PROCESSES, Folder, run, table
from test_generated import made_plan

# systemd's scale from 0 to 10. What is left: it has Internet sockets, and the host's root directory, read-only.
EXPOSURE = 1.2


class Units(Folder):
    def setUp(self):
        super().setUp()
        self.root = self.folder / "root"
        program = self.folder / "hufu"
        shutil.copy("/bin/true", program)
        self.plan = made_plan(self)
        self.said = self.passes(DEPLOY / "systemd/install", "--root", self.root, "--binary", program, self.plan, *PROCESSES)
        self.units = self.root / "etc/systemd/system"
        shutil.copytree("/lib/systemd/system", self.units, symlinks=True, dirs_exist_ok=True)

    def analyze(self, verb, *more):
        return run("systemd-analyze", verb, f"--root={self.root}", "--man=no", *more)

    def exposure(self, unit):
        _, said = self.analyze("security", "--offline=true", "--no-pager", unit)
        return float(re.search(r"Overall exposure level for \S+: ([\d.]+)", said).group(1))

    def test_systemd_finds_nothing_wrong_with_any_unit(self):
        names = [f"hufu@{name}.{kind}" for name in PROCESSES for kind in ("service", "socket")]
        self.assertEqual(self.analyze("verify", *names, "hufu.target"), (0, ""))

    def test_systemd_finds_what_is_wrong(self):
        unit = self.units / "hufu@.service"
        unit.write_text(unit.read_text().replace("NoNewPrivileges=", "NoNewPrivilege=").replace("/usr/local/bin/hufu", "/usr/local/bin/tiger"))
        code, said = self.analyze("verify", "hufu@node-1.service")
        self.assertIn("NoNewPrivilege", said)
        self.assertIn("tiger", said)
        self.assertNotEqual(code, 0)

    def test_every_office_is_confined(self):
        for name in PROCESSES:
            self.assertLessEqual(self.exposure(f"hufu@{name}.service"), EXPOSURE, name)

    def test_an_office_that_is_not_confined_is_told_apart(self):
        unit = self.units / "hufu@.service"
        unit.write_text(re.sub(r"(?m)^(Protect|Restrict|SystemCall|Private|Capability).*\n", "", unit.read_text()))
        self.assertGreater(self.exposure("hufu@node-1.service"), 4)

    def test_each_has_its_own_user_folder_bound_and_sockets(self):
        for name, office in table().items():
            self.assertIn(f"u hufu-{name} ", (self.root / f"etc/sysusers.d/hufu-{name}.conf").read_text())
            folder = self.root / "var/lib/hufu" / name
            self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o700)
            self.assertTrue((folder / "office.toml").is_file())
            self.assertIn(f"MemoryMax={office['memory']}M\n", (self.units / f"hufu@{name}.service.d/memory.conf").read_text())
            listens = re.findall(r"(?m)^ListenStream=\S+:(\d+)$", (self.units / f"hufu@{name}.socket").read_text())
            self.assertEqual(sorted(map(int, listens)), sorted(office[port] for port in ("internal", "public", "metrics") if office[port]))

    def test_a_unit_shows_an_office_no_folder_but_its_own(self):
        unit = (DEPLOY / "systemd/hufu@.service").read_text()
        self.assertIn("\nTemporaryFileSystem=/var/lib/hufu:ro\n", unit)
        self.assertIn("\nBindPaths=/var/lib/hufu/%i\n", unit)
        shown = re.search(r"(?m)^BindReadOnlyPaths=(.*)$", unit).group(1).split()
        self.assertEqual([pathlib.Path(one).name for one in shown], ["deployment.toml", "roster.json", "trust.json", "rules"])

    def test_what_is_installed_twice_is_the_same_and_what_is_not_there_is_said(self):
        install = DEPLOY / "systemd/install"
        again = self.passes(install, "--root", self.root, self.plan, *PROCESSES)
        self.assertEqual(again, self.said)
        self.fails(install, "--root", self.root, self.plan, "node-4", because="hufu init")
        (self.plan / "node-4").mkdir()
        shutil.copy(self.plan / "node-1/office.toml", self.plan / "node-4")
        self.fails(install, "--root", self.root, self.plan, "node-4", because="there is no office node-4")


if __name__ == "__main__":
    unittest.main()
