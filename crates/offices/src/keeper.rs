//! A key keeper in this process's memory, which tells somebody of every change: the file adapter saves, tests do not.

use crate::hpke;
use crate::keys::{SoftwareKey, SoftwareKeys};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey, PublicKeyComponents};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use hufu_kernel::{Bytes, KeyError, KeyKeeper, KeyStore, KeyUse, Octets, Rng, Sealed, random};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use zeroize::Zeroizing;

/// A key as bytes, with its use.
#[derive(Clone, PartialEq, Eq)]
pub struct HeldKey {
    /// What it is for.
    pub usage: KeyUse,
    /// The bytes; wiped when dropped.
    pub bytes: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for HeldKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}(…)", self.usage)
    }
}

impl HeldKey {
    fn software(&self) -> SoftwareKey {
        let bytes = self.bytes.clone();
        match self.usage {
            KeyUse::Hmac => SoftwareKey::Hmac(bytes),
            KeyUse::Seal => SoftwareKey::Seal(bytes),
            KeyUse::Ed25519 => SoftwareKey::Ed25519(bytes),
            KeyUse::Es256 => SoftwareKey::Es256(bytes),
            KeyUse::Share => SoftwareKey::Share(bytes),
        }
    }
}

/// Keys by name.
pub type HeldKeys = BTreeMap<String, HeldKey>;
/// Told of all keys before a change counts.
pub type Save = Box<dyn Fn(&HeldKeys) -> Result<(), KeyError> + Send + Sync>;

/// Software keys that can be made, taken, handed over and destroyed.
pub struct SoftwareKeeper {
    keys: RwLock<HeldKeys>,
    save: Save,
    rng: Arc<dyn Rng>,
    /// X25519, for this process: private, public.
    wrapping: (Zeroizing<Vec<u8>>, Bytes),
}

impl std::fmt::Debug for SoftwareKeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.read().keys()).finish()
    }
}

/// The first byte of a software keeper's wrapping key: X25519 for HPKE follows.
const BY_HPKE: u8 = 1;
/// The first byte of a token's wrapping key: an RSA key follows, modulus ‖ exponent, each with a 4-byte length (RFC 8017 section 7.1,
/// SHA-1 and an empty label, which is what tokens know).
pub const BY_OAEP: u8 = 2;
/// The length of an encapsulated X25519 key.
const ENC: usize = 32;

impl SoftwareKeeper {
    /// A keeper of these keys; `save` is told of all of them before a change counts.
    #[must_use]
    pub fn new(keys: HeldKeys, save: Save, rng: Arc<dyn Rng>) -> Self {
        let wrapping = hpke::generate(rng.as_ref());
        Self { keys: RwLock::new(keys), save, rng, wrapping }
    }

    /// A keeper whose keys go with it.
    #[must_use]
    pub fn in_memory(rng: Arc<dyn Rng>) -> Self {
        Self::new(HeldKeys::new(), Box::new(|_| Ok(())), rng)
    }

    /// Another keeper with the same keys, whose changes are nobody's.
    #[must_use]
    pub fn twin(&self) -> Self {
        Self::new(self.read().clone(), Box::new(|_| Ok(())), Arc::clone(&self.rng))
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HeldKeys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut HeldKeys) -> Result<(), KeyError>) -> Result<(), KeyError> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = keys.clone();
        change(&mut changed)?;
        (self.save)(&changed)?;
        *keys = changed;
        Ok(())
    }

    fn put(&self, name: &str, usage: KeyUse, bytes: Zeroizing<Vec<u8>>) -> Result<(), KeyError> {
        let held = HeldKey { usage, bytes };
        // What does not load is not kept.
        self.loaded(name, &held)?;
        self.change(|keys| match keys.contains_key(name) {
            true => Err(KeyError::Taken(name.to_owned())),
            false => {
                keys.insert(name.to_owned(), held);
                Ok(())
            }
        })
    }

    fn loaded(&self, name: &str, held: &HeldKey) -> Result<SoftwareKeys, KeyError> {
        SoftwareKeys::load([(name.to_owned(), held.software())], Arc::clone(&self.rng))
    }

    fn key(&self, name: &str) -> Result<SoftwareKeys, KeyError> {
        let held = self.read().get(name).cloned().ok_or_else(|| KeyError::Missing(name.to_owned()))?;
        self.loaded(name, &held)
    }
}

