//! Software keys: bytes in this process's memory, behind the same trait as a hardware module.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use aws_lc_rs::{hmac, rand::SystemRandom};
use hufu_kernel::{Bytes, KeyError, KeyStore, Octets, Rng, Sealed};
use std::collections::BTreeMap;
use std::sync::Arc;
use zeroize::Zeroizing;

/// One key as a file holds it. Names and what each protects: docs/trust.md.
pub enum SoftwareKey {
    /// An HMAC-SHA-256 key of 32 bytes.
    Hmac(Zeroizing<Vec<u8>>),
    /// An AES-256-GCM key.
    Seal(Zeroizing<Vec<u8>>),
    /// An Ed25519 seed (RFC 8032).
    Ed25519(Zeroizing<Vec<u8>>),
    /// A P-256 key in PKCS#8.
    Es256(Zeroizing<Vec<u8>>),
    /// A threshold share, or another private key a library takes as bytes.
    Share(Zeroizing<Vec<u8>>),
}

enum Loaded {
    Hmac(Box<hmac::Key>),
    Seal(Box<LessSafeKey>),
    Ed25519(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Share(Zeroizing<Vec<u8>>),
}

/// An office's keys in memory.
pub struct SoftwareKeys {
    keys: BTreeMap<String, Loaded>,
    rng: Arc<dyn Rng>,
}

impl std::fmt::Debug for SoftwareKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.keys.keys()).finish()
    }
}

impl SoftwareKeys {
    /// Loads keys by name; nonces for sealing come from `rng`.
    ///
    /// # Errors
    /// [`KeyError::Device`] naming the key that does not load.
    pub fn load(keys: impl IntoIterator<Item = (String, SoftwareKey)>, rng: Arc<dyn Rng>) -> Result<Self, KeyError> {
        let keys =
            keys.into_iter().map(|(name, key)| Ok((name.clone(), load(&name, key)?))).collect::<Result<_, _>>()?;
        Ok(Self { keys, rng })
    }

    fn key(&self, name: &str) -> Result<&Loaded, KeyError> {
        self.keys.get(name).ok_or_else(|| KeyError::Missing(name.to_owned()))
    }
}

fn load(name: &str, key: SoftwareKey) -> Result<Loaded, KeyError> {
    let broken = || KeyError::Device(format!("{name} does not load"));
    Ok(match key {
        SoftwareKey::Hmac(bytes) => Loaded::Hmac(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &bytes))),
        SoftwareKey::Seal(bytes) => {
            Loaded::Seal(Box::new(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| broken())?)))
        }
        SoftwareKey::Ed25519(seed) => {
            Loaded::Ed25519(Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| broken())?)
        }
        SoftwareKey::Es256(pkcs8) => {
            Loaded::Es256(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).map_err(|_| broken())?)
        }
        SoftwareKey::Share(bytes) => Loaded::Share(bytes),
    })
}

impl KeyStore for SoftwareKeys {
    fn hmac(&self, key: &str, message: &[u8]) -> Result<Octets<32>, KeyError> {
        match self.key(key)? {
            Loaded::Hmac(key) => {
                Octets::try_from(hmac::sign(key, message).as_ref()).map_err(|_| KeyError::Device("HMAC length".into()))
            }
            _ => Err(KeyError::Missing(key.to_owned())),
        }
    }

    fn seal(&self, key: &str, aad: &[u8], plaintext: &[u8]) -> Result<Sealed, KeyError> {
        let Loaded::Seal(cipher) = self.key(key)? else { return Err(KeyError::Missing(key.to_owned())) };
        seal_with(cipher, aad, plaintext, self.rng.as_ref())
    }

    fn open(&self, key: &str, aad: &[u8], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let Loaded::Seal(cipher) = self.key(key)? else { return Err(KeyError::Missing(key.to_owned())) };
        open_with(cipher, aad, sealed).ok_or_else(|| KeyError::Open(key.to_owned()))
    }

    fn sign_ed25519(&self, key: &str, message: &[u8]) -> Result<Octets<64>, KeyError> {
        match self.key(key)? {
            Loaded::Ed25519(pair) => {
                Octets::try_from(pair.sign(message).as_ref()).map_err(|_| KeyError::Device("signature length".into()))
            }
            _ => Err(KeyError::Missing(key.to_owned())),
        }
    }

