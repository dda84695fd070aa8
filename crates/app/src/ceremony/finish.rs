//! The end of a ceremony at an office that missed it: another office's transcript says what all arrived at, and that this one had
//! confirmed it.

use super::office::AtOffice;
use super::take_part::{self, Ended};
use super::{kept, operator};
use crate::failure::Failure;
use hufu_offices::ceremony::Done;
use hufu_offices::ceremony::transcript::{Known, verify};
use std::path::{Path, PathBuf};

/// Ends the ceremony that was begun last, by the transcript of any office; without one, by what this office has kept itself.
///
/// # Errors
/// [`Failure`] for a transcript that does not verify, or of another ceremony than the one whose keys are pending here.
pub fn run(config: &Path, transcript: Option<&Path>) -> Result<Ended, Failure> {
    let office = AtOffice::open(config)?;
    let begun = kept::begun(&office)?.ok_or_else(|| Failure::other("no ceremony was begun at this office"))?;
    let path: PathBuf = transcript.map_or_else(|| kept::path(&office, &begun), Path::to_owned);
    let transcript = kept::read(&path)?;
    if transcript.order.order != begun.order {
        let told = "is of another ceremony than the one that was begun here last, whose keys are pending";
        return Err(Failure::unreadable(&path, told));
    }
    let (roster, operators, names, trust) =
        (office.roster()?, operator::of(&office.plan), office.names(), office.trust()?);
    let known = Known { roster: &roster, operators: &operators, names: &names, trust: trust.as_ref() };
    let outcome = verify(&transcript, &known).map_err(|error| Failure::unreadable(&path, error))?;
    take_part::ended(&office, &Done { outcome, transcript })
}