impl KeyStore for SoftwareKeeper {
    fn hmac(&self, key: &str, message: &[u8]) -> Result<Octets<32>, KeyError> {
        self.key(key)?.hmac(key, message)
    }

    fn seal(&self, key: &str, aad: &[u8], plaintext: &[u8]) -> Result<Sealed, KeyError> {
        self.key(key)?.seal(key, aad, plaintext)
    }

    fn open(&self, key: &str, aad: &[u8], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.key(key)?.open(key, aad, sealed)
    }

    fn sign_ed25519(&self, key: &str, message: &[u8]) -> Result<Octets<64>, KeyError> {
        self.key(key)?.sign_ed25519(key, message)
    }

    fn sign_es256(&self, key: &str, message: &[u8]) -> Result<Octets<64>, KeyError> {
        self.key(key)?.sign_es256(key, message)
    }

    fn public(&self, key: &str) -> Result<Bytes, KeyError> {
        self.key(key)?.public(key)
    }

    fn share(&self, key: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.key(key)?.share(key)
    }
}

impl KeyKeeper for SoftwareKeeper {
    fn names(&self) -> Result<Vec<String>, KeyError> {
        Ok(self.read().keys().cloned().collect())
    }

    fn usage(&self, name: &str) -> Result<KeyUse, KeyError> {
        self.read().get(name).map(|held| held.usage).ok_or_else(|| KeyError::Missing(name.to_owned()))
    }

    fn generate(&self, name: &str, usage: KeyUse) -> Result<(), KeyError> {
        let bytes = match usage {
            KeyUse::Hmac | KeyUse::Seal | KeyUse::Ed25519 => random::<32>(self.rng.as_ref()).to_vec(),
            KeyUse::Es256 => {
                let drawn = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
                let drawn = drawn.map_err(|_| KeyError::Device("no P-256 key could be made".into()))?;
                drawn.as_ref().to_vec()
            }
            KeyUse::Share => return Err(KeyError::Device(format!("{name}: a share is not drawn"))),
        };
        self.put(name, usage, Zeroizing::new(bytes))
    }

    fn import(&self, name: &str, usage: KeyUse, secret: &[u8]) -> Result<(), KeyError> {
        self.put(name, usage, Zeroizing::new(secret.to_vec()))
    }

    fn rename(&self, pairs: &[(String, String)]) -> Result<(), KeyError> {
        self.change(|keys| {
            for (from, to) in pairs {
                match (keys.contains_key(from), keys.contains_key(to)) {
                    (true, true) => return Err(KeyError::Taken(to.clone())),
                    (false, false) => return Err(KeyError::Missing(from.clone())),
                    (false, true) => {}
                    (true, false) => {
                        let held = keys.remove(from).ok_or_else(|| KeyError::Missing(from.clone()))?;
                        keys.insert(to.clone(), held);
                    }
                }
            }
            Ok(())
        })
    }

    fn destroy(&self, name: &str) -> Result<(), KeyError> {
        if !self.read().contains_key(name) {
            return Ok(());
        }
        self.change(|keys| {
            keys.remove(name);
            Ok(())
        })
    }

    fn wrapping_key(&self) -> Result<Bytes, KeyError> {
        Ok(Bytes([&[BY_HPKE], self.wrapping.1.0.as_slice()].concat()))
    }

    fn wrap(&self, name: &str, to: &[u8], aad: &[u8]) -> Result<Bytes, KeyError> {
        let held = self.read().get(name).cloned().filter(|held| held.usage == KeyUse::Hmac);
        let held = held.ok_or_else(|| KeyError::Missing(name.to_owned()))?;
        let none = || KeyError::Device("the wrapping key is none".into());
        match to.split_first() {
            Some((&BY_HPKE, public)) => {
                let sealed = hpke::seal(public, aad, &held.bytes, self.rng.as_ref());
                let (enc, ciphertext) = sealed.map_err(|_| none())?;
                Ok(Bytes([enc.0, ciphertext.0].concat()))
            }
            Some((&BY_OAEP, key)) => for_token(key, &held.bytes).ok_or_else(none),
            _ => Err(none()),
        }
    }

    fn unwrap_key(&self, name: &str, aad: &[u8], wrapped: &[u8]) -> Result<(), KeyError> {
        let refused = || KeyError::Open("this keeper's wrapping key".to_owned());
        let (enc, ciphertext) = wrapped.split_at_checked(ENC).ok_or_else(refused)?;
        let bytes = hpke::open(&self.wrapping.0, enc, aad, ciphertext).map_err(|_| refused())?;
        self.put(name, KeyUse::Hmac, bytes)
    }
}

