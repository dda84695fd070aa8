"""Alert rules and dashboard: judged by promtool, and each alert has its section of the runbook."""

import json
import re
import shutil
import unittest

import yaml
from project import DEPLOY, ROOT, Folder

PROMETHEUS = DEPLOY / "prometheus"
PAGE = ROOT / "docs/operate/alerts.md"


def rules():
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def asked():
    """Every expression of rules and dashboard."""
    panels = json.loads((DEPLOY / "grafana/hufu.json").read_text())["panels"]
    return [rule["expr"] for rule in rules()] + [target["expr"] for panel in panels for target in panel["targets"]]


class Alerts(Folder):
    def test_every_alert_fires_when_it_should_and_is_silent_when_not(self):
        self.passes("promtool", "check", "rules", PROMETHEUS / "alerts.yml")
        self.passes("promtool", "test", "rules", PROMETHEUS / "alerts.test.yml")
        tests = (PROMETHEUS / "alerts.test.yml").read_text()
        self.assertEqual([], [rule["alert"] for rule in rules() if f'alertname="{rule["alert"]}"' not in tests])

    def test_an_alert_that_does_not_fire_is_found(self):
        for name in ("alerts.yml", "alerts.test.yml"):
            shutil.copy(PROMETHEUS / name, self.folder)
        wrong = (PROMETHEUS / "alerts.yml").read_text().replace('code="office_refused"', 'code="officer_refused"')
        (self.folder / "alerts.yml").write_text(wrong)
        self.fails("promtool", "test", "rules", self.folder / "alerts.test.yml", because="StrangerAtTheDoor")

    def test_prometheus_takes_its_configuration(self):
        self.passes("promtool", "check", "config", "--syntax-only", PROMETHEUS / "prometheus.yml")

    def test_every_panel_asks_what_prometheus_understands(self):
        variables = {"$office": "front"}
        text = [re.sub(r"\$\w+", lambda found: variables[found.group()], expression) for expression in asked()]
        recorded = [{"record": f"a:b{at}", "expr": expression} for at, expression in enumerate(text)]
        path = self.folder / "panels.yml"
        path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
        self.passes("promtool", "check", "rules", path)

    def test_only_metrics_are_asked_that_the_pages_name(self):
        page = (ROOT / "docs/operate/README.md").read_text()
        named = set(re.findall(r"`(hufu_\w+)`", page))
        used = {re.sub(r"_bucket$", "", name) for expression in asked() for name in re.findall(r"\bhufu_\w+", expression)}
        self.assertEqual(used - named, set())

    def test_every_alert_has_its_section_which_says_what_it_means_and_what_to_do(self):
        sections = dict(re.findall(r"(?ms)^## (\w+)\n(.*?)(?=^## |\Z)", PAGE.read_text()))
        self.assertEqual(sorted(sections), sorted(rule["alert"] for rule in rules()))
        for rule in rules():
            self.assertEqual(rule["annotations"]["runbook"], f"docs/operate/alerts.md#{rule['alert'].lower()}")
            self.assertIn(rule["labels"]["severity"], ("page", "ticket"))
            for part in ("**Means**", "**Do**"):
                self.assertIn(part, sections[rule["alert"]], rule["alert"])


if __name__ == "__main__":
    unittest.main()
