//! Time as a parameter. Rules receive a [`Timestamp`]; only edges own a [`Clock`].

use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicI64, Ordering};
use std::{fmt, ops};

/// Seconds a device's clock may be off from that of the office that it speaks to (flows 4).
pub const DEVICE_SKEW: i64 = 60;

/// Seconds the clocks of two offices may be apart; of more the operators hear.
pub const OFFICE_SKEW: i64 = 30;

/// Seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The beginning of this minute: nothing finer than a minute is stored or logged (design 3).
    #[must_use]
    pub fn minute(self) -> Self {
        Self(self.0 - self.0.rem_euclid(60))
    }

    /// The beginning of this UTC day.
    #[must_use]
    pub fn day(self) -> Self {
        Self(self.0 - self.0.rem_euclid(86_400))
    }

    /// Whether `self` and `other` are at most `seconds` apart.
    #[must_use]
    pub fn within(self, other: Self, seconds: i64) -> bool {
        self.0.abs_diff(other.0) <= seconds.unsigned_abs()
    }

    /// The 8-byte big-endian form that hashes take.
    #[must_use]
    pub fn to_be_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// The civil date in UTC.
    #[must_use]
    pub fn date(self) -> jiff::civil::Date {
        jiff::Timestamp::from_second(self.0)
            .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
            .to_zoned(jiff::tz::TimeZone::UTC)
            .date()
    }
}

impl ops::Add<i64> for Timestamp {
    type Output = Self;
    fn add(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

impl ops::Sub<i64> for Timestamp {
    type Output = Self;
    fn sub(self, seconds: i64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0) {
            Ok(time) => time.fmt(f),
            Err(_) => self.0.fmt(f),
        }
    }
}

/// Where the present comes from.
pub trait Clock: Send + Sync + 'static {
    /// The present.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this adapter is the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }
}

/// The machine's clock plus a shift that can be moved forward: the sandbox's clock, shared by all offices.
#[derive(Debug, Default)]
pub struct ShiftedClock {
    shift: AtomicI64,
}

impl ShiftedClock {
    /// A clock that starts `shift` seconds after the machine's.
    #[must_use]
    pub fn new(shift: i64) -> Self {
        Self { shift: AtomicI64::new(shift) }
    }

    /// Moves the clock forward and returns the whole shift in seconds.
    pub fn advance(&self, seconds: i64) -> i64 {
        self.shift.fetch_add(seconds, Ordering::SeqCst).saturating_add(seconds)
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + self.shift.load(Ordering::SeqCst)
    }
}

/// A clock that stands still until it is set: tests.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock standing at `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.0))
    }

    /// Moves by `seconds`, back if negative.
    pub fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_goes_down_on_both_sides_of_zero() {
        assert_eq!(Timestamp(119).minute(), Timestamp(60));
        assert_eq!(Timestamp(-1).minute(), Timestamp(-60));
        assert_eq!(Timestamp(86_401).day(), Timestamp(86_400));
    }

    #[test]
    fn within_is_symmetric_and_inclusive() {
        assert!(Timestamp(0).within(Timestamp(60), 60));
        assert!(Timestamp(60).within(Timestamp(0), 60));
        assert!(!Timestamp(0).within(Timestamp(61), 60));
    }
}