/// Wraps for a token.
fn for_token(key: &[u8], secret: &[u8]) -> Option<Bytes> {
    let (n, e) = rsa_parts(key)?;
    let key: PublicEncryptingKey = PublicKeyComponents { n, e }.try_into().ok()?;
    let key = OaepPublicEncryptingKey::new(key).ok()?;
    let mut wrapped = vec![0; key.ciphertext_size()];
    let length = key.encrypt(&OAEP_SHA1_MGF1SHA1, secret, &mut wrapped, None).ok()?.len();
    wrapped.truncate(length);
    Some(Bytes(wrapped))
}

/// Modulus and exponent, each with a 4-byte length before it, and nothing behind.
#[must_use]
pub fn rsa_parts(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let part = |bytes: &'_ [u8]| -> Option<usize> {
        let length = u32::from_be_bytes(*bytes.first_chunk::<4>()?);
        usize::try_from(length).ok()
    };
    let n = part(bytes)?;
    let (n, rest) = bytes.get(4..)?.split_at_checked(n)?;
    let e = part(rest)?;
    let (e, rest) = rest.get(4..)?.split_at_checked(e)?;
    (rest.is_empty() && !n.is_empty() && !e.is_empty()).then_some((n, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_kernel::SeededRng;

    fn keeper(seed: u64) -> SoftwareKeeper {
        SoftwareKeeper::in_memory(Arc::new(SeededRng::new(seed)))
    }

    #[test]
    fn a_wrapped_key_reaches_the_keeper_it_is_for_in_its_place_and_nobody_else() {
        let (one, two, three) = (keeper(1), keeper(2), keeper(3));
        one.import("k-12", KeyUse::Hmac, &[7; 32]).unwrap();
        one.import("tag-share", KeyUse::Share, &[1; 32]).unwrap();
        let wrapped = one.wrap("k-12", &two.wrapping_key().unwrap().0, b"place").unwrap();
        two.unwrap_key("new:k-12", b"place", &wrapped.0).unwrap();
        assert_eq!(two.hmac("new:k-12", b"m"), one.hmac("k-12", b"m"));
        assert!(three.unwrap_key("k-12", b"place", &wrapped.0).is_err());
        assert!(two.unwrap_key("k-13", b"elsewhere", &wrapped.0).is_err());
        // Shares are mended, not handed over; and only to what this keeper understands.
        assert!(one.wrap("tag-share", &two.wrapping_key().unwrap().0, b"place").is_err());
        assert!(one.wrap("k-12", &[2; 33], b"place").is_err());
    }

    #[test]
    fn no_key_is_replaced_and_a_change_that_is_not_saved_does_not_count() {
        let saved = Arc::new(RwLock::new(true));
        let may = Arc::clone(&saved);
        let save: Save = Box::new(move |_| match *may.read().unwrap() {
            true => Ok(()),
            false => Err(KeyError::Device("full".into())),
        });
        let keeper = SoftwareKeeper::new(HeldKeys::new(), save, Arc::new(SeededRng::new(1)));
        keeper.generate("office", KeyUse::Ed25519).unwrap();
        assert_eq!(keeper.generate("office", KeyUse::Ed25519), Err(KeyError::Taken("office".into())));
        keeper.generate("new:tls", KeyUse::Es256).unwrap();
        let pairs = [("new:tls".to_owned(), "tls".to_owned())];
        *saved.write().unwrap() = false;
        assert!(keeper.rename(&pairs).is_err() && keeper.generate("rows", KeyUse::Seal).is_err());
        assert_eq!(keeper.names().unwrap(), ["new:tls", "office"]);
        *saved.write().unwrap() = true;
        keeper.rename(&pairs).unwrap();
        keeper.rename(&pairs).unwrap();
        assert_eq!(keeper.names().unwrap(), ["office", "tls"]);
        assert!(keeper.rename(&[("a".to_owned(), "b".to_owned())]).is_err());
        assert!(keeper.import("es256", KeyUse::Es256, b"no key").is_err());
        keeper.destroy("tls").unwrap();
        keeper.destroy("tls").unwrap();
        assert_eq!(keeper.names().unwrap(), ["office"]);
    }
}
