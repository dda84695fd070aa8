"""Licences, banned crates, sources: `cargo deny` by deny.toml, offline."""

import unittest

from project import ROOT, Folder


class Crates(Folder):
    def deny(self, what, config=ROOT / "deny.toml"):
        return ("cargo-deny", "--offline", "--manifest-path", ROOT / "Cargo.toml", "--config", config, "check", what)

    def changed(self, old, new):
        text = (ROOT / "deny.toml").read_text()
        self.assertIn(old, text)
        path = self.folder / "deny.toml"
        path.write_text(text.replace(old, new, 1))
        return path

    def test_every_crate_has_an_allowed_licence_and_an_allowed_source_and_none_is_banned(self):
        for what in ("licenses", "bans", "sources"):
            self.assertIn(f"{what} ok", self.passes(*self.deny(what)))

    def test_a_licence_that_is_not_allowed_is_found(self):
        self.fails(*self.deny("licenses", self.changed('"MIT", "MIT-0",', "")), because="rejected")

    def test_a_banned_crate_is_found(self):
        self.fails(*self.deny("bans", self.changed('{ crate = "openssl" }', '{ crate = "serde" }')), because="serde")

    def test_a_source_that_is_not_allowed_is_found(self):
        elsewhere = self.changed("https://github.com/rust-lang/crates.io-index", "https://example.org/index")
        self.fails(*self.deny("sources", elsewhere), because="source-not-allowed")


if __name__ == "__main__":
    unittest.main()
