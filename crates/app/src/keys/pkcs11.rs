//! An office's keys in a PKCS#11 token (OASIS PKCS#11 3.0): a hardware module, or SoftHSM2.
//!
//! | key | in the token | leaves it |
//! |---|---|---|
//! | HMAC | `CKK_GENERIC_SECRET`, sensitive | a key that several offices made jointly: wrapped under a trusted key only; a drawn one: never |
//! | AES-256-GCM | `CKK_AES`, sensitive | never |
//! | Ed25519, P-256 | private key, sensitive | never |
//! | threshold shares, HPKE and RSA keys | sealed in a file under the token's AES key [`SHARES_KEY`] | into process memory (flows 2) |
//!
//! Calls block for as long as the device takes.

use crate::failure::Failure;
use crate::files;
use crate::root::key_file::Use;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use hufu_kernel::{Bytes, KeyError, KeyStore, Octets, Rng, Sealed, framed, random};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use zeroize::Zeroizing;

/// The AES key that seals what has to be used in process memory.
pub const SHARES_KEY: &str = "shares";
/// The file of the sealed shares in the office's folder.
pub const SHARES: &str = "shares.json";
/// The RSA key pair under which other tokens wrap keys for this one.
pub const WRAPPING: &str = "wrapping";

const NONCE: usize = 12;
const TAG_BITS: u64 = 128;
/// The curves' object identifiers as tokens take them: prime256v1 (RFC 5480), and edwards25519 by its printable name.
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const ED25519: [u8; 14] = [0x13, 0x0c, b'e', b'd', b'w', b'a', b'r', b'd', b's', b'2', b'5', b'5', b'1', b'9'];
const RSA_BITS: u64 = 3072;
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];

/// Which token, as the office's configuration names it. The PIN is in a file of its own and on no command line.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pkcs11Place {
    /// The module's library.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// A file with the user's PIN, readable by the office alone.
    pub pin_file: PathBuf,
}

/// An office's keys in a token.
pub struct Pkcs11Keys {
    module: Pkcs11,
    slot: Slot,
    token: String,
    pin: AuthPin,
    sessions: Mutex<Vec<Session>>,
    found: Mutex<HashMap<(String, Half), ObjectHandle>>,
    shares: PathBuf,
    rng: Arc<dyn Rng>,
}

impl std::fmt::Debug for Pkcs11Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pkcs11Keys({})", self.token)
    }
}

/// What stands under a name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Half {
    Secret,
    Private,
    Public,
}

impl Half {
    fn class(self) -> ObjectClass {
        match self {
            Self::Secret => ObjectClass::SECRET_KEY,
            Self::Private => ObjectClass::PRIVATE_KEY,
            Self::Public => ObjectClass::PUBLIC_KEY,
        }
    }
}

/// A library is loaded and initialised once in a process, however many tokens of it are used: so the standard wants it.
fn module(path: &Path) -> Result<Pkcs11, Failure> {
    static LOADED: OnceLock<Mutex<BTreeMap<PathBuf, Pkcs11>>> = OnceLock::new();
    let mut loaded = LOADED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = loaded.get(path) {
        return Ok(module.clone());
    }
    let failed = |error: Error| Failure::unreadable(path, format!("is no PKCS#11 module that loads: {error}"));
    let module = Pkcs11::new(path).map_err(failed)?;
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).map_err(failed)?;
    loaded.insert(path.to_owned(), module.clone());
    Ok(module)
}

fn told(error: &Error) -> KeyError {
    KeyError::Device(error.to_string())
}

/// The device has lost the session, or was taken away: another session may work.
fn session_lost(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::SessionClosed
                | RvError::SessionHandleInvalid
                | RvError::DeviceRemoved
                | RvError::TokenNotPresent
                | RvError::UserNotLoggedIn
                | RvError::ObjectHandleInvalid
                | RvError::KeyHandleInvalid,
            _
        )
    )
}

