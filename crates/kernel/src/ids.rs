//! Typed identifiers: random bytes that cannot be mistaken for one another.

use crate::{Octets, Rng, b64};
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(transparent)]
        pub struct $name(pub Octets<$len>);

        impl $name {
            /// A fresh random one.
            pub fn random(rng: &dyn Rng) -> Self {
                Self(Octets(crate::random(rng)))
            }

            /// The bytes.
            #[must_use]
            pub fn as_slice(&self) -> &[u8] {
                &self.0.0
            }
        }

        impl From<[u8; $len]> for $name {
            fn from(bytes: [u8; $len]) -> Self {
                Self(Octets(bytes))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), b64(&self.0.0))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&b64(&self.0.0))
            }
        }
    };
}

id!(
    /// A node's own random name for a person; differs between nodes.
    Handle, 16
);
id!(
    /// One enrolment in progress.
    EnrolmentId, 16
);
id!(
    /// Changes when a person ends all sessions (flows 1).
    Epoch, 16
);
id!(
    /// The hash chain's head over a row's statements (flows 6).
    Head, 32
);
id!(
    /// A random reference into another office's store: a contact, a vault record, a person's `loc_u`.
    Locator, 32
);
id!(
    /// 32 random bytes used once.
    Nonce32, 32
);
