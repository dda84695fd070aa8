//! The syntax of each type's numbers.

use super::{DocumentError, DocumentType, Sex};
use crate::typed_text;
use jiff::civil::Date;

/// Provinces, autonomous regions and municipalities of GB/T 2260 whose residents hold identity cards. The six-digit
/// codes change every year and old numbers keep old codes, so only the first two digits are checked.
const PROVINCES: &[u8] = &[
    11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 41, 42, 43, 44, 45, 46, 50, 51, 52, 53, 54, 61, 62, 63,
    64, 65,
];

/// The canonical number of `text`.
pub(super) fn canonical(kind: DocumentType, text: &str) -> Result<String, DocumentError> {
    let text = typed_text::alphanumeric(text).ok_or(DocumentError::Character)?;
    match kind {
        DocumentType::ResidentIdentityCard
        | DocumentType::HongKongMacauResidencePermit
        | DocumentType::TaiwanResidencePermit => citizen(kind, text),
        DocumentType::HongKongMacauTravelPermit => match text.as_bytes() {
            [b'H' | b'M', digits @ ..] => holder_number(digits).map(|digits| format!("{}{digits}", &text[..1])),
            [] => Err(DocumentError::Length),
            _ => Err(DocumentError::Beginning),
        },
        DocumentType::TaiwanTravelPermit => holder_number(text.as_bytes()),
        DocumentType::ForeignPermanentResidenceCard => permanent_residence(text),
        DocumentType::OrdinaryPassport => passport(text),
    }
}

/// GB 11643: address code, birth date, sequence number, check character.
fn citizen(kind: DocumentType, text: String) -> Result<String, DocumentError> {
    let bytes = eighteen(&text)?;
    let fits = match kind {
        DocumentType::HongKongMacauResidencePermit => {
            ["810000", "820000", "9981", "9982"].iter().any(|area| text.starts_with(area))
        }
        DocumentType::TaiwanResidencePermit => ["830000", "9983"].iter().any(|area| text.starts_with(area)),
        // Address codes of the permits are no identity card's: one number must not give two tags.
        _ => !matches!(&bytes[..2], b"81" | b"82" | b"83") && !matches!(&bytes[..3], b"998" | b"999"),
    };
    if !fits {
        return Err(DocumentError::Beginning);
    }
    let province = two_digits(&bytes[..2]);
    if kind == DocumentType::ResidentIdentityCard && province != 99 && !PROVINCES.contains(&province) {
        return Err(DocumentError::Area);
    }
    birth_date(bytes).ok_or(DocumentError::BirthDate)?;
    checked(bytes)?;
    Ok(text)
}

/// The card of 2023: 9, the province where it was applied for, the numeric country code of ISO 3166, birth date, sequence
/// number, and the check character of GB 11643 (National Immigration Administration, machine-readable rules of the 2023
/// card, table 1). The card before it: 3 letters and 12 digits; the rule of its last digits is not published, so only its
/// syntax is checked.
fn permanent_residence(text: String) -> Result<String, DocumentError> {
    if let Some((letters, digits)) = text.as_bytes().split_at_checked(3)
        && text.len() == 15
        && letters.iter().all(u8::is_ascii_uppercase)
    {
        return if digits.iter().all(u8::is_ascii_digit) { Ok(text) } else { Err(DocumentError::Character) };
    }
    let bytes = eighteen(&text)?;
    if bytes[0] != b'9' {
        return Err(DocumentError::Beginning);
    }
    let province = two_digits(&bytes[1..3]);
    if province != 99 && !PROVINCES.contains(&province) {
        return Err(DocumentError::Area);
    }
    birth_date(bytes).ok_or(DocumentError::BirthDate)?;
    checked(bytes)?;
    Ok(text)
}

/// Travel permits: 8 digits name the holder for life. Two more count renewals (Hong Kong and Macau: Ministry of Public
/// Security, 10 March 2010; Taiwan: until 25 September 2008) and are dropped, so that a renewed permit gives the same tag.
/// No check digit is published.
fn holder_number(digits: &[u8]) -> Result<String, DocumentError> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(DocumentError::Character);
    }
    match digits.len() {
        8 | 10 => Ok(digits[..8].iter().copied().map(char::from).collect()),
        _ => Err(DocumentError::Length),
    }
}