impl Pkcs11Keys {
    /// Logs in to the token. `folder` is the office's, where its sealed shares are.
    ///
    /// # Errors
    /// [`Failure`] naming the module, the token, or the PIN's file; [`Failure::Exposed`] if others can read the PIN.
    pub fn open(place: &Pkcs11Place, folder: &Path, rng: &Arc<dyn Rng>) -> Result<Self, Failure> {
        let pin = files::read(&place.pin_file)?.ok_or_else(|| Failure::unreadable(&place.pin_file, "missing"))?;
        let mode = files::mode(&place.pin_file)?;
        if mode & 0o077 != 0 {
            return Err(Failure::Exposed { path: place.pin_file.clone(), mode, wanted: files::PRIVATE });
        }
        let pin =
            Zeroizing::new(String::from_utf8(pin).map_err(|_| Failure::unreadable(&place.pin_file, "is no text"))?);
        let module = module(&place.module)?;
        let slot = slot_of(&module, place)?;
        let keys = Self {
            module,
            slot,
            token: place.token.clone(),
            pin: AuthPin::from(pin.trim_end().to_owned()),
            sessions: Mutex::default(),
            found: Mutex::default(),
            shares: folder.join(SHARES),
            rng: Arc::clone(rng),
        };
        let session = keys.session().map_err(|error| {
            Failure::other(format!(
                "the token {} does not let us in: {error}; is the PIN in {} right?",
                place.token,
                place.pin_file.display()
            ))
        })?;
        keys.put_back(session);
        Ok(keys)
    }

    /// An open session that is logged in. There are never more than callers at one moment.
    fn session(&self) -> Result<Session, KeyError> {
        if let Some(session) = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(session);
        }
        let session = self.module.open_rw_session(self.slot).map_err(|error| told(&error))?;
        match session.login(UserType::User, Some(&self.pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(error) => Err(told(&error)),
        }
    }

    fn put_back(&self, session: Session) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }

    /// Makes a call; once more in a new session if the old one is gone.
    fn call<T>(&self, make: impl Fn(&Session) -> Result<T, Error>) -> Result<T, Error> {
        let device = |error: KeyError| match error {
            KeyError::Device(_) => Error::Pkcs11(RvError::DeviceError, cryptoki::context::Function::OpenSession),
            _ => Error::NotSupported,
        };
        let session = self.session().map_err(device)?;
        match make(&session) {
            Err(error) if session_lost(&error) => {
                drop(session);
                self.sessions.lock().unwrap_or_else(PoisonError::into_inner).clear();
                self.found.lock().unwrap_or_else(PoisonError::into_inner).clear();
                let session = self.session().map_err(device)?;
                let answer = make(&session);
                self.put_back(session);
                answer
            }
            answer => {
                self.put_back(session);
                answer
            }
        }
    }

    fn find(&self, session: &Session, name: &str, half: Half) -> Result<Option<ObjectHandle>, Error> {
        let key = (name.to_owned(), half);
        if let Some(found) = self.found.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Some(*found));
        }
        let wanted = [Attribute::Token(true), Attribute::Class(half.class()), Attribute::Label(name.into())];
        let found = session.find_objects(&wanted)?.first().copied();
        if let Some(found) = found {
            self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(key, found);
        }
        Ok(found)
    }

    /// Carries out `operation` with the key of this name.
    fn with<T>(
        &self,
        name: &str,
        half: Half,
        operation: impl Fn(&Session, ObjectHandle) -> Result<T, Error>,
    ) -> Result<Result<T, Error>, KeyError> {
        let answer = self.call(|session| match self.find(session, name, half)? {
            Some(key) => operation(session, key).map(Some),
            None => Ok(None),
        });
        match answer {
            Ok(Some(answer)) => Ok(Ok(answer)),
            Ok(None) => Err(KeyError::Missing(name.to_owned())),
            Err(error) => Ok(Err(error)),
        }
    }

    fn signed(&self, key: &str, mechanism: &Mechanism<'_>, half: Half, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.with(key, half, |session, key| session.sign(mechanism, key, message))?.map_err(|error| told(&error))
    }

    fn sealed_shares(&self) -> Result<BTreeMap<String, Sealed>, KeyError> {
        let device = |error: &dyn std::fmt::Display| KeyError::Device(format!("{}: {error}", self.shares.display()));
        match files::read(&self.shares).map_err(|error| device(&error))? {
            None => Ok(BTreeMap::new()),
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|_| device(&"holds no sealed shares")),
        }
    }
}

