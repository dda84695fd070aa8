//! An office's keys from its sealed file, read again when a ceremony has changed it while the office is served: new K_A, and the end
//! of old ones.

use super::key_file::{self, Owner};
use crate::failure::Failure;
use hufu_kernel::{Bytes, KeyError, KeyStore, Octets, Rng, Sealed};
use hufu_offices::keys::SoftwareKeys;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use zeroize::Zeroizing;

/// Which file was read: it is replaced whole, so another one is another inode.
type Stamp = (u64, u64, i64, i64);

/// Keys in memory, and where they came from.
pub struct LiveKeys {
    folder: PathBuf,
    owner: Owner,
    rng: Arc<dyn Rng>,
    loaded: RwLock<(Stamp, Arc<SoftwareKeys>)>,
    /// Held while the file is read: whoever asks meanwhile goes on with the keys of before.
    reading: Mutex<()>,
}

impl std::fmt::Debug for LiveKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LiveKeys").field(&self.owner).finish()
    }
}

impl LiveKeys {
    /// The keys in `folder`, which must be `owner`'s.
    ///
    /// # Errors
    /// As [`key_file::read`].
    pub fn open(folder: &Path, owner: &Owner, rng: &Arc<dyn Rng>) -> Result<Self, Failure> {
        // Before the keys: whatever replaces the file between the two is read once more.
        let stamp = stamp(folder).unwrap_or_default();
        let loaded = RwLock::new((stamp, load(folder, owner, rng)?));
        let (folder, owner, rng) = (folder.to_owned(), owner.clone(), Arc::clone(rng));
        Ok(Self { folder, owner, rng, loaded, reading: Mutex::default() })
    }

    fn keys(&self) -> Arc<SoftwareKeys> {
        Arc::clone(&self.loaded.read().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// Reads the file again if it is another one.
    fn reread(&self) {
        let Some(now) = stamp(&self.folder) else { return };
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if self.loaded.read().unwrap_or_else(PoisonError::into_inner).0 == now {
            return;
        }
        match load(&self.folder, &self.owner, &self.rng) {
            Ok(keys) => {
                tracing::info!(office = self.owner.office, "the key file is another one, and was read again");
                *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = (now, keys);
            }
            Err(failure) => {
                tracing::error!(office = self.owner.office, %failure, "the key file changed and cannot be read; the keys of before stay");
            }
        }
    }

    /// Asks for a key, and where it is not there, once more in a file that has changed.
    fn ask<T>(&self, ask: impl Fn(&SoftwareKeys) -> Result<T, KeyError>) -> Result<T, KeyError> {
        let keys = self.keys();
        let answer = ask(&keys);
        if !matches!(answer, Err(KeyError::Missing(_))) {
            return answer;
        }
        self.reread();
        // Whoever read it.
        let fresh = self.keys();
        if Arc::ptr_eq(&keys, &fresh) { answer } else { ask(&fresh) }
    }
}

fn load(folder: &Path, owner: &Owner, rng: &Arc<dyn Rng>) -> Result<Arc<SoftwareKeys>, Failure> {
    let keys = key_file::read(folder, owner)?;
    let keys = keys.iter().map(|(name, stored)| (name.clone(), stored.software_key()));
    Ok(Arc::new(SoftwareKeys::load(keys, Arc::clone(rng)).map_err(Failure::other)?))
}

fn stamp(folder: &Path) -> Option<Stamp> {
    let file = std::fs::metadata(folder.join(key_file::KEYS)).ok()?;
    Some((file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
}

impl KeyStore for LiveKeys {
    fn hmac(&self, key: &str, message: &[u8]) -> Result<Octets<32>, KeyError> {
        self.ask(|keys| keys.hmac(key, message))
    }

    fn seal(&self, key: &str, aad: &[u8], plaintext: &[u8]) -> Result<Sealed, KeyError> {
        self.ask(|keys| keys.seal(key, aad, plaintext))
    }

    fn open(&self, key: &str, aad: &[u8], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.ask(|keys| keys.open(key, aad, sealed))
    }

    fn sign_ed25519(&self, key: &str, message: &[u8]) -> Result<Octets<64>, KeyError> {
        self.ask(|keys| keys.sign_ed25519(key, message))
    }

    fn sign_es256(&self, key: &str, message: &[u8]) -> Result<Octets<64>, KeyError> {
        self.ask(|keys| keys.sign_es256(key, message))
    }

    fn public(&self, key: &str) -> Result<Bytes, KeyError> {
        self.ask(|keys| keys.public(key))
    }

    fn share(&self, key: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.ask(|keys| keys.share(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::key_file::{Keys, keeper};
    use hufu_kernel::{KeyKeeper as _, KeyUse, OsRng, Root};

    #[test]
    fn what_a_ceremony_adds_and_destroys_is_seen_by_the_process_that_serves() {
        let place = tempfile::tempdir().unwrap();
        let rng: Arc<dyn Rng> = Arc::new(OsRng);
        let owner = Owner { office: "node-1".to_owned(), root: Root::Sandbox, root_id: Octets([7; 16]) };
        key_file::write(place.path(), &owner, &Keys::new(), rng.as_ref()).unwrap();
        let keys = keeper(place.path(), &owner, &rng).unwrap();
        keys.generate("k-12", KeyUse::Hmac).unwrap();
        let live = LiveKeys::open(place.path(), &owner, &rng).unwrap();
        let old = live.hmac("k-12", b"row").unwrap();
        assert!(matches!(live.hmac("k-12.1", b"row"), Err(KeyError::Missing(_))));

        keys.generate("k-12.1", KeyUse::Hmac).unwrap();
        assert_ne!(live.hmac("k-12.1", b"row").unwrap(), old);
        assert_eq!(live.hmac("k-12", b"row").unwrap(), old);

        // The node asks for the next generation every few seconds: then what was destroyed leaves memory.
        keys.destroy("k-12").unwrap();
        assert!(matches!(live.hmac("k-12.2", b"row"), Err(KeyError::Missing(_))));
        assert!(matches!(live.hmac("k-12", b"row"), Err(KeyError::Missing(_))));

        // A file of somebody else in its place changes nothing.
        let other = Owner { office: "node-2".to_owned(), ..owner };
        key_file::write(place.path(), &other, &Keys::new(), rng.as_ref()).unwrap();
        assert!(matches!(live.hmac("k-12.2", b"row"), Err(KeyError::Missing(_))));
        assert!(live.hmac("k-12.1", b"row").is_ok());
    }
}
