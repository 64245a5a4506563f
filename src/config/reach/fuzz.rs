//! Fuzz target of the network's parts: what is shown is read as the same part.

use super::{broadcast, reach};
use crate::config::Reach;
use crate::config::fault::{Fault, Problem};
use crate::config::fuzz::check_fault;
use crate::text::fuzz::text_of;

const WORDS: &[&str] = &[
    "target",
    "10.0.0.7",
    "10.0.0.0",
    "0.0.0.0",
    "255.255.255.255",
    "fd00::",
    "::1",
    "::ffff:",
    "[",
    "]",
    "/",
    "8",
    "32",
    "33",
    "104",
    "128",
    "0",
    ":",
    "22",
    "8000-8010",
    "*",
    "65535",
    "65536",
    "-",
    "+",
    "%eth0",
    "a.example",
    "\u{1b}",
    "\u{202e}",
    " ",
    "1",
    "2",
    "٣",
];

#[test]
fn reach_grants() {
    bolero::check!(name = "reach_grants").with_iterations(2000).with_max_len(30).for_each(
        |input: &[u8]| {
            let text = text_of(input, WORDS);
            match reach(&text) {
                Ok(granted) => {
                    let shown = granted.to_string();
                    assert_eq!(reach(&shown).as_ref(), Ok(&granted), "{text:?} is {shown:?}");
                    if let Reach::Addresses { network, ports } = &granted {
                        assert_eq!(network.trunc(), *network);
                        assert!(*ports.start() > 0 && !ports.is_empty());
                    }
                }
                Err(mistake) => {
                    let key = "connect".to_owned();
                    let text = text.clone().into_owned();
                    check_fault(Fault::of(Problem::BadReach { key, text, mistake }));
                }
            }
            if let Ok(address) = broadcast(&text) {
                assert!(address.port() > 0);
                assert_eq!(broadcast(&address.to_string()), Ok(address));
            }
        },
    );
}
