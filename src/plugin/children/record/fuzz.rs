//! Fuzz target of the record of children: what was written is read.

use super::{Record, decode};

#[test]
fn children_records() {
    bolero::check!(name = "children_records").with_iterations(2000).for_each(|input: &[u8]| {
        let Ok(value) = serde_json::from_slice(input) else { return };
        let Some(record) = decode(&value) else { return };
        let written = record.encode().to_string();
        let again: Option<Record> = decode(&serde_json::from_str(&written).expect("JSON"));
        assert_eq!(again, Some(record));
    });
}
