//! The registry at work: it signs platform certificates and keeps them as files in its folder, one a platform.

use super::{Premises, Running};
use crate::failure::Failure;
use crate::files;
use crate::root::RESTORING;
use async_trait::async_trait;
use axum::Router;
use hufu_kernel::{KeyStore, Refusal};
use hufu_offices::front::NotAdmitted;
use hufu_offices::{ports, registry};
use hufu_web::peers;
use hufu_web::reply::Edge;
use hufu_wire::api::platform::{AdmittedPage, ListAdmitted, PlatformCertificate};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folder of certificates in the registry's folder.
pub const FOLDER: &str = "admitted";
/// The ending of a certificate's file; before it stands the client identifier.
const ENDING: &str = ".jwt";
/// Stands in the folder since the last certificate was withdrawn, until the next is admitted: an empty folder says nothing.
const NONE: &str = "none";
/// Certificates in one answer, about 2 KiB each.
const PAGE: usize = 50;

/// Admitted platforms, one file each.
#[derive(Clone, Debug)]
pub struct Admitted(PathBuf);

impl Admitted {
    /// Those of the office folder `folder`.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        Self(folder.join(FOLDER))
    }

    /// Signs a certificate and keeps it; the platform's earlier one is replaced.
    ///
    /// # Errors
    /// [`Failure::Other`] naming the platform and the rule it breaks; [`Failure::File`].
    pub fn admit(&self, keys: &dyn KeyStore, certificate: &PlatformCertificate) -> Result<String, Failure> {
        let jws = sign(keys, certificate)?;
        self.keep(&certificate.client_id, &jws)?;
        Ok(jws)
    }

    /// Keeps a certificate.
    ///
    /// # Errors
    /// [`Failure::Other`] for a client identifier that is no name for a file; [`Failure::File`].
    pub fn keep(&self, client_id: &str, jws: &str) -> Result<(), Failure> {
        if !is_file_name(client_id) {
            return Err(Failure::other(format!("{client_id:?} is no client identifier")));
        }
        files::private_folder(&self.0)?;
        let none = self.0.join(NONE);
        if none.exists() {
            files::at(&none, std::fs::remove_file(&none))?;
        }
        Ok(files::replace(&self.file(client_id), jws.as_bytes(), files::PRIVATE)?)
    }

    /// The certificate of one platform, if it is there.
    ///
    /// # Errors
    /// [`Failure::Unreadable`], [`Failure::File`].
    pub fn read(&self, client_id: &str) -> Result<Option<String>, Failure> {
        let path = self.file(client_id);
        let text = files::read(&path)?.map(String::from_utf8).transpose();
        text.map_err(|error| Failure::unreadable(&path, error))
    }

    /// The client identifiers, in order.
    ///
    /// # Errors
    /// [`Failure::File`].
    pub fn names(&self) -> Result<BTreeSet<String>, Failure> {
        if !self.0.exists() {
            return Ok(BTreeSet::new());
        }
        let entries = files::at(&self.0, std::fs::read_dir(&self.0))?.flatten();
        let names = entries.filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(ENDING)?.to_owned()));
        Ok(names.filter(|name| is_file_name(name)).collect())
    }

    /// Forgets the platform's certificate; whoever has a copy keeps it until it ends.
    ///
    /// # Errors
    /// [`Failure::File`].
    pub fn forget(&self, client_id: &str) -> Result<(), Failure> {
        let path = self.file(client_id);
        Ok(files::at(&path, std::fs::remove_file(&path))?)
    }

    /// Takes the platform's certificate from the list. If it is the last, that nobody is left is written down first: the front believes
    /// an empty list only then.
    ///
    /// # Errors
    /// [`Failure::File`].
    pub fn withdraw(&self, client_id: &str) -> Result<(), Failure> {
        if self.names()?.iter().eq([client_id]) {
            files::replace(&self.0.join(NONE), b"The last platform was withdrawn.\n", files::PRIVATE)?;
        }
        self.forget(client_id)
    }

    /// Exactly these certificates in place of all that are there: written beside them, and put in their place at once. If it fails, those
    /// of before are there.
    ///
    /// # Errors
    /// [`Failure::Other`] for a client identifier that is no name for a file; [`Failure::File`].
    pub fn replace(&self, all: &BTreeMap<String, String>, kept: &mut dyn FnMut(u64)) -> Result<(), Failure> {
        let beside = Self(self.beside());
        // Of a restore that was interrupted.
        files::undo_exchange(&self.0)?;
        beside.remove()?;
        let written = beside.fill(all, kept).and_then(|()| Ok(files::exchange(&beside.0, &self.0)?));
        // Half of the new ones; or, once they have changed places, those of before.
        let removed = beside.remove();
        written.and(removed)
    }

    fn fill(&self, all: &BTreeMap<String, String>, kept: &mut dyn FnMut(u64)) -> Result<(), Failure> {
        files::private_folder(&self.0)?;
        for (at, (client_id, jws)) in (1..).zip(all) {
            self.keep(client_id, jws)?;
            kept(at);
        }
        Ok(())
    }

    fn remove(&self) -> Result<(), Failure> {
        if self.0.symlink_metadata().is_err() {
            return Ok(());
        }
        files::at(&self.0, std::fs::remove_dir_all(&self.0))?;
        Ok(files::synced_folder_of(&self.0)?)
    }

    /// Refuses while a restore is unfinished: which certificates are to be there is not known.
    ///
    /// # Errors
    /// [`Failure::Unreadable`] that says what to do.
    pub fn refuse_if_unfinished(&self) -> Result<(), Failure> {
        let beside = self.beside();
        if beside.symlink_metadata().is_err() {
            return Ok(());
        }
        Err(Failure::unreadable(&beside, "a restore was interrupted: repeat `hufu restore … --replace`"))
    }

    fn beside(&self) -> PathBuf {
        let mut name = self.0.as_os_str().to_owned();
        name.push(RESTORING);
        PathBuf::from(name)
    }

    fn page(&self, after: &str) -> Result<AdmittedPage, Failure> {
        let names = self.names()?;
        let mut rest = names.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        let mut certificates = Vec::new();
        for name in rest.by_ref().take(PAGE) {
            certificates.extend(self.read(name)?);
        }
        let none = names.is_empty() && self.0.join(NONE).exists();
        Ok(AdmittedPage { certificates, more: rest.next().is_some(), none })
    }

    fn file(&self, client_id: &str) -> PathBuf {
        self.0.join(format!("{client_id}{ENDING}"))
    }
}

