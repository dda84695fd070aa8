//! What people type into a box for a number: full-width characters, spaces and hyphens are forgiven, nothing else.

/// The longest text we look at; every number we know is far shorter.
const MAX_CHARS: usize = 64;

/// Upper-case ASCII letters and digits of `text`. Full-width forms (U+FF01 to U+FF5E) become ASCII; spaces and hyphens
/// of any kind are dropped. `None` if anything else is left, or if the text is longer than 64 characters.
pub(crate) fn alphanumeric(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len().min(MAX_CHARS));
    for (position, typed) in text.chars().enumerate() {
        if position == MAX_CHARS {
            return None;
        }
        let c = half_width(typed);
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_uppercase());
        } else if !c.is_whitespace() && !is_hyphen(c) {
            return None;
        }
    }
    Some(out)
}

/// The ASCII character of a full-width form; any other character as it is.
pub(crate) fn half_width(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        _ => c,
    }
}

/// Hyphen-minus, soft hyphen, the dashes of General Punctuation, the minus sign.
fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{ad}' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn full_width_digits_spaces_and_hyphens_are_forgiven() {
        assert_eq!(alphanumeric(" １２　3-4–5ｘ").as_deref(), Some("12345X"));
        assert_eq!(alphanumeric("12_3"), None);
        assert_eq!(alphanumeric("一二三"), None);
        assert_eq!(alphanumeric(&"1".repeat(65)), None);
    }

    proptest! {
        #[test]
        fn the_result_is_always_short_upper_case_ascii(text in "\\PC*") {
            if let Some(out) = alphanumeric(&text) {
                prop_assert!(out.len() <= MAX_CHARS);
                prop_assert!(out.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()));
                prop_assert_eq!(alphanumeric(&out), Some(out));
            }
        }
    }
}
