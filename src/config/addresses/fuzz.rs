//! Fuzz target of addresses: what is shown is read as the same address.

use super::{address, host, listen, port, target};
use crate::config::AddressMistake;
use crate::config::fault::{Fault, Problem};
use crate::config::fuzz::check_fault;
use crate::text::fuzz::text_of;

const WORDS: &[&str] = &[
    "0.0.0.0",
    "127.0.0.1",
    "1.2.3",
    "::",
    "::1",
    "fe80::1",
    "%eth0",
    "[",
    "]",
    ":",
    "80",
    "0",
    "65536",
    "+",
    "a",
    "A",
    "example.com",
    ".",
    "..",
    "-",
    "_",
    "*",
    "localhost",
    "/",
    "://",
    "@",
    " ",
    "\t",
    "ä",
    "\0",
    "\u{1b}",
    "\u{202e}",
    "٣",
    "0x7f000001",
    "1",
    "::ffff:10.0.0.7",
];

#[test]
fn addresses() {
    bolero::check!(name = "addresses").with_iterations(2000).with_max_len(30).for_each(
        |input: &[u8]| {
            let text = text_of(input, WORDS);
            let refused = |key, mistake: AddressMistake| {
                let text = text.clone().into_owned();
                check_fault(Fault::of(Problem::BadAddress { key, text, mistake }));
            };
            match listen(&text) {
                Ok(at) => {
                    assert!(at.port() > 0);
                    assert_eq!(listen(&at.to_string()), Ok(at));
                }
                Err(mistake) => refused("listen", mistake),
            }
            match target(&text) {
                Ok(to) => {
                    let shown = to.to_string();
                    assert!(to.port > 0 && !to.host.is_empty());
                    assert!(shown.chars().all(|letter| letter.is_ascii_graphic()), "{shown:?}");
                    assert_eq!(target(&shown).as_ref(), Ok(&to), "{text:?} is {shown:?}");
                }
                Err(mistake) => refused("target", mistake),
            }
            match host(&text) {
                Ok(name) => assert_eq!(host(&name).as_ref(), Ok(&name)),
                Err(mistake) => refused("--target-ip", mistake),
            }
            match address(&text) {
                Ok(of) => assert_eq!(address(&of.to_string()), Ok(of)),
                Err(mistake) => refused("--proxy-ip", mistake),
            }
            match port(&text) {
                Ok(number) => assert_eq!(port(&number.to_string()), Ok(number)),
                Err(mistake) => refused("--proxy-port", mistake),
            }
        },
    );
}
