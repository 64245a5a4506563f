//! Fuzz target of state files: what was kept is read, and a damaged file is refused.

use std::path::Path;

use super::{HEADER, Values, decode, encode_values, file_name};
use sha2::{Digest as _, Sha256};

#[test]
fn state_files() {
    bolero::check!(name = "state_files").with_iterations(1000).for_each(|input: &[u8]| {
        // As a whole file, and as the body of a file with the right sum.
        let with_sum = [HEADER, Sha256::digest(input).as_slice(), input].concat();
        for file in [input, &with_sum] {
            let Some(values) = decode(file) else { continue };
            let kept: usize = values.iter().map(|(key, value)| key.len() + value.len()).sum();
            assert!(kept <= file.len(), "{kept} bytes from a file of {}", file.len());
            let written = encode_values(&values);
            assert_eq!(decode(&written), Some(values));
            check_damage(written, input);
        }
        check_values(input);
    });
}

/// Any values come back as they were.
fn check_values(input: &[u8]) {
    let mut values = Values::new();
    for (number, entry) in input.split(|byte| *byte == b'\n').enumerate() {
        let (key, value) = entry.split_at(entry.len() / 3);
        values.insert(format!("{number}{}", String::from_utf8_lossy(key)), value.to_vec());
    }
    assert_eq!(decode(&encode_values(&values)), Some(values));
}

/// One changed bit makes a file that is refused.
fn check_damage(mut file: Vec<u8>, input: &[u8]) {
    let at = input.iter().map(|byte| usize::from(*byte)).sum::<usize>() % file.len();
    file[at] ^= 1;
    assert_eq!(decode(&file), None);
}

#[test]
fn file_names() {
    bolero::check!(name = "file_names").with_iterations(1000).with_max_len(300).for_each(
        |input: &[u8]| {
            let text = String::from_utf8_lossy(input);
            let (plugin, service) = text.split_once('\n').unwrap_or((&text, "web"));
            let name = file_name(plugin, false, service, "state");
            let file = Path::new("/state").join(&name);
            assert_eq!(file.parent(), Some(Path::new("/state")), "{name:?} leads elsewhere");
            assert!(name.len() < 250 && name.is_ascii() && !name.starts_with('.'));
            assert_ne!(name, file_name(plugin, true, service, "state"));
            assert_ne!(name, file_name(&format!("{plugin}x"), false, service, "state"));
        },
    );
}
