//! Lays faults out as text: file, line, column, the place underlined, the remedy below.

use std::fmt;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::fault::{Fault, Severity};
use super::wording::escaped;
use crate::text::is_hostile;

/// The most faults that are shown. A file that is no config at all has one in each line, and each is
/// shown with its place in the whole text.
const MAX_SHOWN: usize = 100;

/// Everything that is wrong with one config; at least one thing, if it stands in an `Err`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    /// The file as it was named, fit for a terminal; `None` for flags.
    path: Option<String>,
    /// Its text, if it could be read.
    text: String,
    list: Vec<Fault>,
}

impl Faults {
    /// Faults of the file at `path`, in the order in which they stand in `text`.
    pub(super) fn in_file(path: &str, text: &str, mut list: Vec<Fault>) -> Faults {
        list.sort_by_key(|fault| fault.place.as_ref().map_or(0, |place| place.start));
        Faults { path: Some(escaped(path)), text: displayable(text), list }
    }

    /// Faults of flags, or without any file.
    pub(super) fn without_file(list: Vec<Fault>) -> Faults {
        Faults { path: None, text: String::new(), list }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.list.iter()
    }

    /// The faults one after the other, with a line between them. `colour` is for terminals.
    pub fn render(&self, colour: bool) -> String {
        let shown = self.list.iter().take(MAX_SHOWN);
        let mut rendered: Vec<_> = shown.map(|fault| self.render_one(fault, colour)).collect();
        rendered.extend(self.left_out().map(|(severity, title)| {
            let remedy = "mend the others first";
            message(severity, &title, Some(remedy), colour)
        }));
        rendered.join("\n\n")
    }

    /// How many faults are not shown, and how bad the worst of them is.
    fn left_out(&self) -> Option<(Severity, String)> {
        let left_out = self.list.get(MAX_SHOWN..).filter(|left_out| !left_out.is_empty())?;
        let is_error = |fault: &Fault| fault.severity() == Severity::Error;
        let is_bad = left_out.iter().any(is_error);
        let severity = if is_bad { Severity::Error } else { Severity::Warning };
        Some((severity, format!("{} further faults are not shown", left_out.len())))
    }

    /// The faults in one line each, for a log: place and title.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let lines = self.list.iter().take(MAX_SHOWN).map(|fault| {
            let title = fault.problem.title();
            match (&self.path, &fault.place) {
                (Some(path), Some(place)) => {
                    let (line, column) = self.position(place.start);
                    format!("{path}:{line}:{column}: {title}")
                }
                (Some(path), None) => format!("{path}: {title}"),
                (None, _) => title,
            }
        });
        lines.chain(self.left_out().map(|(_, title)| title))
    }

    /// Line and column of a byte, counted from 1, in characters.
    fn position(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    fn render_one(&self, fault: &Fault, colour: bool) -> String {
        let problem = &fault.problem;
        let (Some(path), Some(place)) = (&self.path, &fault.place) else {
            let title = match &self.path {
                Some(path) => format!("{path}: {}", problem.title()),
                None => problem.title(),
            };
            return message(fault.severity(), &title, problem.remedy().as_deref(), colour);
        };
        let level = match fault.severity() {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let primary = AnnotationKind::Primary.span(place.clone()).label(problem.label());
        let mut snippet = Snippet::source(&self.text).path(path).annotation(primary);
        if let Some((place, label)) = problem.related() {
            snippet = snippet.annotation(AnnotationKind::Context.span(place).label(label));
        }
        let group = level
            .primary_title(problem.title())
            .element(snippet)
            .elements(problem.remedy().map(|remedy| Level::HELP.message(remedy)));
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

/// A fault that is about no place in a file, in the form of those that are: what is wrong, and
/// what to do about it. The caller sees to it that there are no control characters in either.
pub fn message(severity: Severity, what: &str, remedy: Option<&str>, colour: bool) -> String {
    let (word, style) = match severity {
        Severity::Error => ("error", "\x1b[1;91m"),
        Severity::Warning => ("warning", "\x1b[1;33m"),
    };
    let (style, help, reset) = if colour { (style, "\x1b[1;96m", "\x1b[0m") } else { ("", "", "") };
    let mut text = format!("{style}{word}{reset}: {}", what.replace('\n', "\n       "));
    if let Some(remedy) = remedy {
        let remedy = remedy.replace('\n', "\n          ");
        text.push_str(&format!("\n  = {help}help{reset}: {remedy}"));
    }
    text
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Faults {}

/// The text without the control characters that TOML allows in strings and comments and that a
/// terminal obeys. Each has two bytes, and so has what replaces it: places stay where they are.
fn displayable(text: &str) -> String {
    text.chars()
        .map(|letter| match letter.len_utf8() {
            // ASCII is left to the renderer, which knows what ends a line.
            2 if is_hostile(letter) => '·',
            3 if is_hostile(letter) => '\u{fffd}',
            _ => letter,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fault::Problem;

    fn faults() -> Faults {
        let text = "name = \"\u{9b}31m\"\ndrain = \"5M\" # \u{202e}\u{61c}\n";
        let out_of_range = |place| {
            Fault::at(place, Problem::OutOfRange { key: "drain".into(), bounds: "at most 365d" })
        };
        let unused = Fault::of(Problem::UnusedPlugin { name: "vm".into() });
        let list = vec![out_of_range(23..27), out_of_range(7..14), unused];
        Faults::in_file("a\u{1b}b.toml", text, list)
    }

    /// Text without the sequences that colour it.
    fn without_colour(text: &str) -> String {
        let mut parts = text.split('\x1b');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
    }

    #[test]
    fn colour_changes_nothing_else() {
        let (plain, coloured) = (faults().render(false), faults().render(true));
        assert_ne!(plain, coloured);
        assert_eq!(plain, without_colour(&coloured));
    }

    #[test]
    fn control_characters_of_path_and_text_are_not_shown() {
        let plain = faults().render(false);
        assert!(!plain.contains(|letter: char| is_hostile(letter) && letter != '\n'), "{plain:?}");
    }

    #[test]
    fn a_hundred_faults_are_shown_and_the_others_counted() {
        let fault = Fault::of(Problem::UnusedPlugin { name: "vm".into() });
        let faults = |number| Faults::in_file("a.toml", "", vec![fault.clone(); number]);
        assert_eq!(faults(100).lines().count(), 100);
        assert_eq!(faults(102).lines().last().unwrap(), "2 further faults are not shown");
        let shown = faults(102).render(false);
        assert_eq!(shown.matches("no service uses").count(), 100);
        assert!(shown.contains("warning: 2 further faults are not shown"), "{shown}");
    }

    #[test]
    fn lines_have_place_and_title_in_the_order_of_the_file() {
        let lines: Vec<_> = faults().lines().collect();
        assert_eq!(
            lines,
            [
                "a\\u{1b}b.toml: no service uses the plugin `vm`",
                "a\\u{1b}b.toml:1:8: `drain` must be at most 365d",
                "a\\u{1b}b.toml:2:9: `drain` must be at most 365d",
            ]
        );
    }
}
