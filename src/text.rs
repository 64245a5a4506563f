//! Text from outside, made fit for people: for logs, terminals, messages and names.
//!
//! The words of clients, hooks, plugins and files end up in logs and on terminals. Nothing in them may
//! move a cursor, fake a second log line, hide what is written, or fill a disk: [hostile](is_hostile)
//! characters are escaped, and long texts are cut. There is one set of hostile characters, here.

use std::borrow::Cow;
use std::fmt::Write as _;

/// How many bytes of one text are shown, as `wit/` promises.
pub const LONGEST: usize = 4 << 10;

const ELLIPSIS: char = '…';

/// `text` as one line of at most `limit` bytes: line breaks and all other control characters are
/// escaped.
pub fn line(text: &str, limit: usize) -> String {
    cut(text, limit, false)
}

/// `text` as at most `limit` bytes in which line breaks are the only control characters.
pub fn lines(text: &str, limit: usize) -> String {
    cut(text, limit, true)
}

fn cut(text: &str, limit: usize, keep_breaks: bool) -> String {
    let mut shown = String::with_capacity(text.len().min(limit));
    // Where the text has to end if one more character does not fit and "…" takes its place.
    let mut end = 0;
    for character in text.trim_end().chars() {
        if is_hostile(character) && !(keep_breaks && character == '\n') {
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

/// Bytes as text without hostile characters: `\x1b` for what is not UTF-8. Tabs stay.
pub fn bytes(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character != '\t' && is_hostile(character) {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            // Writing to a string can't fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// `text` with hostile characters escaped as in Rust (`\n`, `\u{1b}`). Everything else stays as it is.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_hostile(letter) {
            escaped.extend(letter.escape_default());
        } else {
            escaped.push(letter);
        }
    }
    Cow::Owned(escaped)
}

/// A line of JSON without hostile characters. JSON itself escapes C0 alone, and any other character
/// of this kind stands in a string, where it may be escaped as well.
pub fn json(line: &str) -> Cow<'_, str> {
    let is_bad = |letter: char| is_hostile(letter) && letter != '\n';
    if !line.contains(is_bad) {
        return Cow::Borrowed(line);
    }
    let mut escaped = String::with_capacity(line.len() + 16);
    for letter in line.chars() {
        if is_bad(letter) {
            // All of them are in the first plane.
            let _ = write!(escaped, "\\u{:04x}", u32::from(letter));
        } else {
            escaped.push(letter);
        }
    }
    Cow::Owned(escaped)
}

/// Whether a terminal obeys a character, or shows a text as something else than it is: control
/// characters (C0, DEL, C1), the separators of lines and paragraphs, what turns the direction of
/// writing, and the byte order mark, which is not seen.
pub fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // Marks of direction.
            '\u{61c}' | '\u{200e}' | '\u{200f}'
            // Separators of lines and paragraphs; embeddings and overrides; isolates.
            | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | '\u{feff}'
        )
}

/// Bytes as hexadecimal digits: how one writes a sum.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "text/fuzz.rs"]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_shown_as_bytes() {
        let line = b"ok\ttab \x1b[2J \xff\xfe bell\x07 \xe2\x80\xae reversed \xc3\xa4\xc2\x9b";
        assert_eq!(
            bytes(line),
            "ok\ttab \\u{1b}[2J \\xff\\xfe bell\\u{7} \\u{202e} reversed ä\\u{9b}"
        );
    }

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

    #[test]
    fn ordinary_text_stays_as_it_is() {
        let text = "Grüße, 世界: 100 % 🐁 'quoted' \"twice\" \\";
        assert!(matches!(printable(text), Cow::Borrowed(same) if same == text));
    }

    #[test]
    fn line_ends_are_escaped() {
        assert_eq!(printable("a\r\nb\tc"), "a\\r\\nb\\tc");
    }

    #[test]
    fn every_control_character_is_escaped() {
        for code in (0..0x20).chain(0x7f..0xa0) {
            let letter = char::from_u32(code).unwrap();
            let escaped = printable(&letter.to_string()).into_owned();
            assert!(escaped.starts_with('\\'), "{code:x}: {escaped:?}");
            assert!(escaped.is_ascii() && !escaped.contains(char::is_control), "{code:x}");
        }
        assert_eq!(printable("\u{1b}[31mred\u{9b}0m"), "\\u{1b}[31mred\\u{9b}0m");
    }

    #[test]
    fn every_turn_of_direction_is_escaped() {
        let turns = [
            '\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}',
            '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
        ];
        for turn in turns {
            let escaped = turn.escape_unicode().to_string();
            assert_eq!(printable(&turn.to_string()), escaped);
            assert_eq!(line(&turn.to_string(), 100), escaped);
            assert_eq!(bytes(turn.to_string().as_bytes()), escaped);
        }
    }

    #[test]
    fn json_stays_json_with_the_same_meaning() {
        let text = "\u{9b}31m \u{7f} \u{202e} \u{2028} ä \u{1b}[0m";
        let line = format!("{}\n", serde_json::json!({ "message": text }));
        let escaped = json(&line);
        assert!(!escaped.trim_end().contains(is_hostile), "{escaped:?}");
        let parsed: serde_json::Value = serde_json::from_str(&escaped).unwrap();
        assert_eq!(parsed["message"], text);
    }
}
