//! Lays faults out as text: file, line, column, the place underlined, the remedy below.

use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::fault::{Fault, Severity, shown};

/// Everything that is wrong with one config; at least one thing, if it stands in an `Err`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    /// The file as it was named; `None` for flags.
    path: Option<String>,
    /// Its text, if it could be read.
    text: String,
    list: Vec<Fault>,
}

impl Faults {
    /// Faults of the file at `path`, in the order in which they stand in `text`.
    pub(super) fn in_file(path: String, text: &str, mut list: Vec<Fault>) -> Faults {
        list.sort_by_key(|fault| fault.place.as_ref().map_or(0, |place| place.start));
        Faults { path: Some(path), text: displayable(text), list }
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
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let rendered: Vec<_> =
            self.list.iter().map(|fault| renderer.render(&[self.group(fault)])).collect();
        rendered.join("\n\n")
    }

    /// The faults in one line each, for a log: place and title.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.list.iter().map(|fault| {
            let title = fault.problem.title();
            match (&self.path, &fault.place) {
                (Some(path), Some(place)) => {
                    let (line, column) = self.position(place.start);
                    format!("{}:{line}:{column}: {title}", shown(path))
                }
                (Some(path), None) => format!("{}: {title}", shown(path)),
                (None, _) => title,
            }
        })
    }

    /// Line and column of a byte, counted from 1, in characters.
    fn position(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    fn group<'a>(&'a self, fault: &'a Fault) -> Group<'a> {
        let level = match fault.severity() {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let problem = &fault.problem;
        let mut group = Group::with_title(level.primary_title(problem.title()));
        match (&self.path, &fault.place) {
            (Some(path), Some(place)) => {
                let primary = AnnotationKind::Primary.span(place.clone()).label(problem.label());
                let mut snippet = Snippet::source(&self.text).path(path).annotation(primary);
                if let Some((place, label)) = problem.related() {
                    snippet = snippet.annotation(AnnotationKind::Context.span(place).label(label));
                }
                group = group.element(snippet);
            }
            (Some(path), None) => group = group.element(Origin::path(path)),
            (None, _) => {}
        }
        group.elements(problem.remedy().map(|remedy| Level::HELP.message(remedy)))
    }
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
        .map(|letter| if ('\u{80}'..='\u{9f}').contains(&letter) { '·' } else { letter })
        .collect()
}