fn slot_of(module: &Pkcs11, place: &Pkcs11Place) -> Result<Slot, Failure> {
    let failed = |error: Error| Failure::unreadable(&place.module, format!("lists no tokens: {error}"));
    let slots = module.get_slots_with_initialized_token().map_err(failed)?;
    let mut labels = Vec::new();
    for slot in slots {
        let label = module.get_token_info(slot).map_err(failed)?.label().trim_end().to_owned();
        if label == place.token {
            return Ok(slot);
        }
        labels.push(label);
    }
    let known = if labels.is_empty() { "none".to_owned() } else { labels.join(", ") };
    let (token, module) = (&place.token, place.module.display());
    Err(Failure::other(format!("{module} has no token {token} (it has: {known}); make it: docs/operate/hsm.md")))
}

/// What a share is bound to.
fn share_aad(name: &str) -> Vec<u8> {
    framed(&[b"hufu-v1-token-share", name.as_bytes()])
}

/// The content of a DER OCTET STRING of less than 128 bytes, in which tokens give points.
fn octet_string(der: &[u8]) -> Option<&[u8]> {
    match der {
        [0x04, length, rest @ ..] if usize::from(*length) == rest.len() && *length < 0x80 => Some(rest),
        _ => None,
    }
}

impl KeyStore for Pkcs11Keys {
    fn hmac(&self, key: &str, message: &[u8]) -> Result<Octets<32>, KeyError> {
        let code = self.signed(key, &Mechanism::Sha256Hmac, Half::Secret, message)?;
        Octets::try_from(code.as_slice()).map_err(|_| KeyError::Device("HMAC length".into()))
    }

    fn seal(&self, key: &str, aad: &[u8], plaintext: &[u8]) -> Result<Sealed, KeyError> {
        let nonce: [u8; NONCE] = random(self.rng.as_ref());
        let sealed = self.with(key, Half::Secret, |session, key| {
            let mut iv = nonce;
            let params = GcmParams::new(&mut iv, aad, TAG_BITS.into())?;
            session.encrypt(&Mechanism::AesGcm(params), key, plaintext)
        })?;
        let sealed = sealed.map_err(|error| told(&error))?;
        Ok(Sealed(Bytes([nonce.as_slice(), &sealed].concat())))
    }

    fn open(&self, key: &str, aad: &[u8], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let broken = || KeyError::Open(key.to_owned());
        let (nonce, ciphertext) = sealed.0.0.split_first_chunk::<NONCE>().ok_or_else(broken)?;
        let opened = self.with(key, Half::Secret, |session, key| {
            let mut iv = *nonce;
            let params = GcmParams::new(&mut iv, aad, TAG_BITS.into())?;
            session.decrypt(&Mechanism::AesGcm(params), key, ciphertext)
        })?;
        match opened {
            Ok(plain) => Ok(Zeroizing::new(plain)),
            Err(Error::Pkcs11(
                RvError::EncryptedDataInvalid | RvError::EncryptedDataLenRange | RvError::GeneralError,
                _,
            )) => Err(broken()),
            Err(error) => Err(told(&error)),
        }
    }

