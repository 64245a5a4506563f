//! Fuzz target of the record of what is under way: what was written is read.

use super::{Content, RecordError, decode, encode};

#[test]
fn phase_records() {
    bolero::check!(name = "phase_records").with_iterations(2000).for_each(|input: &[u8]| {
        match decode(input) {
            Ok(content) => {
                let again: Result<Content, RecordError> = decode(encode(&content).as_bytes());
                assert_eq!(again.expect("what was written"), content);
            }
            Err(RecordError::Damaged | RecordError::Newer) => {}
            Err(error) => panic!("{error}"),
        }
    });
}
