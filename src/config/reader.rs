//! Walks the tree of a TOML file and keeps account of its keys.
//!
//! A derived `Deserialize` ends at the first mistake. This reader goes on: what can't be read
//! becomes a [`Fault`] with its place, and the value is `None`, so that one run reports everything.
//! [`Table`] knows which keys it was asked for; in the end those that nobody asked for are unknown,
//! and those that somebody asked for are the ones that may have been meant.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Problem, Span, closest};
use super::values::{self, YEAR};

/// A value, with the key that it belongs to.
#[derive(Clone)]
pub(super) struct Value<'t> {
    /// The key as it is told to people: `cooldown`, `hooks.start`.
    pub(super) key: String,
    /// The place of the value.
    pub(super) place: Span,
    /// The value.
    pub(super) inner: &'t DeValue<'t>,
}

/// A table, of which keys are taken one after the other.
pub(super) struct Table<'t> {
    /// The table as it is told to people: `services.web`; empty for the top level.
    pub(super) section: String,
    /// The place to point to when something is missing.
    pub(super) place: Span,
    entries: &'t DeTable<'t>,
    known: Vec<&'static str>,
}

impl<'t> Table<'t> {
    /// The whole file.
    pub(super) fn root(entries: &'t DeTable<'t>) -> Table<'t> {
        Table { section: String::new(), place: 0..0, entries, known: Vec::new() }
    }

    /// A value that has to be a table.
    pub(super) fn of(
        value: &Value<'t>,
        section: String,
        place: Span,
        example: &'static str,
        faults: &mut Vec<Fault>,
    ) -> Option<Table<'t>> {
        match value.inner {
            DeValue::Table(entries) => Some(Table { section, place, entries, known: Vec::new() }),
            _ => {
                faults.push(value.wrong_type("a table", example));
                None
            }
        }
    }

    /// The value of `key`, if there is one.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'t>> {
        self.known.push(key);
        self.entries.get(key).map(|value| Value::new(key.into(), value))
    }

    /// The value of `key`, read by `read`, or `default` if there is none.
    pub(super) fn take_or<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Value<'t>, &mut Vec<Fault>) -> Option<T>,
        faults: &mut Vec<Fault>,
    ) -> Option<T> {
        match self.take(key) {
            Some(value) => read(&value, faults),
            None => Some(default),
        }
    }

    /// The value of `key`, read by `read`; without one it is a fault.
    pub(super) fn require<T>(
        &mut self,
        key: &'static str,
        example: &'static str,
        read: impl FnOnce(&Value<'t>, &mut Vec<Fault>) -> Option<T>,
        faults: &mut Vec<Fault>,
    ) -> Option<T> {
        if let Some(value) = self.take(key) {
            return read(&value, faults);
        }
        let section = self.section.clone();
        faults.push(Fault::at(self.place.clone(), Problem::MissingKey { key, section, example }));
        None
    }

    /// The place of `key`, as it is written.
    pub(super) fn place_of(&self, key: &str) -> Option<Span> {
        self.entries.get_key_value(key).map(|(key, _)| key.span())
    }

    /// All entries, in the order in which they are written: for tables whose keys are names.
    pub(super) fn entries(&self) -> Vec<(&'t str, Span, Value<'t>)> {
        in_order(self.entries)
            .map(|(key, value)| {
                let name = key.get_ref().as_ref();
                (name, key.span(), Value::new(name.to_owned(), value))
            })
            .collect()
    }

    /// Tells of the keys that nobody took.
    pub(super) fn finish(self, faults: &mut Vec<Fault>) {
        for (key, _) in in_order(self.entries) {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            faults.push(Fault::at(
                key.span(),
                Problem::UnknownKey {
                    key: name.to_owned(),
                    section: self.section.clone(),
                    meant: closest(name, self.known.iter().copied()).map(str::to_owned),
                    known: self.known.clone(),
                },
            ));
        }
    }
}

/// The entries in the order in which they are written: the tree sorts them by name.
fn in_order<'t>(
    entries: &'t DeTable<'t>,
) -> impl Iterator<Item = (&'t Spanned<toml::de::DeString<'t>>, &'t Spanned<DeValue<'t>>)> {
    let mut entries: Vec<_> = entries.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries.into_iter()
}

