//! Text from outside, made fit for a line of a log.

use std::borrow::Cow;
use std::fmt::Write as _;

/// `text` without a character that a terminal obeys or that ends a line: control characters (C0,
/// DEL, C1), the separators of lines and paragraphs, and what turns the direction of writing are
/// escaped as in Rust (`\n`, `\u{1b}`). Everything else stays as it is.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '\n' | '\r' | '\t' => escaped.extend(letter.escape_default()),
            letter if is_unprintable(letter) => escaped.extend(letter.escape_unicode()),
            letter => escaped.push(letter),
        }
    }
    Cow::Owned(escaped)
}

/// A line of JSON without such characters. JSON itself escapes C0 alone, and any other character
/// of this kind stands in a string, where it may be escaped as well.
pub(super) fn json(line: &str) -> Cow<'_, str> {
    let is_bad = |letter: char| is_unprintable(letter) && letter != '\n';
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

fn is_unprintable(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            // Marks of direction, embeddings and overrides, isolates.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Separators of lines and paragraphs.
            | '\u{2028}' | '\u{2029}'
        )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use super::*;

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
            assert_eq!(printable(&turn.to_string()), turn.escape_unicode().to_string());
        }
    }

    #[test]
    fn json_stays_json_with_the_same_meaning() {
        let text = "\u{9b}31m \u{7f} \u{202e} \u{2028} ä \u{1b}[0m";
        let line = format!("{}\n", serde_json::json!({ "message": text }));
        let escaped = json(&line);
        assert!(!escaped.trim_end().contains(is_unprintable), "{escaped:?}");
        let parsed: serde_json::Value = serde_json::from_str(&escaped).unwrap();
        assert_eq!(parsed["message"], text);
    }
}
