//! Orders and time: what is late, what is given up, what begins once, and from when new keys count.

use super::{Planned, done, files, part, refused};
use crate::apart::{Deployment, hufu};
use hufu_app::root::key_file::{self, Owner};
use hufu_kernel::{KeyKeeper, KeyStore as _, KeyUse, Octets, OsRng, PENDING, Rng};
use hufu_offices::ceremony::CONFIRMED;
use hufu_offices::keeper::SoftwareKeeper;
use hufu_wire::api::order::SignedOrder;
use hufu_wire::api::trust::Trust;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn keeper(planned: &Planned, office: &str) -> SoftwareKeeper {
    let trust: Trust = serde_json::from_slice(&std::fs::read(planned.folder.join("trust.json")).unwrap()).unwrap();
    let owner = Owner { office: office.to_owned(), root: trust.root, root_id: trust.root_id };
    key_file::keeper(&planned.folder.join(office), &owner, &(Arc::new(OsRng) as Arc<dyn Rng>)).unwrap()
}

/// The sandbox's clock, so many minutes ahead.
fn ahead(planned: &Planned, minutes: i64) {
    let shift = serde_json::json!({ "seconds": minutes * 60 }).to_string();
    hufu_app::files::replace(&planned.folder.join("clock/clock.json"), shift.as_bytes(), 0o644).unwrap();
}

pub(super) fn transcript(planned: &Planned, office: &str) -> PathBuf {
    let kept = files(&planned.folder.join(office), ".json");
    kept.into_iter().find(|path| path.to_string_lossy().contains("/rotate-")).unwrap()
}

fn ceremony_of(path: &str) -> Octets<32> {
    SignedOrder::parse(&std::fs::read(path).unwrap()).unwrap().order.ceremony()
}

/// A rotation whose end a node missed: all is on its disk, marked as confirmed, and nothing counts.
pub(super) fn missed(planned: &Planned, office: &str, order: &str) {
    let keys = keeper(planned, office);
    let new = keys.names().unwrap().into_iter().filter(|name| name.contains('.'));
    keys.rename(&new.map(|name| (name.clone(), format!("{PENDING}{name}"))).collect::<Vec<_>>()).unwrap();
    let mark = format!("{PENDING}{CONFIRMED}");
    keys.import(&mark, KeyUse::Share, ceremony_of(order).as_slice()).unwrap();
    std::fs::remove_file(transcript(planned, office)).unwrap();
}

#[test]
fn a_late_end_counts_after_its_orders_time_and_also_once_the_new_keys_do() {
    let planned = Planned::founded(true);
    let order = planned.order(&["rotate", "--valid", "30m", "--effective", "+1h"], 2);
    planned.ceremony(&["--order", &order]);
    let whole = planned.names("node-1").0;
    let new = keeper(&planned, "node-1").hmac("k-12.1", b"m").unwrap();
    let config = |office: &str| planned.config(office);
    // Where it ended it is not given up.
    let told = refused(&["keys", "finish", "--config", &config("node-1"), "--abandon"]);
    assert!(told.contains("ended here"), "{told}");
    assert_eq!(planned.names("node-1").0, whole);
    for office in ["node-1", "node-3"] {
        missed(&planned, office, &order);
    }
    assert!(planned.status("node-1")["begun"]["confirmed"].as_bool().unwrap());
    let theirs = transcript(&planned, "node-2");
    let theirs = theirs.to_str().unwrap();

    // The order is past its time: nothing begins by it, and its end still counts.
    ahead(&planned, 40);
    let told = refused(&["keys", "ceremony", "--config", &config("node-2"), "--order", &order, "--patience", "1s"]);
    assert!(told.contains("the order is not followed"), "{told}");
    let told = done(&["keys", "finish", "--config", &config("node-3"), theirs]);
    assert!(told.contains("generation 1 of K_A"), "{told}");
    assert!(planned.names("node-3").1.is_empty() && planned.names("node-3").0.contains(&"k-13.1".to_owned()));

    // The new keys count: it is not too late, and nobody is told to destroy what may be the only copies.
    ahead(&planned, 61);
    let pending = planned.names("node-1").1;
    assert!(pending.contains(&"k-12.1".to_owned()), "{pending:?}");
    let told = refused(&["keys", "finish", "--config", &config("node-1"), "--abandon"]);
    assert!(told.contains("only copies") && told.contains("node-2 cannot be asked"), "{told}");
    assert_eq!(planned.names("node-1").1, pending);
    // Until it is ended nothing else begins here.
    let repair = planned.order(&["repair", "--subject", "node-1"], 2);
    let told = refused(&["keys", "ceremony", "--config", &config("node-1"), "--order", &repair, "--patience", "1s"]);
    assert!(told.contains("may count at others"), "{told}");
    let told = done(&["keys", "finish", "--config", &config("node-1"), theirs]);
    assert!(told.contains("count already: restart this node now"), "{told}");
    assert_eq!(planned.names("node-1"), (whole, Vec::new()));
    assert_eq!(keeper(&planned, "node-1").hmac("k-12.1", b"m").unwrap(), new);
}

