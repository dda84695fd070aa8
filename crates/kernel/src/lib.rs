//! Words everyone uses: typed identifiers, time and randomness as parameters, secrets, records, refusals.
//!
//! No I/O except the two adapters that read the machine's clock and its random generator, and both stand behind traits.

mod bytes;
mod clock;
mod ids;
mod key_keeper;
mod key_store;
mod lang;
mod office;
mod record;
mod refusal;
mod rng;
#[cfg(feature = "schema")]
mod schema;
mod secret;
mod words;

pub use bytes::{Bytes, Octets, b64, framed, framed_into, hex, unb64};
pub use clock::{Clock, DEVICE_SKEW, ManualClock, OFFICE_SKEW, ShiftedClock, SystemClock, Timestamp};
pub use ids::{EnrolmentId, Epoch, Handle, Head, Locator, Nonce32};
pub use key_keeper::{KeyKeeper, KeyUse, PENDING};
pub use key_store::{KeyError, KeyStore};
pub use lang::Lang;
pub use office::{NodeIndex, Office, Pair, Subset, offices};
pub use record::{Index, Key, Migration, Record, is_plain_name};
pub use refusal::{Blame, Refusal, RefusalText};
pub use rng::{OsRng, Rng, SeededRng, random};
#[cfg(feature = "schema")]
pub use schema::schema_of;
pub use secret::{Sealed, Secret};
pub use words::{AgeBand, Answer, BothPartials, Dleq, Element, Label, Level, Partial, Root, Strength};
