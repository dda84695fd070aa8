//! The registered claims of RFC 7519 section 4.1.

use super::{JoseError, Payload};
use hufu_kernel::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Map, Value};

/// Seconds since the epoch as a JSON number (RFC 7519 section 2). A fraction is dropped when read; written whole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct NumericDate(pub Timestamp);

impl NumericDate {
    /// The end of the year 9999: beyond it a number is no date.
    const MAX: i64 = 253_402_300_799;

    fn from_value(value: &Value) -> Option<Self> {
        let whole = value.as_i64().or_else(|| {
            let number = value.as_f64().filter(|n| (0.0..=253_402_300_799.0).contains(n))?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the range was just checked; the fraction is to be dropped"
            )]
            Some(number.floor() as i64)
        })?;
        (0..=Self::MAX).contains(&whole).then_some(Self(Timestamp(whole)))
    }
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(&Value::deserialize(deserializer)?)
            .ok_or_else(|| D::Error::custom("expected seconds since 1970"))
    }
}

/// `aud`: a string or an array of strings (RFC 7519 section 4.1.3); one is written as a string.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Audience(pub Vec<String>);

impl Audience {
    /// Whether `who` is among those addressed.
    #[must_use]
    pub fn names(&self, who: &str) -> bool {
        self.0.iter().any(|one| one == who)
    }

    /// Whether `who` and nobody else is addressed.
    #[must_use]
    pub fn is_only(&self, who: &str) -> bool {
        matches!(self.0.as_slice(), [one] if one == who)
    }
}

impl Serialize for Audience {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => serializer.serialize_str(one),
            many => serializer.collect_seq(many),
        }
    }
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(one) => Ok(Self(vec![one])),
            Value::Array(many) => many
                .into_iter()
                .map(|item| match item {
                    Value::String(one) => Ok(one),
                    _ => Err(D::Error::custom("aud holds strings")),
                })
                .collect::<Result<_, _>>()
                .map(Self),
            _ => Err(D::Error::custom("aud is a string or an array")),
        }
    }
}

/// A claims object read by name; types of our own read the payload with [`Payload::json`] instead.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Claims(pub Map<String, Value>);

impl Claims {
    /// Reads a payload.
    ///
    /// # Errors
    /// [`JoseError::Json`] unless it is one object without duplicate members.
    pub fn read(payload: Payload<'_>) -> Result<Self, JoseError> {
        match super::strict_value(payload.bytes())? {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(JoseError::Json("claims are an object".into())),
        }
    }

    /// A claim that is a string.
    ///
    /// # Errors
    /// [`JoseError::Claim`] if it is missing or something else.
    pub fn text(&self, name: &'static str) -> Result<&str, JoseError> {
        self.0.get(name).and_then(Value::as_str).ok_or(JoseError::Claim(name))
    }

    /// A claim that is a [`NumericDate`].
    ///
    /// # Errors
    /// [`JoseError::Claim`] if it is missing or something else.
    pub fn date(&self, name: &'static str) -> Result<Timestamp, JoseError> {
        self.0.get(name).and_then(NumericDate::from_value).map(|date| date.0).ok_or(JoseError::Claim(name))
    }

    /// A claim that may be absent but, if present, must read as `T`.
    ///
    /// # Errors
    /// [`JoseError::Claim`] if it is present and something else.
    pub fn optional<T: serde::de::DeserializeOwned>(&self, name: &'static str) -> Result<Option<T>, JoseError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        T::deserialize(value).map(Some).map_err(|_| JoseError::Claim(name))
    }

    /// `aud`.
    ///
    /// # Errors
    /// [`JoseError::Claim`] if it is missing or neither a string nor an array of strings.
    pub fn aud(&self) -> Result<Audience, JoseError> {
        self.optional("aud")?.ok_or(JoseError::Claim("aud"))
    }

    /// Checks `exp` (required), `nbf` and `iat` (if present) against `now`, with `leeway` seconds for other clocks.
    ///
    /// # Errors
    /// [`JoseError::Claim`] naming the claim that is missing, malformed or out of its time.
    pub fn check_times(&self, now: Timestamp, leeway: i64) -> Result<(), JoseError> {
        if now >= self.date("exp")? + leeway {
            return Err(JoseError::Claim("exp"));
        }
        for name in ["nbf", "iat"] {
            if self.optional::<NumericDate>(name)?.is_some_and(|date| date.0 > now + leeway) {
                return Err(JoseError::Claim(name));
            }
        }
        Ok(())
    }
}
