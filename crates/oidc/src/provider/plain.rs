//! Text that a person sees as it is: nothing that turns it around, hides in it, or piles up over it (Unicode UTR 36 section 2).

/// Whether all of a text is seen, and is what it seems.
pub(super) fn is_plain(text: &str) -> bool {
    let mut room = 0;
    text.chars().all(|c| {
        let height = height(c);
        let fits = height <= room;
        room = if height > 0 { room.saturating_sub(height) } else { 2 * u8::from(c.is_alphanumeric()) };
        fits && !c.is_control() && !is_hidden(c)
    })
}

/// What is not seen, or looks as another space does: `Default_Ignorable_Code_Point` and `Bidi_Control` of the Unicode Character Database,
/// separators and spaces but the ordinary two, Braille's empty cell, and what is no character.
fn is_hidden(c: char) -> bool {
    let ignorable = matches!(
        u32::from(c),
        0xad | 0x34f | 0x61c | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f | 0x200b..=0x200f | 0x202a..=0x202e
            | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xffff | 0x1bca0..=0x1bca3
            | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff
    );
    let space = c.is_whitespace() && !matches!(c, ' ' | '\u{3000}');
    ignorable || space || c == '\u{2800}'
}

/// How much of the room over and under a letter, which is two, a combining mark takes: those of every script all of it, so that a letter
/// has one; those of scripts that write vowels and tones so half. 0 for what is no mark.
fn height(c: char) -> u8 {
    if is_mark_of_every_script(c) { 2 } else { u8::from(is_mark_of_a_script(c)) }
}

fn is_mark_of_every_script(c: char) -> bool {
    matches!(
        u32::from(c),
        0x300..=0x36f | 0x483..=0x489 | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff | 0x20d0..=0x20ff | 0x2cef..=0x2cf1
            | 0x2de0..=0x2dff | 0x302a..=0x302f | 0x3099..=0x309a | 0xa66f..=0xa672 | 0xa674..=0xa67d | 0xa69e..=0xa69f
            | 0xfe20..=0xfe2f | 0x101fd | 0x1d165..=0x1d169 | 0x1d16d..=0x1d172 | 0x1d17b..=0x1d182 | 0x1d185..=0x1d18b
            | 0x1d1aa..=0x1d1ad | 0x1e000..=0x1e02a
    )
}

fn is_mark_of_a_script(c: char) -> bool {
    match u32::from(c) {
        // The scripts of India, whose blocks are alike.
        point @ 0x900..=0xd7f => matches!(point & 0x7f, 0..=3 | 0x3c | 0x3e..=0x4d | 0x51..=0x57 | 0x62..=0x63),
        // Hebrew, Arabic, Syriac, Thaana, N'Ko, Samaritan, Mandaic; Thai, Lao, Tibetan, Burmese, Khmer, Mongolian.
        point => matches!(
            point,
            0x591..=0x5bd | 0x5bf | 0x5c1..=0x5c2 | 0x5c4..=0x5c5 | 0x5c7 | 0x610..=0x61a | 0x64b..=0x65f | 0x670
                | 0x6d6..=0x6dc | 0x6df..=0x6e4 | 0x6e7..=0x6e8 | 0x6ea..=0x6ed | 0x711 | 0x730..=0x74a | 0x7a6..=0x7b0
                | 0x7eb..=0x7f3 | 0x816..=0x819 | 0x81b..=0x823 | 0x825..=0x827 | 0x829..=0x82d | 0x859..=0x85b
                | 0x898..=0x89f | 0x8ca..=0x8e1 | 0x8e3..=0x8ff | 0xe31 | 0xe34..=0xe3a | 0xe47..=0xe4e | 0xeb1
                | 0xeb4..=0xebc | 0xec8..=0xece | 0xf18..=0xf19 | 0xf35 | 0xf37 | 0xf39 | 0xf71..=0xf84 | 0xf86..=0xf87
                | 0xf8d..=0xfbc | 0x102b..=0x103e | 0x17b6..=0x17d3 | 0x18a9
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_hides_in_a_text_or_turns_it_around_is_not_plain() {
        for text in
            ["订单 0427，12.50 元 — £5", "甲\u{3000}乙", "Zoë", "Zoe\u{308}", "ที่นี่", "हिन्दी", "が", "か\u{3099}", ""]
        {
            assert!(is_plain(text), "{text:?}");
        }
        let hidden = [
            '\u{202e}',
            '\u{2066}',
            '\u{200b}',
            '\u{feff}',
            '\n',
            '\u{7f}',
            '\u{e0041}',
            '\u{2028}',
            '\u{61c}',
            '\u{ad}',
            '\u{34f}',
            '\u{115f}',
            '\u{1160}',
            '\u{3164}',
            '\u{ffa0}',
            '\u{180e}',
            '\u{2800}',
            '\u{fe00}',
            '\u{fe0f}',
            '\u{a0}',
            '\u{2003}',
            '\u{202f}',
            '\u{205f}',
            '\u{1680}',
            '\u{17b4}',
            '\u{1d173}',
        ];
        for c in hidden {
            assert!(!is_plain(&format!("a{c}b")), "{c:?}");
        }
    }

    #[test]
    fn marks_do_not_pile_up_over_a_letter_or_stand_alone() {
        let piled = [
            "e\u{308}\u{301}",
            "a\u{336}\u{336}",
            "\u{301}a",
            "a \u{301}",
            "1\u{20e3}\u{20e3}",
            "ท\u{e35}\u{e48}\u{e48}",
        ];
        for text in piled {
            assert!(!is_plain(text), "{text:?}");
        }
        assert!(is_plain("e\u{301}e\u{301}"), "the control");
    }

    proptest! {
        #[test]
        fn a_text_with_something_hidden_in_it_is_never_plain(before in "\\PC{0,8}", after in "\\PC{0,8}", hidden in any::<char>()) {
            let whole = format!("{before}{hidden}{after}");
            if is_hidden(hidden) || hidden.is_control() {
                prop_assert!(!is_plain(&whole));
            }
            if is_plain(&whole) {
                prop_assert!(whole.chars().all(|c| !c.is_control() && !is_hidden(c)));
                prop_assert!(is_plain(&before), "a beginning of what is plain");
            }
        }
    }
}
