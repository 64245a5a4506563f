//! Fuzz target of HTTP paths: a server that reads a path in another way stays within the grant.

use super::{HttpPath, PathMistake};
use crate::text::fuzz::text_of;

const WORDS: &[&str] = &[
    "/", "\n", "vm", "a", "b", ".", "..", "%2e", "%2E", "%2f", "%5c", "\\", "%25", "%252e",
    "%32%65", ";", ";a=b", "%3b", "%00", "%20", " ", "%09", "?", "#", "%c0%ae", "%", "%4", "ä",
    "%c3%a4", "//", "%3f", "%23", "+", "\u{a0}", "%0a", "\t", "\u{ff0e}",
];

/// The first line is the path of a grant, the second one that of a request.
#[test]
fn http_paths() {
    bolero::check!(name = "http_paths").with_iterations(2000).with_max_len(40).for_each(
        |input: &[u8]| {
            let text = text_of(input, WORDS);
            let (grant, request) = text.split_once('\n').unwrap_or(("/", &text));
            let (Ok(grant), Ok(request)) = (parse(grant), parse(request)) else { return };
            assert!(grant.covers(&grant) && request.covers(&request));
            assert!(parse("/").is_ok_and(|root| root.covers(&grant) && root.covers(&request)));
            if !grant.covers(&request) {
                return;
            }
            for reading in Reading::all() {
                let (folder, file) = (reading.read(&grant), reading.read(&request));
                let (Some(folder), Some(file)) = (folder, file) else {
                    panic!("{grant} or {request} leads above the root for {reading:?}");
                };
                // Names are compared as they are decoded once.
                assert!(
                    reading.decodings == 0 || file.starts_with(&folder),
                    "{grant} covers {request}, and for {reading:?} {file:?} is not in {folder:?}"
                );
            }
        },
    );
}

/// What is read is shown as it was written, and read again as the same.
fn parse(text: &str) -> Result<HttpPath, PathMistake> {
    let path = HttpPath::parse(text)?;
    assert_eq!(HttpPath::parse(&path.to_string()).as_ref(), Ok(&path));
    Ok(path)
}

/// A way in which a server may read a path.
#[derive(Clone, Copy, Debug)]
struct Reading {
    /// How often it decodes before it splits the path.
    decodings: usize,
    /// Whether `\` is a slash.
    backslash: bool,
    /// Whether a segment ends at `;`.
    parameters: bool,
    /// Whether white space and control characters around a segment are left out.
    trims: bool,
}

impl Reading {
    fn all() -> impl Iterator<Item = Reading> {
        let bit = |bits: usize, bit: usize| bits & bit != 0;
        (0..4 * 8).map(move |bits| Reading {
            decodings: bits / 8,
            backslash: bit(bits, 1),
            parameters: bit(bits, 2),
            trims: bit(bits, 4),
        })
    }

    /// The segments of `path`, after each `..` took one away. Empty ones are left out. `None` if it
    /// leads above the root.
    fn read(self, path: &HttpPath) -> Option<Vec<Vec<u8>>> {
        let mut bytes = path.to_string().into_bytes();
        for _ in 0..self.decodings {
            bytes = decode_once(&bytes);
        }
        let mut segments: Vec<Vec<u8>> = Vec::new();
        let is_slash = |byte: &u8| *byte == b'/' || (self.backslash && *byte == b'\\');
        for segment in bytes.split(is_slash) {
            match self.name(segment) {
                b"" | b"." => {}
                b".." => {
                    segments.pop()?;
                }
                name => segments.push(name.to_vec()),
            }
        }
        Some(segments)
    }

    fn name(self, segment: &[u8]) -> &[u8] {
        let end = segment.iter().position(|byte| self.parameters && *byte == b';');
        let name = &segment[..end.unwrap_or(segment.len())];
        let is_shown = |byte: &u8| !self.trims || (*byte > b' ' && *byte != 0x7f);
        let start = name.iter().position(is_shown).unwrap_or(name.len());
        let end = name.iter().rposition(is_shown).map_or(start, |last| last + 1);
        &name[start..end]
    }
}

/// Another decoder than the one that is tested: it splits the text at each `%`.
fn decode_once(text: &[u8]) -> Vec<u8> {
    let mut parts = text.split(|byte| *byte == b'%');
    let mut decoded = parts.next().unwrap_or_default().to_vec();
    for part in parts {
        let digits = part.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.map(|digits| u8::from_str_radix(digits, 16)) {
            Some(Ok(byte)) if part[0] != b'+' => {
                decoded.push(byte);
                decoded.extend_from_slice(&part[2..]);
            }
            _ => {
                decoded.push(b'%');
                decoded.extend_from_slice(part);
            }
        }
    }
    decoded
}
