//! The side of a token that makes keys: ceremonies, hand-overs, and whoever moves an office into a token.

use super::{Half, Pkcs11Keys, Pkcs11Place, SHARES_KEY, WRAPPING, module, share_aad, slot_of, told};
use crate::failure::Failure;
use crate::files;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use hufu_kernel::{Bytes, KeyError, KeyKeeper, KeyStore as _, KeyUse, Sealed, framed};
use hufu_offices::keeper::{BY_OAEP, rsa_parts};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

/// The curves' object identifiers as tokens take them: prime256v1 (RFC 5480), and edwards25519 by its printable name.
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const ED25519: [u8; 14] = [0x13, 0x0c, b'e', b'd', b'w', b'a', b'r', b'd', b's', b'2', b'5', b'5', b'1', b'9'];
const RSA_BITS: u64 = 3072;
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];

/// Whether a key may leave the token, and how.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaves {
    Never,
    WrappedUnderTrusted,
}

fn secret(name: &str, leaves: Leaves) -> Vec<Attribute> {
    vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::Label(name.into()),
        Attribute::Sensitive(true),
        Attribute::Extractable(leaves == Leaves::WrappedUnderTrusted),
        Attribute::WrapWithTrusted(true),
    ]
}

fn private(name: &str) -> Vec<Attribute> {
    vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Label(name.into()),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
    ]
}

fn hmac_template(name: &str, leaves: Leaves) -> Vec<Attribute> {
    let own = [Attribute::KeyType(KeyType::GENERIC_SECRET), Attribute::Sign(true), Attribute::Verify(true)];
    [secret(name, leaves), own.to_vec()].concat()
}

fn pair(session: &Session, name: &str, mechanism: &Mechanism<'_>, curve: &[u8]) -> Result<(), Error> {
    let public = [
        Attribute::Token(true),
        Attribute::Label(name.into()),
        Attribute::Verify(true),
        Attribute::EcParams(curve.to_vec()),
    ];
    let own = [private(name), vec![Attribute::Sign(true)]].concat();
    session.generate_key_pair(mechanism, &public, &own).map(drop)
}

/// SHA-1 is what SoftHSM2 and older modules know for OAEP; its collisions do not touch OAEP, whose label is empty here.
fn oaep() -> Mechanism<'static> {
    Mechanism::RsaPkcsOaep(PkcsOaepParams::new(MechanismType::SHA1, PkcsMgfType::MGF1_SHA1, PkcsOaepSource::empty()))
}

impl Pkcs11Keys {
    fn holds(&self, session: &Session, name: &str) -> Result<bool, Error> {
        Ok(self.find(session, name, Half::Secret)?.or(self.find(session, name, Half::Private)?).is_some())
    }

    fn forget_found(&self) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn keep_shares(&self, shares: &BTreeMap<String, Sealed>) -> Result<(), KeyError> {
        let bytes = serde_json::to_vec_pretty(shares).map_err(|error| KeyError::Device(error.to_string()))?;
        let written = files::replace(&self.shares, &bytes, files::PRIVATE);
        written.map_err(|error| KeyError::Device(error.to_string()))
    }

    fn import_share(&self, name: &str, value: &[u8]) -> Result<(), KeyError> {
        let mut shares = self.sealed_shares()?;
        if shares.contains_key(name) {
            return Err(KeyError::Taken(name.to_owned()));
        }
        if !self.call(|session| self.holds(session, SHARES_KEY)).map_err(|error| told(&error))? {
            self.generate(SHARES_KEY, KeyUse::Seal)?;
        }
        shares.insert(name.to_owned(), self.seal(SHARES_KEY, &share_aad(name), value)?);
        self.keep_shares(&shares)
    }

