//! An office's keys in one file, sealed under that office's machine key. Whoever has both files has the keys: a file beside
//! its key protects against a copied backup of one of them, not against the machine's owner (docs/trust.md).

use crate::failure::Failure;
use crate::files;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use hufu_kernel::{Bytes, KeyError, Octets, Rng, Root, Sealed, framed, random};
use hufu_offices::keeper::{HeldKey, HeldKeys, SoftwareKeeper};
use hufu_offices::keys::{SoftwareKey, open_under, seal_under};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use zeroize::{Zeroize, Zeroizing};

/// The file of sealed keys in an office's folder.
pub const KEYS: &str = "keys.json";
/// The file of the key they are sealed under.
pub const MACHINE_KEY: &str = "machine.key";

pub use hufu_kernel::KeyUse as Use;

/// One key, wiped when dropped.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    #[serde(rename = "use")]
    usage: Use,
    value: Bytes,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.value.0.zeroize();
    }
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}(…)", self.usage)
    }
}

impl Stored {
    /// A key for this use.
    #[must_use]
    pub fn new(usage: Use, value: &[u8]) -> Self {
        Self { usage, value: value.into() }
    }

    /// Its public half, for uses that have one.
    #[must_use]
    pub fn public(&self) -> Option<Bytes> {
        match self.usage {
            Use::Ed25519 => {
                let pair = Ed25519KeyPair::from_seed_unchecked(&self.value.0).ok()?;
                Some(pair.public_key().as_ref().into())
            }
            Use::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &self.value.0).ok()?;
                Some(pair.public_key().as_ref().into())
            }
            Use::Hmac | Use::Seal | Use::Share => None,
        }
    }

    /// As a keeper holds it.
    #[must_use]
    pub fn held(&self) -> HeldKey {
        HeldKey { usage: self.usage, bytes: Zeroizing::new(self.value.0.clone()) }
    }

    /// As the office's key store takes it.
    #[must_use]
    pub fn software_key(&self) -> SoftwareKey {
        let bytes = Zeroizing::new(self.value.0.clone());
        match self.usage {
            Use::Hmac => SoftwareKey::Hmac(bytes),
            Use::Seal => SoftwareKey::Seal(bytes),
            Use::Ed25519 => SoftwareKey::Ed25519(bytes),
            Use::Es256 => SoftwareKey::Es256(bytes),
            Use::Share => SoftwareKey::Share(bytes),
        }
    }
}

/// An office's keys by name.
pub type Keys = BTreeMap<String, Stored>;

/// Whose keys, under which trust root, and how they were made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owner {
    /// The office: `node-2`.
    pub office: String,
    /// The trust root's kind.
    pub root: Root,
    /// The trust root.
    pub root_id: Octets<16>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    version: u8,
    office: String,
    root: Root,
    root_id: Octets<16>,
    /// One party made all offices' keys: sandbox only (flows 2). Part of what the seal binds.
    dealer: bool,
    sealed: Sealed,
}

impl KeyFile {
    fn bound(&self) -> Vec<u8> {
        framed(&[
            b"hufu-v1-key-file",
            &[self.version],
            self.office.as_bytes(),
            self.root.name().as_bytes(),
            self.root_id.as_slice(),
            &[u8::from(self.dealer)],
        ])
    }
}

/// Seals dealer-made keys into `folder` under a fresh machine key.
///
/// # Errors
/// [`Failure::File`].
pub fn write(folder: &Path, owner: &Owner, keys: &Keys, rng: &dyn Rng) -> Result<(), Failure> {
    let machine_key: Zeroizing<[u8; 32]> = Zeroizing::new(random(rng));
    files::replace(&folder.join(MACHINE_KEY), machine_key.as_slice(), files::PRIVATE)?;
    seal(folder, owner, keys, true, &machine_key, rng)
}

/// The keys in `folder` as a keeper of them, or an empty keeper where nothing is yet. Each change is sealed into the file, whole and
/// synced, before it counts. Keys that a dealer made stay marked as such, whatever is added.
///
/// # Errors
/// As [`read`].
pub fn keeper(folder: &Path, owner: &Owner, rng: &Arc<dyn Rng>) -> Result<SoftwareKeeper, Failure> {
    let path = folder.join(KEYS);
    let (keys, dealer) = match files::read(&path)? {
        Some(_) => (read(folder, owner)?, is_dealt(folder)?),
        None => (Keys::new(), false),
    };
    let held = keys.iter().map(|(name, stored)| (name.clone(), stored.held())).collect();
    let (folder, owner, drawn) = (folder.to_owned(), owner.clone(), Arc::clone(rng));
    let save = move |keys: &HeldKeys| {
        let keys = keys.iter().map(|(name, held)| (name.clone(), Stored::new(held.usage, &held.bytes))).collect();
        let saved = machine_key(&folder, drawn.as_ref())
            .and_then(|machine_key| seal(&folder, &owner, &keys, dealer, &machine_key, drawn.as_ref()));
        saved.map_err(|failure| KeyError::Device(failure.to_string()))
    };
    Ok(SoftwareKeeper::new(held, Box::new(save), Arc::clone(rng)))
}

/// The key that seals this folder's keys, drawn when the first of them is kept.
fn machine_key(folder: &Path, rng: &dyn Rng) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let path = folder.join(MACHINE_KEY);
    if files::read(&path)?.is_none() {
        files::replace(&path, Zeroizing::new(random::<32>(rng)).as_slice(), files::PRIVATE)?;
    }
    let bytes = Zeroizing::new(private(&path)?);
    let key: [u8; 32] =
        bytes.as_slice().try_into().map_err(|_| Failure::unreadable(&path, "the machine key is not 32 bytes"))?;
    Ok(Zeroizing::new(key))
}

