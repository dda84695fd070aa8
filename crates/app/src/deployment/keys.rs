//! Opens an office's keys where its configuration says they are.

use super::office_file::{Keeper, OfficeFile};
use crate::failure::Failure;
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
    match file.keys.clone().unwrap_or_default().kind {
        Keeper::File => {
            if folder.trust_root().root == Root::Production && key_file::is_dealt(folder.path())? {
                return Err(Failure::unreadable(
                    &folder.path().join(key_file::KEYS),
                    "one party made these keys for all offices (a dealer); a production root takes keys of a ceremony alone",
                ));
            }
            folder.keys(rng)
        }
    }
}