    fn sign_es256(&self, key: &str, message: &[u8]) -> Result<Octets<64>, KeyError> {
        match self.key(key)? {
            Loaded::Es256(pair) => {
                let signature =
                    pair.sign(&SystemRandom::new(), message).map_err(|_| KeyError::Device("ES256".into()))?;
                Octets::try_from(signature.as_ref()).map_err(|_| KeyError::Device("signature length".into()))
            }
            _ => Err(KeyError::Missing(key.to_owned())),
        }
    }

    fn public(&self, key: &str) -> Result<Bytes, KeyError> {
        match self.key(key)? {
            Loaded::Ed25519(pair) => Ok(pair.public_key().as_ref().into()),
            Loaded::Es256(pair) => Ok(pair.public_key().as_ref().into()),
            _ => Err(KeyError::Missing(key.to_owned())),
        }
    }

    fn share(&self, key: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        match self.key(key)? {
            Loaded::Share(bytes) => Ok(bytes.clone()),
            _ => Err(KeyError::Missing(key.to_owned())),
        }
    }
}

fn seal_with(cipher: &LessSafeKey, aad: &[u8], plaintext: &[u8], rng: &dyn Rng) -> Result<Sealed, KeyError> {
    let nonce: [u8; NONCE_LEN] = hufu_kernel::random(rng);
    let mut out = nonce.to_vec();
    let mut body = plaintext.to_vec();
    cipher
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut body)
        .map_err(|_| KeyError::Device("AES-GCM".into()))?;
    out.append(&mut body);
    Ok(Sealed(Bytes(out)))
}

fn open_with(cipher: &LessSafeKey, aad: &[u8], sealed: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, body) = sealed.0.0.split_at_checked(NONCE_LEN)?;
    let mut body = Zeroizing::new(body.to_vec());
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let len = cipher.open_in_place(nonce, Aad::from(aad), &mut body).ok()?.len();
    body.truncate(len);
    Some(body)
}

/// Seals under a key that is not an office's: a person's cookie key, a tag's wrap key.
///
/// # Errors
/// [`KeyError::Device`] if the cipher fails.
pub fn seal_under(key: &[u8; 32], aad: &[u8], plaintext: &[u8], rng: &dyn Rng) -> Result<Sealed, KeyError> {
    seal_with(&cipher(key)?, aad, plaintext, rng)
}

/// Opens what [`seal_under`] made.
///
/// # Errors
/// [`KeyError::Open`] if it does not open.
pub fn open_under(key: &[u8; 32], aad: &[u8], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    open_with(&cipher(key)?, aad, sealed).ok_or_else(|| KeyError::Open("a given key".into()))
}

fn cipher(key: &[u8; 32]) -> Result<LessSafeKey, KeyError> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| KeyError::Device("AES-256-GCM".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_kernel::SeededRng;
    use hufu_wire::jose::{Alg, PublicKey};

    #[test]
    fn the_public_halves_verify_what_the_keys_sign_and_no_other_key_has_one() {
        let rng = Arc::new(SeededRng::new(7));
        let secret = || Zeroizing::new(hufu_kernel::random::<32>(&*rng).to_vec());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let keys = SoftwareKeys::load(
            [
                ("office".to_owned(), SoftwareKey::Ed25519(secret())),
                ("tls".to_owned(), SoftwareKey::Es256(Zeroizing::new(pkcs8.as_ref().to_vec()))),
                ("k-12".to_owned(), SoftwareKey::Hmac(secret())),
                ("rows".to_owned(), SoftwareKey::Seal(secret())),
                ("hpke".to_owned(), SoftwareKey::Share(secret())),
            ],
            rng.clone(),
        )
        .unwrap();
        let ed25519 = PublicKey::ed25519(keys.public("office").unwrap().0.try_into().unwrap()).unwrap();
        assert!(ed25519.verify(Alg::EdDSA, b"m", keys.sign_ed25519("office", b"m").unwrap().as_slice()).is_ok());
        let p256 = PublicKey::p256(keys.public("tls").unwrap().0.try_into().unwrap()).unwrap();
        assert!(p256.verify(Alg::ES256, b"m", keys.sign_es256("tls", b"m").unwrap().as_slice()).is_ok());
        for other in ["k-12", "rows", "hpke", "nobody"] {
            assert_eq!(keys.public(other), Err(KeyError::Missing(other.to_owned())));
        }
    }
}
