//! Who may enrol (Order 173 article 4; domain.md 1.3), from what the register says.

use crate::rules::Age;
use hufu_kernel::{AgeBand, Refusal, Timestamp};
use hufu_wire::api::enrolment::Flags;
use jiff::civil::Date;

/// What the register says about a document and name that match exactly.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegisterEntry {
    /// Date of birth.
    pub birth: Date,
    /// The document's standing.
    pub standing: Standing,
}

/// A document's standing in the register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// In force.
    Valid,
    /// Its validity has ended.
    Expired,
    /// Its holder is reported dead.
    Deceased,
}

/// Whole years from `birth` to `today`; a person born on 29 February has their birthday on 1 March in other years.
#[must_use]
pub fn age(birth: Date, today: Date) -> i32 {
    let years = i32::from(today.year()) - i32::from(birth.year());
    let had_birthday = (today.month(), today.day()) >= (birth.month(), birth.day());
    if had_birthday { years } else { years - 1 }
}

/// The age band on `today`.
#[must_use]
pub fn band(birth: Date, today: Date, rules: &Age) -> AgeBand {
    let age = age(birth, today);
    if age < rules.guardian_below {
        AgeBand::Under14
    } else if age < rules.supervised_below {
        AgeBand::From14To17
    } else {
        AgeBand::Adult
    }
}

/// The flags nodes keep: the band and, for minors, the first day of the month **after** the birthday that moves it,
/// so that a row does not hold a birthday.
#[must_use]
pub fn flags(birth: Date, today: Date, rules: &Age) -> Flags {
    let band = band(birth, today, rules);
    let until = match band {
        AgeBand::Under14 => Some(rules.guardian_below),
        AgeBand::From14To17 => Some(rules.supervised_below),
        AgeBand::Adult => None,
    }
    .and_then(|years| month_after(birth, years));
    Flags { real: true, unique: true, alive: true, band, band_until: until }
}

fn month_after(birth: Date, years: i32) -> Option<Timestamp> {
    let year = birth.year().checked_add(i16::try_from(years).ok()?)?;
    let (year, month) = if birth.month() == 12 { (year + 1, 1) } else { (year, birth.month() + 1) };
    let first = Date::new(year, month, 1).ok()?;
    Some(Timestamp(first.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second()))
}

/// Whether this person may enrol alone.
///
/// # Errors
/// The refusal with its own page: these are told only after face and phone have passed (design 3).
pub fn decide(entry: &RegisterEntry, today: Date, rules: &Age) -> Result<(), Refusal> {
    match entry.standing {
        Standing::Deceased => return Err(Refusal::Deceased),
        Standing::Expired => return Err(Refusal::DocumentExpired),
        Standing::Valid => {}
    }
    if band(entry.birth, today, rules) == AgeBand::Under14 {
        return Err(Refusal::GuardianNeeded);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use proptest::prelude::*;

    const RULES: Age = Age { guardian_below: 14, supervised_below: 18 };

    #[test]
    fn the_birthday_itself_counts() {
        assert_eq!(age(date(2008, 11, 22), date(2026, 11, 22)), 18);
        assert_eq!(age(date(2008, 11, 23), date(2026, 11, 22)), 17);
        assert_eq!(age(date(2008, 2, 29), date(2026, 2, 28)), 17);
        assert_eq!(age(date(2008, 2, 29), date(2026, 3, 1)), 18);
    }

    #[test]
    fn death_fails_closed_before_anything_else() {
        let entry = RegisterEntry { birth: date(2020, 1, 1), standing: Standing::Deceased };
        assert_eq!(decide(&entry, date(2026, 11, 22), &RULES), Err(Refusal::Deceased));
    }

    #[test]
    fn fourteen_is_the_first_age_that_may_apply() {
        let today = date(2026, 11, 22);
        let entry = |birth| RegisterEntry { birth, standing: Standing::Valid };
        assert_eq!(decide(&entry(date(2012, 11, 23)), today, &RULES), Err(Refusal::GuardianNeeded));
        assert_eq!(decide(&entry(date(2012, 11, 22)), today, &RULES), Ok(()));
    }

    proptest! {
        #[test]
        fn the_band_in_the_row_is_never_ahead_of_the_person(days in 0i64..40 * 365, later in 0i64..30 * 365) {
            let today = date(2026, 11, 22);
            let birth = today.saturating_sub(jiff::Span::new().days(days));
            let flags = flags(birth, today, &RULES);
            let then = today.saturating_add(jiff::Span::new().days(later));
            let now = Timestamp(then.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second());
            // Late by at most a month, never early: nobody is called an adult before they are one.
            let rank = |band| AgeBand::ALL.iter().position(|b| *b == band);
            prop_assert!(rank(flags.band_at(now)) <= rank(band(birth, then, &RULES)));
        }
    }
}
