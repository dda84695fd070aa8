//! What a person tells a platform so that it can ask their wallet: ten digits, good for two minutes (decision 0029).

use hufu_kernel::{Rng, random};
use std::fmt;

/// Digits that are drawn; one more checks them.
const DRAWN: usize = 9;

/// Damm's table: one wrong digit, or two neighbours exchanged, give another check digit (H. M. Damm, 2004).
const TABLE: [[u8; 10]; 10] = [
    [0, 3, 1, 7, 5, 9, 8, 6, 4, 2],
    [7, 0, 9, 2, 1, 5, 4, 8, 6, 3],
    [4, 2, 0, 6, 8, 7, 1, 3, 5, 9],
    [1, 7, 5, 0, 9, 8, 3, 4, 2, 6],
    [6, 1, 2, 3, 0, 4, 5, 9, 7, 8],
    [3, 6, 7, 4, 2, 0, 9, 5, 8, 1],
    [5, 8, 6, 9, 7, 2, 0, 1, 3, 4],
    [8, 9, 4, 5, 3, 6, 2, 0, 1, 7],
    [9, 4, 3, 8, 6, 1, 7, 2, 0, 5],
    [2, 5, 8, 1, 4, 3, 6, 7, 9, 0],
];

/// Ten digits, the last of which checks the others.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct WaitingCode([u8; DRAWN + 1]);

/// What Damm's table makes of these digits: zero for digits with their check digit.
fn damm(digits: &[u8]) -> u8 {
    digits.iter().fold(0, |at, digit| TABLE[usize::from(at)][usize::from(*digit)])
}

impl WaitingCode {
    /// A new one.
    #[must_use]
    pub fn draw(rng: &dyn Rng) -> Self {
        let mut rest = u64::from_be_bytes(random(rng));
        let mut digits = [0; DRAWN + 1];
        for digit in &mut digits[..DRAWN] {
            *digit = u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
        digits[DRAWN] = damm(&digits[..DRAWN]);
        Self(digits)
    }

    /// Reads a code as a person told it: ten digits, with spaces or hyphens or without. `None` also if the check digit is another one.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let told = text.chars().filter(|c| *c != ' ' && *c != '-');
        let digits: Vec<u8> = told.map(|c| c.to_digit(10).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
        let digits: [u8; DRAWN + 1] = digits.try_into().ok()?;
        (damm(&digits) == 0).then_some(Self(digits))
    }
}

/// In two groups of five, as a person reads it out.
impl fmt::Display for WaitingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |digit: &u8| char::from(b'0' + digit);
        let text: String = self.0.iter().map(digit).collect();
        write!(f, "{} {}", &text[..5], &text[5..])
    }
}

/// Never the digits: whoever reads a log must not be able to ask in a platform's name.
impl fmt::Debug for WaitingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WaitingCode")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_kernel::SeededRng;
    use proptest::prelude::*;

    #[test]
    fn the_table_is_damms() {
        // The example of the thesis: 572 has the check digit 4.
        assert_eq!(damm(&[5, 7, 2]), 4);
        assert_eq!(damm(&[5, 7, 2, 4]), 0);
    }

    proptest! {
        #[test]
        fn a_code_reads_back_and_a_slip_of_one_digit_is_noticed(seed: u64, at in 0..10_usize, by in 1..10_u8) {
            let code = WaitingCode::draw(&SeededRng::new(seed));
            let text = code.to_string();
            prop_assert_eq!(text.len(), 11);
            prop_assert_eq!(WaitingCode::read(&text), Some(code));
            prop_assert_eq!(WaitingCode::read(&text.replace(' ', "")), Some(code));
            let mut digits = code.0;
            digits[at] = (digits[at] + by) % 10;
            prop_assert_eq!(WaitingCode::read(&WaitingCode(digits).to_string()), None);
            let mut digits = code.0;
            digits.swap(at, (at + 1) % 10);
            if digits != code.0 && at < 9 {
                prop_assert_eq!(WaitingCode::read(&WaitingCode(digits).to_string()), None);
            }
        }

        #[test]
        fn what_is_read_has_ten_digits(text in "\\PC{0,16}") {
            if let Some(code) = WaitingCode::read(&text) {
                prop_assert_eq!(text.chars().filter(char::is_ascii_digit).count(), 10);
                prop_assert_eq!(format!("{code:?}"), "WaitingCode");
            }
        }
    }
}
