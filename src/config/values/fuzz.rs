//! Fuzz target of single values: durations, sizes, sums, names and programs.

use std::path::{Component, Path};

use super::{Folder, duration, is_good_name, sha256, size};
use crate::config::fault::{Fault, Problem};
use crate::config::fuzz::check_fault;
use crate::text;
use crate::text::fuzz::text_of;

const WORDS: &[&str] = &[
    "90",
    "1",
    "0",
    "18446744073709551615",
    ".5",
    "-",
    "+",
    " ",
    "s",
    "m",
    "M",
    "h",
    "d",
    "w",
    "ms",
    "us",
    "ns",
    "y",
    "month",
    "sec",
    "KiB",
    "MiB",
    "kB",
    "B",
    "TiB",
    "EiB",
    "e9",
    "a",
    "F",
    "/",
    "./",
    "../",
    "~",
    "~/",
    "\0",
    "\u{202e}",
    "\u{1b}",
    "ä",
    "µs",
    "x",
];

#[test]
fn values() {
    bolero::check!(name = "values").with_iterations(2000).with_max_len(70).for_each(
        |input: &[u8]| {
            let text = text_of(input, WORDS);
            match duration(&text) {
                Ok(time) => {
                    let shown = humantime::format_duration(time).to_string();
                    assert_eq!(duration(&shown), Ok(time), "{text:?} is {shown:?}");
                }
                Err(mistake) => {
                    let (key, text) = ("cooldown".to_owned(), text.clone().into_owned());
                    check_fault(Fault::of(Problem::BadDuration { key, text, mistake }));
                }
            }
            match size(&text) {
                Some(bytes) => assert_eq!(size(&format!("{bytes}B")), Some(bytes), "{text:?}"),
                None => {
                    let text = text.clone().into_owned();
                    check_fault(Fault::of(Problem::BadSize { key: "memory", text }));
                }
            }
            if let Some(sum) = sha256(&text) {
                assert_eq!(text::hex(&sum), text.to_ascii_lowercase());
            }
            if is_good_name(&text) {
                let file = Path::new("/state").join(&*text);
                assert_eq!(file.parent(), Some(Path::new("/state")), "{text:?} leads elsewhere");
                assert_eq!(text::printable(&text), text);
            }
            let folder = Folder::new(Path::new("/srv")).expect("an absolute path");
            match folder.program(&text) {
                Ok(program) => {
                    assert!(!program.contains('\0'));
                    assert_eq!(program.contains('/'), program.starts_with('/'), "{program:?}");
                    let is_dot = |part| program.contains('/') && part == Component::CurDir;
                    assert!(!Path::new(&program).components().any(is_dot), "{program:?}");
                    assert_eq!(folder.program(&program).as_ref(), Ok(&program));
                }
                Err(mistake) => {
                    let (key, text) = ("start".to_owned(), text.clone().into_owned());
                    check_fault(Fault::of(Problem::BadProgram { key, text, mistake }));
                }
            }
        },
    );
}
