//! Which core who runs on. What is measured has one core to itself, what measures has another.

/// The cores of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cores {
    /// Of the service, the peer and the floors.
    pub service: usize,
    /// Of the driver; the same where the machine has but one.
    pub driver: usize,
}

#[cfg(target_os = "linux")]
mod affinity {
    use super::Cores;
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    /// The first two cores this process may use; `None` where it may not be bound to a core.
    pub fn choose() -> Option<Cores> {
        let allowed = sched_getaffinity(None).ok()?;
        let mut allowed = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let service = allowed.next()?;
        Some(Cores { service, driver: allowed.next().unwrap_or(service) })
    }

    /// Binds this thread, and what it starts from now on, to a core.
    pub fn bind(core: usize) -> bool {
        let mut one = CpuSet::new();
        one.set(core);
        sched_setaffinity(None, &one).is_ok()
    }
}

#[cfg(not(target_os = "linux"))]
mod affinity {
    use super::Cores;

    /// Only Linux lets a thread choose its core.
    pub fn choose() -> Option<Cores> {
        None
    }

    /// Only Linux lets a thread choose its core.
    pub fn bind(_: usize) -> bool {
        false
    }
}

pub use affinity::{bind, choose};
