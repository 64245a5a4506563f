//! Fuzz target of HTTP grants: what is shown is read as the same grant.

use std::path::Path;

use super::{HttpGrant, HttpServer};
use crate::config::fault::{Fault, Problem};
use crate::config::fuzz::check_fault;
use crate::text::fuzz::text_of;

const WORDS: &[&str] = &[
    "GET",
    "POST",
    ",",
    " ",
    "http://",
    "https://",
    "unix:",
    "a.example",
    "A.Example.",
    "10.0.0.7",
    "[::1]",
    "[::ffff:10.0.0.7]",
    "127.1",
    ":80",
    ":443",
    ":0",
    ":",
    "/",
    "/vm",
    "/%2e",
    "..",
    "%2f",
    "%25",
    "?a=b",
    "#",
    "@",
    " in ",
    "10.0.0.0/8",
    "fd00::/8",
    " as ",
    "box",
    "/run/a.sock",
    "./",
    "~/",
    "\\",
    "ä",
    "\0",
    "\u{202e}",
    "\u{a0}",
    "\t",
    "x",
    "CONNECT",
];

#[test]
fn http_grants() {
    bolero::check!(name = "http_grants").with_iterations(1000).with_max_len(60).for_each(
        |input: &[u8]| {
            let text = text_of(input, WORDS);
            match HttpGrant::parse(&text, Path::new("/srv")) {
                Ok(grant) => check(&text, &grant),
                Err(mistake) => {
                    check_fault(Fault::of(Problem::BadHttp { text: text.into_owned(), mistake }));
                }
            }
        },
    );
}

fn check(text: &str, grant: &HttpGrant) {
    // Beside the folder, another one: what is shown is absolute.
    let shown = grant.to_string();
    let again = HttpGrant::parse(&shown, Path::new("/elsewhere"));
    assert_eq!(again.as_ref(), Ok(grant), "{text:?} is shown as {shown:?}");
    assert!(!grant.methods.iter().any(|method| method == "CONNECT"), "{text:?}");
    assert!(grant.path.covers(&grant.path), "{text:?}");
    match &grant.server {
        HttpServer::Host { tls, at, .. } => {
            let authority = HttpServer::host_of_url(at, *tls);
            assert_eq!(HttpServer::authority(&authority, *tls).as_ref(), Ok(at), "{text:?}");
            let letters = |letter: char| letter.is_ascii_graphic() && !letter.is_uppercase();
            assert!(at.port > 0 && at.host.chars().all(letters), "{text:?}");
        }
        HttpServer::Socket { socket, name } => {
            assert!(socket.is_absolute() && !name.is_empty(), "{text:?}");
        }
    }
}
