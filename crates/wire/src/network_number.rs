//! The network number (网号): a random name for a person that carries nothing (design 1).

use crate::typed_text;
use hufu_kernel::Rng;
use serde::{Deserialize, Serialize};
use std::fmt;

/// 31 letters and digits without look-alikes (no 0 O, 1 I L). 31 is prime, which the check character needs.
const ALPHABET: &[u8; 31] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";
const PRIME: usize = ALPHABET.len();
/// Characters, the check character included.
const LEN: usize = 10;

/// A network number: 10 characters, 9 random and 1 check character; at rest and on the wire without separators.
///
/// The check: Σ w·v ≡ 0 (mod 31) over all ten characters, where v is a character's place in the alphabet and the
/// weights w are 10, 9, …, 1 from left to right. Substituting one character changes the sum by w·(v−v′); w and v−v′ are
/// both non-zero modulo the prime 31, so every substitution is noticed. Exchanging characters a and b with weights
/// w and w′ changes it by (w−w′)·(a−b); weights differ by 1 to 9, so every exchange of two different characters is
/// noticed, neighbours or not.
///
/// There is no `Display`, and `Debug` is masked: a number reaches a page only by [`NetworkNumber::as_str`] or
/// [`NetworkNumber::grouped`], and never a log.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetworkNumber([u8; LEN]);

#[cfg(feature = "schema")]
impl schemars::JsonSchema for NetworkNumber {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "NetworkNumber".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        hufu_kernel::schema_of(serde_json::json!({
            "type": "string",
            "pattern": "^[2-9A-HJKMNP-Z]{10}$",
            "description": "The network number: nine random characters and one check character.",
        }))
    }
}

/// Why a text is no network number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NetworkNumberError {
    /// Not ten characters.
    #[error("a network number has ten characters")]
    Length,
    /// A character outside the alphabet, or a look-alike that is never used (0 O 1 I L).
    #[error("a character that no network number has")]
    Character,
    /// The check character does not fit: most likely a typing error.
    #[error("the check character does not fit")]
    Check,
}

impl NetworkNumber {
    /// A fresh number. Unbiased: bytes of 248 (8 × 31) and above are thrown away.
    #[must_use]
    pub fn random(rng: &dyn Rng) -> Self {
        let mut values = [0_usize; LEN];
        for value in values.iter_mut().take(LEN - 1) {
            *value = loop {
                let byte = usize::from(hufu_kernel::random::<1>(rng)[0]);
                if byte < 8 * PRIME {
                    break byte % PRIME;
                }
            };
        }
        // The check character's weight is 1, so it is the negative of the others' sum.
        values[LEN - 1] = (PRIME - weighted_sum(&values) % PRIME) % PRIME;
        Self(values.map(|value| ALPHABET[value]))
    }

    /// Reads what a person typed: lower case, full-width forms, spaces and hyphens are accepted.
    ///
    /// # Errors
    /// See [`NetworkNumberError`].
    pub fn parse(text: &str) -> Result<Self, NetworkNumberError> {
        let text = typed_text::alphanumeric(text).ok_or(NetworkNumberError::Character)?;
        let characters: [u8; LEN] = text.as_bytes().try_into().map_err(|_| NetworkNumberError::Length)?;
        let mut values = [0; LEN];
        for (value, character) in values.iter_mut().zip(characters) {
            *value = ALPHABET.iter().position(|c| *c == character).ok_or(NetworkNumberError::Character)?;
        }
        if weighted_sum(&values).is_multiple_of(PRIME) { Ok(Self(characters)) } else { Err(NetworkNumberError::Check) }
    }

    /// The ten characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Two groups of five, to be read from a page or over the telephone: `KQ7MX-3RT2C`.
    #[must_use]
    pub fn grouped(&self) -> String {
        let (left, right) = self.as_str().split_at(LEN / 2);
        format!("{left}-{right}")
    }

    /// The first two and last two characters: `KQ******2C`.
    #[must_use]
    pub fn masked(&self) -> String {
        let text = self.as_str();
        format!("{}******{}", &text[..2], &text[LEN - 2..])
    }
}

fn weighted_sum(values: &[usize; LEN]) -> usize {
    values.iter().enumerate().map(|(position, value)| (LEN - position) * value).sum()
}

impl fmt::Debug for NetworkNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetworkNumber({})", self.masked())
    }
}

