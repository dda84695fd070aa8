//! What must not become keys.

use super::{Planned, done, refused};
use hufu_app::ceremony::{all, order};
use hufu_app::deployment::plan::Plan;
use hufu_app::root::OFFICES;
use hufu_app::root::key_file::{self, Owner};
use hufu_kernel::{KeyKeeper as _, OsRng, PENDING, Rng};
use hufu_wire::api::trust::Trust;
use std::path::Path;
use std::sync::Arc;

const IDENTITY: [&str; 2] = ["office", "tls"];

fn nothing_counts(planned: &Planned) {
    for office in OFFICES {
        let (count, _) = planned.names(office);
        let more = count.iter().filter(|name| !IDENTITY.contains(&name.as_str()) && *name != "hpke");
        assert_eq!(more.count(), 0, "{office}: {count:?}");
    }
    assert!(!planned.folder.join("trust.json").exists());
}

#[test]
fn an_order_of_one_operator_for_another_roster_or_of_yesterday_begins_nothing() {
    let planned = Planned::new(false);
    planned.identified();
    let begin = |order: &str| {
        refused(&["keys", "ceremony", "--config", &planned.config("node-1"), "--order", order, "--patience", "1s"])
    };
    let one = planned.order(&["found"], 1);
    let told = begin(&one);
    assert!(told.contains("two operators, and has 1"), "{told}");
    // The same operator under the other's name.
    let text = std::fs::read_to_string(&one).unwrap();
    let mut twice: serde_json::Value = serde_json::from_str(&text).unwrap();
    twice["signatures"]["operator-2"] = twice["signatures"]["operator-1"].clone();
    std::fs::write(&one, twice.to_string()).unwrap();
    let told = begin(&one);
    assert!(told.contains("operator-2 does not verify"), "{told}");

    let other = Planned::new(false);
    other.identified();
    let told = begin(&other.order(&["found"], 2));
    assert!(told.contains("another trust root"), "{told}");

    let order = planned.order(&["found"], 2);
    let kept = std::fs::read_to_string(planned.folder.join("roster.json")).unwrap();
    // Somebody has brought another front into this office's roster.
    let mut roster: serde_json::Value = serde_json::from_str(&kept).unwrap();
    let front = roster["identities"].as_array_mut().unwrap().last_mut().unwrap();
    let theirs = std::fs::read_to_string(other.folder.join("front/identity.json")).unwrap();
    let theirs: serde_json::Value = serde_json::from_str(&theirs).unwrap();
    front["key"] = theirs["identity"]["key"].clone();
    std::fs::write(planned.folder.join("roster.json"), roster.to_string()).unwrap();
    let told = begin(&order);
    assert!(told.contains("another roster"), "{told}");
    std::fs::write(planned.folder.join("roster.json"), kept).unwrap();
    nothing_counts(&planned);
}

#[test]
fn a_roster_has_every_office_once_and_of_one_root() {
    let planned = Planned::new(false);
    planned.identified();
    let plan = planned.path("deployment.toml");
    let identities: Vec<String> =
        OFFICES.iter().map(|office| planned.path(&format!("{office}/identity.json"))).collect();
    let roster = |identities: &[&str]| {
        let out = planned.path("other-roster.json");
        refused(&[&["keys", "roster", "--plan", &plan, "-o", &out], identities].concat())
    };
    let all: Vec<&str> = identities.iter().map(String::as_str).collect();
    assert!(roster(&all[1..]).contains("node-1"), "a missing one is named");
    assert!(roster(&[&all[..], &all[..1]].concat()).contains("node-1 is named twice"));
    let other = Planned::new(false);
    other.identified();
    let foreign = other.path("node-1/identity.json");
    assert!(roster(&[&all[1..], &[foreign.as_str()]].concat()).contains("another trust root"));
}

#[test]
fn a_silent_office_is_named_and_a_killed_ceremony_is_begun_again_with_another_order() {
    let planned = Planned::new(true);
    planned.identified();
    // Ten offices wait for the front; some are patient and are killed.
    let order = planned.order(&["found"], 2);
    let impatient = planned.take_part(&order, "3s", &OFFICES[..2]);
    let mut patient = planned.take_part(&order, "10m", &OFFICES[2..10]);
    for (office, child) in impatient {
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains("nothing heard from front"), "{office}: {told}");
    }
    for (_, child) in &mut patient {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    nothing_counts(&planned);
    assert!(planned.names("node-3").1.contains(&"rows".to_owned()), "keys were pending");
    let told = refused(&["sandbox", "serve", "node-3", "--config", &planned.config("node-3")]);
    assert!(told.contains("trust.json"), "{told}");
    let again = refused(&["keys", "ceremony", "--config", &planned.config("node-3"), "--order", &order]);
    assert!(again.contains("begins again with a new order"), "{again}");
    planned.ceremony(&["--order", &planned.order(&["found"], 2)]);
    assert!(planned.names("node-3").1.is_empty());
}