    /// A share is bound to its name: under another one it is sealed anew.
    fn rename_shares(&self, pairs: &[(String, String)]) -> Result<(), KeyError> {
        let mut shares = self.sealed_shares()?;
        let mut changed = false;
        for (from, to) in pairs {
            let Some(sealed) = shares.get(from) else { continue };
            if shares.contains_key(to) {
                return Err(KeyError::Taken(to.clone()));
            }
            let plain = self.open(SHARES_KEY, &share_aad(from), sealed)?;
            let sealed = self.seal(SHARES_KEY, &share_aad(to), &plain)?;
            shares.remove(from);
            shares.insert(to.clone(), sealed);
            changed = true;
        }
        if changed { self.keep_shares(&shares) } else { Ok(()) }
    }

    /// Gives an object another label. Both halves of a pair move, the one that counts last.
    fn rename_object(&self, from: &str, to: &str) -> Result<(), KeyError> {
        let renamed = self.call(|session| {
            let there = self.holds(session, to)?;
            let mut moved = false;
            for half in [Half::Public, Half::Secret, Half::Private] {
                let Some(object) = self.find(session, from, half)? else { continue };
                if there && half != Half::Public {
                    return Ok(Err(KeyError::Taken(to.to_owned())));
                }
                session.update_attributes(object, &[Attribute::Label(to.into())])?;
                moved = true;
            }
            Ok(if moved || there { Ok(()) } else { Err(KeyError::Missing(from.to_owned())) })
        });
        self.forget_found();
        renamed.map_err(|error| told(&error))?
    }

    /// The key under which others wrap for this token, made when it is first asked for: modulus ‖ exponent, each with its length.
    fn own_wrapping_key(&self) -> Result<Bytes, KeyError> {
        let public = self.call(|session| {
            if self.find(session, WRAPPING, Half::Private)?.is_none() {
                let public = [
                    Attribute::Token(true),
                    Attribute::Label(WRAPPING.into()),
                    Attribute::Wrap(true),
                    Attribute::ModulusBits(RSA_BITS.into()),
                    Attribute::PublicExponent(RSA_EXPONENT.to_vec()),
                ];
                let own = [private(WRAPPING), vec![Attribute::Unwrap(true)]].concat();
                session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &own)?;
            }
            let Some(public) = self.find(session, WRAPPING, Half::Public)? else { return Ok(None) };
            let told = session.get_attributes(public, &[AttributeType::Modulus, AttributeType::PublicExponent])?;
            match told.as_slice() {
                [Attribute::Modulus(n), Attribute::PublicExponent(e)] => Ok(Some(framed(&[n, e]))),
                _ => Ok(None),
            }
        });
        let public = public.map_err(|error| told(&error))?;
        public.map(Bytes).ok_or_else(|| KeyError::Missing(WRAPPING.to_owned()))
    }
}

/// The use of a key object, by its type.
fn use_of(kind: KeyType) -> Option<KeyUse> {
    match kind {
        KeyType::GENERIC_SECRET | KeyType::SHA256_HMAC => Some(KeyUse::Hmac),
        KeyType::AES => Some(KeyUse::Seal),
        KeyType::EC_EDWARDS => Some(KeyUse::Ed25519),
        KeyType::EC => Some(KeyUse::Es256),
        _ => None,
    }
}

impl KeyKeeper for Pkcs11Keys {
    fn names(&self) -> Result<Vec<String>, KeyError> {
        let mut names: BTreeSet<String> = self.sealed_shares()?.into_keys().collect();
        let found = self.call(|session| {
            let mut labels = Vec::new();
            for half in [Half::Secret, Half::Private] {
                let wanted = [Attribute::Token(true), Attribute::Class(half.class())];
                for object in session.find_objects(&wanted)? {
                    for attribute in session.get_attributes(object, &[AttributeType::Label])? {
                        if let Attribute::Label(label) = attribute {
                            labels.push(String::from_utf8_lossy(&label).into_owned());
                        }
                    }
                }
            }
            Ok(labels)
        });
        let found = found.map_err(|error| told(&error))?;
        names.extend(found.into_iter().filter(|label| label != SHARES_KEY && label != WRAPPING));
        Ok(names.into_iter().collect())
    }

