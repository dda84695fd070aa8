"""The signed manifest: what it holds together, and every way in which it must not."""

import hashlib
import json
import os
import pathlib
import shutil
import unittest

from project import DEPLOY, Folder

RELEASE = DEPLOY / "release"


class Signed(Folder):
    def setUp(self):
        super().setUp()
        self.out = self.folder / "out"
        self.out.mkdir()
        files = {"hufu": b"a program", "hufu.debug": b"its symbols", "hufu.cdx.json": b"{}"}
        for name, content in files.items():
            (self.out / name).write_bytes(content)
        listed = {name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()} for name, content in files.items()}
        (self.out / "manifest.json").write_text(json.dumps({"version": "0.1.0", "commit": "c0ffee", "files": listed}))
        self.signers = self.folder / "allowed_signers"
        for name in ("east", "west", "stranger"):
            self.passes("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", self.folder / name)
        self.allow(east="east", west="west")

    def allow(self, **keys):
        lines = [f'{name} namespaces="hufu-release" {(self.folder / f"{key}.pub").read_text()}' for name, key in keys.items()]
        self.signers.write_text("".join(lines))

    def sign(self, *names, key=None):
        for name in names:
            self.passes(RELEASE, "sign", self.out, "--key", self.folder / (key or name), "--name", name)

    def verify(self, *more):
        return (RELEASE, "verify", self.out, "--signers", self.signers, *more)

    def test_a_release_that_two_signed_is_taken(self):
        self.sign("east", "west")
        self.assertIn("signed by east, west: every file is as signed", self.passes(*self.verify()))

    def test_one_signer_is_not_two(self):
        self.sign("east")
        self.fails(*self.verify(), because="1 good signatures")
        self.passes(*self.verify("--need", "1"))

    def test_one_key_under_two_names_is_one_signer(self):
        self.allow(east="east", west="east")
        self.sign("east", "west", key="east")
        self.fails(*self.verify(), because="1 good signatures")

    def test_a_stranger_is_nobody_and_neither_is_one_who_signs_for_another(self):
        self.sign("east", "stranger")
        self.fails(*self.verify(), because="1 good signatures")
        self.sign("west", key="stranger")
        self.fails(*self.verify(), because="1 good signatures")

    def test_a_changed_byte_of_any_file_is_found(self):
        self.sign("east", "west")
        for name in ("hufu", "hufu.debug", "hufu.cdx.json"):
            path = self.out / name
            content = path.read_bytes()
            path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
            self.fails(*self.verify(), because=f"{name} is not what the manifest says")
            path.unlink()
            self.fails(*self.verify(), because=f"{name} is missing")
            path.write_bytes(content)
        self.passes(*self.verify())

    def test_a_changed_manifest_is_signed_by_nobody(self):
        self.sign("east", "west")
        path = self.out / "manifest.json"
        path.write_text(path.read_text().replace("0.1.0", "0.1.1"))
        self.fails(*self.verify(), because="0 good signatures")

    def test_a_signature_for_another_purpose_is_none(self):
        path = self.out / "manifest.json"
        self.signers.write_text(self.signers.read_text().replace(' namespaces="hufu-release"', ""))
        for name in ("east", "west"):
            self.passes("ssh-keygen", "-q", "-Y", "sign", "-f", self.folder / name, "-n", "git", path)
            shutil.move(f"{path}.sig", self.out / f"manifest.json.{name}.sig")
        self.fails(*self.verify(), because="0 good signatures")

    def test_what_differs_is_not_signed(self):
        (self.out / "hufu").write_bytes(b"another")
        command = (RELEASE, "sign", self.out, "--key", self.folder / "east", "--name", "east")
        self.fails(*command, because="hufu is not what the manifest says")

    def test_two_builds_are_compared_byte_by_byte(self):
        other = self.folder / "other"
        shutil.copytree(self.out, other)
        self.passes(RELEASE, "compare", self.out, other)
        (other / "hufu").write_bytes(b"a programm")
        self.fails(RELEASE, "compare", self.out, other, because="not the same: hufu")


class Commands(Folder):
    """What docs/operate/release.md tells people to type needs nothing of ours."""

    def test_a_release_is_verified_with_openssh_and_coreutils_alone(self):
        page = DEPLOY.parent / "docs/operate/release.md"
        for word in ("ssh-keygen -Y verify", "sha256sum --check", "-n hufu-release"):
            self.assertIn(word, page.read_text())


@unittest.skipUnless("HUFU_RELEASE" in os.environ, "HUFU_RELEASE names no built release")
class Built(Folder):
    """A release that was built: its bill of materials is whole."""

    def setUp(self):
        super().setUp()
        self.out = pathlib.Path(os.environ["HUFU_RELEASE"])
        self.bill = json.loads((self.out / "hufu.cdx.json").read_text())

    def test_the_bill_is_valid_cyclonedx_and_a_wrong_one_is_not(self):
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator

        judge = JsonStrictValidator(SchemaVersion.V1_6)
        self.assertIsNone(judge.validate_str(json.dumps(self.bill)))
        for wrong in ({"bomFormat": "CycloneDY"}, {"colour": "red"}, {"components": [{"name": "x"}]}):
            self.assertIsNotNone(judge.validate_str(json.dumps(self.bill | wrong)))

    def test_every_crate_that_cargo_says_the_binary_is_made_of_is_in_it_with_its_checksum(self):
        import sbom
        from project import ROOT

        made_of = sbom.resolved(ROOT)
        listed = self.bill["components"] + [self.bill["metadata"]["component"]]
        self.assertEqual({(one["name"], one["version"]) for one in listed}, made_of)
        locked = sbom.checksums(ROOT)
        for one in self.bill["components"]:
            at = (one["name"], one["version"])
            sums = [one["content"] for one in one.get("hashes", [])]
            self.assertEqual(sums, [locked[at]] if locked[at] else [], at)
            self.assertTrue(one["licenses"], at)
        self.assertGreater(len(made_of), 300)
        # The one TLS stack is there; another provider of its, which features leave out, is not.
        self.assertIn("aws-lc-rs", {name for name, _ in made_of})
        self.assertNotIn("ring", {one["name"] for one in listed})

    def test_the_binary_itself_names_every_crate_of_the_bill(self):
        import sbom

        inside = {(package["name"], package["version"]) for package in sbom.linked(self.out / "hufu")}
        self.assertLessEqual({(one["name"], one["version"]) for one in self.bill["components"]}, inside)

    def test_the_manifest_is_of_these_files_and_says_with_what_they_were_built(self):
        manifest = json.loads((self.out / "manifest.json").read_text())
        self.assertEqual(set(manifest["files"]), {"hufu", "hufu.debug", "hufu.cdx.json"})
        self.assertEqual(set(manifest["built_with"]), {"rustc", "llvm", "cc"})
        self.assertIn(manifest["version"], self.passes(self.out / "hufu", "--version"))


if __name__ == "__main__":
    unittest.main()
