"""The image and the compose file: judged by hadolint and by a strict parser of the Compose Specification, then held to what they
are for: one user and one folder an office, and no road between two that do not talk."""

import itertools
import json
import os
import re
import socket
import threading
import tomllib
import unittest

import compose_spec
import yaml
from project import DEPLOY, OFFICES, PROCESSES, Folder, hufu, run, table


def interpolated():
    """The compose file as Docker reads it with HUFU_DIR set and the defaults otherwise."""
    text = (DEPLOY / "compose.yaml").read_text()
    return re.sub(r"\$\{HUFU_DIR:\?\}", "/srv/plan", re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text))


def specification(text):
    parsed = compose_spec.PyOptions(apply_merge=True).from_yaml(text)
    parsed.validate()
    return parsed


class Image(Folder):
    def test_hadolint_has_nothing_to_say(self):
        self.passes("hadolint", DEPLOY / "Dockerfile")

    def test_hadolint_finds_what_is_wrong(self):
        path = self.folder / "Dockerfile"
        path.write_text("FROM debian:latest\nRUN cd /tmp && sudo apt-get install gcc\n")
        self.fails("hadolint", path, because="DL3007")

    def test_it_runs_as_nobody_in_particular_from_debian_with_the_compiler_of_the_project(self):
        text = (DEPLOY / "Dockerfile").read_text()
        self.assertRegex(text, r"(?m)^USER [1-9]\d+:[1-9]\d+$")
        self.assertTrue(all("bookworm" in line for line in re.findall(r"(?m)^FROM .*", text)), text)
        minimum = re.search(r'rust-version = "([\d.]+)"', (DEPLOY.parent / "Cargo.toml").read_text()).group(1)
        self.assertIn(f"FROM rust:{minimum}.", text)

    def test_a_health_check_passes_for_200_alone(self):
        for code, told in ((200, 0), (503, 1)):
            port, wait = answering_once(code)
            check, _ = run(DEPLOY / "hufu-answers", port, "/livez")
            wait()
            self.assertEqual(check, told)
        self.assertNotEqual(run(DEPLOY / "hufu-answers", port, "/livez")[0], 0, "nothing listens")


def answering_once(code):
    listener = socket.create_server(("127.0.0.1", 0))

    def answer():
        with listener, listener.accept()[0] as stream:
            asked = b""
            while not asked.endswith(b"\r\n\r\n"):
                asked += stream.recv(1000)
            stream.sendall(f"HTTP/1.1 {code} Said\r\nContent-Length: 0\r\n\r\n".encode())

    thread = threading.Thread(target=answer)
    thread.start()
    return listener.getsockname()[1], thread.join


