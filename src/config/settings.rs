//! Settings: a table of the config that a plugin gets as JSON.

use toml::de::DeValue;

use super::fault::{Fault, Problem};
use super::reader::{Table, Value};

/// Settings as they could be.
pub(super) const EXAMPLE: &str = "a table, such as `{ container = \"mc\" }`";

/// What a plugin without settings gets.
pub(super) fn none() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

/// `settings`: a table that the plugin gets as JSON.
pub(super) fn read(value: &Value<'_>, faults: &mut Vec<Fault>) -> Option<serde_json::Value> {
    if !matches!(value.inner, DeValue::Table(_)) {
        faults.push(value.wrong_type("a table", EXAMPLE));
        return None;
    }
    json(value, faults)
}

/// A whole file of settings, which the plugin gets as JSON.
pub(super) fn read_all(table: &Table<'_>, faults: &mut Vec<Fault>) -> Option<serde_json::Value> {
    let entries = table.entries().into_iter();
    // Each is read, so that each fault is told.
    let entries: Vec<_> =
        entries.map(|(name, _, value)| Some((name.to_owned(), json(&value, faults)?))).collect();
    entries.into_iter().collect::<Option<serde_json::Map<_, _>>>().map(Into::into)
}

/// A value as JSON; dates become strings.
fn json(value: &Value<'_>, faults: &mut Vec<Fault>) -> Option<serde_json::Value> {
    let not_json = |text: &str| {
        let (key, text) = (value.key.clone(), text.to_owned());
        value.fault(Problem::NotJson { key, text })
    };
    match value.inner {
        DeValue::String(text) => Some(text.as_ref().into()),
        DeValue::Boolean(flag) => Some((*flag).into()),
        DeValue::Datetime(date) => Some(date.to_string().into()),
        DeValue::Integer(number) => {
            let parsed = i64::from_str_radix(number.as_str(), number.radix());
            parsed.map_err(|_| faults.push(not_json(number.as_str()))).ok().map(Into::into)
        }
        DeValue::Float(number) => {
            let parsed = number.as_str().parse().ok().and_then(serde_json::Number::from_f64);
            if parsed.is_none() {
                faults.push(not_json(number.as_str()));
            }
            parsed.map(serde_json::Value::Number)
        }
        DeValue::Array(_) => {
            let items: Vec<_> = value.each().iter().map(|item| json(item, faults)).collect();
            items.into_iter().collect::<Option<Vec<_>>>().map(Into::into)
        }
        DeValue::Table(entries) => {
            let entries = Table::root(entries).entries();
            let entries: Vec<_> = entries
                .into_iter()
                .map(|(name, _, value)| Some((name.to_owned(), json(&value, faults)?)))
                .collect();
            entries.into_iter().collect::<Option<serde_json::Map<_, _>>>().map(Into::into)
        }
    }
}