#[test]
fn what_was_confirmed_is_given_up_by_an_order_about_it_alone_and_repaired_from_who_has_it() {
    let planned = Planned::founded(true);
    let order = planned.order(&["rotate", "--valid", "30m", "--effective", "+1h"], 2);
    planned.ceremony(&["--order", &order]);
    let whole = planned.names("node-1").0;
    missed(&planned, "node-1", &order);
    let pending = planned.names("node-1").1;
    let config = planned.config("node-1");
    let give_up =
        |order: &str| ["keys", "finish", "--config", &config, "--abandon", "--order", order].map(str::to_owned);
    let refuses = |order: &str| refused(&give_up(order).iter().map(String::as_str).collect::<Vec<_>>());
    let told = refuses(&planned.order(&["abandon", "--of", &order], 1));
    assert!(told.contains("two operators"), "{told}");
    let other = planned.order(&["rotate", "--valid", "30m", "--effective", "+1h"], 2);
    let told = refuses(&planned.order(&["abandon", "--of", &other], 2));
    assert!(told.contains("another ceremony"), "{told}");
    assert!(refuses(&other).contains("not to abandon"));
    assert_eq!(planned.names("node-1").1, pending);
    let by = planned.order(&["abandon", "--of", &order], 2);
    // Where it ended, nothing is taken back while the others cannot be asked.
    let told = refused(&["keys", "finish", "--config", &planned.config("node-2"), "--abandon", "--order", &by]);
    assert!(told.contains("node-1 cannot be asked") && told.contains("Nothing was destroyed"), "{told}");
    assert!(planned.names("node-2").0.contains(&"k-12.1".to_owned()));
    let told = done(&give_up(&by).iter().map(String::as_str).collect::<Vec<_>>());
    assert!(told.starts_with("destroyed: ") && pending.iter().all(|name| told.contains(name)), "{told}");
    // With another's transcript it did not end here: the keys are not here.
    let theirs = transcript(&planned, "node-2");
    let told = refused(&["keys", "finish", "--config", &config, theirs.to_str().unwrap()]);
    assert!(told.contains("k-12.1") && told.contains("repair --subject node-1"), "{told}");
    assert_eq!(planned.status("node-1")["begun"]["ended"], false);
    let new = keeper(&planned, "node-2").hmac("k-12.1", b"m").unwrap();
    planned.ceremony(&["--order", &planned.order(&["repair", "--subject", "node-1"], 2)]);
    assert_eq!(planned.names("node-1"), (whole, Vec::new()));
    assert_eq!(keeper(&planned, "node-1").hmac("k-12.1", b"m").unwrap(), new);
}

