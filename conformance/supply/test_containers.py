"""The image and the compose file: judged by hadolint and by a strict parser of the Compose Specification, then held to what they
are for: one user and one folder an office, and no road between two that do not talk."""

import itertools
import re
import socket
import threading
import unittest

import compose_spec
import yaml
from project import DEPLOY, PROCESSES, Folder, run, table


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
        self.assertEqual(specification(interpolated()).service_names(), [*PROCESSES, "prometheus"])
        for wrong in (interpolated().replace("mem_limit:", "memlimit:", 1), interpolated().replace("- node-1--node-2\n", "- nowhere\n", 1)):
            self.assertRaises(ValueError, specification, wrong)

    def test_every_office_is_a_service_with_a_user_and_a_folder_of_its_own(self):
        self.assertEqual(tuple(self.services), PROCESSES)
        self.assertEqual(len({service["user"] for service in self.services.values()}), len(PROCESSES))
        for name, service in self.services.items():
            self.assertEqual(service["command"], ["serve", name, "--config", f"/var/lib/hufu/{name}/office.toml"])
            written = [volume for volume in service["volumes"] if not volume.endswith(":ro")]
            self.assertEqual(written, [f"/srv/plan/{name}:/var/lib/hufu/{name}"])
            self.assertEqual((service["read_only"], service["cap_drop"], service["security_opt"]), (True, ["ALL"], ["no-new-privileges:true"]))
            self.assertEqual(service["mem_limit"], f"{table()[name]['memory']}m")
            self.assertEqual(service["mem_limit"], service["memswap_limit"], "keys are not swapped")
            self.assertEqual(service["ulimits"]["core"], 0)

    def test_two_offices_have_a_network_in_common_if_and_only_if_one_calls_the_other(self):
        offices = table()
        networks = {name: set(service["networks"]) for name, service in self.services.items()}
        for one, other in itertools.combinations(PROCESSES, 2):
            talk = one in offices[other]["callers"] or other in offices[one]["callers"]
            self.assertEqual(bool(networks[one] & networks[other]), talk, f"{one} and {other}")
        members = [sum(network in service["networks"] for service in self.file["services"].values()) for network in self.file["networks"]]
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