impl<'t> Value<'t> {
    fn new(key: String, value: &'t Spanned<DeValue<'t>>) -> Value<'t> {
        Value { key, place: value.span(), inner: value.get_ref() }
    }

    /// The same value with another name for its key.
    pub(super) fn called(&self, key: &str) -> Value<'t> {
        Value { key: key.to_owned(), ..self.clone() }
    }

    /// The fault that this is of another type than it has to be.
    pub(super) fn wrong_type(&self, wanted: &'static str, example: &'static str) -> Fault {
        let found = match self.inner {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let key = self.key.clone();
        Fault::at(self.place.clone(), Problem::WrongType { key, wanted, found, example })
    }

    /// The entries of a list, or this value alone where a list may be left out.
    pub(super) fn each(&self) -> Vec<Value<'t>> {
        match self.inner {
            DeValue::Array(items) => {
                items.iter().map(|item| Value::new(self.key.clone(), item)).collect()
            }
            _ => vec![self.clone()],
        }
    }

    /// Whether it is a list.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.inner, DeValue::Array(_))
    }

    /// A string.
    pub(super) fn text(
        &self,
        wanted: &'static str,
        example: &'static str,
        faults: &mut Vec<Fault>,
    ) -> Option<&'t str> {
        let text = self.inner.as_str();
        if text.is_none() {
            faults.push(self.wrong_type(wanted, example));
        }
        text
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, faults: &mut Vec<Fault>) -> Option<bool> {
        let flag = self.inner.as_bool();
        if flag.is_none() {
            faults.push(self.wrong_type("true or false", "`true` or `false`, without quotes"));
        }
        flag
    }

    /// A whole number from 1 to `most`.
    pub(super) fn count(
        &self,
        most: usize,
        bounds: &'static str,
        faults: &mut Vec<Fault>,
    ) -> Option<usize> {
        let Some(number) = self.inner.as_integer() else {
            faults
                .push(self.wrong_type("a whole number", "a number without quotes, such as `100`"));
            return None;
        };
        let count = i128::from_str_radix(number.as_str(), number.radix())
            .ok()
            .and_then(|number| usize::try_from(number).ok())
            .filter(|count| (1..=most).contains(count));
        if count.is_none() {
            faults.push(self.out_of_range(bounds));
        }
        count
    }

    /// A duration of at least `least`; `bounds` says so in words.
    pub(super) fn duration(
        &self,
        least: Duration,
        bounds: &'static str,
        faults: &mut Vec<Fault>,
    ) -> Option<Duration> {
        let text = self.text("a duration", "a string with a unit, such as `\"15m\"`", faults)?;
        match values::duration(text) {
            Ok(duration) if (least..=YEAR).contains(&duration) => Some(duration),
            Ok(_) => {
                faults.push(self.out_of_range(bounds));
                None
            }
            Err(mistake) => {
                let (key, text) = (self.key.clone(), text.to_owned());
                faults.push(self.fault(Problem::BadDuration { key, text, mistake }));
                None
            }
        }
    }

    /// A size in bytes within `allowed`; `bounds` says so in words.
    pub(super) fn size(
        &self,
        key: &'static str,
        allowed: RangeInclusive<u64>,
        bounds: &'static str,
        faults: &mut Vec<Fault>,
    ) -> Option<usize> {
        let text = self.text("a size", "a string with a unit, such as `\"64MiB\"`", faults)?;
        let Some(size) = values::size(text) else {
            faults.push(self.fault(Problem::BadSize { key, text: text.to_owned() }));
            return None;
        };
        let size = allowed.contains(&size).then(|| usize::try_from(size).ok()).flatten();
        if size.is_none() {
            faults.push(self.out_of_range(bounds));
        }
        size
    }

    /// The fault that this is too small or too large.
    pub(super) fn out_of_range(&self, bounds: &'static str) -> Fault {
        self.fault(Problem::OutOfRange { key: self.key.clone(), bounds })
    }

    /// A fault at this place.
    pub(super) fn fault(&self, problem: Problem) -> Fault {
        Fault::at(self.place.clone(), problem)
    }
}
