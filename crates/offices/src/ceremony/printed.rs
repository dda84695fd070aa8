//! What others wrote, as it is shown to people: no character of it commands a terminal or hides what stands beside it.

/// Control characters, and those that are not seen or change the direction of others, are written as their numbers.
#[must_use]
pub fn printed(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for one in text.chars() {
        if is_seen(one) {
            shown.push(one);
        } else {
            shown.extend(one.escape_unicode());
        }
    }
    shown
}

fn is_seen(one: char) -> bool {
    let hides = matches!(
        u32::from(one),
        0xad | 0x61c | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfe00..=0xfe0f | 0xfeff | 0xfff0..=0xfffb
            | 0xe0000..=0xe0fff
    );
    !one.is_control() && !hides
}

/// The same of many, with this between them.
pub(super) fn all<'a>(texts: impl IntoIterator<Item = &'a String>, between: &str) -> String {
    texts.into_iter().map(|text| printed(text)).collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_a_terminal_is_written_as_its_number() {
        assert_eq!(printed("k-12.1 北, … north"), "k-12.1 北, … north");
        assert_eq!(printed("a\u{1b}[8m\r\n\u{202e}b\u{9b}"), "a\\u{1b}[8m\\u{d}\\u{a}\\u{202e}b\\u{9b}");
    }
}
