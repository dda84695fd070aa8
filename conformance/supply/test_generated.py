"""The table of offices, what is written from it, and what the program itself says of them."""

import json
import pathlib
import re
import tomllib
import unittest

import yaml
from project import DEPLOY, OFFICES, PROCESSES, Folder, hufu, table


class Generated(Folder):
    def test_what_is_written_from_the_table_is_what_would_be_written_now(self):
        self.passes(DEPLOY / "generate", "--check")

    def test_a_table_that_contradicts_itself_is_no_table(self):
        offices = table()
        self.assertEqual(tuple(offices), PROCESSES)
        ports = [office[port] for office in offices.values() for port in ("internal", "public", "metrics") if office[port]]
        self.assertEqual(len(ports), len(set(ports)), "two listeners have one port")
        for name, office in offices.items():
            self.assertNotIn(name, office["callers"])
            self.assertLessEqual(set(office["callers"]), set(OFFICES))
            self.assertTrue(office["internal"] or not office["callers"], name)

    def test_prometheus_asks_every_process_once_a_minute(self):
        asked = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
        targets = [one["targets"][0] for one in asked["scrape_configs"][0]["static_configs"]]
        self.assertEqual(targets, [f"{name}:{office['metrics']}" for name, office in table().items()])
        self.assertEqual(asked["global"]["scrape_interval"], "1m")

    @unittest.skipUnless(hufu(), "HUFU_BIN names no program")
    def test_the_ports_are_those_that_hufu_init_writes(self):
        plan = made_plan(self)
        deployment = tomllib.loads((plan / "deployment.toml").read_text())
        self.assertEqual(set(deployment["offices"]), set(OFFICES))
        for name, office in table().items():
            config = tomllib.loads((plan / name / "office.toml").read_text())
            for listener in ("internal", "public", "metrics"):
                listens = int(config[listener]["listen"].rpartition(":")[2]) if listener in config else None
                self.assertEqual(listens, office[listener], f"{name}: {listener}")
            if name in OFFICES:
                called = int(deployment["offices"][name]["internal"].rpartition(":")[2])
                self.assertEqual(called, office["internal"], name)
            for outside in office["outside"]:
                self.assertRegex((plan / name / "office.toml").read_text(), rf"(?m)^#? ?\[{outside}\]")
            self.assertEqual(bool(re.search(r"(?m)^#? ?\[store\]", (plan / name / "office.toml").read_text())), office["store"], name)

    @unittest.skipUnless(hufu(), "HUFU_BIN names no program")
    def test_in_containers_every_office_has_a_name_and_listens_where_it_is_reached(self):
        plan, operators = made_plan(self, '{office}', "0.0.0.0"), self.folder / "operators.toml"
        self.assertIn('host = "{office}"', operators.read_text())
        deployment = tomllib.loads((plan / "deployment.toml").read_text())
        for name, office in table().items():
            config = tomllib.loads((plan / name / "office.toml").read_text())
            for listener in ("internal", "public", "metrics"):
                if listener in config:
                    self.assertEqual(config[listener]["listen"], f"0.0.0.0:{office[listener]}", name)
            if name in OFFICES:
                self.assertEqual(deployment["offices"][name]["internal"], f"{name}:{office['internal']}")


def made_plan(test, host="offices.example", listen=None):
    """A folder that `hufu init` wrote for two operators, or the like by hand where there is no program."""
    plan = test.folder / "plan"
    if hufu():
        # Two operators' keys, as they are made up where nobody says who runs what.
        test.passes(hufu(), "init", test.folder / "keys")
        text = ""
        for name, runs in (("operator-1", OFFICES[:5]), ("operator-2", OFFICES[5:])):
            key = json.loads((test.folder / f"keys/operators/{name}.key.json").read_text())["x"]
            text += f'[operators.{name}]\nkey = "{key}"\noffices = {json.dumps(runs)}\nhost = "{host}"\n'
            text += f'listen = "{listen}"\n' if listen else ""
        (test.folder / "operators.toml").write_text(text)
        test.passes(hufu(), "init", plan, "--host", "id.example", "--operators", test.folder / "operators.toml")
        return plan
    for name, office in table().items():
        (plan / name).mkdir(parents=True)
        ports = [(kind, office[kind]) for kind in ("internal", "public", "metrics") if office[kind]]
        text = "".join(f'[{kind}]\nlisten = "127.0.0.1:{port}"\n' for kind, port in ports)
        (plan / name / "office.toml").write_text(text)
    (plan / "deployment.toml").write_text("")
    return pathlib.Path(plan)


if __name__ == "__main__":
    unittest.main()