/// E and 8 digits; E, a letter except I and O, and 7 digits; G and 8 digits (issued until 2012). No check digit is
/// published (the one in the machine-readable zone is not part of the number). The forms are common knowledge, not
/// verified against an official text. X99 and 6 digits is the sandbox's.
fn passport(text: String) -> Result<String, DocumentError> {
    let bytes = text.as_bytes();
    if bytes.len() != 9 {
        return Err(DocumentError::Length);
    }
    let digits = match bytes {
        [b'E', letter, rest @ ..] if letter.is_ascii_uppercase() && !matches!(letter, b'I' | b'O') => rest,
        [b'E' | b'G', rest @ ..] | [b'X', b'9', b'9', rest @ ..] => rest,
        _ => return Err(DocumentError::Beginning),
    };
    if digits.iter().all(u8::is_ascii_digit) { Ok(text) } else { Err(DocumentError::Character) }
}

/// 17 digits and a digit or X.
fn eighteen(text: &str) -> Result<&[u8; 18], DocumentError> {
    let bytes: &[u8; 18] = text.as_bytes().try_into().map_err(|_| DocumentError::Length)?;
    let shape = bytes[..17].iter().all(u8::is_ascii_digit) && matches!(bytes[17], b'0'..=b'9' | b'X');
    if shape { Ok(bytes) } else { Err(DocumentError::Character) }
}

/// Digits 7 to 14 as a date of the calendar.
pub(super) fn birth_date(number: &[u8]) -> Option<Date> {
    let digits = |range: std::ops::Range<usize>| -> Option<i16> {
        number.get(range)?.iter().try_fold(0_i16, |sum, b| b.is_ascii_digit().then(|| sum * 10 + i16::from(b - b'0')))
    };
    let (year, month, day) = (digits(6..10)?, digits(10..12)?, digits(12..14)?);
    // Nobody alive was born before this; a plainly wrong century is a typing error.
    if year < 1850 {
        return None;
    }
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

fn two_digits(digits: &[u8]) -> u8 {
    digits.iter().fold(0, |sum, b| sum * 10 + (b - b'0'))
}

fn checked(number: &[u8; 18]) -> Result<(), DocumentError> {
    if check_character(&number[..17]) == number[17] { Ok(()) } else { Err(DocumentError::Check) }
}

/// ISO 7064 MOD 11-2 over digits: Σ aᵢ·2^(i) ≡ 1 (mod 11), i counted from 0 at the check character; X stands for 10.
/// Evaluated by Horner's rule.
fn check_character(digits: &[u8]) -> u8 {
    let sum = digits.iter().fold(0_u32, |sum, b| (sum + u32::from(b - b'0')) * 2 % 11);
    match (12 - sum) % 11 {
        10 => b'X',
        check => b'0' + u8::try_from(check).unwrap_or(0),
    }
}

/// See [`super::DocumentNumber::sandbox`].
pub(super) fn sandbox(kind: DocumentType, birth: Date, sex: Sex, sequence: u16) -> String {
    let (block, within) = (u32::from(sequence) / 500, u32::from(sequence) % 500);
    let parity = u32::from(sex == Sex::Male);
    let area = match kind {
        DocumentType::ResidentIdentityCard => 990_000 + block,
        DocumentType::HongKongMacauResidencePermit => 998_100 + block % 100,
        DocumentType::TaiwanResidencePermit => 998_300 + block % 100,
        DocumentType::ForeignPermanentResidenceCard => 999_900 + block % 100,
        DocumentType::HongKongMacauTravelPermit => return format!("H99{sequence:06}"),
        DocumentType::TaiwanTravelPermit => return format!("99{sequence:06}"),
        DocumentType::OrdinaryPassport => return format!("X99{sequence:06}"),
    };
    let (year, month, day) = (birth.year(), birth.month(), birth.day());
    let body = format!("{area}{year:04}{month:02}{day:02}{:03}", within * 2 + parity);
    let check = check_character(body.as_bytes());
    format!("{body}{}", char::from(check))
}
