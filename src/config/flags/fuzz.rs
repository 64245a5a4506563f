//! Fuzz target of the flags of the original tool.

use super::{Flags, from_flags};
use crate::text::fuzz::{assert_harmless, text_of};

const WORDS: &[&str] = &[
    "\n",
    "0.0.0.0",
    "127.0.0.1",
    "::1",
    "[::1]",
    "localhost",
    "a.example",
    "80",
    "0",
    "65536",
    "+1",
    "30",
    "90s",
    "1h",
    "99999999999999999999",
    "-1",
    "./start.sh",
    "~/a",
    "a/../b",
    "\0",
    "\u{1b}",
    "\u{202e}",
    " ",
    "ä",
    ".",
    ":",
];

#[test]
fn flags() {
    bolero::check!(name = "flags").with_iterations(300).with_max_len(100).for_each(
        |input: &[u8]| {
            let text = text_of(input, WORDS);
            let mut values = text.split('\n').map(str::to_owned);
            let mut value = |default: &str| values.next().unwrap_or_else(|| default.to_owned());
            let flags = Flags {
                proxy_ip: value("0.0.0.0"),
                proxy_port: value("8000"),
                target_ip: value("10.0.0.7"),
                target_port: value("80"),
                cooldown_period: value("30"),
                hook_start_svc: value("./start.sh"),
                hook_stop_svc: value("./stop.sh"),
            };
            match from_flags(&flags) {
                Ok(config) => {
                    let [service] = &config.services[..] else { panic!("not one service") };
                    assert_eq!(service.listen.len(), 1);
                    assert!(service.listen[0].at.port() > 0 && service.target.port > 0);
                    assert_eq!(config.plugins.len(), 1);
                }
                Err(faults) => {
                    assert!(!faults.is_empty(), "refused without a fault");
                    assert_harmless(&faults.render(false));
                }
            }
        },
    );
}