/// Client identifiers become file names: no slash, no dot in front.
fn is_file_name(client_id: &str) -> bool {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    (1..=100).contains(&client_id.len()) && client_id.bytes().all(known) && !client_id.starts_with('.')
}

/// Signs a platform's certificate.
///
/// # Errors
/// [`Failure::Other`] naming the platform and the rule it breaks.
pub fn sign(keys: &dyn KeyStore, certificate: &PlatformCertificate) -> Result<String, Failure> {
    registry::admit(keys, certificate).map_err(|refusal| {
        let why = refusal.text().developer.to_owned();
        not_admitted(&certificate.client_id, &NotAdmitted { refusal, why })
    })
}

/// Why a platform is not admitted.
#[must_use]
pub fn not_admitted(client_id: &str, told: &NotAdmitted) -> Failure {
    Failure::other(format!("the platform {client_id} is not admitted ({}): {told}", told.refusal.code()))
}

#[async_trait]
impl ports::Registry for Admitted {
    async fn admitted(&self, list: &ListAdmitted) -> Result<AdmittedPage, Refusal> {
        self.page(&list.after).map_err(|error| {
            tracing::error!(%error, "the admitted platforms cannot be read");
            Refusal::Internal
        })
    }
}

/// The office; its certificates are files.
pub struct RunningRegistry {
    /// What it tells the front.
    pub admitted: Arc<Admitted>,
}

/// Starts the registry.
///
/// # Errors
/// [`Failure::Unreadable`] beside a restore that was interrupted.
pub fn start(own: &Premises) -> Result<Arc<RunningRegistry>, Failure> {
    let admitted = Admitted::of(own.folder.path());
    admitted.refuse_if_unfinished()?;
    Ok(Arc::new(RunningRegistry { admitted: Arc::new(admitted) }))
}

#[async_trait]
impl Running for RunningRegistry {
    fn name(&self) -> &'static str {
        "registry"
    }

    fn public(&self, _: &Edge) -> Option<Router> {
        None
    }

    fn internal(&self, edge: &Edge) -> Router {
        let office = Arc::clone(&self.admitted) as Arc<dyn ports::Registry>;
        peers::router(edge, &office, peers::registry())
    }

    async fn reasons(&self) -> Vec<String> {
        match self.admitted.names() {
            Ok(_) => Vec::new(),
            Err(failure) => vec![format!("the admitted platforms cannot be read: {failure}")],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pages_hold_every_certificate_once_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let admitted = Admitted::of(folder.path());
        assert_eq!(admitted.page("").unwrap(), AdmittedPage { certificates: Vec::new(), more: false, none: false });
        for n in 0..(2 * PAGE + 3) {
            admitted.keep(&format!("p{n:03}"), &format!("jws {n}")).unwrap();
        }
        let (mut all, mut after, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = ports::Registry::admitted(&admitted, &ListAdmitted { after }).await.unwrap();
            pages += 1;
            all.extend(page.certificates);
            if !page.more {
                break;
            }
            after = format!("p{:03}", all.len() - 1);
        }
        assert_eq!(pages, 3);
        assert_eq!(all, (0..(2 * PAGE + 3)).map(|n| format!("jws {n}")).collect::<Vec<_>>());
    }

    #[test]
    fn an_empty_list_is_whole_after_the_last_was_withdrawn_and_not_after_files_were_lost() {
        let folder = tempfile::tempdir().unwrap();
        let admitted = Admitted::of(folder.path());
        let page = || admitted.page("").unwrap();
        admitted.keep("one", "jws").unwrap();
        admitted.keep("two", "jws").unwrap();
        admitted.withdraw("one").unwrap();
        assert!(!page().none && page().certificates.len() == 1);
        admitted.withdraw("two").unwrap();
        assert!(page().none && page().certificates.is_empty());
        admitted.keep("one", "jws").unwrap();
        assert!(!page().none);
        // Files that are lost, one by one or all together, withdraw nobody.
        admitted.forget("one").unwrap();
        assert!(!page().none);
        admitted.keep("one", "jws").unwrap();
        admitted.withdraw("one").unwrap();
        std::fs::remove_dir_all(folder.path().join(FOLDER)).unwrap();
        assert!(!page().none);
    }

    #[test]
    fn no_client_identifier_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", ".", "..", "../x", "a/b", ".hidden", "a\0b", "网"] {
            assert!(Admitted::of(folder.path()).keep(name, "x").is_err(), "{name:?}");
        }
        assert!(!folder.path().join(FOLDER).exists());
    }
}
