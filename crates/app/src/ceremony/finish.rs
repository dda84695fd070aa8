//! The end of a ceremony at an office that missed it: another office's transcript says what all arrived at, and that this one had
//! confirmed it.

use super::office::AtOffice;
use super::take_part::{self, Ended};
use super::{kept, operator};
use crate::failure::Failure;
use hufu_kernel::Timestamp;
use hufu_offices::ceremony::transcript::{Known, verify};
use hufu_offices::ceremony::{Done, abandon as abandoned, confirmed};
use hufu_wire::api::order::SignedOrder;
use std::path::{Path, PathBuf};

/// Ends the ceremony that was begun last, by the transcript of any office; without one, by what this office has kept itself.
///
/// # Errors
/// [`Failure`] for a transcript that does not verify, or of another ceremony than the one whose keys are pending here.
pub fn run(config: &Path, transcript: Option<&Path>) -> Result<Ended, Failure> {
    let office = AtOffice::open(config)?;
    let begun = kept::begun(&office)?.ok_or_else(|| Failure::other("no ceremony was begun at this office"))?;
    if let Some(since) = missed(&office, &begun)? {
        return Err(Failure::other(format!(
            "the new keys count since {since}, and rows move without this node: give this up here with `hufu keys finish --abandon`, \
             and get the keys from the two others (`hufu keys order new repair --subject {}`)",
            office.name
        )));
    }
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
    take_part::ended(&office, &roster, &Done { outcome, transcript })
}

/// From when the new keys of a rotation count, if that time has come and they do not stand here yet.
fn missed(office: &AtOffice, begun: &SignedOrder) -> Result<Option<Timestamp>, Failure> {
    let waiting = confirmed(office.keys.as_ref()).map_err(|error| kept::failed(&error))?.is_some();
    Ok(begun.order.effective.filter(|since| waiting && office.clock.now() >= *since))
}

/// Gives up the ceremony that was begun last: its pending keys are destroyed. Returns their names.
///
/// # Errors
/// [`Failure`] where it ended here.
pub fn abandon(config: &Path) -> Result<Vec<String>, Failure> {
    let office = AtOffice::open(config)?;
    if let Some(begun) = kept::begun(&office)?
        && kept::path(&office, &begun).exists()
        && missed(&office, &begun)?.is_none()
    {
        return Err(Failure::other(
            "the last ceremony ended here: `hufu keys finish` without a transcript ends it again",
        ));
    }
    abandoned(office.keys.as_ref()).map_err(|error| kept::failed(&error))
}
