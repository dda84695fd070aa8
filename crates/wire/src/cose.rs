//! The little CBOR (RFC 8949) that WebAuthn speaks, and COSE_Key (RFC 9052 section 7, RFC 9053 section 7).
//!
//! The reader takes the canonical form of CTAP 2 that security keys write: definite lengths, shortest integers, no tags,
//! no floats, at most eight levels, no map key twice.

use crate::jose::{Alg, JoseError, PublicKey};

/// Why CBOR or a key in it was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CoseError {
    /// The input ends inside an item.
    #[error("the CBOR ends early")]
    Short,
    /// Bytes follow where none may.
    #[error("bytes follow the CBOR")]
    Trailing,
    /// An indefinite length, a longer integer than needed, a tag, a float, or an unassigned value.
    #[error("the CBOR is not in canonical form")]
    NotCanonical,
    /// Deeper than eight levels.
    #[error("the CBOR is nested too deeply")]
    Deep,
    /// A map names a key twice.
    #[error("a map key stands twice")]
    DuplicateKey,
    /// Not of the expected type, or a member is missing or too many.
    #[error("the CBOR is not of the expected shape")]
    Shape,
    /// The COSE_Key is of no kind we use, or its bytes are refused.
    #[error("the key is of no kind we use, or malformed")]
    Key,
}

