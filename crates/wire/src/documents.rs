//! The seven document types that enrolment takes, and the syntax of their numbers (`rules/documents.toml`).
//!
//! Syntax and check digits only: that a number exists, belongs to this person and is in force is the register's answer.

mod parse;

use hufu_kernel::Lang;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// ISO 3166-1 alpha-3 code of the State that issues all seven.
const ISSUER: &str = "CHN";

/// A type of identity document.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DocumentType {
    /// 居民身份证. GB 11643-1999: 18 characters.
    ResidentIdentityCard,
    /// 港澳居民居住证. As a citizen's number, address code 810000 or 820000.
    HongKongMacauResidencePermit,
    /// 台湾居民居住证. As a citizen's number, address code 830000.
    TaiwanResidencePermit,
    /// 港澳居民来往内地通行证. H or M and the holder's 8 digits for life; older cards add 2 digits that count renewals.
    HongKongMacauTravelPermit,
    /// 台湾居民来往大陆通行证. The holder's 8 digits for life; before 2008 followed by 2 digits that count renewals.
    TaiwanTravelPermit,
    /// 外国人永久居留身份证. 18 characters since December 2023; before that 3 letters and 12 digits.
    ForeignPermanentResidenceCard,
    /// 普通护照, for Chinese citizens living abroad.
    OrdinaryPassport,
}

impl DocumentType {
    /// All seven, in the order they are offered.
    pub const ALL: [Self; 7] = [
        Self::ResidentIdentityCard,
        Self::HongKongMacauResidencePermit,
        Self::TaiwanResidencePermit,
        Self::HongKongMacauTravelPermit,
        Self::TaiwanTravelPermit,
        Self::ForeignPermanentResidenceCard,
        Self::OrdinaryPassport,
    ];

    /// The stable code, in messages and in the input of the tag (flows 3). It must never change: a changed code would
    /// let everybody enrol a second time.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::ResidentIdentityCard => "resident_identity_card",
            Self::HongKongMacauResidencePermit => "hong_kong_macau_residence_permit",
            Self::TaiwanResidencePermit => "taiwan_residence_permit",
            Self::HongKongMacauTravelPermit => "hong_kong_macau_travel_permit",
            Self::TaiwanTravelPermit => "taiwan_travel_permit",
            Self::ForeignPermanentResidenceCard => "foreign_permanent_residence_card",
            Self::OrdinaryPassport => "ordinary_passport",
        }
    }

    /// The type of a [`DocumentType::code`].
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The name people know it by.
    #[must_use]
    pub fn name(self, lang: Lang) -> &'static str {
        match (self, lang) {
            (Self::ResidentIdentityCard, Lang::ZhHans) => "居民身份证",
            (Self::ResidentIdentityCard, Lang::En) => "Resident identity card",
            (Self::HongKongMacauResidencePermit, Lang::ZhHans) => "港澳居民居住证",
            (Self::HongKongMacauResidencePermit, Lang::En) => "Residence permit for Hong Kong and Macau residents",
            (Self::TaiwanResidencePermit, Lang::ZhHans) => "台湾居民居住证",
            (Self::TaiwanResidencePermit, Lang::En) => "Residence permit for Taiwan residents",
            (Self::HongKongMacauTravelPermit, Lang::ZhHans) => "港澳居民来往内地通行证",
            (Self::HongKongMacauTravelPermit, Lang::En) => "Mainland travel permit for Hong Kong and Macau residents",
            (Self::TaiwanTravelPermit, Lang::ZhHans) => "台湾居民来往大陆通行证",
            (Self::TaiwanTravelPermit, Lang::En) => "Mainland travel permit for Taiwan residents",
            (Self::ForeignPermanentResidenceCard, Lang::ZhHans) => "外国人永久居留身份证",
            (Self::ForeignPermanentResidenceCard, Lang::En) => "Foreign permanent resident identity card",
            (Self::OrdinaryPassport, Lang::ZhHans) => "普通护照",
            (Self::OrdinaryPassport, Lang::En) => "Ordinary passport of China",
        }
    }
}

/// The sex that a citizen's number codes: an odd sequence number for men, an even one for women (GB 11643).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sex {
    /// Odd.
    Male,
    /// Even.
    Female,
}

/// Why a text is no number of this type. It says which rule failed, never what was typed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DocumentError {
    /// Something besides letters, digits, spaces and hyphens, or a letter where a digit belongs.
    #[error("a character that this number does not have")]
    Character,
    /// Too short or too long.
    #[error("this number has another length")]
    Length,
    /// It begins as numbers of another type do.
    #[error("numbers of this type begin otherwise")]
    Beginning,
    /// The first two digits are no province.
    #[error("the address code is not assigned")]
    Area,
    /// The digits of the birth date are no date.
    #[error("the date of birth is no date")]
    BirthDate,
    /// The last character does not fit: most likely a typing error.
    #[error("the check character does not fit")]
    Check,
}

