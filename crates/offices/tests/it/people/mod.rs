//! Persons and nodes: the real wallet against the real offices in one process, with stores in memory and a network that fails
//! and lies on demand.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by stopping")]

mod agreement;
mod catch_up;
mod changes;
mod enrolment;
mod evidence;
mod handles;
mod keys;
mod limits;
mod missed_rotation;
mod network;
mod nodes;
mod outages;
mod peers_that_lie;
mod recorded;
mod recover;
mod requests;
mod restored;
mod rotation;
mod schedule;
mod settling;
mod sign_in;
mod stores;
mod world;

use hufu_kernel::Refusal;
use hufu_wallet::WalletError;

/// The refusal behind an error, which must be one.
fn refused(error: WalletError) -> Refusal {
    match error {
        WalletError::Refused(refusal) => refusal,
        other => panic!("{other}"),
    }
}

/// Node 1, 2, 3.
const ONE: hufu_kernel::NodeIndex = hufu_kernel::NodeIndex::ALL[0];
const TWO: hufu_kernel::NodeIndex = hufu_kernel::NodeIndex::ALL[1];
const THREE: hufu_kernel::NodeIndex = hufu_kernel::NodeIndex::ALL[2];