/// An integer's magnitude is at most 2^63 - 1 here; nothing in WebAuthn is larger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item<'a> {
    /// Major types 0 and 1.
    Int(i64),
    /// Major type 2.
    Bytes(&'a [u8]),
    /// Major type 3.
    Text(&'a str),
    /// Major type 4: the number of items that follow.
    Array(usize),
    /// Major type 5: the number of pairs that follow.
    Map(usize),
    /// Major type 7: true, false.
    Bool(bool),
    /// Major type 7: null, undefined.
    Null,
}

/// Reads items one after the other.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

/// The deepest nesting that is read.
const MAX_DEPTH: u8 = 8;

impl<'a> Reader<'a> {
    /// A reader at the beginning of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Refuses unless everything has been read.
    ///
    /// # Errors
    /// [`CoseError::Trailing`].
    pub fn end(&self) -> Result<(), CoseError> {
        if self.rest.is_empty() { Ok(()) } else { Err(CoseError::Trailing) }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], CoseError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(CoseError::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The argument of a head whose low five bits are `info`, in its shortest form.
    fn argument(&mut self, info: u8) -> Result<u64, CoseError> {
        let (len, least) = match info {
            0..=23 => return Ok(u64::from(info)),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            _ => return Err(CoseError::NotCanonical),
        };
        let value = self.take(len)?.iter().fold(0_u64, |acc, byte| (acc << 8) | u64::from(*byte));
        if value < least { Err(CoseError::NotCanonical) } else { Ok(value) }
    }

    /// The next item; the items inside an array or map come next.
    ///
    /// # Errors
    /// [`CoseError::Short`], [`CoseError::NotCanonical`], [`CoseError::Shape`] for text that is not UTF-8.
    pub fn item(&mut self) -> Result<Item<'a>, CoseError> {
        let head = self.take(1)?[0];
        let (major, info) = (head >> 5, head & 31);
        if major == 7 {
            return match info {
                20 => Ok(Item::Bool(false)),
                21 => Ok(Item::Bool(true)),
                22 | 23 => Ok(Item::Null),
                _ => Err(CoseError::NotCanonical),
            };
        }
        let argument = self.argument(info)?;
        let int = i64::try_from(argument).map_err(|_| CoseError::NotCanonical);
        // A length above the address space is above what remains, and so is short.
        let len = usize::try_from(argument).map_err(|_| CoseError::Short);
        match major {
            0 => Ok(Item::Int(int?)),
            1 => Ok(Item::Int(-1 - int?)),
            2 => Ok(Item::Bytes(self.take(len?)?)),
            3 => std::str::from_utf8(self.take(len?)?).map(Item::Text).map_err(|_| CoseError::Shape),
            4 => Ok(Item::Array(len?)),
            5 => Ok(Item::Map(len?)),
            _ => Err(CoseError::NotCanonical),
        }
    }

    /// Reads one whole item with all it contains, and returns its bytes.
    ///
    /// # Errors
    /// As [`Reader::item`], [`CoseError::Deep`], [`CoseError::DuplicateKey`].
    pub fn whole(&mut self) -> Result<&'a [u8], CoseError> {
        let before = self.rest;
        self.skip(0)?;
        Ok(&before[..before.len() - self.rest.len()])
    }

    fn skip(&mut self, depth: u8) -> Result<(), CoseError> {
        if depth > MAX_DEPTH {
            return Err(CoseError::Deep);
        }
        match self.item()? {
            Item::Array(len) => (0..len).try_for_each(|_| self.skip(depth + 1)),
            Item::Map(len) => {
                // Keys in canonical form are equal exactly if their bytes are.
                let mut seen = std::collections::BTreeSet::new();
                for _ in 0..len {
                    let before = self.rest;
                    self.skip(depth + 1)?;
                    if !seen.insert(&before[..before.len() - self.rest.len()]) {
                        return Err(CoseError::DuplicateKey);
                    }
                    self.skip(depth + 1)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The number of pairs of a map.
    ///
    /// # Errors
    /// [`CoseError::Shape`] if the next item is none.
    pub fn map(&mut self) -> Result<usize, CoseError> {
        match self.item()? {
            Item::Map(len) => Ok(len),
            _ => Err(CoseError::Shape),
        }
    }
}

/// COSE_Key's labels and values (RFC 9052 section 7.1, RFC 9053 sections 2 and 7).
mod label {
    pub(super) const KTY: i64 = 1;
    pub(super) const ALG: i64 = 3;
    pub(super) const CRV: i64 = -1;
    pub(super) const X: i64 = -2;
    pub(super) const Y: i64 = -3;
    pub(super) const KTY_OKP: i64 = 1;
    pub(super) const KTY_EC2: i64 = 2;
    pub(super) const ES256: i64 = -7;
    pub(super) const EDDSA: i64 = -8;
    pub(super) const P256: i64 = 1;
    pub(super) const ED25519: i64 = 6;
}

#[derive(Default)]
struct Members<'a> {
    kty: Option<i64>,
    alg: Option<i64>,
    crv: Option<i64>,
    x: Option<&'a [u8]>,
    y: Option<&'a [u8]>,
}

fn set<T>(place: &mut Option<T>, value: T) -> Result<(), CoseError> {
    if place.replace(value).is_some() { Err(CoseError::DuplicateKey) } else { Ok(()) }
}

/// Reads one COSE_Key off `reader`: EC2 P-256 for ES256 or OKP Ed25519 for EdDSA, with exactly the members WebAuthn
/// Level 3 section 6.5.1.1 asks for.
///
/// # Errors
/// [`CoseError`].
pub fn read_key(reader: &mut Reader<'_>) -> Result<(PublicKey, Alg), CoseError> {
    let mut members = Members::default();
    for _ in 0..reader.map()? {
        match (reader.item()?, reader.item()?) {
            (Item::Int(label::KTY), Item::Int(value)) => set(&mut members.kty, value)?,
            (Item::Int(label::ALG), Item::Int(value)) => set(&mut members.alg, value)?,
            (Item::Int(label::CRV), Item::Int(value)) => set(&mut members.crv, value)?,
            (Item::Int(label::X), Item::Bytes(value)) => set(&mut members.x, value)?,
            (Item::Int(label::Y), Item::Bytes(value)) => set(&mut members.y, value)?,
            _ => return Err(CoseError::Shape),
        }
    }
    let refused = |_: JoseError| CoseError::Key;
    match members {
        Members {
            kty: Some(label::KTY_EC2),
            alg: Some(label::ES256),
            crv: Some(label::P256),
            x: Some(x),
            y: Some(y),
        } if x.len() == 32 && y.len() == 32 => {
            let mut sec1 = [4; 65];
            sec1[1..33].copy_from_slice(x);
            sec1[33..].copy_from_slice(y);
            Ok((PublicKey::p256(sec1).map_err(refused)?, Alg::ES256))
        }
        Members {
            kty: Some(label::KTY_OKP),
            alg: Some(label::EDDSA),
            crv: Some(label::ED25519),
            x: Some(x),
            y: None,
        } => {
            let x = x.try_into().map_err(|_| CoseError::Key)?;
            Ok((PublicKey::ed25519(x).map_err(refused)?, Alg::EdDSA))
        }
        _ => Err(CoseError::Key),
    }
}

/// Reads bytes that hold one COSE_Key and nothing else.
///
/// # Errors
/// [`CoseError`].
pub fn parse_key(bytes: &[u8]) -> Result<(PublicKey, Alg), CoseError> {
    let mut reader = Reader::new(bytes);
    let key = read_key(&mut reader)?;
    reader.end()?;
    Ok(key)
}

/// The canonical COSE_Key of an Ed25519 or P-256 key; `None` for RSA.
#[must_use]
pub fn encode_key(key: &PublicKey) -> Option<Vec<u8>> {
    let mut out = Writer::default();
    if let Some(sec1) = key.as_p256() {
        out.map(5).pair(label::KTY, label::KTY_EC2).pair(label::ALG, label::ES256).pair(label::CRV, label::P256);
        out.int(label::X).bytes(&sec1[1..33]).int(label::Y).bytes(&sec1[33..]);
    } else {
        let x = key.as_ed25519()?;
        out.map(4).pair(label::KTY, label::KTY_OKP).pair(label::ALG, label::EDDSA).pair(label::CRV, label::ED25519);
        out.int(label::X).bytes(x);
    }
    Some(out.0)
}

/// Writes canonical CBOR: what a software authenticator needs.
#[derive(Clone, Debug, Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    fn head(&mut self, major: u8, argument: u64) -> &mut Self {
        let bytes = argument.to_be_bytes();
        let (info, from) = match argument {
            0..=23 => {
                self.0.push(major << 5 | bytes[7]);
                return self;
            }
            24..=0xff => (24, 7),
            0x100..=0xffff => (25, 6),
            0x1_0000..=0xffff_ffff => (26, 4),
            _ => (27, 0),
        };
        self.0.push(major << 5 | info);
        self.0.extend_from_slice(&bytes[from..]);
        self
    }

    /// An integer.
    pub fn int(&mut self, value: i64) -> &mut Self {
        if value < 0 { self.head(1, (-1 - value).unsigned_abs()) } else { self.head(0, value.unsigned_abs()) }
    }

    /// Two integers: a label and its value.
    pub fn pair(&mut self, label: i64, value: i64) -> &mut Self {
        self.int(label).int(value)
    }

    /// A byte string.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.head(2, value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// A text string.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.head(3, value.len() as u64);
        self.0.extend_from_slice(value.as_bytes());
        self
    }

    /// The head of a map; its pairs are written next, keys in canonical order.
    pub fn map(&mut self, pairs: u64) -> &mut Self {
        self.head(5, pairs)
    }
}
