//! How much one person's devices may ask of a node; and that no request takes a thread from another while a key store is slow.

use super::world::{TestWallet, World};
use super::{ONE, TWO};
use hufu_kernel::{Answer, Bytes, KeyError, KeyStore, Octets, Pair, Refusal, Sealed, Strength};
use hufu_offices::buckets::Rate;
use hufu_offices::node::Node;
use hufu_offices::ports::NodePeer;
use hufu_wallet::WalletError;
use hufu_wire::api::peer::AskMoved;
use hufu_wire::api::sign_in::BeginSignIn;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use zeroize::Zeroizing;

const SHOP: &str = "https://shop.example";
const RATE: Rate = Rate { burst: 4, every: Duration::from_secs(10) };

async fn limited(world: &World) {
    world.restart_node_as(ONE, |parts| Node::new(parts).unwrap().limited(Some(RATE)));
    world.nodes.at(ONE).compare().await.unwrap();
}

/// What the wallet sent to begin a sign-in that went well.
async fn sent(world: &World, wallet: &mut TestWallet) -> BeginSignIn {
    let seen = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&seen);
    wallet.transport().on_request(move |path, body| {
        if path == "/v1/sign-in/begin" {
            *keep.lock().unwrap() = Some(body.to_vec());
        }
    });
    let asked = world.ask(SHOP, &[Answer::Real], Strength::Certificate);
    wallet.sign_in_with(&asked, &[Answer::Real], None, Pair::ALL[0]).await.unwrap();
    let body = seen.lock().unwrap().clone().unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn whoever_has_no_device_of_a_person_cannot_lock_them_out_however_much_it_asks() {
    let world = World::new(71);
    let (mut wallet, mut other) = (world.enrolled(1).await, world.enrolled(2).await);
    limited(&world).await;
    let (request, of_other) = (sent(&world, &mut wallet).await, sent(&world, &mut other).await);
    // The person's credential with a stranger's signature, with one of another device, with a changed one.
    let mut changed = request.assertion.signature.clone();
    changed.0[20] ^= 1;
    for signature in [of_other.assertion.signature.clone(), changed, Bytes(vec![0x30; 70])] {
        let mut forged = request.clone();
        forged.assertion.signature = signature;
        for _ in 0..100 {
            let refused = world.nodes.at(ONE).begin_sign_in(&forged).await.unwrap_err();
            assert_eq!(refused, Refusal::AssertionInvalid);
        }
    }
    // One of four was used by the person.
    for _ in 0..3 {
        assert!(world.sign_in(&mut wallet, SHOP, Pair::ALL[0]).await.is_ok());
    }
    // The control: what the person's own device asks counts.
    assert!(world.sign_in(&mut wallet, SHOP, Pair::ALL[0]).await.is_err());
}

#[tokio::test]
async fn one_persons_devices_begin_so_many_sign_ins_and_nobody_elses_wait_for_them() {
    let world = World::new(72);
    let (mut wallet, mut other) = (world.enrolled(1).await, world.enrolled(2).await);
    limited(&world).await;
    for _ in 0..4 {
        assert!(world.sign_in(&mut wallet, SHOP, Pair::ALL[0]).await.is_ok());
    }
    let too_many = Err(WalletError::Refused(Refusal::TooMany));
    for _ in 0..50 {
        assert_eq!(world.sign_in(&mut wallet, SHOP, Pair::ALL[0]).await.map(drop), too_many);
    }
    assert!(world.sign_in(&mut other, SHOP, Pair::ALL[0]).await.is_ok());
    // Nothing is locked: where it was not asked too much it is answered, and here a moment later.
    assert!(world.sign_in(&mut wallet, SHOP, Pair::ALL[2]).await.is_ok());
    let asked = world.ask(SHOP, &[Answer::Real], Strength::Certificate);
    let elsewhere = wallet.sign_in(&asked, &[Answer::Real], None, Pair::ALL[0]).await;
    assert!(elsewhere.is_ok(), "the wallet finds the pair that answers");
    world.clock.advance(10);
    assert!(world.sign_in(&mut wallet, SHOP, Pair::ALL[0]).await.is_ok());
    assert_eq!(world.sign_in(&mut wallet, SHOP, Pair::ALL[0]).await.map(drop), too_many);
}

#[tokio::test]
async fn a_node_that_brings_an_assertion_to_another_one_locks_nobody_out_there() {
    let world = World::new(74);
    let mut wallet = world.enrolled(1).await;
    limited(&world).await;
    // What node 2 was given too, as the wallet sent it.
    let request = sent(&world, &mut wallet).await;
    let mut refused = 0;
    for _ in 0..100 {
        match world.nodes.at(ONE).begin_sign_in(&request).await {
            Ok(_) => assert_eq!(refused, 0),
            Err(refusal) => {
                assert_eq!(refusal, Refusal::Replayed);
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 93, "eight answers to one assertion, of which the person had one");
    for _ in 0..3 {
        assert!(world.sign_in(&mut wallet, SHOP, Pair::ALL[0]).await.is_ok());
    }
    assert!(world.sign_in(&mut wallet, SHOP, Pair::ALL[0]).await.is_err(), "the control: assertions count");
}

/// Takes its time to say that a key is not there.
struct Slow(Arc<dyn KeyStore>);

const TAKES: Duration = Duration::from_millis(400);

impl KeyStore for Slow {
    fn hmac(&self, key: &str, message: &[u8]) -> Result<Octets<32>, KeyError> {
        let answer = self.0.hmac(key, message);
        if answer.is_err() {
            std::thread::sleep(TAKES);
        }
        answer
    }

    fn seal(&self, key: &str, aad: &[u8], plaintext: &[u8]) -> Result<Sealed, KeyError> {
        self.0.seal(key, aad, plaintext)
    }

    fn open(&self, key: &str, aad: &[u8], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.0.open(key, aad, sealed)
    }

    fn sign_ed25519(&self, key: &str, message: &[u8]) -> Result<Octets<64>, KeyError> {
        self.0.sign_ed25519(key, message)
    }

    fn sign_es256(&self, key: &str, message: &[u8]) -> Result<Octets<64>, KeyError> {
        self.0.sign_es256(key, message)
    }

    fn public(&self, key: &str) -> Result<Bytes, KeyError> {
        self.0.public(key)
    }

    fn share(&self, key: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.0.share(key)
    }
}

#[tokio::test]
async fn while_a_slow_key_store_is_asked_for_generations_other_requests_are_answered() {
    let world = World::new(73);
    let mut wallet = world.enrolled(1).await;
    let request = sent(&world, &mut wallet).await;
    world.restart_node_as(ONE, |mut parts| {
        parts.keys = Arc::new(Slow(parts.keys));
        Node::new(parts).unwrap()
    });
    let node = world.nodes.at(ONE);
    node.compare().await.unwrap();
    world.clock.advance(5);
    let began = Instant::now();
    let moved = async {
        let moved = NodePeer::moved(node.as_ref(), TWO, &AskMoved { generation: 0 }).await;
        (moved.map(|moved| moved.newest), began.elapsed())
    };
    let sign_in = async {
        let begun = node.begin_sign_in(&request).await;
        (begun.map(drop), began.elapsed())
    };
    // One thread for both: the first one begins first.
    let ((moved, asked), (begun, answered)) = tokio::join!(moved, sign_in);
    assert_eq!((moved, begun), (Ok(0), Ok(())));
    assert!(asked >= TAKES, "the control: the store was asked, and was slow: {asked:?}");
    assert!(answered < TAKES / 2, "a sign-in waited for the key store: {answered:?}");
}