fn seal(
    folder: &Path,
    owner: &Owner,
    keys: &Keys,
    dealer: bool,
    machine_key: &[u8; 32],
    rng: &dyn Rng,
) -> Result<(), Failure> {
    let plain = Zeroizing::new(serde_json::to_vec(keys).map_err(Failure::other)?);
    let mut file = KeyFile {
        version: 1,
        office: owner.office.clone(),
        root: owner.root,
        root_id: owner.root_id,
        dealer,
        sealed: Sealed(Bytes::default()),
    };
    file.sealed = seal_under(machine_key, &file.bound(), &plain, rng).map_err(Failure::other)?;
    let bytes = serde_json::to_vec_pretty(&file).map_err(Failure::other)?;
    files::replace(&folder.join(KEYS), &bytes, files::PRIVATE)?;
    Ok(())
}

/// Opens the keys of `owner`.
///
/// # Errors
/// [`Failure::Exposed`] if others can read them; [`Failure::Unreadable`] if they are another office's, another trust root's,
/// changed, or missing.
pub fn read(folder: &Path, owner: &Owner) -> Result<Keys, Failure> {
    let path = folder.join(KEYS);
    let machine_key = Zeroizing::new(private(&folder.join(MACHINE_KEY))?);
    let file: KeyFile = serde_json::from_slice(&private(&path)?).map_err(|error| Failure::unreadable(&path, error))?;
    if file.office != owner.office {
        return Err(Failure::unreadable(
            &path,
            format!("these are the keys of {}, not of {}", file.office, owner.office),
        ));
    }
    if file.root != owner.root || file.root_id != owner.root_id {
        return Err(Failure::unreadable(&path, "these keys belong to another trust root"));
    }
    let key =
        machine_key.as_slice().try_into().map_err(|_| Failure::unreadable(&path, "the machine key is not 32 bytes"))?;
    let plain = open_under(key, &file.bound(), &file.sealed).map_err(|_| {
        Failure::unreadable(&path, format!("does not open under {MACHINE_KEY}; one of them was changed"))
    })?;
    serde_json::from_slice(&plain).map_err(|_| Failure::unreadable(&path, "holds no keys"))
}

/// Whether one party made the keys in `folder` for all offices.
///
/// # Errors
/// [`Failure::Unreadable`].
pub fn is_dealt(folder: &Path) -> Result<bool, Failure> {
    let path = folder.join(KEYS);
    let file: KeyFile = serde_json::from_slice(&private(&path)?).map_err(|error| Failure::unreadable(&path, error))?;
    Ok(file.dealer)
}

fn private(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = files::read(path)?.ok_or_else(|| Failure::unreadable(path, "missing"))?;
    let mode = files::mode(path)?;
    if mode & 0o077 != 0 {
        return Err(Failure::Exposed { path: path.to_owned(), mode, wanted: files::PRIVATE });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_kernel::{KeyKeeper as _, KeyStore as _, OsRng};

    fn owner(office: &str) -> Owner {
        Owner { office: office.to_owned(), root: Root::Sandbox, root_id: Octets([7; 16]) }
    }

    #[test]
    fn what_a_keeper_changed_is_there_for_the_next_one_and_for_nobody_elses() {
        let place = tempfile::tempdir().unwrap();
        let rng: Arc<dyn Rng> = Arc::new(OsRng);
        let open = |office: &str| keeper(place.path(), &owner(office), &rng);
        let first = open("node-1").unwrap();
        // To look at keys makes none.
        assert!(std::fs::read_dir(place.path()).unwrap().next().is_none());
        first.generate("office", Use::Ed25519).unwrap();
        first.import("new:k-12", Use::Hmac, &[1; 32]).unwrap();
        let second = open("node-1").unwrap();
        assert_eq!(second.names().unwrap(), ["new:k-12", "office"]);
        assert_eq!(second.public("office"), first.public("office"));
        second.rename(&[("new:k-12".to_owned(), "k-12".to_owned())]).unwrap();
        assert_eq!(open("node-1").unwrap().hmac("k-12", b"m"), first.hmac("new:k-12", b"m"));
        assert!(!is_dealt(place.path()).unwrap());
        assert_eq!(files::mode(&place.path().join(KEYS)).unwrap(), files::PRIVATE);
        assert_eq!(files::mode(&place.path().join(MACHINE_KEY)).unwrap(), files::PRIVATE);
        assert!(open("node-2").is_err());
    }

    #[test]
    fn keys_that_a_dealer_made_stay_his_whatever_is_added_and_a_disk_that_is_gone_changes_nothing() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("node-1");
        std::fs::create_dir(&folder).unwrap();
        let rng: Arc<dyn Rng> = Arc::new(OsRng);
        let dealt = Keys::from([("k-12".to_owned(), Stored::new(Use::Hmac, &[1; 32]))]);
        write(&folder, &owner("node-1"), &dealt, &OsRng).unwrap();
        let keeper = keeper(&folder, &owner("node-1"), &rng).unwrap();
        keeper.import("k-12.1", Use::Hmac, &[2; 32]).unwrap();
        assert!(is_dealt(&folder).unwrap());
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(keeper.destroy("k-12").is_err());
        assert_eq!(keeper.names().unwrap(), ["k-12", "k-12.1"]);
    }
}