impl TryFrom<String> for NetworkNumber {
    type Error = NetworkNumberError;
    /// Only the canonical form: messages between offices are not typed by people.
    fn try_from(text: String) -> Result<Self, NetworkNumberError> {
        let number = Self::parse(&text)?;
        if number.as_str() == text { Ok(number) } else { Err(NetworkNumberError::Character) }
    }
}

impl From<NetworkNumber> for String {
    fn from(number: NetworkNumber) -> Self {
        number.as_str().to_owned()
    }
}

impl std::str::FromStr for NetworkNumber {
    type Err = NetworkNumberError;
    fn from_str(text: &str) -> Result<Self, NetworkNumberError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_kernel::SeededRng;
    use proptest::prelude::*;

    fn any_number() -> impl Strategy<Value = NetworkNumber> {
        any::<u64>().prop_map(|seed| NetworkNumber::random(&SeededRng::new(seed)))
    }

    proptest! {
        #[test]
        fn a_random_number_parses_back_and_has_no_look_alikes(number in any_number()) {
            prop_assert_eq!(&NetworkNumber::parse(number.as_str())?, &number);
            prop_assert!(!number.as_str().contains(['0', 'O', '1', 'I', 'L']));
        }

        #[test]
        fn every_single_substitution_is_noticed(number in any_number()) {
            for position in 0..LEN {
                for replacement in ALPHABET {
                    let mut typed = number.0;
                    if typed[position] == *replacement { continue }
                    typed[position] = *replacement;
                    prop_assert_eq!(NetworkNumber::parse(std::str::from_utf8(&typed)?), Err(NetworkNumberError::Check));
                }
            }
        }

        #[test]
        fn every_exchange_of_two_different_characters_is_noticed(number in any_number()) {
            for a in 0..LEN {
                for b in a + 1..LEN {
                    let mut typed = number.0;
                    if typed[a] == typed[b] { continue }
                    typed.swap(a, b);
                    prop_assert_eq!(NetworkNumber::parse(std::str::from_utf8(&typed)?), Err(NetworkNumberError::Check));
                }
            }
        }

        #[test]
        fn lower_case_groups_and_full_width_forms_are_accepted(number in any_number()) {
            let wide: String = number.as_str().chars().filter_map(|c| char::from_u32(u32::from(c) + 0xfee0)).collect();
            for typed in [number.grouped(), number.grouped().to_lowercase(), number.grouped().replace('-', " "), wide] {
                prop_assert_eq!(&NetworkNumber::parse(&typed)?, &number);
            }
        }

        #[test]
        fn no_text_makes_the_parser_fail_otherwise_than_by_refusing(text in "\\PC{0,14}") {
            if let Ok(number) = NetworkNumber::parse(&text) {
                prop_assert_eq!(number.as_str().len(), LEN);
            }
        }
    }

    #[test]
    fn printing_and_logging_show_two_characters_at_each_end() {
        let number = NetworkNumber::random(&SeededRng::new(7));
        let shown = format!("{number:?}");
        assert!(!shown.contains(number.as_str()));
        assert_eq!(shown.matches('*').count(), 6);
    }

    #[test]
    fn json_takes_only_the_canonical_form() {
        let number = NetworkNumber::random(&SeededRng::new(7));
        let json = serde_json::to_string(&number).unwrap();
        assert_eq!(serde_json::from_str::<NetworkNumber>(&json).unwrap(), number);
        assert!(serde_json::from_str::<NetworkNumber>(&json.to_lowercase()).is_err());
        assert!(serde_json::from_str::<NetworkNumber>("\"2222222223\"").is_err());
    }

    #[test]
    fn all_characters_are_drawn_equally_often() {
        let rng = SeededRng::new(1);
        let mut counts = [0_u32; PRIME];
        for _ in 0..31_000 {
            for character in &NetworkNumber::random(&rng).0[..LEN - 1] {
                counts[ALPHABET.iter().position(|c| c == character).unwrap()] += 1;
            }
        }
        // 9,000 expected each; five standard deviations are about 470.
        assert!(counts.iter().all(|count| count.abs_diff(9_000) < 470), "{counts:?}");
    }

    #[test]
    fn fuzz_any_bytes() {
        bolero::check!().for_each(|bytes: &[u8]| {
            if let Ok(text) = std::str::from_utf8(bytes) {
                let _ = NetworkNumber::parse(text);
            }
        });
    }
}
