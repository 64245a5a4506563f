//! Paths of HTTP requests: which lie below which, however they are written.
//!
//! A grant may name a path, and a server may read a path in more than one way: `%2e%2e` as `..`, `\`
//! as `/`, `%252e` after a second decoding as `.`. So a path that goes up in *any* of these readings
//! is no path at all here, for a grant as for a request. What is left means the same to everybody,
//! and is compared segment by segment: `/vm` stands for itself and for `/vm/1`, and not for `/vms`.

use std::fmt;

/// How often a path is decoded to see whether it goes up. Nobody encodes more often by accident.
const DECODINGS: usize = 8;

/// Why a text is not the path of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathMistake {
    /// It does not begin with `/`.
    Relative,
    /// A segment is `.` or `..`, or can be read so.
    Dots,
    /// `%` without two hexadecimal digits behind it, or encodings of encodings without end.
    Encoding,
    /// What is encoded is no UTF-8.
    NotText,
    /// Two slashes in a row: some servers take them for one, some for the beginning of a host.
    EmptySegment,
}

impl PathMistake {
    /// What is wrong.
    pub fn what(self) -> &'static str {
        match self {
            PathMistake::Relative => "its path does not begin with `/`",
            PathMistake::Dots => "its path has a segment `.` or `..`, or one that can be read so",
            PathMistake::Encoding => "a `%` in its path is no encoding",
            PathMistake::NotText => "its path is not UTF-8",
            PathMistake::EmptySegment => "its path has `//`, which servers read in different ways",
        }
    }
}

/// The path of a request, or of a grant for requests: without `.` and `..` in whatever encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpPath {
    text: String,
    /// What stands between the slashes behind the first one, decoded. Never empty; the last one is
    /// empty if the path ends in a slash.
    segments: Vec<String>,
}

impl HttpPath {
    /// The path that `text` is, without a query. The empty text is `/`.
    ///
    /// # Errors
    ///
    /// If it is none, or leads up.
    pub fn parse(text: &str) -> Result<HttpPath, PathMistake> {
        let text = if text.is_empty() { "/" } else { text };
        let behind = text.strip_prefix('/').ok_or(PathMistake::Relative)?;
        if !is_encoded_well(text) {
            return Err(PathMistake::Encoding);
        }
        if text.contains("//") {
            return Err(PathMistake::EmptySegment);
        }
        refuse_dots(text)?;
        let segment = |segment: &str| {
            String::from_utf8(decoded(segment.as_bytes())).map_err(|_| PathMistake::NotText)
        };
        let segments = behind.split('/').map(segment).collect::<Result<_, _>>()?;
        Ok(HttpPath { text: text.to_owned(), segments })
    }

    /// Whether `other` is this path, or lies below it. One that ends in a slash does not stand for
    /// itself without the slash.
    pub fn covers(&self, other: &HttpPath) -> bool {
        match self.segments.split_last() {
            Some((last, folder)) if last.is_empty() => {
                other.segments.len() > folder.len() && other.segments.starts_with(folder)
            }
            _ => other.segments.starts_with(&self.segments),
        }
    }
}

impl fmt::Display for HttpPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether two hexadecimal digits follow each `%`.
fn is_encoded_well(text: &str) -> bool {
    text.split('%')
        .skip(1)
        .all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|digit| digit.is_ascii_hexdigit()))
}

/// An error if a server could read a segment of `text` as `.` or `..`, after however many decodings.
fn refuse_dots(text: &str) -> Result<(), PathMistake> {
    let mut read = text.as_bytes().to_vec();
    for _ in 0..DECODINGS {
        if read.split(|byte| matches!(byte, b'/' | b'\\')).any(is_dots) {
            return Err(PathMistake::Dots);
        }
        // An overlong encoding of a dot is no UTF-8.
        if std::str::from_utf8(&read).is_err() {
            return Err(PathMistake::NotText);
        }
        let once_more = decoded(&read);
        if once_more == read {
            return Ok(());
        }
        read = once_more;
    }
    Err(PathMistake::Encoding)
}

/// Whether a segment is `.` or `..`, parameters (`..;a=b`), white space and control characters
/// around it left out: there are servers that leave them out.
fn is_dots(segment: &[u8]) -> bool {
    let end = segment.iter().position(|byte| matches!(byte, b';' | b'?' | b'#'));
    let name = &segment[..end.unwrap_or(segment.len())];
    let is_hidden = |byte: &&u8| **byte <= b' ' || **byte == 0x7f;
    let mut shown = name.iter().skip_while(is_hidden).collect::<Vec<_>>();
    while shown.last().is_some_and(is_hidden) {
        shown.pop();
    }
    matches!(shown.as_slice(), [b'.'] | [b'.', b'.'])
}