    fn sign_ed25519(&self, key: &str, message: &[u8]) -> Result<Octets<64>, KeyError> {
        let mechanism = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519));
        let signature = self.signed(key, &mechanism, Half::Private, message)?;
        Octets::try_from(signature.as_slice()).map_err(|_| KeyError::Device("signature length".into()))
    }

    fn sign_es256(&self, key: &str, message: &[u8]) -> Result<Octets<64>, KeyError> {
        let digest = Sha256::digest(message);
        let signature = self.signed(key, &Mechanism::Ecdsa, Half::Private, &digest)?;
        Octets::try_from(signature.as_slice()).map_err(|_| KeyError::Device("signature length".into()))
    }

    fn public(&self, key: &str) -> Result<Bytes, KeyError> {
        let wanted = [AttributeType::EcPoint];
        let found = self.with(key, Half::Public, |session, key| session.get_attributes(key, &wanted))?;
        let found = found.map_err(|error| told(&error))?;
        let Some(Attribute::EcPoint(der)) = found.first() else {
            return Err(KeyError::Missing(key.to_owned()));
        };
        let point = octet_string(der).unwrap_or(der);
        Ok(Bytes(point.to_vec()))
    }

    fn share(&self, key: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let sealed = self.sealed_shares()?.remove(key).ok_or_else(|| KeyError::Missing(key.to_owned()))?;
        self.open(SHARES_KEY, &share_aad(key), &sealed)
    }
}

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

/// The side that makes keys: ceremonies, and whoever moves an office into a token.
impl Pkcs11Keys {
    fn holds(&self, session: &Session, name: &str) -> Result<bool, Error> {
        Ok(self.find(session, name, Half::Secret)?.or(self.find(session, name, Half::Private)?).is_some())
    }

    /// Draws a key in the token.
    ///
    /// # Errors
    /// [`KeyError::Device`] if the name is taken, the use is a share's, or the device refuses.
    pub fn generate(&self, name: &str, usage: Use) -> Result<(), KeyError> {
        let taken = self.call(|session| self.holds(session, name)).map_err(|error| told(&error))?;
        if taken {
            return Err(KeyError::Device(format!("the token has a key {name} already")));
        }
        let made = self.call(|session| match usage {
            Use::Hmac => {
                let template = [hmac_template(name, Leaves::Never), vec![Attribute::ValueLen(32.into())]].concat();
                session.generate_key(&Mechanism::GenericSecretKeyGen, &template).map(drop)
            }
            Use::Seal => {
                let own = [
                    Attribute::KeyType(KeyType::AES),
                    Attribute::ValueLen(32.into()),
                    Attribute::Encrypt(true),
                    Attribute::Decrypt(true),
                ];
                let template = [secret(name, Leaves::Never), own.to_vec()].concat();
                session.generate_key(&Mechanism::AesKeyGen, &template).map(drop)
            }
            Use::Ed25519 => pair(session, name, &Mechanism::EccEdwardsKeyPairGen, &ED25519),
            Use::Es256 => pair(session, name, &Mechanism::EccKeyPairGen, &P256),
            Use::Share => Err(Error::NotSupported),
        });
        made.map_err(|error| told(&error))
    }

    /// Takes a key that several offices made jointly, or a share.
    ///
    /// # Errors
    /// [`KeyError::Device`] if the name is taken, for other uses, or if the device refuses.
    pub fn import(&self, name: &str, usage: Use, value: &[u8]) -> Result<(), KeyError> {
        match usage {
            Use::Hmac => {
                let template =
                    [hmac_template(name, Leaves::WrappedUnderTrusted), vec![Attribute::Value(value.to_vec())]].concat();
                let made = self.call(|session| {
                    if self.holds(session, name)? {
                        return Ok(false);
                    }
                    session.create_object(&template).map(|_| true)
                });
                match made {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(KeyError::Device(format!("the token has a key {name} already"))),
                    Err(error) => Err(told(&error)),
                }
            }
            Use::Share => self.import_share(name, value),
            Use::Seal | Use::Ed25519 | Use::Es256 => {
                Err(KeyError::Device(format!("{name} is drawn in the token, never brought to it")))
            }
        }
    }

    fn import_share(&self, name: &str, value: &[u8]) -> Result<(), KeyError> {
        let mut shares = self.sealed_shares()?;
        if shares.contains_key(name) {
            return Err(KeyError::Device(format!("there is a share {name} already")));
        }
        if !self.call(|session| self.holds(session, SHARES_KEY)).map_err(|error| told(&error))? {
            self.generate(SHARES_KEY, Use::Seal)?;
        }
        shares.insert(name.to_owned(), self.seal(SHARES_KEY, &share_aad(name), value)?);
        let bytes = serde_json::to_vec_pretty(&shares).map_err(|error| KeyError::Device(error.to_string()))?;
        let written = files::replace(&self.shares, &bytes, files::PRIVATE);
        written.map_err(|error| KeyError::Device(error.to_string()))
    }

