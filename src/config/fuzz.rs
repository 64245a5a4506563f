//! Fuzz target of config files: each text is a config or a list of faults that can be shown.

use std::path::Path;
use std::time::{Duration, Instant};

use super::fault::Fault;
use super::machine::Machine;
use super::{Depth, Faults, Listener, judged, understand};
use crate::text::fuzz::{assert_harmless, text_of};

/// Pieces of which a random text is made.
const WORDS: &[&str] = &[
    "[services.web]\n",
    "[services.\"a b\"]\n",
    "[plugins.vm]\n",
    "[plugins.vm.allow]\n",
    "[plugins.vm.limits]\n",
    "[plugins.vm.settings]\n",
    "[relay]\n",
    "listen = ",
    "target = ",
    "cooldown = ",
    "hooks = ",
    "start = ",
    "stop = ",
    "lifecycle = ",
    "gate = ",
    "wakes = ",
    "memory = ",
    "wasm = ",
    "http = ",
    "connect = ",
    "exec = ",
    "read = ",
    "write = ",
    "env = ",
    "sha256 = ",
    "state_dir = ",
    "drain = ",
    "per_hour = ",
    "\"0.0.0.0:80\"",
    "\"[::]:81\"",
    "\"10.0.0.7:80\"",
    "\"15m\"",
    "\"64MiB\"",
    "\"vm\"",
    "\"builtin:shell\"",
    "\"./a.sh\"",
    "{ at = ",
    "{ ",
    " }",
    "[",
    "]",
    ", ",
    "\n",
    "=",
    ".",
    "\"",
    "\\u001b",
    "\u{202e}",
    "ä",
    "1",
    "-9999999999999999999999",
    "true",
    "1979-05-27",
    "nan",
    "# ",
    "'''",
    "\"https://a.example/vm\"",
];

#[test]
fn config_files() {
    bolero::check!(name = "config_files").with_iterations(300).with_max_len(300).for_each(
        |input: &[u8]| {
            let text = text_of(input, WORDS);
            match read(&text) {
                Ok((config, warnings)) => {
                    check_faults(&text, &warnings);
                    assert!(!config.services.is_empty());
                    for service in &config.services {
                        assert!(!service.listen.is_empty());
                        let has_port = |listener: &Listener| listener.at.port() > 0;
                        assert!(service.listen.iter().all(has_port));
                        assert!(service.target.port > 0);
                    }
                    let again = read(&text).expect("the same text is the same config");
                    assert_eq!(again.0, config);
                }
                Err(faults) => {
                    assert!(!faults.is_empty(), "refused without a fault");
                    check_faults(&text, &faults);
                }
            }
        },
    );
}

fn read(text: &str) -> Result<(super::Config, Faults), Faults> {
    let mut machine = Machine::fake("dormouse", &["10.0.0.7"], &[], None);
    let path = Path::new("/srv/dormouse.toml");
    let mut faults = Vec::new();
    let understood = understand(text, path, &mut machine, Depth::Text, &mut faults);
    judged(understood, Faults::in_file("/srv/dormouse.toml", text, faults))
}

/// Every fault has a place within `text`, and can be shown.
pub(super) fn check_faults(text: &str, faults: &Faults) {
    for fault in faults.iter() {
        let place = fault.place.clone().unwrap_or_default();
        assert!(text.get(place.clone()).is_some(), "{place:?} is not in the text: {fault:?}");
    }
    assert_harmless(&faults.render(false));
    for line in faults.lines() {
        assert_harmless(&line);
        assert!(!line.contains('\n'), "a line with a break: {line:?}");
    }
}

/// A fault that is about no place can be shown.
pub(super) fn check_fault(fault: Fault) {
    let faults = Faults::without_file(vec![fault]);
    assert_harmless(&faults.render(false));
}

/// 175,000 faults: what each costs must not grow with the text.
#[test]
fn a_file_with_a_fault_in_each_line_is_refused_in_time() {
    let text = "a = b\n".repeat((1 << 20) / 6);
    let began = Instant::now();
    let faults = read(&text).expect_err("no config");
    assert!(faults.render(false).contains("further faults are not shown"));
    assert_eq!(faults.lines().count(), 101);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(30), "it took {took:?}");
}
