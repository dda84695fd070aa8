//! Orders as files: made by one person, signed by two operators, read by every office.

use super::office::AtOffice;
use super::operator::{self, Signer};
use crate::demo::control::{CLOCK, seconds};
use crate::deployment::clock::FileClock;
use crate::deployment::init::CLOCK_FOLDER;
use crate::deployment::plan::Plan;
use crate::failure::Failure;
use crate::files;
use hufu_kernel::{Clock, Octets, Rng, Root, SystemClock, Timestamp, hex, random};
use hufu_offices::ceremony::printed;
use hufu_wire::api::order::{Here, Kind, Order, SignedOrder};
use hufu_wire::api::roster::{Roster, fingerprint};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// What is to be ordered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wish {
    /// What.
    pub kind: Kind,
    /// Which office it concerns.
    pub subject: Option<String>,
    /// From when a rotation counts: `+24h`, or a time; an hour after the order ends if nothing is said.
    pub effective: Option<String>,
    /// How long offices follow the order: `1h`.
    pub valid: String,
    /// The ceremony that is given up.
    pub gives_up: Option<Octets<32>>,
}

/// The clock by which a deployment's orders are dated: a sandbox's own, where its folder is at hand.
///
/// # Errors
/// [`Failure::Unreadable`] for a sandbox's clock that is none.
pub fn clock(plan_path: &Path, plan: &Plan) -> Result<Box<dyn Clock>, Failure> {
    let file = plan_path.parent().unwrap_or(Path::new("")).join(CLOCK_FOLDER).join(CLOCK);
    Ok(if plan.root == Root::Sandbox { Box::new(FileClock::new(&file)?) } else { Box::new(SystemClock) })
}

/// Makes an order that nobody has signed.
///
/// # Errors
/// [`Failure::Other`] for a time that is none, or an order that names the wrong office.
pub fn make(wish: &Wish, plan: &Plan, roster: &Roster, now: Timestamp, rng: &dyn Rng) -> Result<SignedOrder, Failure> {
    if roster.root() != plan.root || *roster.root_id() != plan.root_id {
        return Err(Failure::other("the roster belongs to another trust root than the plan"));
    }
    let missing = roster.missing();
    if !missing.is_empty() {
        return Err(Failure::other(format!("the roster lacks {}", missing.join(", "))));
    }
    let effective = wish.effective.as_deref().map(|text| time(text, now)).transpose()?;
    let not_after = now + seconds(&wish.valid)?;
    let effective = effective.or_else(|| (wish.kind == Kind::Rotate).then(|| not_after + 3600));
    let order = Order {
        kind: wish.kind,
        root: plan.root,
        root_id: plan.root_id,
        roster: roster.hash(),
        subject: wish.subject.clone(),
        effective,
        gives_up: wish.gives_up,
        nonce: Octets(random(rng)),
        not_after,
    };
    order.check().map_err(Failure::other)?;
    Ok(SignedOrder { order, signatures: BTreeMap::new() })
}

/// `+1h` from now, or a time of RFC 3339.
fn time(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    if let Some(span) = text.strip_prefix('+') {
        return Ok(now + seconds(span)?);
    }
    let at: Result<jiff::Timestamp, _> = text.parse();
    let at = at.map_err(|_| Failure::other(format!("{text:?} is no time: write +1h, or 2026-12-01T02:00:00Z")))?;
    Ok(Timestamp(at.as_second()))
}

/// Adds an operator's signature.
///
/// # Errors
/// [`Failure::Other`] for an order of another trust root.
pub fn sign(order: &mut SignedOrder, plan: &Plan, signer: &Signer) -> Result<(), Failure> {
    if order.order.root_id != plan.root_id || order.order.root != plan.root {
        return Err(Failure::other("this order is for another trust root than the plan's"));
    }
    let signature = signer.sign(&order.order.signing_bytes(&signer.name))?;
    order.signatures.insert(signer.name.clone(), signature);
    Ok(())
}

/// Reads an order.
///
/// # Errors
/// [`Failure::Unreadable`].
pub fn read(path: &Path) -> Result<SignedOrder, Failure> {
    let bytes = files::read(path)?
        .ok_or_else(|| Failure::unreadable(path, "there is no such file; `hufu keys order new` makes one"))?;
    SignedOrder::parse(&bytes).map_err(|error| Failure::unreadable(path, error))
}

/// Reads an order of this kind that two operators gave this office, and that is in time.
///
/// # Errors
/// [`Failure`] for another kind of order, and one that is not followed here.
pub fn followed(office: &AtOffice, path: &Path, kind: Kind) -> Result<SignedOrder, Failure> {
    let signed = read(path)?;
    if signed.order.kind != kind {
        let told = format!("this is an order to {}, not to {}", signed.order.kind.name(), kind.name());
        return Err(Failure::other(told));
    }
    let (roster, operators) = (office.roster()?.hash(), operator::of(&office.plan));
    let here = Here { root: office.plan.root, root_id: &office.plan.root_id, roster: &roster, operators: &operators };
    signed.check(&here, office.clock.now()).map_err(Failure::other)?;
    Ok(signed)
}

/// Writes an order.
///
/// # Errors
/// [`Failure::File`].
pub fn write(path: &Path, order: &SignedOrder) -> Result<(), Failure> {
    let mut bytes = serde_json::to_vec_pretty(order).map_err(Failure::other)?;
    bytes.push(b'\n');
    Ok(files::replace(path, &bytes, files::PUBLIC)?)
}

/// For people, who read it before they sign.
#[must_use]
pub fn text(signed: &SignedOrder) -> String {
    let order = &signed.order;
    let subject = order.subject.as_ref().map(|office| format!(" {office}")).unwrap_or_default();
    let names: Vec<String> = signed.signatures.keys().map(|name| printed(name)).collect();
    let signed_by = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
    let mut text = format!("order        {}{subject}\n", order.kind.name());
    // Writing to a String cannot fail.
    let _ = writeln!(text, "digest       {}", hex(order.ceremony().as_slice()));
    let _ = writeln!(text, "trust root   {} ({})", hex(order.root_id.as_slice()), order.root.name());
    let _ = writeln!(text, "roster       {}", fingerprint(&order.roster.0));
    if let Some(effective) = order.effective {
        let _ = writeln!(text, "effective    {effective}");
    }
    if let Some(ceremony) = order.gives_up {
        let _ = writeln!(text, "given up     ceremony {}", hex(ceremony.as_slice()));
        let _ = writeln!(
            text,
            "             its pending keys are destroyed at every office that follows this. Where it ended at an office, what the others \
             destroy is gone: ask every office first (hufu keys status)"
        );
    }
    let _ = writeln!(text, "followed     until {}", order.not_after);
    let _ = writeln!(text, "signed by    {signed_by}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_from_now_on_or_as_they_stand_in_a_calendar() {
        let now = Timestamp(1_795_000_000);
        assert_eq!(time("+1h", now).unwrap(), now + 3600);
        assert_eq!(time("1970-01-02T00:00:00Z", now).unwrap(), Timestamp(86_400));
        for text in ["", "1h", "+", "tomorrow", "-1h"] {
            assert!(time(text, now).is_err(), "{text}");
        }
    }
}