    /// Destroys a key; one that is not there is fine.
    ///
    /// # Errors
    /// [`KeyError::Device`].
    pub fn destroy(&self, name: &str) -> Result<(), KeyError> {
        let mut shares = self.sealed_shares()?;
        if shares.remove(name).is_some() {
            let bytes = serde_json::to_vec_pretty(&shares).map_err(|error| KeyError::Device(error.to_string()))?;
            files::replace(&self.shares, &bytes, files::PRIVATE)
                .map_err(|error| KeyError::Device(error.to_string()))?;
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

    /// Makes the pair under which other tokens wrap keys for this one, and gives its public half: modulus ‖ exponent, each with a
    /// 4-byte length.
    ///
    /// # Errors
    /// [`KeyError::Device`].
    pub fn wrapping_key(&self) -> Result<Bytes, KeyError> {
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

    /// Wraps a jointly made key under another token's wrapping key, RSA-OAEP (RFC 8017 section 7.1). The token does so for a key that
    /// its security officer has marked as trusted ([`trust`]), and for no other.
    ///
    /// # Errors
    /// [`KeyError::Missing`] if the wrapping key is not in the token, [`KeyError::Device`] if the token refuses.
    pub fn wrap(&self, name: &str, wrapping_key: &str) -> Result<Bytes, KeyError> {
        let wrapped = self.call(|session| {
            let (key, under) =
                (self.find(session, name, Half::Secret)?, self.find(session, wrapping_key, Half::Public)?);
            match (key, under) {
                (Some(key), Some(under)) => session.wrap_key(&oaep(), under, key).map(Some),
                _ => Ok(None),
            }
        });
        let wrapped = wrapped.map_err(|error| told(&error))?;
        wrapped.map(Bytes).ok_or_else(|| KeyError::Missing(format!("{name} or {wrapping_key}")))
    }

    /// Takes a key that another token wrapped for this one.
    ///
    /// # Errors
    /// [`KeyError::Open`] if it was wrapped for another, [`KeyError::Device`].
    pub fn unwrap_key(&self, name: &str, wrapped: &Bytes) -> Result<(), KeyError> {
        let template = hmac_template(name, Leaves::WrappedUnderTrusted);
        let made =
            self.with(WRAPPING, Half::Private, |session, key| session.unwrap_key(&oaep(), key, &wrapped.0, &template))?;
        match made {
            Ok(_) => Ok(()),
            Err(Error::Pkcs11(RvError::WrappedKeyInvalid | RvError::WrappedKeyLenRange | RvError::GeneralError, _)) => {
                Err(KeyError::Open(name.to_owned()))
            }
            Err(error) => Err(told(&error)),
        }
    }
}

/// SHA-1 is what SoftHSM2 and older modules know for OAEP; its collisions do not touch OAEP, whose label is empty here.
fn oaep() -> Mechanism<'static> {
    Mechanism::RsaPkcsOaep(PkcsOaepParams::new(MechanismType::SHA1, PkcsMgfType::MGF1_SHA1, PkcsOaepSource::empty()))
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

/// Puts another token's wrapping key into this one, trusted. Only the security officer can: with the officer's PIN in one person's hands and
/// the user's in another's, no key leaves without both.
///
/// # Errors
/// [`Failure`] if the officer is not let in, or the key is none.
pub fn trust(place: &Pkcs11Place, officer: &AuthPin, name: &str, wrapping_key: &Bytes) -> Result<(), Failure> {
    let refused = |error: Error| Failure::other(format!("the token {} refuses: {error}", place.token));
    let (n, e) = rsa_parts(&wrapping_key.0).ok_or_else(|| Failure::other("that is no token's wrapping key"))?;
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

/// The two parts of [`Pkcs11Keys::wrapping_key`].
fn rsa_parts(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
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
