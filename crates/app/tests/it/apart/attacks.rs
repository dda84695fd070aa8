//! Attacks over the wire at offices that are apart: what docs/attacks.md promises of one process must hold of eleven.

use super::Deployment;
use crate::linking::platform;
use hufu_app::root::OfficeFolder;
use hufu_kernel::{Bytes, EnrolmentId, NodeIndex, OsRng, Pair, Refusal, Rng, ShiftedClock, SystemClock};
use hufu_platform::client::RelyingParty;
use hufu_sandbox::http::Http;
use hufu_sandbox::robot::{Robot, Visit, World, wish};
use hufu_wallet::{Address, Reply, SoftwareDevice, State, Transport, Wallet, WalletError};
use hufu_web::peers::{Leaf, PeerConfig, Peers};
use hufu_wire::api::peer::AskSums;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

const PASSWORD: &str = "27182845";

/// A person's network in the hands of somebody else.
struct Meddled {
    http: Http,
    /// Changes what is sent, by path.
    change: fn(&str, &mut Value),
    sent: Mutex<Vec<(Address, String, Vec<u8>)>>,
}

impl Transport for Meddled {
    async fn post(&self, to: Address, path: &str, body: Vec<u8>) -> Result<Reply, String> {
        let mut document: Value = serde_json::from_slice(&body).unwrap();
        (self.change)(path, &mut document);
        let body = serde_json::to_vec(&document).unwrap();
        self.sent.lock().unwrap().push((to, path.to_owned(), body.clone()));
        self.http.post(to, path, body).await
    }

    async fn get(&self, to: Address, path: &str) -> Result<Reply, String> {
        self.http.get(to, path).await
    }
}

/// Somebody enrolled, with a second copy of their device.
struct Victim {
    robot: Robot,
    saved: (String, String),
}

impl Victim {
    async fn enrol(world: &World, person: &hufu_sandbox::persons::Person) -> Self {
        let (rp_id, origin) = (&world.trust.rp_id, &world.trust.wallet_origin);
        let device = SoftwareDevice::generate(rp_id, origin, &OsRng).unwrap();
        let (passkey, holder) = device.save();
        let mut robot = world.robot_with(device, State::default()).unwrap();
        world.enrol(&mut robot, person, PASSWORD).await.unwrap();
        Self { robot, saved: (passkey.to_string(), holder.to_string()) }
    }

    fn device(&self, world: &World) -> SoftwareDevice {
        SoftwareDevice::load(&self.saved.0, &self.saved.1, &world.trust.rp_id, &world.trust.wallet_origin).unwrap()
    }

    fn meddled(&self, world: &World, change: fn(&str, &mut Value)) -> Wallet<Meddled, SoftwareDevice> {
        let http = Http::new(world.addresses.client().unwrap(), world.addresses.clone());
        let wire = Meddled { http, change, sent: Mutex::default() };
        let state = self.robot.state.clone();
        let (clock, rng) = (Arc::clone(&world.clock), Arc::clone(&world.rng));
        Wallet::new(Arc::clone(&world.trust), wire, self.device(world), state, clock, rng).unwrap()
    }
}