#[test]
fn an_office_that_missed_the_end_goes_by_anothers_transcript_and_by_no_other() {
    let planned = Planned::founded(false);
    let trust: Trust = serde_json::from_slice(&std::fs::read(planned.folder.join("trust.json")).unwrap()).unwrap();
    let (count, _) = planned.names("node-1");
    // As a crash before the end leaves it: all is on the disk, and nothing counts.
    let folder = planned.folder.join("node-1");
    let owner = Owner { office: "node-1".to_owned(), root: trust.root, root_id: trust.root_id };
    let keeper = key_file::keeper(&folder, &owner, &(Arc::new(OsRng) as Arc<dyn Rng>)).unwrap();
    let own = count.iter().filter(|name| !IDENTITY.contains(&name.as_str()) && *name != "hpke");
    keeper.rename(&own.map(|name| (name.clone(), format!("{PENDING}{name}"))).collect::<Vec<_>>()).unwrap();
    let transcript = |office: &str| {
        let found = super::files(&planned.folder.join(office), ".json");
        found.into_iter().find(|path| path.to_string_lossy().contains("found-")).unwrap()
    };
    std::fs::remove_file(transcript("node-1")).unwrap();
    assert!(planned.names("node-1").1.len() > 5);

    let theirs = transcript("front");
    let mut changed: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&theirs).unwrap()).unwrap();
    changed["messages"].as_array_mut().unwrap().pop();
    let other = planned.path("changed.json");
    std::fs::write(&other, changed.to_string()).unwrap();
    let finish =
        |transcript: &str| ["keys", "finish", "--config", &planned.config("node-1"), transcript].map(str::to_owned);
    let words = |finish: &[String; 5]| super::refused(&finish.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(words(&finish(&other)).contains("not whole"));
    let elsewhere = Planned::founded(false);
    let found = super::files(&elsewhere.folder.join("front"), ".json");
    let foreign = found.into_iter().find(|path| path.to_string_lossy().contains("found-")).unwrap();
    assert!(words(&finish(foreign.to_str().unwrap())).contains("another ceremony"));
    assert!(planned.names("node-1").1.len() > 5);

    // Without one of the keys it is no end, and nothing says that it is one.
    let away = planned.path("away.json");
    let own = planned.path("node-1/keys.json");
    std::fs::copy(&own, &away).unwrap();
    keeper.destroy("new:rows").unwrap();
    let told = words(&finish(theirs.to_str().unwrap()));
    assert!(
        told.contains("not here") && told.contains(": rows. ") && told.contains("replace --subject node-1"),
        "{told}"
    );
    assert_eq!(planned.status("node-1")["begun"]["ended"], false);
    assert!(
        super::files(&folder.join("ceremonies"), ".json").iter().all(|path| !path.to_string_lossy().contains("found-"))
    );
    std::fs::copy(&away, &own).unwrap();

    // A crash when the end is kept and the keys do not count yet: the next step is named.
    let kept = folder.join("ceremonies").join(theirs.file_name().unwrap());
    std::fs::copy(&theirs, &kept).unwrap();
    assert_eq!(planned.status("node-1")["begun"]["ended"], false);
    let told = super::done(&["keys", "status", "--config", &planned.config("node-1")]);
    assert!(told.contains("do not count yet: `hufu keys finish`"), "{told}");
    std::fs::remove_file(&kept).unwrap();

    super::done(&finish(theirs.to_str().unwrap()).iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(planned.names("node-1"), (count, Vec::new()));
    assert!(planned.status("node-1")["missing"].as_array().unwrap().is_empty());
    assert_eq!(planned.status("node-1")["begun"]["ended"], true);
}

#[test]
fn what_all_offices_of_a_folder_go_by_is_computed_from_what_verifies_and_no_link_of_an_office_is_followed() {
    let planned = Planned::new(false);
    planned.identified();
    let path = planned.order(&["found"], 2);
    let told = planned.ceremony(&["--order", &path]);
    assert!(told.contains("compare  "), "{told}");
    let plan = Plan::read(Path::new(&planned.path("deployment.toml"))).unwrap();
    let order = order::read(Path::new(&path)).unwrap();
    let arrived = || all::arrived(&planned.folder, &plan, &order, None);
    let refused = || arrived().unwrap_err().to_string();
    let published = std::fs::read(planned.folder.join("trust.json")).unwrap();
    let published: Trust = serde_json::from_slice(&published).unwrap();
    let computed = || match arrived().unwrap().outcome {
        hufu_offices::ceremony::Outcome::Trust(trust) => *trust,
        other => panic!("{other:?}"),
    };
    assert_eq!(computed(), published);
    let kept = |office: &str| {
        let found = super::files(&planned.folder.join(office).join("ceremonies"), ".json");
        found.into_iter().find(|path| path.to_string_lossy().contains("found-")).unwrap()
    };
    assert!(done(&["keys", "transcript", kept("front").to_str().unwrap()]).contains("compare  "));

    // An office's own trust.json says what it likes.
    std::fs::write(planned.folder.join("node-1/trust.json"), "{}").unwrap();
    assert_eq!(computed(), published);
    // A link to what another office has kept, and a folder that is one.
    let (own, away) = (kept("node-1"), planned.path("away"));
    std::fs::rename(&own, &away).unwrap();
    std::os::unix::fs::symlink(kept("node-2"), &own).unwrap();
    let told = refused();
    assert!(told.contains("node-1/ceremonies"), "{told}");
    std::fs::remove_file(&own).unwrap();
    std::fs::rename(&away, &own).unwrap();
    let folder = planned.folder.join("front/ceremonies");
    std::fs::rename(&folder, &away).unwrap();
    std::os::unix::fs::symlink(&away, &folder).unwrap();
    let told = refused();
    assert!(told.contains("front/ceremonies"), "{told}");
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(&away, &folder).unwrap();
    assert_eq!(computed(), published);

    // One office's transcript is another's; then all have the same that was not said so.
    let mut changed: serde_json::Value = serde_json::from_slice(&std::fs::read(&own).unwrap()).unwrap();
    changed["messages"].as_array_mut().unwrap().swap(0, 1);
    let write = |office: &str| std::fs::write(kept(office), changed.to_string()).unwrap();
    write("node-1");
    let told = refused();
    assert!(told.contains("node-1 keeps this") && told.contains("not where it must be"), "{told}");
    OFFICES.iter().for_each(|office| write(office));
    let told = refused();
    assert!(told.contains("not where it must be"), "{told}");
}
