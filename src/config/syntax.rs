//! Text that is no TOML.
//!
//! The parser says what it expected, in the words of a grammar. Most often somebody has left out
//! quotes; so the text at the place is looked at, and what is found there is said instead.

use toml::de::Error;

use super::fault::{Fault, Problem, Span};

/// The faults of a text that the parser refused: the first of each line, since those that follow
/// it come of it.
pub(super) fn faults(mut errors: Vec<Error>, text: &str) -> Vec<Fault> {
    errors.sort_by_key(|error| error.span().map(|place| place.start));
    // The lines are counted once for all errors: a text may have a million of both.
    let (mut counted, mut line, mut last) = (0, 0, None);
    errors.retain(|error| {
        let here = error.span().map(|place| {
            line += text.get(counted..place.start).unwrap_or_default().matches('\n').count();
            counted = counted.max(place.start);
            line
        });
        last.replace(here) != Some(here)
    });
    errors.iter().map(|error| fault(error, text)).collect()
}

fn fault(error: &Error, text: &str) -> Fault {
    let message = error.message();
    let Some(place) = error.span() else {
        return Fault::of(Problem::Syntax { message: message.to_owned(), remedy: None });
    };
    if is_about_a_value(message)
        && let Some(place) = bare_word(text, place.start)
    {
        let (message, remedy) = unquoted(&text[place.clone()]);
        return Fault::at(place, Problem::Syntax { message, remedy: Some(remedy) });
    }
    let remedy = remedy(message, text, &place).map(str::to_owned);
    // What the parser calls nothing tells nobody anything.
    let message = message.trim_end_matches(", expected nothing").to_owned();
    Fault::at(place, Problem::Syntax { message, remedy })
}

/// Whether the parser did not understand a value, or found none.
fn is_about_a_value(message: &str) -> bool {
    let words = [
        "must be quoted",
        "invalid float",
        "invalid integer",
        "invalid boolean",
        "invalid mantissa",
        "invalid fraction",
        "invalid exponent",
        "invalid date",
        "invalid time",
        "invalid number",
    ];
    words.iter().any(|word| message.contains(word))
}

/// The word around a place that stands where a value does; empty if there is none.
fn bare_word(text: &str, at: usize) -> Option<Span> {
    let ends =
        |letter: char| letter.is_whitespace() || matches!(letter, ',' | '[' | ']' | '{' | '}');
    let before = text.get(..at)?;
    let is_start = |letter: char| ends(letter) || letter == '=';
    let start = before
        .rfind(is_start)
        .map_or(0, |at| at + before[at..].chars().next().map_or(0, char::len_utf8));
    let rest = text.get(start..)?;
    let end = start + rest.find(|letter| ends(letter) || letter == '#').unwrap_or(rest.len());
    let word = &text[start..end];
    (!word.starts_with(['"', '\''])).then_some(start..end)
}

/// What is wrong with a word that stands where a value must, and what to write.
fn unquoted(word: &str) -> (String, String) {
    match word.to_lowercase().as_str() {
        "" => (
            "the value is missing".into(),
            "write it behind the `=`, texts in quotes: `listen = \"0.0.0.0:8080\"`".into(),
        ),
        "yes" | "true" | "on" => ("this is not a value".into(), "write it as `true`".into()),
        "no" | "false" | "off" => (
            "this is not a value".into(),
            "write it as `false`; where the key takes words, as \"off\"".into(),
        ),
        _ => {
            let curly = ['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}'];
            let inner = word.trim_matches(curly);
            let message = if inner.len() < word.len() {
                "these are not the quotes of TOML"
            } else {
                "a text without quotes"
            };
            (message.into(), format!("write it as \"{}\"", inner.replace(['"', '\\'], "")))
        }
    }
}

/// What to do about everything else.
fn remedy(message: &str, text: &str, place: &Span) -> Option<&'static str> {
    let found = text.get(place.start..).unwrap_or_default();
    if message.contains("duplicate key") {
        Some("each key and each `[table]` may stand there once: delete one, or rename it")
    } else if message.contains("key with no value") || found.starts_with(':') {
        Some("between key and value stands `=`: `cooldown = \"15m\"`")
    } else if message.contains("string, expected") {
        Some("close the quotes")
    } else if message.contains("escape") {
        Some("write `\\\\` for a backslash, or put the text into single quotes")
    } else if message.contains("unclosed table") {
        Some("close the brackets: `[services.web]`")
    } else if message.contains("missing comma") {
        Some("put a comma between them")
    } else if message.contains("unexpected key or value") {
        Some("put it on a line of its own")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;

    /// The places, messages and remedies of what is wrong with a text.
    fn told(text: &str) -> Vec<(&str, String, Option<String>)> {
        let (_, errors) = DeTable::parse_recoverable(text);
        faults(errors, text)
            .into_iter()
            .map(|fault| match (fault.place, fault.problem) {
                (Some(place), Problem::Syntax { message, remedy }) => {
                    (text.get(place).unwrap_or_default(), message, remedy)
                }
                (place, problem) => panic!("not of a place in the text: {place:?} {problem:?}"),
            })
            .collect()
    }

    #[test]
    fn a_text_without_quotes_is_shown_as_a_whole_and_quoted() {
        for word in ["0.0.0.0:80", "hello", "15m", "1h30m", "./start.sh", "/start.sh"] {
            let text = format!("a = {word}\n");
            let remedy = Some(format!("write it as \"{word}\""));
            assert_eq!(told(&text), [(word, "a text without quotes".into(), remedy)], "{text}");
        }
    }

    #[test]
    fn a_text_without_quotes_is_found_in_lists_and_inline_tables() {
        assert_eq!(told("a = [0.0.0.0:80, \"x\"]")[0].0, "0.0.0.0:80");
        assert_eq!(told("a = { b = ./x.sh }")[0].0, "./x.sh");
    }

    #[test]
    fn a_word_for_yes_becomes_true() {
        for word in ["yes", "True", "on"] {
            let text = format!("a = {word}");
            assert_eq!(told(&text)[0].2.as_deref(), Some("write it as `true`"), "{word}");
        }
    }

    #[test]
    fn a_missing_value_is_told() {
        assert_eq!(told("a =\nb = 1\n")[0].1, "the value is missing");
    }

    #[test]
    fn quotes_of_a_word_processor_are_told() {
        let told = told("a = \u{201c}x\u{201d}\n");
        assert_eq!(told[0].1, "these are not the quotes of TOML");
        assert_eq!(told[0].2.as_deref(), Some("write it as \"x\""));
    }

    #[test]
    fn a_line_is_told_of_once() {
        assert_eq!(told("a = ./x ./y ./z\nb: 1\n").len(), 2);
    }

    #[test]
    fn a_colon_is_no_equals_sign() {
        let told = told("a: 1\n");
        assert_eq!(
            told[0].2.as_deref(),
            Some("between key and value stands `=`: `cooldown = \"15m\"`")
        );
    }
}
