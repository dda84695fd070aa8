//! Byte strings and the one framing every hash of ours uses (flows 1).

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;

/// base64url without padding (RFC 4648 section 5).
#[must_use]
pub fn b64(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// Decodes base64url without padding; `None` for anything else (padding, other alphabets, stray bits).
#[must_use]
pub fn unb64(text: &str) -> Option<Vec<u8>> {
    let bytes = Base64UrlUnpadded::decode_vec(text).ok()?;
    // One byte string has one spelling: trailing bits that a lenient decoder drops are refused. Only a last group of fewer than
    // three bytes has such bits.
    let groups = bytes.len() / 3;
    (text.get(groups * 4..) == Some(b64(&bytes[groups * 3..]).as_str())).then_some(bytes)
}

/// Lower-case hexadecimal, for people and for vectors.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The framing `‖` of flows 1: a 4-byte big-endian length before each part, so that no two lists of parts
/// give the same bytes.
#[must_use]
pub fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(parts.iter().map(|p| p.len() + 4).sum());
    framed_into(&mut out, parts);
    out
}

/// As [`framed`], appended to `out`.
pub fn framed_into(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        // A part of 4 GiB cannot reach us: every body is limited far below.
        let len = u32::try_from(part.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(part);
    }
}

/// Bytes of any length; base64url in JSON.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Bytes(pub Vec<u8>);

/// Exactly `N` bytes; base64url in JSON. Refuses any other length when it is read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Octets<const N: usize>(pub [u8; N]);

impl<const N: usize> Octets<N> {
    /// The bytes as a slice.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> Default for Octets<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> TryFrom<&[u8]> for Octets<N> {
    type Error = std::array::TryFromSliceError;
    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        bytes.try_into().map(Self)
    }
}

impl<const N: usize> fmt::Debug for Octets<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&b64(&self.0))
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&b64(&self.0))
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&b64(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        unb64(&text).map(Self).ok_or_else(|| D::Error::custom("expected base64url without padding"))
    }
}

impl<const N: usize> Serialize for Octets<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&b64(&self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Octets<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Bytes(bytes) = Bytes::deserialize(deserializer)?;
        Self::try_from(bytes.as_slice())
            .map_err(|_| D::Error::custom(format!("expected {N} bytes, got {}", bytes.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn base64url_has_one_spelling(bytes: Vec<u8>) {
            prop_assert_eq!(unb64(&b64(&bytes)), Some(bytes));
        }

        #[test]
        fn whatever_decodes_is_canonical(text in "[A-Za-z0-9_=+/-]{0,24}") {
            if let Some(bytes) = unb64(&text) {
                prop_assert_eq!(b64(&bytes), text);
            }
        }

        #[test]
        fn framing_is_injective(a: Vec<Vec<u8>>, b: Vec<Vec<u8>>) {
            fn frame(parts: &[Vec<u8>]) -> Vec<u8> { framed(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>()) }
            prop_assert_eq!(frame(&a) == frame(&b), a == b);
        }
    }

    #[test]
    fn fixed_length_refuses_other_lengths() {
        assert!(serde_json::from_str::<Octets<4>>("\"AAAAAA\"").is_ok());
        assert!(serde_json::from_str::<Octets<4>>("\"AAAA\"").is_err());
    }
}
