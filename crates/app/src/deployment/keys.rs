//! Opens an office's keys where its configuration says they are.

use super::office_file::{Keeper, OfficeFile};
use crate::failure::Failure;
use crate::keys::pkcs11::{Pkcs11Keys, Pkcs11Place};
use crate::root::OfficeFolder;
use crate::root::key_file;
use hufu_kernel::{KeyStore, Rng, Root};
use std::sync::Arc;

/// The keys of an office.
///
/// # Errors
/// [`Failure::Unreadable`] for keys of another office or trust root, [`Failure::Exposed`] for those that others can read, and
/// [`Failure::Other`] for keys of one party's making under a production root.
pub fn open(file: &OfficeFile, folder: &OfficeFolder, rng: &Arc<dyn Rng>) -> Result<Arc<dyn KeyStore>, Failure> {
    let table = file.keys.clone().unwrap_or_default();
    match table.kind {
        Keeper::File => {
            if folder.trust_root().root == Root::Production && key_file::is_dealt(folder.path())? {
                return Err(Failure::unreadable(
                    &folder.path().join(key_file::KEYS),
                    "one party made these keys for all offices (a dealer); a production root takes keys of a ceremony alone",
                ));
            }
            folder.keys(rng)
        }
        Keeper::Pkcs11 => {
            let lacking = || Failure::other("[keys]: kind = \"pkcs11\" needs module, token and pin_file");
            let place = Pkcs11Place {
                module: table.module.ok_or_else(lacking)?,
                token: table.token.ok_or_else(lacking)?,
                pin_file: table.pin_file.ok_or_else(lacking)?,
            };
            // Whose keys they are is seen by the roster, which pins the office's.
            Ok(Arc::new(Pkcs11Keys::open(&place, folder.path(), rng)?))
        }
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