/// Begins by an order where nobody else does; what is said.
fn alone(planned: &Planned, order: &str) -> String {
    let output = part(&planned.config("node-1"), order, "1s").wait_with_output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn an_order_begins_one_ceremony_also_when_another_was_begun_since() {
    let planned = Planned::new(true);
    planned.identified();
    let (one, two) = (planned.order(&["found"], 2), planned.order(&["found"], 2));
    let names = planned.folder.join("node-1/ceremonies/begun-names.json");
    let kept = || -> Vec<String> {
        let kept: Value = serde_json::from_slice(&std::fs::read(&names).unwrap()).unwrap();
        kept.as_object().unwrap().keys().cloned().collect()
    };
    let name = |order: &str| hufu_kernel::hex(ceremony_of(order).as_slice());
    for order in [&one, &two] {
        let told = alone(&planned, order);
        assert!(told.contains("nothing heard from node-2 (not reached at ") && told.contains("must run"), "{told}");
    }
    let mut both = [name(&one), name(&two)];
    both.sort();
    assert_eq!(kept(), both);
    for order in [&one, &two] {
        let told = alone(&planned, order);
        assert!(told.contains("was begun here already"), "{told}");
    }
    // The control: it is by the names that the first is known, since the second was begun last.
    let away = names.with_extension("away");
    std::fs::rename(&names, &away).unwrap();
    let told = alone(&planned, &one);
    assert!(told.contains("nothing heard from"), "{told}");
    std::fs::rename(&away, &names).unwrap();
    // Names of orders whose time is over go; such an order is refused for that.
    ahead(&planned, 120);
    let three = planned.order(&["found"], 2);
    alone(&planned, &three);
    assert_eq!(kept(), [name(&three)]);
    let told = alone(&planned, &one);
    assert!(told.contains("the order is not followed"), "{told}");
}

#[test]
fn a_rotation_says_from_when_it_counts_with_time_to_restart_and_no_other_order_does() {
    let planned = Planned::new(true);
    planned.identified();
    let (plan, roster, out) =
        (planned.path("deployment.toml"), planned.path("roster.json"), planned.path("effective.json"));
    let order = |wish: &[&str]| {
        let rest = ["--plan", &plan, "--roster", &roster, "-o", &out];
        hufu(&[&["keys", "order", "new"], wish, &rest].concat())
    };
    for (wish, word) in [
        (&["rotate", "--valid", "1h", "--effective", "+1h"][..], "minutes or more after"),
        (&["rotate", "--valid", "1h", "--effective", "+74m"], "minutes or more after"),
        (&["rotate", "--effective", "2001-01-01T00:00:00Z"], "minutes or more after"),
        (&["rotate", "--effective", "tomorrow"], "is no time"),
        (&["found", "--effective", "+2h"], "no other order has one"),
    ] {
        let output = order(wish);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(word), "{wish:?}: {told}");
        assert!(!Path::new(&out).exists(), "{wish:?}");
    }
    // The controls; what is said stands in what the operators read and sign.
    for (wish, span) in [
        (&["rotate", "--valid", "1h", "--effective", "+75m"][..], Some(15 * 60)),
        (&["rotate", "--valid", "30m"], Some(3600)),
        (&["rotate", "--valid", "1h", "--effective", "2999-01-01T00:00:00Z"], None),
    ] {
        let output = order(wish);
        assert!(output.status.success(), "{wish:?}: {}", String::from_utf8_lossy(&output.stderr));
        let made = SignedOrder::parse(&std::fs::read(&out).unwrap()).unwrap().order;
        let effective = made.effective.unwrap();
        assert!(span.is_none_or(|span| effective == made.not_after + span), "{wish:?}");
        assert!(done(&["keys", "order", "show", &out]).contains(&format!("effective    {effective}")), "{wish:?}");
    }
}

/// It ended at one node alone, and the way back is interrupted.
#[tokio::test]
async fn a_rotation_that_ended_at_one_node_alone_is_taken_back_also_by_who_was_interrupted() {
    let planned = Planned::founded(true);
    let before = planned.names("node-1");
    let order = planned.order(&["rotate", "--valid", "30m", "--effective", "+1h"], 2);
    planned.ceremony(&["--order", &order]);
    let by = planned.order(&["abandon", "--of", &order], 2);
    let config = planned.config("node-1");
    let give_up = ["keys", "finish", "--config", &config, "--abandon", "--order", &by];
    missed(&planned, "node-3", &order);
    let up = Deployment::start_in(crate::apart::place(), planned.folder.clone(), &[]).await;
    // Also an hour before the new keys count the others are seen to have them.
    let told = refused(&give_up);
    assert!(told.contains("node-2 has keys of generation 1") && told.contains("Nothing was destroyed"), "{told}");
    assert!(planned.names("node-1").0.contains(&"k-12.1".to_owned()));
    up.take_down("node-2").await;
    missed(&planned, "node-2", &order);
    // As if somebody had been interrupted after the first key.
    keeper(&planned, "node-1").destroy("k-12.1").unwrap();
    up.restore("node-2");
    let mut told = String::new();
    for _ in 0..200 {
        let output = hufu(&give_up);
        if output.status.success() {
            told = String::from_utf8(output.stdout).unwrap();
            break;
        }
        let refused = String::from_utf8(output.stderr).unwrap();
        assert!(refused.contains("node-2 cannot be asked"), "{refused}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(told.contains("k-13.1, since.1, z.1"), "{told}");
    assert_eq!(planned.names("node-1"), before);
    up.stop().await;
}
