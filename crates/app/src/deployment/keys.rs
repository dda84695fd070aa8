//! Opens an office's keys where its configuration says they are.

use super::office_file::{Keeper, OfficeFile};
use crate::failure::Failure;
use crate::keys::pkcs11::{Pkcs11Keys, Pkcs11Place};
use crate::root::OfficeFolder;
use crate::root::key_file;
use hufu_kernel::{KeyKeeper, KeyStore, Rng, Root};
use std::sync::Arc;

/// The keys of an office.
///
/// # Errors
/// [`Failure::Unreadable`] for keys of another office or trust root, [`Failure::Exposed`] for those that others can read, and
/// [`Failure::Other`] for keys of one party's making under a production root.
pub fn open(file: &OfficeFile, folder: &OfficeFolder, rng: &Arc<dyn Rng>) -> Result<Arc<dyn KeyStore>, Failure> {
    match kind(file) {
        Keeper::File => {
            if folder.trust_root().root == Root::Production && key_file::is_dealt(folder.path())? {
                return Err(Failure::unreadable(
                    &folder.path().join(key_file::KEYS),
                    "one party made these keys for all offices (a dealer); a production root takes keys of a ceremony alone",
                ));
            }
            folder.keys(rng)
        }
        Keeper::Pkcs11 => Ok(Arc::new(token(file, folder, rng)?)),
    }
}

fn kind(file: &OfficeFile) -> Keeper {
    file.keys.as_ref().map(|table| table.kind).unwrap_or_default()
}

/// The token that a configuration names.
///
/// # Errors
/// [`Failure::Other`] for a configuration that names none.
pub fn place(file: &OfficeFile) -> Result<Pkcs11Place, Failure> {
    let table = file.keys.clone().unwrap_or_default();
    let lacking = || Failure::other("[keys]: kind = \"pkcs11\" needs module, token and pin_file");
    Ok(Pkcs11Place {
        module: table.module.ok_or_else(lacking)?,
        token: table.token.ok_or_else(lacking)?,
        pin_file: table.pin_file.ok_or_else(lacking)?,
    })
}

/// An office's keys in its token. Whose they are is seen by the roster, which pins the office's.
fn token(file: &OfficeFile, folder: &OfficeFolder, rng: &Arc<dyn Rng>) -> Result<Pkcs11Keys, Failure> {
    Pkcs11Keys::open(&place(file)?, folder.path(), rng)
}

/// The keys of an office, for whoever makes, hands over or destroys some.
///
/// # Errors
/// As [`open`].
pub fn keeper(file: &OfficeFile, folder: &OfficeFolder, rng: &Arc<dyn Rng>) -> Result<Arc<dyn KeyKeeper>, Failure> {
    match kind(file) {
        Keeper::File => Ok(Arc::new(key_file::keeper(folder.path(), folder.owner(), rng)?)),
        Keeper::Pkcs11 => Ok(Arc::new(token(file, folder, rng)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::drafts::tests::draft;
    use crate::root::deal;
    use crate::root::key_file::Owner;
    use hufu_kernel::OsRng;

    #[test]
    fn keys_of_a_dealer_open_in_a_sandbox_and_never_in_production() {
        let place = tempfile::tempdir().unwrap();
        let rng: Arc<dyn Rng> = Arc::new(OsRng);
        let dealt = deal::deal(rng.as_ref()).unwrap();
        for root in [Root::Sandbox, Root::Production] {
            let draft = draft(root);
            let file = OfficeFile::parse(&draft.office_text("front")).unwrap();
            let owner = Owner { office: "front".to_owned(), root, root_id: draft.root_id };
            key_file::write(place.path(), &owner, &dealt.keys["front"], rng.as_ref()).unwrap();
            let folder = OfficeFolder::new(place.path(), "front", root, draft.root_id);
            match (root, open(&file, &folder, &rng)) {
                (Root::Sandbox, opened) => assert!(opened.is_ok()),
                (Root::Production, Err(refused)) => assert!(refused.to_string().contains("dealer"), "{refused}"),
                (Root::Production, Ok(_)) => panic!("a production root took a dealer's keys"),
            }
        }
    }
}