/// `text` with each `%XX` replaced by its byte, once.
fn decoded(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let encoded = match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => u8::try_from(high * 16 + low).ok(),
            _ => None,
        };
        bytes.push(encoded.unwrap_or(*byte));
        at += if encoded.is_some() { 3 } else { 1 };
    }
    bytes
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use super::*;

    fn covers(grant: &str, request: &str) -> bool {
        HttpPath::parse(grant).unwrap().covers(&HttpPath::parse(request).unwrap())
    }

    #[test]
    fn the_root_covers_every_path() {
        for path in ["", "/", "/a", "/a/b/", "/%41"] {
            assert!(covers("/", path), "{path}");
            assert!(covers("", path), "{path}");
        }
    }

    #[test]
    fn a_path_covers_itself_and_what_is_below_it_and_ends_at_a_boundary() {
        for path in ["/vm", "/vm/", "/vm/1", "/vm/1/start", "/%76m/1", "/v%6D"] {
            assert!(covers("/vm", path), "{path}");
        }
        for path in ["", "/", "/v", "/vms", "/vm1", "/vm;a", "/vm%2f1", "/VM", "/a/vm"] {
            assert!(!covers("/vm", path), "{path}");
        }
    }

    #[test]
    fn a_path_that_ends_in_a_slash_covers_what_is_below_it_alone() {
        assert!(covers("/vm/", "/vm/"));
        assert!(covers("/vm/", "/vm/1"));
        for path in ["/vm", "/vm1", "/vms/1", "/", "/vm%2f1", "/vm%5c1"] {
            assert!(!covers("/vm/", path), "{path}");
        }
    }

    #[test]
    fn encodings_of_a_grant_are_those_of_the_request() {
        assert!(covers("/a%20b", "/a%20b/c"));
        assert!(covers("/%61", "/a"));
        assert!(covers("/group%2fproject", "/group%2Fproject/issues"));
        assert!(!covers("/group%2fproject", "/group/project"));
        assert!(!covers("/a", "/%2561"), "encoded twice, it is another name");
    }

    #[test]
    fn a_path_that_goes_up_in_any_encoding_is_none() {
        for path in [
            "/vm/../admin",
            "/vm/..",
            "/..",
            "/vm/./1",
            "/vm/%2e%2e/admin",
            "/vm/%2E./admin",
            "/vm/.%2e/admin",
            "/vm/..%2fadmin",
            "/vm/..%2Fadmin",
            "/vm%2f..%2fadmin",
            "/vm/..\\admin",
            "/vm\\..\\admin",
            "/vm/..%5cadmin",
            "/vm%5c%2e%2e%5cadmin",
            "/vm/%252e%252e/admin",
            "/vm/%25252e%25252e/admin",
            "/vm/..%252fadmin",
            "/vm/%25%32%65./admin",
            "/vm/..;/admin",
            "/vm/..;a=b/admin",
            "/vm/%2e%2e%3b/admin",
            "/vm/..%00/admin",
            "/vm/..%20/admin",
            "/vm/%09../admin",
            "/vm/..%3f/admin",
            "/vm/..%23/admin",
        ] {
            assert_eq!(HttpPath::parse(path), Err(PathMistake::Dots), "{path}");
        }
    }

    #[test]
    fn a_dot_of_too_many_bytes_is_no_text() {
        for path in ["/vm/%c0%ae%c0%ae/admin", "/vm/%e0%80%ae/admin", "/%25c0%25ae"] {
            assert_eq!(HttpPath::parse(path), Err(PathMistake::NotText), "{path}");
        }
    }

    #[test]
    fn dots_that_are_a_part_of_a_name_do_no_harm() {
        for path in ["/a..b", "/..a", "/a.", "/...", "/.well-known", "/a%2e%2eb", "/v4.0.0/x"] {
            assert!(HttpPath::parse(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn two_slashes_in_a_row_are_refused() {
        for path in ["//", "//vm", "/vm//1", "/vm//"] {
            assert_eq!(HttpPath::parse(path), Err(PathMistake::EmptySegment), "{path}");
        }
    }

    #[test]
    fn what_is_no_encoding_is_no_path() {
        for path in ["/%", "/%4", "/%u002e", "/a%zz", "/%+1"] {
            assert_eq!(HttpPath::parse(path), Err(PathMistake::Encoding), "{path}");
        }
        let endless = format!("/%{}41", "25".repeat(20));
        assert_eq!(HttpPath::parse(&endless), Err(PathMistake::Encoding));
        assert_eq!(HttpPath::parse("vm"), Err(PathMistake::Relative));
        assert_eq!(HttpPath::parse("*"), Err(PathMistake::Relative));
    }
}
