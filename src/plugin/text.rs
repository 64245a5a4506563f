//! Text from a plugin, made fit to be shown to people.
//!
//! A plugin's words end up in logs and on terminals. Nothing that it writes may move a cursor, fake
//! a second log line, or fill a disk: control characters are escaped, and long texts are cut.

/// How many bytes of one text are shown, as `wit/` promises.
pub(super) const LONGEST: usize = 4 << 10;

const ELLIPSIS: char = '…';

/// `text` as one line of at most `limit` bytes: line breaks and all other control characters are
/// escaped.
pub(super) fn line(text: &str, limit: usize) -> String {
    printable(text, limit, false)
}

/// `text` as at most `limit` bytes in which line breaks are the only control characters.
pub(super) fn lines(text: &str, limit: usize) -> String {
    printable(text, limit, true)
}

fn printable(text: &str, limit: usize, keep_breaks: bool) -> String {
    let mut shown = String::with_capacity(text.len().min(limit));
    // Where the text has to end if one more character does not fit and "…" takes its place.
    let mut end = 0;
    for character in text.trim_end().chars() {
        if hostile(character) && !(keep_breaks && character == '\n') {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
        if shown.len() > limit {
            shown.truncate(end);
            shown.push(ELLIPSIS);
            break;
        }
        if shown.len() + ELLIPSIS.len_utf8() <= limit {
            end = shown.len();
        }
    }
    shown
}

/// Control characters, and those that change the direction of text or break lines where nobody
/// sees it.
pub(super) fn hostile(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

/// Bytes as hexadecimal digits: how one writes a sum.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(line("a\u{1b}[2Jb\nc\td\u{0}\u{9b}", 100), r"a\u{1b}[2Jb\nc\td\u{0}\u{9b}");
    }

    #[test]
    fn characters_that_turn_the_direction_of_text_are_escaped() {
        assert_eq!(line("a\u{202e}b\u{2066}", 100), r"a\u{202e}b\u{2066}");
    }

    #[test]
    fn several_lines_keep_their_breaks_and_nothing_else() {
        assert_eq!(lines("a\nb\r\nc\n", 100), "a\nb\\r\nc");
    }

    #[test]
    fn a_text_that_fits_exactly_is_not_cut() {
        assert_eq!(line("äöü", 6), "äöü");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(line("ääääää", 8), "ää…");
        assert_eq!(line("aaaaaaaaa", 8), "aaaaa…");
        for limit in 3..20 {
            let cut = line(&"ä\u{1b}".repeat(20), limit);
            assert!(cut.len() <= limit, "{cut:?} is longer than {limit} bytes");
            assert!(cut.ends_with('…'));
        }
    }
}