    fn usage(&self, name: &str) -> Result<KeyUse, KeyError> {
        if self.sealed_shares()?.contains_key(name) {
            return Ok(KeyUse::Share);
        }
        let kind = self.call(|session| {
            let found = self.find(session, name, Half::Secret)?.or(self.find(session, name, Half::Private)?);
            let Some(object) = found else { return Ok(None) };
            Ok(session.get_attributes(object, &[AttributeType::KeyType])?.into_iter().next())
        });
        match kind.map_err(|error| told(&error))? {
            Some(Attribute::KeyType(kind)) => {
                use_of(kind).ok_or_else(|| KeyError::Device(format!("{name} is a key of a kind that no office has")))
            }
            _ => Err(KeyError::Missing(name.to_owned())),
        }
    }

    fn generate(&self, name: &str, usage: KeyUse) -> Result<(), KeyError> {
        if self.call(|session| self.holds(session, name)).map_err(|error| told(&error))? {
            return Err(KeyError::Taken(name.to_owned()));
        }
        let made = self.call(|session| match usage {
            KeyUse::Hmac => {
                let template = [hmac_template(name, Leaves::Never), vec![Attribute::ValueLen(32.into())]].concat();
                session.generate_key(&Mechanism::GenericSecretKeyGen, &template).map(drop)
            }
            KeyUse::Seal => {
                let own = [
                    Attribute::KeyType(KeyType::AES),
                    Attribute::ValueLen(32.into()),
                    Attribute::Encrypt(true),
                    Attribute::Decrypt(true),
                ];
                let template = [secret(name, Leaves::Never), own.to_vec()].concat();
                session.generate_key(&Mechanism::AesKeyGen, &template).map(drop)
            }
            KeyUse::Ed25519 => pair(session, name, &Mechanism::EccEdwardsKeyPairGen, &ED25519),
            KeyUse::Es256 => pair(session, name, &Mechanism::EccKeyPairGen, &P256),
            KeyUse::Share => Err(Error::NotSupported),
        });
        made.map_err(|error| told(&error))
    }

    fn import(&self, name: &str, usage: KeyUse, secret: &[u8]) -> Result<(), KeyError> {
        match usage {
            KeyUse::Hmac => {
                let template =
                    [hmac_template(name, Leaves::WrappedUnderTrusted), vec![Attribute::Value(secret.to_vec())]]
                        .concat();
                let made = self.call(|session| {
                    if self.holds(session, name)? {
                        return Ok(false);
                    }
                    session.create_object(&template).map(|_| true)
                });
                match made {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(KeyError::Taken(name.to_owned())),
                    Err(error) => Err(told(&error)),
                }
            }
            KeyUse::Share => self.import_share(name, secret),
            KeyUse::Seal | KeyUse::Ed25519 | KeyUse::Es256 => {
                Err(KeyError::Device(format!("{name} is drawn in the token, never brought to it")))
            }
        }
    }

    fn rename(&self, pairs: &[(String, String)]) -> Result<(), KeyError> {
        let shares = self.sealed_shares()?;
        let is_share = |(from, to): &&(String, String)| shares.contains_key(from) || shares.contains_key(to);
        // All shares at once; then objects, one by one: what has its name already is passed over the next time.
        self.rename_shares(&pairs.iter().filter(is_share).cloned().collect::<Vec<_>>())?;
        for (from, to) in pairs.iter().filter(|pair| !is_share(pair)) {
            self.rename_object(from, to)?;
        }
        Ok(())
    }

    fn destroy(&self, name: &str) -> Result<(), KeyError> {
        let mut shares = self.sealed_shares()?;
        if shares.remove(name).is_some() {
            self.keep_shares(&shares)?;
        }
        let gone = self.call(|session| {
            for half in [Half::Secret, Half::Private, Half::Public] {
                if let Some(object) = self.find(session, name, half)? {
                    session.destroy_object(object)?;
                    self.found.lock().unwrap_or_else(PoisonError::into_inner).remove(&(name.to_owned(), half));
                }
            }
            Ok(())
        });
        gone.map_err(|error| told(&error))
    }

