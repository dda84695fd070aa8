//! What is in this process's memory, keys above all, stays there.

use crate::failure::Failure;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// From here on the system writes no image of this process when it crashes, hands none to a collector of images (core(5): a limit of 0
/// does not keep it from that), and lets nobody but root look into it, be it under the same user (ptrace(2), pidfd_getfd(2)). What this
/// process starts is not kept by the first, and sees to it itself if it is this program.
///
/// # Errors
/// [`Failure::Other`] if the system refuses, which none does that has the calls.
pub fn kept_here() -> Result<(), Failure> {
    let refused =
        |cause| Failure::other(format!("the system does not keep this process's memory from core dumps: {cause}"));
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(refused)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).map_err(refused)
}