class Compose(Folder):
    def setUp(self):
        super().setUp()
        self.file = yaml.safe_load(interpolated())
        self.services = {name: service for name, service in self.file["services"].items() if name in PROCESSES}

    def test_it_is_valid_and_a_misspelt_key_is_not(self):
        self.assertEqual(specification(interpolated()).service_names(), [*PROCESSES, "ceremony", "prometheus"])
        for wrong in (interpolated().replace("mem_limit:", "memlimit:", 1), interpolated().replace("- node-1--node-2\n", "- nowhere\n", 1)):
            self.assertRaises(ValueError, specification, wrong)

    def test_every_office_is_a_service_with_a_user_and_a_folder_of_its_own(self):
        self.assertEqual(tuple(self.services), PROCESSES)
        self.assertEqual(len({service["user"] for service in self.services.values()}), len(PROCESSES))
        for name, service in self.services.items():
            self.assertEqual(service["command"], ["serve", name, "--config", f"/var/lib/hufu/{name}/office.toml"])
            written = [(volume["source"], volume["target"]) for volume in service["volumes"] if not volume.get("read_only")]
            self.assertEqual(written, [(f"/srv/plan/{name}", f"/var/lib/hufu/{name}")])
            self.assertEqual((service["read_only"], service["cap_drop"], service["security_opt"]), (True, ["ALL"], ["no-new-privileges:true"]))
            self.assertEqual(service["mem_limit"], f"{table()[name]['memory']}m")
            self.assertEqual(service["mem_limit"], service["memswap_limit"], "keys are not swapped")
            self.assertEqual(service["ulimits"]["core"], 0)

    def test_a_file_that_is_missing_is_an_error_and_no_folder_in_its_place(self):
        for name, service in (*self.services.items(), ("ceremony", self.file["services"]["ceremony"])):
            for volume in service["volumes"]:
                self.assertIsInstance(volume, dict, f"{name}: the short form makes folders")
                self.assertEqual((volume["type"], volume["bind"]["create_host_path"]), ("bind", False), name)
        shared = {volume["target"].removeprefix("/var/lib/hufu/") for volume in self.services["node-1"]["volumes"]}
        self.assertEqual(shared, {"deployment.toml", "roster.json", "trust.json", "node-1"})

    def test_the_ceremony_has_every_office_and_no_road_out_and_gives_each_its_folder(self):
        service = self.file["services"]["ceremony"]
        self.assertEqual((service["network_mode"], service["profiles"], service["cap_drop"]), ("none", ["ceremony"], ["ALL"]))
        self.assertEqual(service["extra_hosts"], [f"{name}:127.0.0.1" for name in OFFICES])
        (script,) = service["command"]
        for name, office in self.services.items():
            self.assertIn(f"chown -R {office['user']} {name};", script)
        self.assertNotRegex(script.replace("$$", ""), r"\$", "nothing that Docker would fill in")

    def test_the_head_says_every_step_before_the_first_start_in_order(self):
        text = (DEPLOY / "compose.yaml").read_text().partition("\nname: hufu")[0]
        commands = re.findall(r"(?m)^# {5,7}(\S.*)$", text)
        steps = ("docker build", "hufu operator new", "hufu init DIR", "hufu keys identity", "hufu keys roster", "hufu keys order new found",
                 "hufu keys order sign", "run --rm ceremony", "up -d")
        found = [next((at for at, command in enumerate(commands) if step in command), None) for step in steps]
        self.assertNotIn(None, found, dict(zip(steps, found, strict=True)))
        self.assertEqual(found, sorted(found))

    @unittest.skipUnless(hufu() and os.geteuid() == 0, "HUFU_BIN names no program, or this is not root, who hands out folders")
    def test_a_stranger_who_follows_it_has_keys_for_every_office(self):
        place = self.folder / "plan"
        text = (DEPLOY / "compose.yaml").read_text().partition("\nname: hufu")[0]
        steps = "\n".join(re.findall(r"(?m)^# {5,7}(\S.*)$", text))
        before, _, rest = steps.partition("hufu init DIR")
        keys = [line for line in before.splitlines() if line.startswith("hufu operator new")]
        followed = [*keys, *("hufu init DIR" + rest).splitlines()]
        # Docker's part: the ceremony's own words, under the names it gives; and whoever signs says yes to what is shown.
        followed = [line.replace("order sign", "order sign --yes") for line in followed if "docker compose" not in line]
        script = "\n".join(followed).replace("DIR", str(place))
        head, _, tail = script.partition("hufu init")
        environment = os.environ | {"PATH": f"{self.folder}:{os.environ['PATH']}"}
        (self.folder / "hufu").symlink_to(hufu())
        options = {"cwd": self.folder, "env": environment}
        self.passes("sh", "-euc", head, **options)
        entry = []
        for operator, runs in (("north", OFFICES[:6]), ("south", OFFICES[6:])):
            key = tomllib.loads((self.folder / f"{operator}.operator.toml").read_text())["operators"][operator]["key"]
            entry.append(f'[operators.{operator}]\nkey = "{key}"\noffices = {json.dumps(runs)}\nhost = "{{office}}"\nlisten = "0.0.0.0"\n')
        (self.folder / "operators.toml").write_text("".join(entry))
        self.passes("sh", "-euc", "hufu init" + tail, **options)
        service = self.file["services"]["ceremony"]
        hosts = self.folder / "hosts"
        hosts.write_text("".join("{1} {0}\n".format(*pair.split(":")) for pair in service["extra_hosts"]))
        (ceremony,) = service["command"]
        alone = 'ip link set lo up 2>/dev/null || true; mount --bind "$1" /etc/hosts; cd "$2"; eval "$3"'
        isolated = ("unshare", "--mount", "--net", "sh", "-euc", alone, "sh", hosts, place)
        # The control: without its order it makes nothing.
        (place / "order.json").rename(place / "away")
        self.fails(*isolated, ceremony.replace("$$", "$"), because="order.json is missing", **options)
        (place / "away").rename(place / "order.json")
        self.passes(*isolated, ceremony.replace("$$", "$"), **options)
        for volume in (volume for office in self.services.values() for volume in office["volumes"]):
            self.assertTrue((place / volume["source"].removeprefix("/srv/plan/")).exists(), volume)
        for name, office in self.services.items():
            status = (place / name).stat()
            self.assertEqual((f"{status.st_uid}:{status.st_gid}", status.st_mode & 0o777), (office["user"], 0o700))
        self.assertEqual(len(list(place.glob("*/keys.json"))), len(OFFICES))

    def test_a_collector_has_a_network_with_each_office_that_the_two_have_alone(self):
        traces = yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (DEPLOY / "compose.traces.yaml").read_text()))
        services = traces["services"]
        self.assertEqual(set(services), {"collector", *OFFICES})
        for name in OFFICES:
            (own,) = services[name]["networks"]
            self.assertEqual((own, services["collector"]["networks"][own]["aliases"]), (f"{name}--traces", ["collector.internal"]))
            self.assertTrue(traces["networks"][own]["internal"])
            self.assertNotIn(own, self.file["networks"])
        everywhere = [network["ipam"]["config"][0]["subnet"] for file in (self.file, traces) for network in file["networks"].values()]
        self.assertEqual(len(everywhere), len(set(everywhere)))
        self.assertTrue((DEPLOY / "collector.yaml").is_file())

    def test_two_offices_have_a_network_in_common_if_and_only_if_one_calls_the_other(self):
        offices = table()
        networks = {name: set(service["networks"]) for name, service in self.services.items()}
        for one, other in itertools.combinations(PROCESSES, 2):
            talk = one in offices[other]["callers"] or other in offices[one]["callers"]
            self.assertEqual(bool(networks[one] & networks[other]), talk, f"{one} and {other}")
        members = [sum(network in service.get("networks", []) for service in self.file["services"].values()) for network in self.file["networks"]]
        self.assertLessEqual(set(members), {1, 2}, "a network of three joins some that do not talk")

    def test_only_offices_with_business_outside_reach_out_and_listeners_are_published_to_this_machine_alone(self):
        for name, service in self.services.items():
            office = table()[name]
            reaches = any(not (self.file["networks"][network] or {}).get("internal") for network in service["networks"])
            self.assertEqual(reaches, bool(office["public"] or office["outside"]), name)
            public = [f"127.0.0.1:{office['public']}:{office['public']}"] if office["public"] else []
            self.assertEqual(service.get("ports", []), public, name)


if __name__ == "__main__":
    unittest.main()
