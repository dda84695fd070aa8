//! Keys of the test world's offices.

use hufu_kernel::KeyUse;
use hufu_kernel::{Octets, Rng, random};
use hufu_offices::keeper::{HeldKey, SoftwareKeeper};
use hufu_offices::keys::{SoftwareKey, SoftwareKeys};
use hufu_wire::jose::{Alg, SoftKey};
use std::sync::Arc;
use zeroize::Zeroizing;

pub struct Keys {
    pub keys: Arc<SoftwareKeys>,
    pub public: Octets<32>,
}

pub fn bytes<const N: usize>(rng: &dyn Rng) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(random::<N>(rng).to_vec())
}

pub fn office(rng: &Arc<dyn Rng>, name: &str, more: Vec<(String, SoftwareKey)>) -> Keys {
    let seed = bytes::<32>(rng.as_ref());
    let private = SoftKey::generate(Alg::EdDSA, rng.as_ref()).unwrap();
    let jwk: serde_json::Value = serde_json::from_str(&private.to_private_jwk()).unwrap();
    let seed = jwk["d"].as_str().and_then(hufu_kernel::unb64).map_or(seed, Zeroizing::new);
    let public = Octets(*private.public().key.as_ed25519().unwrap());
    let keys = more.into_iter().chain([(name.to_owned(), SoftwareKey::Ed25519(seed))]);
    Keys { keys: Arc::new(SoftwareKeys::load(keys, Arc::clone(rng)).unwrap()), public }
}

/// The same keys where more can come and some can go.
pub fn keeper(rng: &Arc<dyn Rng>, more: Vec<(String, SoftwareKey)>) -> (Arc<SoftwareKeeper>, Octets<32>) {
    let private = SoftKey::generate(Alg::EdDSA, rng.as_ref()).unwrap();
    let jwk: serde_json::Value = serde_json::from_str(&private.to_private_jwk()).unwrap();
    let seed = jwk["d"].as_str().and_then(hufu_kernel::unb64).map(Zeroizing::new).unwrap();
    let held = more.into_iter().chain([("office".to_owned(), SoftwareKey::Ed25519(seed))]).map(|(name, key)| {
        let (usage, bytes) = match key {
            SoftwareKey::Hmac(bytes) => (KeyUse::Hmac, bytes),
            SoftwareKey::Seal(bytes) => (KeyUse::Seal, bytes),
            SoftwareKey::Ed25519(bytes) => (KeyUse::Ed25519, bytes),
            SoftwareKey::Es256(bytes) => (KeyUse::Es256, bytes),
            SoftwareKey::Share(bytes) => (KeyUse::Share, bytes),
        };
        (name, HeldKey { usage, bytes })
    });
    let keeper = SoftwareKeeper::new(held.collect(), Box::new(|_| Ok(())), Arc::clone(rng));
    (Arc::new(keeper), Octets(*private.public().key.as_ed25519().unwrap()))
}
