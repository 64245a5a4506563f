//! Text of strangers, made fit for a message.

/// The text without control characters, which a terminal would obey. A tab becomes a space.
pub(crate) fn printable(text: &str) -> String {
    let spaced = text.chars().map(|character| if character == '\t' { ' ' } else { character });
    spaced.filter(|character| !character.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn control_characters_are_left_out() {
        assert_eq!(printable("a\tb\x1b[2J\r\n\u{9b}ü"), "a b[2Jü");
    }
}