fn visit(shop: &RelyingParty, pair: Pair) -> Visit<'_> {
    Visit { platform: shop, wish: wish(&[], None), pair, password: None }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, WalletError>) -> Refusal {
    match answer {
        Err(WalletError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_front_codes_answers_and_browsers_are_not_exchanged() {
    let deployment = Deployment::start(&[]).await;
    let world = deployment.seen.world();
    let shop = platform(&deployment.folder.join("world"), "yunzhou-hall", &world);
    let other = platform(&deployment.folder.join("world"), "clay-jar-bank", &world);
    let mut robot = Victim::enrol(&world, &deployment.seen.persons()[90]).await.robot;
    let pair = Pair::ALL[0];

    // A code that was used, and one that another platform brings.
    let at = visit(&shop, pair).arrive(&world, &robot).await.unwrap();
    let asked = robot.open(&at.tx).await.unwrap();
    let signed = robot.sign_in_with(&asked, &asked.transaction.answers.clone(), None, pair).await.unwrap();
    let back = robot.complete(&asked, &signed).await.unwrap();
    let stolen = visit(&other, pair).redeem(&world, &at.pending, &back.redirect_to).await.unwrap_err();
    visit(&shop, pair).redeem(&world, &at.pending, &back.redirect_to).await.unwrap();
    let again = visit(&shop, pair).redeem(&world, &at.pending, &back.redirect_to).await.unwrap_err();
    for refused in [&stolen, &again] {
        assert!(refused.contains("invalid_grant"), "{refused}");
    }

    // A result for one sign-in at another; and at its own, once more.
    let second = visit(&shop, pair).arrive(&world, &robot).await.unwrap();
    let asked_second = robot.open(&second.tx).await.unwrap();
    refused(robot.complete(&asked_second, &signed).await);
    // Another browser brings the right answer.
    let signed_second =
        robot.sign_in_with(&asked_second, &asked_second.transaction.answers.clone(), None, pair).await.unwrap();
    let stranger = world.robot().unwrap();
    refused(stranger.complete(&asked_second, &signed_second).await);
    // The person loses nothing by either.
    let back = robot.complete(&asked_second, &signed_second).await.unwrap();
    visit(&shop, pair).redeem(&world, &second.pending, &back.redirect_to).await.unwrap();
    refused(robot.complete(&asked_second, &signed_second).await);
    deployment.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_nodes_nothing_is_signed_twice_late_changed_or_for_somebody_locked() {
    let deployment = Deployment::start(&[]).await;
    let world = deployment.seen.world();
    let person = deployment.seen.persons()[91].clone();
    let shop = platform(&deployment.folder.join("world"), "yunzhou-hall", &world);
    let mut victim = Victim::enrol(&world, &person).await;
    let again = world.enrol(&mut world.robot().unwrap(), &person, PASSWORD).await;
    assert_eq!(refused(again), Refusal::AlreadyEnrolled, "a second identity with the same document");

    for pair in Pair::ALL {
        let at = visit(&shop, pair).arrive(&world, &victim.robot).await.unwrap();
        let asked = victim.robot.open(&at.tx).await.unwrap();
        let answers = asked.transaction.answers.clone();

        // A signing session serves once, however often its second round is brought.
        let mut recorded = victim.meddled(&world, |_, _| ());
        recorded.sign_in_with(&asked, &answers, None, pair).await.unwrap();
        let sent = recorded.transport().sent.lock().unwrap().clone();
        let finishes: Vec<_> = sent.into_iter().filter(|(_, path, _)| path.ends_with("/finish")).collect();
        assert_eq!(finishes.len(), 2);
        for (to, path, body) in finishes {
            let reply = recorded.transport().http.post(to, &path, body).await.unwrap();
            assert!((400..500).contains(&reply.status), "{}", String::from_utf8_lossy(&reply.body));
        }

        // One node's word is changed on the way to the other: the other sees it.
        let mut changed = victim.meddled(&world, |path, document| {
            if path.ends_with("/finish") {
                assert!(meddle(document.pointer_mut("/peer/evaluation").unwrap()));
            }
        });
        let lied = changed.sign_in_with(&asked, &answers, None, pair).await;
        assert!(matches!(lied, Err(WalletError::Refused(_))), "{:?}", lied.err());

        // Consent that was given three minutes ago.
        let late = World { clock: Arc::new(ShiftedClock::new(-180)), ..world.clone() };
        let mut late = victim.meddled(&late, |_, _| ());
        refused(late.sign_in_with(&asked, &answers, None, pair).await);

        // What the person did not agree to.
        let mut widened = victim.meddled(&world, |path, document| {
            if path.ends_with("/begin") {
                document["consent"]["nonce"] = Value::String("somebody-elses".into());
            }
        });
        refused(widened.sign_in_with(&asked, &answers, None, pair).await);
    }

    victim.robot.lock().await.unwrap();
    for pair in Pair::ALL {
        let at = visit(&shop, pair).arrive(&world, &victim.robot).await.unwrap();
        let asked = victim.robot.open(&at.tx).await.unwrap();
        let answer = victim.robot.sign_in_with(&asked, &asked.transaction.answers.clone(), None, pair).await;
        assert_eq!(refused(answer), Refusal::Locked, "{pair:?}");
    }
    deployment.stop().await;
}

/// Changes the first letter of the first text in a document.
fn meddle(document: &mut Value) -> bool {
    match document {
        Value::String(text) => {
            let other = if text.starts_with('A') { "B" } else { "A" };
            text.replace_range(..1, other);
            true
        }
        Value::Array(parts) => parts.iter_mut().any(meddle),
        Value::Object(members) => members.values_mut().any(meddle),
        _ => false,
    }
}

/// The other offices as `office` reaches them with its own keys: all that an intruder there has.
fn as_office(deployment: &Deployment, office: &'static str) -> Peers {
    let folder = &deployment.folder;
    let plan = hufu_app::deployment::plan::Plan::read(&folder.join("deployment.toml")).unwrap();
    let rng: Arc<dyn Rng> = Arc::new(OsRng);
    let keys = OfficeFolder::new(&folder.join(office), office, plan.root, plan.root_id).keys(&rng).unwrap();
    let leaf = Leaf::new(keys, office, plan.root_id, Arc::new(SystemClock)).unwrap();
    let roster = std::fs::read(folder.join("roster.json")).unwrap();
    let roster = serde_json::from_slice(&roster).unwrap();
    let mut addresses = plan.internal_addresses();
    addresses.remove(office);
    Peers::new(leaf, roster, &addresses, PeerConfig::default(), None).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_office_that_fell_may_ask_of_the_others_what_it_might_before_and_nothing_else() {
    let deployment = Deployment::start(&[]).await;
    let nobody = EnrolmentId::random(&OsRng);
    // The control: a node may ask this, and is answered.
    let node = as_office(&deployment, "node-1");
    assert!(node.uniqueness().unwrap().confirmation(&nobody).await.unwrap().is_none());
    for office in ["front", "registry", "post", "tagger-1", "tagger-2", "tagger-3"] {
        let asked = as_office(&deployment, office).uniqueness().unwrap().confirmation(&nobody).await;
        assert_eq!(asked.unwrap_err(), Refusal::OfficeRefused, "{office}");
    }
    // Between nodes: the rows of each, to the other two alone.
    let [one, two, _] = NodeIndex::ALL;
    let ask = AskSums { prefix: Bytes::default() };
    for office in ["front", "registrar", "uniqueness", "post"] {
        let asked = as_office(&deployment, office).node_peer(two).unwrap().sums(one, &ask).await;
        assert_eq!(asked.unwrap_err(), Refusal::OfficeRefused, "{office}");
    }
    node.node_peer(two).unwrap().sums(one, &ask).await.unwrap();

    // Whoever has no certificate of an office is not answered at all.
    let addresses: BTreeMap<String, String> = plan_addresses(&deployment.folder);
    let stranger = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build().unwrap();
    for (office, address) in addresses {
        let url = format!("https://{address}/office/v1/uniqueness/confirmation");
        let answer = stranger.post(url).body("{}").send().await;
        assert!(answer.is_err(), "{office} answered a stranger: {answer:?}");
    }
    deployment.stop().await;
}

fn plan_addresses(folder: &Path) -> BTreeMap<String, String> {
    hufu_app::deployment::plan::Plan::read(&folder.join("deployment.toml")).unwrap().internal_addresses()
}
