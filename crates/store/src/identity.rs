//! Whose store this is: written at creation, immutable, compared at every opening (design 3).

use crate::StoreError;
use hufu_kernel::{Octets, b64};
use std::fmt;

/// Sandbox or production: the kernel's word.
pub use hufu_kernel::Root;

/// One trust root: its kind, and 16 random bytes drawn when it was founded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TrustRoot {
    /// Sandbox or production.
    pub root: Root,
    /// Tells two roots of one kind apart.
    pub id: Octets<16>,
}

/// The header of a store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The office, with its number where there are three: `front`, `node-2`.
    pub office: String,
    /// The trust root.
    pub trust: TrustRoot,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} root {}", self.office, self.trust.root.name(), b64(self.trust.id.as_slice()))
    }
}

impl Identity {
    /// The header rows every engine writes at creation.
    pub(crate) fn header(&self) -> [(&'static str, String); 3] {
        [
            ("office", self.office.clone()),
            ("root", self.trust.root.name().to_owned()),
            ("root_id", b64(self.trust.id.as_slice())),
        ]
    }

    /// Refuses a store whose header differs.
    ///
    /// # Errors
    /// [`StoreError::WrongStore`].
    pub(crate) fn check_header(&self, found: impl Fn(&str) -> Option<String>) -> Result<(), StoreError> {
        let field = |name| found(name).unwrap_or_else(|| "nobody".to_owned());
        if self.header().iter().all(|(name, value)| found(name).as_ref() == Some(value)) {
            return Ok(());
        }
        let found = format!("{} of {} root {}", field("office"), field("root"), field("root_id"));
        Err(StoreError::WrongStore { found, wanted: self.to_string() })
    }

    /// Refuses another identity.
    pub(crate) fn check(&self, found: &Self) -> Result<(), StoreError> {
        if self == found {
            return Ok(());
        }
        Err(StoreError::WrongStore { found: found.to_string(), wanted: self.to_string() })
    }
}
