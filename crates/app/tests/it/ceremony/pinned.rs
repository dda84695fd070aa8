//! The key under which other tokens wrap for an office is pinned by the roster. Nothing here needs a token: what is refused is refused
//! before one is opened.

use super::{Planned, done, refused};
use crate::apart::hufu;
use hufu_app::root::OFFICES;
use hufu_kernel::Bytes;
use hufu_wire::api::roster::Identity;
use serde_json::Value;
use std::path::Path;

/// An RSA key as a token says it, by its modulus' bytes.
fn wrapping(byte: u8) -> Bytes {
    let (modulus, exponent) = ([byte | 0x80; 384], [1, 0, 1]);
    Bytes([&[2][..], &hufu_kernel::framed(&[&modulus, &exponent])].concat())
}

/// What an office has offered, as if its keys were in a token with this wrapping key, of which its identity says another hash.
fn offered(planned: &Planned, office: &str, key: &Bytes, pinned: &Bytes) -> Value {
    let path = planned.folder.join(office).join("identity.json");
    let mut offered: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    offered["wrapping"] = serde_json::to_value(key).unwrap();
    offered["identity"]["wrapping_sha256"] = serde_json::to_value(Identity::pin(&pinned.0)).unwrap();
    offered
}

fn written(planned: &Planned, name: &str, value: &Value) -> String {
    std::fs::write(planned.folder.join(name), value.to_string()).unwrap();
    planned.path(name)
}

/// Makes a roster of everybody's identity with this one for node 1. What is said, or refused.
fn roster(planned: &Planned, node_1: &str, out: &str) -> Result<String, String> {
    let (plan, out) = (planned.path("deployment.toml"), planned.path(out));
    let others: Vec<String> =
        OFFICES[1..].iter().map(|office| planned.path(&format!("{office}/identity.json"))).collect();
    let mut arguments = vec!["keys", "roster", "--plan", &plan, "-o", &out, node_1];
    arguments.extend(others.iter().map(String::as_str));
    let output = hufu(&arguments);
    let told = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(told(output.stdout)) } else { Err(told(output.stderr)) }
}

/// Has an office keep its keys in a token of a library that is not there.
fn in_no_token(planned: &Planned, office: &str) {
    let config = planned.config(office);
    let text = std::fs::read_to_string(&config).unwrap();
    let keys = "\n[keys]\nkind = \"pkcs11\"\nmodule = \"/nowhere.so\"\ntoken = \"t\"\npin_file = \"pin\"\n";
    std::fs::write(config, text + keys).unwrap();
}

#[test]
fn a_wrapping_key_that_was_swapped_on_its_way_comes_into_no_roster_and_is_trusted_by_nobody() {
    let planned = Planned::new(false);
    planned.identified();
    let (own, thief) = (wrapping(1), wrapping(2));
    let honest = written(&planned, "honest.json", &offered(&planned, "node-1", &own, &own));
    // The key alone is swapped, or left out: the identity beside it says so.
    let swapped = written(&planned, "swapped.json", &offered(&planned, "node-1", &thief, &own));
    let mut without = offered(&planned, "node-1", &own, &own);
    without.as_object_mut().unwrap().remove("wrapping");
    let without = written(&planned, "without.json", &without);
    let mut unpinned = offered(&planned, "node-1", &thief, &own);
    unpinned["identity"].as_object_mut().unwrap().remove("wrapping_sha256");
    let unpinned = written(&planned, "unpinned.json", &unpinned);
    for other in [&swapped, &without, &unpinned] {
        let told = roster(&planned, other, "other.json").unwrap_err();
        assert!(told.contains("another wrapping key than the identity in it pins"), "{told}");
    }
    // Key and hash: that is another roster, and people compare its fingerprint.
    let both = written(&planned, "both.json", &offered(&planned, "node-1", &thief, &thief));
    let fingerprint = |told: &str| {
        let compared = told.lines().find_map(|line| line.strip_prefix("to be compared by voice: "));
        compared.unwrap_or_else(|| panic!("{told}")).trim().to_owned()
    };
    let plain = roster(&planned, &planned.path("node-1/identity.json"), "plain.json").unwrap();
    let (theirs, ours) =
        (roster(&planned, &both, "theirs.json").unwrap(), roster(&planned, &honest, "roster.json").unwrap());
    let (plain, theirs, ours) = (fingerprint(&plain), fingerprint(&theirs), fingerprint(&ours));
    assert!(plain != ours && ours != theirs && theirs != plain, "{plain} {ours} {theirs}");

    in_no_token(&planned, "node-2");
    let config = planned.config("node-2");
    let trust = |more: &[&str]| refused(&[&["keys", "trust", "--config", &config], more].concat());
    for (file, word) in [
        (&swapped, "another wrapping key than the identity in it pins"),
        (&without, "another wrapping key than the identity in it pins"),
        (&unpinned, "another wrapping key than the identity in it pins"),
        (&both, "that the roster pins for node-1"),
        (&planned.path("node-1/identity.json"), "has no wrapping key"),
    ] {
        let told = trust(&[file.as_str()]);
        assert!(told.contains(word), "{file}: {told}");
    }
    // Under the roster that they made it would be trusted: it is this roster's fingerprint that is shown and compared.
    let told = hufu(&["keys", "trust", "--config", &config, "--roster", &planned.path("theirs.json"), &both]);
    assert!(String::from_utf8_lossy(&told.stdout).contains(&theirs));
    assert!(trust(&["--roster", &planned.path("plain.json"), &honest]).contains("that the roster pins for node-1"));

    // The control: the honest one comes as far as the officer, who is at no terminal here; and with a PIN as far as the token.
    let asked = hufu(&["keys", "trust", "--config", &config, &honest]);
    let told = String::from_utf8(asked.stderr).unwrap();
    assert!(told.contains("nobody is asked for the officer's PIN") && told.contains("--officer-pin-file"), "{told}");
    let shown = String::from_utf8(asked.stdout).unwrap();
    let pinned: Identity = serde_json::from_value(offered(&planned, "node-1", &own, &own)["identity"].clone()).unwrap();
    let pinned = pinned.wrapping_fingerprint().unwrap();
    assert!(shown.contains("node-1") && shown.contains(&pinned) && shown.contains(&ours), "{shown}");
    let pin = planned.folder.join("officer.pin");
    hufu_app::files::replace(&pin, b"1234", hufu_app::files::PRIVATE).unwrap();
    let told = trust(&["--officer-pin-file", pin.to_str().unwrap(), &honest]);
    assert!(told.contains("/nowhere.so"), "{told}");
    // Without a roster nobody is trusted.
    std::fs::remove_file(planned.folder.join("roster.json")).unwrap();
    let told = trust(&["--officer-pin-file", pin.to_str().unwrap(), &honest]);
    assert!(told.contains("roster.json") && told.contains("missing"), "{told}");
}

