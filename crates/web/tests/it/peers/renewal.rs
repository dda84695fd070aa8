//! Certificates are made anew in the running process.

use super::world::*;
use hufu_kernel::{Bytes, Clock, EnrolmentId, KeyError, KeyStore, Octets, Refusal, Sealed};
use hufu_offices::ports::Uniqueness as _;
use hufu_web::peers::{HttpUniqueness, Leaf, Peers};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use zeroize::Zeroizing;

async fn asked(peers: &Peers) -> Result<(), Refusal> {
    let uniqueness = HttpUniqueness(peers.to("uniqueness").unwrap());
    match uniqueness.confirmation(&EnrolmentId::from([1; 16])).await {
        // It was asked.
        Err(Refusal::Locked) => Ok(()),
        Err(refusal) => Err(refusal),
        Ok(_) => Err(Refusal::Internal),
    }
}

#[test]
fn a_leaf_is_made_anew_each_day_and_not_more_often() {
    let world = World::new();
    let leaf = world.leaf("node-1");
    let first = leaf.certificate();
    world.clock.advance(3600);
    assert_eq!(leaf.certificate(), first);
    world.clock.advance(DAY);
    let second = leaf.certificate();
    assert_ne!(second, first);
    // A clock that was put right.
    world.clock.advance(-DAY);
    assert_ne!(leaf.certificate(), second);
}

#[tokio::test]
async fn offices_meet_for_years_without_a_restart() {
    let world = World::new();
    let served = world.serve("uniqueness", every_port(Refusal::Locked)).await;
    let (peers, _) = world.peers("node-1", "uniqueness", served.port, hasty());
    for _ in 0..5 {
        assert_eq!(asked(&peers).await, Ok(()));
        world.clock.advance(200 * DAY);
        // A new connection: the one that is open was proven when it was made.
        let (again, _) = world.peers("node-2", "uniqueness", served.port, hasty());
        assert_eq!(asked(&again).await, Ok(()));
    }
}

/// Clocks of two machines differ: by a day they may.
#[tokio::test]
async fn clocks_may_differ_by_a_day_and_not_by_more() {
    let world = World::new();
    let served = world.serve("uniqueness", every_port(Refusal::Locked)).await;
    for (days, meet) in [(-1, true), (1, true), (3, false), (31, false), (-3, false), (-40, false)] {
        let elsewhere = world.under(world.root_id);
        elsewhere.clock.advance(days * DAY);
        let (peers, _) = elsewhere.peers("node-1", "uniqueness", served.port, hasty());
        let answer = asked(&peers).await;
        assert_eq!(answer.is_ok(), meet, "{days} days: {answer:?}");
    }
}

/// Keys whose device can be pulled out.
struct Pulled {
    keys: Arc<dyn KeyStore>,
    out: AtomicBool,
}

impl Pulled {
    fn there(&self) -> Result<&dyn KeyStore, KeyError> {
        if self.out.load(Ordering::SeqCst) { Err(KeyError::Device("gone".into())) } else { Ok(self.keys.as_ref()) }
    }
}

impl KeyStore for Pulled {
    fn hmac(&self, key: &str, message: &[u8]) -> Result<Octets<32>, KeyError> {
        self.there()?.hmac(key, message)
    }
    fn seal(&self, key: &str, aad: &[u8], plaintext: &[u8]) -> Result<Sealed, KeyError> {
        self.there()?.seal(key, aad, plaintext)
    }
    fn open(&self, key: &str, aad: &[u8], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.there()?.open(key, aad, sealed)
    }
    fn sign_ed25519(&self, key: &str, message: &[u8]) -> Result<Octets<64>, KeyError> {
        self.there()?.sign_ed25519(key, message)
    }
    fn sign_es256(&self, key: &str, message: &[u8]) -> Result<Octets<64>, KeyError> {
        // The handshake's key stays reachable here: only renewing fails.
        self.keys.sign_es256(key, message)
    }
    fn public(&self, key: &str) -> Result<Bytes, KeyError> {
        self.there()?.public(key)
    }
    fn share(&self, key: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.there()?.share(key)
    }
}

#[tokio::test]
async fn a_key_store_that_fails_for_a_day_is_not_noticed_by_the_others() {
    let world = World::new();
    let keys = Arc::new(Pulled { keys: Arc::clone(&world.offices["uniqueness"].keys), out: AtomicBool::new(false) });
    let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
    let leaf = Leaf::new(Arc::clone(&keys) as _, "uniqueness", world.root_id, clock).unwrap();
    let own = Peers::new(Arc::clone(&leaf), world.roster.clone(), &BTreeMap::new(), hasty(), None).unwrap();
    let served = serve_with(&own, every_port(Refusal::Locked)).await;
    let before = leaf.certificate();
    keys.out.store(true, Ordering::SeqCst);
    world.clock.advance(2 * DAY);
    let (peers, _) = world.peers("node-1", "uniqueness", served.port, hasty());
    assert_eq!(asked(&peers).await, Ok(()));
    assert_eq!(leaf.certificate(), before);
    keys.out.store(false, Ordering::SeqCst);
    assert_ne!(leaf.certificate(), before);
}

#[test]
fn an_office_without_its_keys_does_not_start() {
    let world = World::new();
    let clock = || Arc::clone(&world.clock) as Arc<dyn Clock>;
    let keys = Arc::new(Pulled { keys: Arc::clone(&world.offices["post"].keys), out: AtomicBool::new(true) });
    assert!(Leaf::new(keys as _, "post", world.root_id, clock()).is_err());
    assert!(Leaf::new(Arc::clone(&world.offices["post"].keys), "vault", world.root_id, clock()).is_err());
}
