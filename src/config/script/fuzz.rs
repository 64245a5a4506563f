//! Fuzz target of scripts for `plugin try`.

use std::path::Path;

use super::{PluginSource, understand};
use crate::config::fuzz::check_faults;
use crate::config::{Faults, judged};
use crate::text::fuzz::text_of;

const WORDS: &[&str] = &[
    "[[step]]\n",
    "[[process]]\n",
    "call = ",
    "\"start\"",
    "\"stop\"",
    "\"ready\"",
    "\"should-wake\"",
    "\"should-sleep\"",
    "expect = { ",
    " }",
    "answer = ",
    "\"wake\"",
    "\"done\"",
    "send = ",
    "send_hex = ",
    "stay = ",
    "log = [",
    "]",
    ", ",
    "\n",
    "wait = ",
    "\"1s\"",
    "client = ",
    "\"192.0.2.1:5\"",
    "phase = \"asleep\"",
    "program = ",
    "\"docker\"",
    "status = ",
    "signal = ",
    "timed_out = true",
    "stdout = ",
    "stdout_hex = ",
    "\"0aff\"",
    "\"0\"",
    "0",
    "1",
    "-1",
    "0x7f",
    "attempt = ",
    "settings = {}",
    "allow = {}",
    "limits = {}",
    "service = ",
    "target = ",
    "\"",
    "\\u001b",
    "\u{202e}",
    "ä",
    "cause = \"exit\"",
    "kind = \"denied\"",
];

#[test]
fn scripts() {
    bolero::check!(name = "scripts").with_iterations(300).with_max_len(300).for_each(
        |input: &[u8]| {
            let text = text_of(input, WORDS);
            let source = PluginSource::File("/srv/vm.wasm".into());
            let mut faults = Vec::new();
            let understood = understand(&text, Path::new("/srv/a.toml"), source, &mut faults);
            match judged(understood, Faults::in_file("/srv/a.toml", &text, faults)) {
                Ok((script, warnings)) => {
                    assert!(!script.steps.is_empty());
                    check_faults(&text, &warnings);
                }
                Err(faults) => {
                    assert!(!faults.is_empty(), "refused without a fault");
                    check_faults(&text, &faults);
                }
            }
        },
    );
}
