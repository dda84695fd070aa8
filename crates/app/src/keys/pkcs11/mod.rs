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

mod keeper;

pub use keeper::trust;

use crate::failure::Failure;
use crate::files;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
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
        let pin = pin(&place.pin_file)?;
        let module = module(&place.module)?;
        let slot = slot_of(&module, place)?;
        let keys = Self {
            module,
            slot,
            token: place.token.clone(),
            pin,
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

/// A PIN from a file that nobody else can read.
///
/// # Errors
/// [`Failure::Exposed`] if others can; [`Failure::Unreadable`].
pub fn pin(path: &Path) -> Result<AuthPin, Failure> {
    let pin = files::read(path)?.ok_or_else(|| Failure::unreadable(path, "missing"))?;
    let mode = files::mode(path)?;
    if mode & 0o077 != 0 {
        return Err(Failure::Exposed { path: path.to_owned(), mode, wanted: files::PRIVATE });
    }
    let pin = Zeroizing::new(String::from_utf8(pin).map_err(|_| Failure::unreadable(path, "is no text"))?);
    Ok(AuthPin::from(pin.trim_end().to_owned()))
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