#[test]
fn a_roster_with_others_keys_than_at_the_last_ceremony_is_no_ground_to_trust() {
    let planned = Planned::new(false);
    planned.identified();
    let own = wrapping(1);
    let honest = written(&planned, "honest.json", &offered(&planned, "node-1", &own, &own));
    roster(&planned, &honest, "roster.json").unwrap();
    in_no_token(&planned, "node-2");
    // As the last ceremony has left it: node 1 was another one, as before a replacement.
    let kept = planned.folder.join("node-2/ceremonies");
    hufu_app::files::private_folder(&kept).unwrap();
    let other = Planned::new(false);
    other.identified();
    let before = |office: &str| {
        let mut roster: Value =
            serde_json::from_slice(&std::fs::read(planned.folder.join("roster.json")).unwrap()).unwrap();
        let theirs = std::fs::read(other.folder.join(office).join("identity.json")).unwrap();
        let theirs: Value = serde_json::from_slice(&theirs).unwrap();
        let held = roster["identities"].as_array_mut().unwrap().iter_mut().find(|held| held["office"] == office);
        *held.unwrap() = theirs["identity"].clone();
        std::fs::write(kept.join("roster.json"), roster.to_string()).unwrap();
    };
    let trust = || refused(&["keys", "trust", "--config", &planned.config("node-2"), &honest]);
    before("front");
    let told = trust();
    assert!(told.contains("other keys for front") && told.contains("nothing was trusted"), "{told}");
    // The control.
    before("node-1");
    let told = trust();
    assert!(told.contains("nobody is asked for the officer's PIN"), "{told}");
}

#[test]
fn an_identity_in_another_offices_folder_or_behind_a_link_is_not_read_for_a_founding() {
    use hufu_app::ceremony::identity;
    use hufu_app::deployment::plan::Plan;
    let planned = Planned::new(true);
    planned.identified();
    let plan = Plan::read(Path::new(&planned.path("deployment.toml"))).unwrap();
    let read = |office: &str| identity::read_in(&planned.folder, office, &plan).map(|offered| offered.identity.office);
    assert_eq!(read("front").unwrap(), "front");
    let (own, post) = (planned.folder.join("front/identity.json"), planned.folder.join("post/identity.json"));
    std::fs::copy(&post, &own).unwrap();
    let told = read("front").unwrap_err().to_string();
    assert!(told.contains("identity of post, in the folder of front"), "{told}");
    // A link, even to what would be right; a pipe that nobody fills; and a file without an end.
    let away = planned.folder.join("away.json");
    done(&["keys", "identity", "--config", &planned.config("front")]);
    std::fs::rename(&own, &away).unwrap();
    std::os::unix::fs::symlink(&away, &own).unwrap();
    read("front").unwrap_err();
    std::fs::remove_file(&own).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &own, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    let told = read("front").unwrap_err().to_string();
    assert!(told.contains("no plain file"), "{told}");
    std::fs::remove_file(&own).unwrap();
    std::fs::write(&own, vec![b' '; 100_000]).unwrap();
    read("front").unwrap_err();
    std::fs::rename(&away, &own).unwrap();
    assert_eq!(read("front").unwrap(), "front");
}