    fn wrapping_key(&self) -> Result<Bytes, KeyError> {
        Ok(Bytes([&[BY_OAEP], self.own_wrapping_key()?.0.as_slice()].concat()))
    }

    /// RSA-OAEP (RFC 8017 section 7.1), whose label is empty: what is wrapped is bound to its place by what carries it. The token wraps
    /// for a key that its security officer has marked as trusted ([`trust`]), and for no other.
    fn wrap(&self, name: &str, to: &[u8], _: &[u8]) -> Result<Bytes, KeyError> {
        let parts = to.split_first().filter(|(method, _)| **method == BY_OAEP).and_then(|(_, key)| rsa_parts(key));
        let Some((n, _)) = parts else {
            return Err(KeyError::Device("a token wraps for another token alone, under an RSA key".into()));
        };
        let wrapped = self.call(|session| {
            let wanted = [
                Attribute::Token(true),
                Attribute::Class(ObjectClass::PUBLIC_KEY),
                Attribute::Modulus(n.to_vec()),
                Attribute::Trusted(true),
            ];
            let under = session.find_objects(&wanted)?.first().copied();
            match (self.find(session, name, Half::Secret)?, under) {
                (Some(key), Some(under)) => session.wrap_key(&oaep(), under, key).map(Ok),
                (None, _) => Ok(Err(KeyError::Missing(name.to_owned()))),
                (_, None) => Ok(Err(KeyError::Device(
                    "this token's security officer has not marked the other's wrapping key as trusted (hufu keys trust)".into(),
                ))),
            }
        });
        wrapped.map_err(|error| told(&error))?.map(Bytes)
    }

    fn unwrap_key(&self, name: &str, _: &[u8], wrapped: &[u8]) -> Result<(), KeyError> {
        if self.call(|session| self.holds(session, name)).map_err(|error| told(&error))? {
            return Err(KeyError::Taken(name.to_owned()));
        }
        let template = hmac_template(name, Leaves::WrappedUnderTrusted);
        let made =
            self.with(WRAPPING, Half::Private, |session, key| session.unwrap_key(&oaep(), key, wrapped, &template))?;
        match made {
            Ok(_) => Ok(()),
            Err(Error::Pkcs11(RvError::WrappedKeyInvalid | RvError::WrappedKeyLenRange | RvError::GeneralError, _)) => {
                Err(KeyError::Open(name.to_owned()))
            }
            Err(error) => Err(told(&error)),
        }
    }
}

/// Puts another token's wrapping key ([`KeyKeeper::wrapping_key`]) into this one, trusted. Only the security officer can: with the
/// officer's PIN in one person's hands and the user's in another's, no key leaves without both.
///
/// # Errors
/// [`Failure`] if the officer is not let in, or the key is none.
pub fn trust(place: &Pkcs11Place, officer: &AuthPin, name: &str, wrapping_key: &Bytes) -> Result<(), Failure> {
    let refused = |error: Error| Failure::other(format!("the token {} refuses: {error}", place.token));
    let parts = wrapping_key.0.split_first().filter(|(method, _)| **method == BY_OAEP);
    let (n, e) =
        parts.and_then(|(_, key)| rsa_parts(key)).ok_or_else(|| Failure::other("that is no token's wrapping key"))?;
    let module = module(&place.module)?;
    let session = module.open_rw_session(slot_of(&module, place)?).map_err(refused)?;
    session.login(UserType::So, Some(officer)).map_err(refused)?;
    let template = [
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::KeyType(KeyType::RSA),
        Attribute::Label(name.into()),
        Attribute::Modulus(n.to_vec()),
        Attribute::PublicExponent(e.to_vec()),
        Attribute::Wrap(true),
        Attribute::Trusted(true),
    ];
    let made = session.create_object(&template).map(drop).map_err(refused);
    session.logout().map_err(refused)?;
    made
}