/// A document number in canonical form: upper-case ASCII without separators, without renewal counters.
///
/// Wiped on drop, `Debug` masked, no `Display`: identity is in memory only (design 3).
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(try_from = "TypedNumber", into = "TypedNumber")]
pub struct DocumentNumber {
    #[zeroize(skip)]
    kind: DocumentType,
    number: String,
}

/// The JSON form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedNumber {
    #[serde(rename = "type")]
    kind: DocumentType,
    number: String,
}

impl DocumentNumber {
    /// Reads what a person typed or a camera read. Spaces, hyphens, full-width forms and lower case are accepted.
    ///
    /// # Errors
    /// See [`DocumentError`].
    pub fn parse(kind: DocumentType, text: &str) -> Result<Self, DocumentError> {
        Ok(Self { kind, number: parse::canonical(kind, text)? })
    }

    /// A number for a synthetic person. It passes every check above and lies outside what is assigned, so that
    /// [`DocumentNumber::is_sandbox`] knows it:
    ///
    /// * 18-character numbers: address code 99xxxx (990000 on for identity cards, 9981xx and 9983xx for the permits,
    ///   and a permanent residence card's area 99 with a country code from 900 on, which ISO 3166 leaves to users);
    /// * travel permits: the 8 digits begin with 99, above any number issued so far (by convention, not verified);
    /// * passports: X99, a letter no ordinary passport has had.
    ///
    /// `sequence` tells persons with one birth date apart; up to 49,999 give different numbers.
    #[must_use]
    pub fn sandbox(kind: DocumentType, birth: Date, sex: Sex, sequence: u16) -> Self {
        Self { kind, number: parse::sandbox(kind, birth, sex, sequence) }
    }

    /// Whether this is a number that only synthetic persons have. `hufu serve` refuses these.
    #[must_use]
    pub fn is_sandbox(&self) -> bool {
        let rest = match self.kind {
            DocumentType::HongKongMacauTravelPermit => &self.number[1..],
            DocumentType::OrdinaryPassport => return self.number.starts_with('X'),
            DocumentType::ForeignPermanentResidenceCard => return self.number.starts_with("999"),
            _ => &self.number,
        };
        rest.starts_with("99")
    }

    /// The type.
    #[must_use]
    pub fn kind(&self) -> DocumentType {
        self.kind
    }

    /// The canonical number. Named so that a reader sees where a number is used.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.number
    }

    /// `country`, `type` and `number` of the tag's input (flows 3), to be framed by the caller. Renewing a document does
    /// not change them where the number names the holder; a new passport has a new number and so a new tag.
    #[must_use]
    pub fn tag_parts(&self) -> (&'static str, &'static str, &str) {
        (ISSUER, self.kind.code(), &self.number)
    }

    /// The birth date, if the number contains one.
    #[must_use]
    pub fn birth_date(&self) -> Option<Date> {
        (self.number.len() == 18).then(|| parse::birth_date(self.number.as_bytes())).flatten()
    }

    /// The sex, if the number codes it.
    #[must_use]
    pub fn sex(&self) -> Option<Sex> {
        let digit = (self.number.len() == 18).then(|| self.number.as_bytes()[16])?;
        Some(if digit % 2 == 1 { Sex::Male } else { Sex::Female })
    }

    /// The first and the last character: `9****************2`.
    #[must_use]
    pub fn masked(&self) -> String {
        let last = self.number.len() - 1;
        format!("{}{}{}", &self.number[..1], "*".repeat(last - 1), &self.number[last..])
    }
}

impl fmt::Debug for DocumentNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DocumentNumber({}, {})", self.kind.code(), self.masked())
    }
}

impl TryFrom<TypedNumber> for DocumentNumber {
    type Error = DocumentError;
    /// Only the canonical form.
    fn try_from(typed: TypedNumber) -> Result<Self, DocumentError> {
        let parsed = Self::parse(typed.kind, &typed.number)?;
        if parsed.number == typed.number { Ok(parsed) } else { Err(DocumentError::Character) }
    }
}

impl From<DocumentNumber> for TypedNumber {
    fn from(mut document: DocumentNumber) -> Self {
        Self { kind: document.kind, number: std::mem::take(&mut document.number) }
    }
}

#[cfg(test)]
mod tests;
