"""The Helm chart: linted and rendered by helm, the objects judged by the schemas of Kubernetes, then held to the table of who
may call whom."""

import itertools
import os
import subprocess
import unittest

import kubernetes_validate
import yaml
from project import DEPLOY, OFFICES, PROCESSES, Folder, run, table

CHART = DEPLOY / "helm/hufu"
# The oldest version that Chart.yaml takes and one that is new.
VERSIONS = ("1.29", "1.37")


def turned_on(names):
    """Arguments that turn offices on, with files in place."""
    values = ["plan=a plan", "roster=a roster", "trust=a trust"]
    for name in names:
        values += [f"offices.{name}.enabled=true", f"offices.{name}.config=office of {name}"]
    return [part for value in values for part in ("--set-string" if "enabled" not in value else "--set", value)]


class Chart(Folder):
    def setUp(self):
        super().setUp()
        own = {name: str(self.folder) for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")}
        self.options = {"env": os.environ | own}

    def rendered(self, *arguments):
        command = ["helm", "template", "deployed", CHART, "--namespace", "hufu", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, **self.options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [one for one in yaml.safe_load_all(done.stdout) if one]

    def everything(self, *arguments):
        return self.rendered(*turned_on(PROCESSES), *arguments)

    def test_helm_lints_it(self):
        for arguments in ([], turned_on(PROCESSES), turned_on(["node-2"])):
            self.passes("helm", "lint", "--strict", CHART, *arguments, **self.options)

    def test_a_wrong_value_is_refused_by_name(self):
        for value, because in (
            ("offices.node-4.enabled=true", "node-4"),
            ("offices.node-1.enabled=7", "enabled"),
            ("network.ceremonie=true", "ceremonie"),
            ("image.digest=sha256:1", "digest"),
        ):
            self.fails("helm", "template", "x", CHART, "--set", value, because=because, **self.options)
        self.fails("helm", "template", "x", CHART, "--set", "offices.post.enabled=true", because="--set-file offices.post.config", **self.options)
        outside = ("--set", "network.outside.tagger-1[0].cidr=192.0.2.0/24", "--set", "network.outside.tagger-1[0].port=443")
        self.fails("helm", "template", "x", CHART, *turned_on(["tagger-1"]), *outside, because="calls nobody outside", **self.options)

    def test_kubernetes_takes_every_object(self):
        more = ("--set", "network.ceremony=true", "--set", "offices.post.hold=true", "--set", "network.peers.node-2[0]=203.0.113.7/32")
        for arguments, version in itertools.product(((), more), VERSIONS):
            for one in self.everything(*arguments):
                kubernetes_validate.validate(one, version, strict=True)

    def test_kubernetes_refuses_what_is_wrong(self):
        one = next(one for one in self.everything() if one["kind"] == "StatefulSet")
        one["spec"]["template"]["spec"]["containers"][0]["readOnlyRootFilesystem"] = True
        self.assertRaises(kubernetes_validate.ValidationError, kubernetes_validate.validate, one, VERSIONS[1], strict=True)

    def test_only_what_is_turned_on_is_there(self):
        self.assertEqual({one["kind"] for one in self.rendered()}, {"NetworkPolicy"})
        names = {one["metadata"]["name"] for one in self.rendered(*turned_on(["node-2", "wallet"]))}
        self.assertEqual(names, {"node-2", "wallet", "nodes", "hufu-nothing-else"})

    def test_pods_are_confined_and_no_two_offices_are_one_user(self):
        pods = {one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in self.everything() if one["kind"] == "StatefulSet"}
        self.assertEqual(set(pods), set(PROCESSES))
        self.assertEqual(len({pod["securityContext"]["runAsUser"] for pod in pods.values()}), len(PROCESSES))
        for name, pod in pods.items():
            (container,) = pod["containers"]
            self.assertEqual(container["args"], ["serve", name, "--config", f"/var/lib/hufu/{name}/office.toml"])
            own = container["securityContext"]
            self.assertEqual((own["allowPrivilegeEscalation"], own["readOnlyRootFilesystem"], own["capabilities"]["drop"]), (False, True, ["ALL"]))
            self.assertTrue(pod["securityContext"]["runAsNonRoot"])
            self.assertEqual(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault")
            self.assertFalse(pod["automountServiceAccountToken"])
            self.assertEqual(container["resources"]["limits"], {"memory": f"{table()[name]['memory']}Mi"})
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            self.assertEqual(ports, {kind: table()[name][kind] for kind in ("internal", "public", "metrics") if table()[name][kind]})
            self.assertEqual(container["readinessProbe"]["httpGet"]["path"], "/readyz")
            self.assertEqual(container["livenessProbe"]["httpGet"]["path"], "/livez")

    def roads(self, objects):
        """Who may reach whom on the port for offices, as the policies say it: allowed in and allowed out."""
        policies = {one["metadata"]["name"]: one["spec"] for one in objects if one["kind"] == "NetworkPolicy"}
        self.assertEqual((policies["hufu-nothing-else"].get("ingress"), policies["hufu-nothing-else"].get("egress")), (None, None))

        def offices(peers):
            return [peer["podSelector"]["matchLabels"]["hufu/office"] for peer in peers if "podSelector" in peer]

        into, out = set(), set()
        for name in OFFICES:
            for rule in policies[name]["ingress"]:
                if rule["ports"] == [{"port": "internal"}]:
                    into |= {(caller, name) for caller in offices(rule["from"])}
            for rule in policies[name]["egress"]:
                for called in offices(rule["to"]):
                    self.assertEqual(rule["ports"], [{"port": table()[called]["internal"]}])
                    out.add((name, called))
        return into, out

    def test_an_office_reaches_another_if_and_only_if_it_may_call_it(self):
        callers = {(caller, name) for name in OFFICES for caller in table()[name]["callers"]}
        self.assertEqual(self.roads(self.everything()), (callers, callers))

    def test_for_a_ceremony_every_office_reaches_every_other(self):
        every = set(itertools.permutations(OFFICES, 2))
        self.assertEqual(self.roads(self.everything("--set", "network.ceremony=true")), (every, every))

    def test_an_office_elsewhere_is_reached_at_its_addresses_and_nowhere_else(self):
        objects = self.rendered(*turned_on(["node-1"]), "--set", "network.peers.node-2[0]=203.0.113.7/32")
        policy = next(one["spec"] for one in objects if one["kind"] == "NetworkPolicy" and one["metadata"]["name"] == "node-1")
        self.assertIn({"ports": [{"port": "internal"}], "from": [{"ipBlock": {"cidr": "203.0.113.7/32"}}]}, policy["ingress"])
        self.assertIn({"ports": [{"port": table()["node-2"]["internal"]}], "to": [{"ipBlock": {"cidr": "203.0.113.7/32"}}]}, policy["egress"])
        self.assertEqual(sum("ipBlock" in str(rule) for rule in policy["ingress"]), 1)

    def test_spans_reach_the_collector_from_offices_that_are_named_and_from_no_other(self):
        def collector(*more):
            found = {}
            for one in self.everything(*more):
                if one["kind"] == "NetworkPolicy" and one["metadata"]["name"] in PROCESSES:
                    rules = [rule["to"] for rule in one["spec"]["egress"] if rule["ports"] == [{"port": 4318}]]
                    found |= {one["metadata"]["name"]: rules} if rules else {}
            return found

        self.assertEqual(collector(), {})
        named = ("--set", "network.traces.offices={node-1,front}")
        there = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "tracing"}}}]
        self.assertEqual(collector(*named), {"node-1": [there], "front": [there]})
        for one in self.everything(*named):
            kubernetes_validate.validate(one, VERSIONS[0], strict=True)
        self.fails("helm", "template", "x", CHART, "--set", "network.traces.offices={node-9}", because="traces", **self.options)

    def test_a_held_office_serves_nothing_and_a_drain_takes_one_of_three(self):
        objects = self.everything("--set", "offices.node-3.hold=true")
        held = next(one for one in objects if one["kind"] == "StatefulSet" and one["metadata"]["name"] == "node-3")
        (container,) = held["spec"]["template"]["spec"]["containers"]
        self.assertEqual(container["command"], ["/bin/sleep", "infinity"])
        self.assertNotIn("livenessProbe", container)
        budgets = {one["metadata"]["name"]: one["spec"] for one in objects if one["kind"] == "PodDisruptionBudget"}
        self.assertEqual({name: budget["maxUnavailable"] for name, budget in budgets.items()}, {"nodes": 1, "taggers": 1})

    def test_the_notes_say_what_one_operator_means(self):
        def notes(names):
            return run("helm", "install", "x", CHART, "--dry-run=client", *turned_on(names), **self.options)[1]

        self.assertIn("the separation between them does not hold", notes(PROCESSES))
        self.assertNotIn("does not hold", notes(OFFICES[:4]))

    def test_the_notes_say_how_keys_are_made_before_the_first_start(self):
        def notes(*more):
            plan = ("--set", "plan=a plan", "--set-string", "offices.node-1.config=an office", "--set", "offices.node-1.enabled=true")
            return run("helm", "install", "x", CHART, "--dry-run=client", *plan, *more, **self.options)[1].partition("NOTES:")[2]

        held = notes("--set", "offices.node-1.hold=true")
        steps = ("keys identity", "keys roster", "network.ceremony=true", "keys order new found", "keys ceremony", "--set-file trust", "hold=false")
        self.assertEqual([held.find(step) >= 0 for step in steps], [True] * len(steps), held)
        self.assertEqual(sorted(steps, key=held.find), list(steps))
        self.assertIn("turn `hold` on", notes())
        self.assertNotIn("hold", notes("--set", "roster=a roster", "--set", "trust=a trust"))


if __name__ == "__main__":
    unittest.main()
