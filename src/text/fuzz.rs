//! Fuzz targets of text for people, and what the fuzz targets of other modules share.

use std::borrow::Cow;

use super::*;

/// The text that an input stands for. An input that is UTF-8 is the text itself. In any other input,
/// each byte stands for one of `words`. Random bytes are rarely UTF-8, so they become texts that a
/// parser does not refuse at its first character.
pub(crate) fn text_of<'i>(input: &'i [u8], words: &[&str]) -> Cow<'i, str> {
    match std::str::from_utf8(input) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            let word = |byte: &u8| words[usize::from(*byte) % words.len()];
            Cow::Owned(input.iter().map(word).collect())
        }
    }
}

/// Fails if a terminal would obey a character of `shown`. Line breaks are allowed.
pub(crate) fn assert_harmless(shown: &str) {
    let hostile = shown.chars().find(|letter| *letter != '\n' && is_hostile(*letter));
    assert_eq!(hostile, None, "in {shown:?}");
}

const WORDS: &[&str] = &[
    "a",
    "ä",
    "🐁",
    " ",
    "\n",
    "\r",
    "\t",
    "\0",
    "\u{1b}[2J",
    "\u{9b}",
    "\u{202e}",
    "\u{2066}",
    "\u{feff}",
    "\u{2028}",
    "\\",
    "\"",
    "…",
    "long and longer ",
];

#[test]
fn texts_for_people() {
    bolero::check!(name = "texts_for_people").with_iterations(1000).for_each(|input: &[u8]| {
        let text = text_of(input, WORDS);
        assert_harmless(&printable(&text));
        assert_harmless(&bytes(input).replace('\t', ""));
        assert!(!printable(&text).contains('\n'));
        assert!(!bytes(input).contains('\n'));
        // What is harmless is shown as it is.
        assert_eq!(printable(&printable(&text)), printable(&text));
        for limit in [3, 10, 100, LONGEST] {
            let (one, several) = (line(&text, limit), lines(&text, limit));
            assert_harmless(&one);
            assert_harmless(&several);
            assert!(!one.contains('\n'));
            assert!(one.len() <= limit && several.len() <= limit, "longer than {limit}");
        }
        let written = serde_json::json!({ "text": text }).to_string();
        let escaped = json(&written);
        assert_harmless(&escaped);
        let read: serde_json::Value = serde_json::from_str(&escaped).expect("it is still JSON");
        assert_eq!(read["text"], *text);
    });
}
