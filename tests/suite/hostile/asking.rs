//! Gates that ask for more bytes for ever.

use std::io::Write as _;
use std::net::TcpStream;

use crate::support::guest::Guest;
use crate::support::proxy::PATIENCE;

use super::ordeal::{Ordeal, Trial};

/// Asks for more, and consumes so much of what it is shown.
fn asking(consumed: &str) -> Guest {
    // What it was shown before is forgotten, so that the guest itself can go on for ever.
    Guest::bare().gate(&format!(
        "(global.set $heap (i32.const 262144))
         (call $reply (i32.const 0) (i32.const 0) {consumed} (i32.const 1))"
    ))
}

/// Sends for as long as somebody takes it.
fn send_on_and_on(trial: &Trial<'_>) {
    let mut client = TcpStream::connect(trial.scene.listen()).expect("a connection");
    client.set_write_timeout(Some(PATIENCE)).expect("a socket");
    while client.write_all(&[b'x'; 1000]).is_ok() {}
}

#[test]
fn a_gate_that_never_has_enough_loses_its_client_at_64_kib() {
    let ordeal = Ordeal::new("gate", &asking("(i32.const 0)"));
    ordeal.endure(|trial| {
        send_on_and_on(trial);
        trial.told_once(&["client closed at the gate", "the gate asked for more than 64 KiB"]);
        assert_eq!(trial.times(&["starting the target"]), 1, "only that of `other`");
    });
}

#[test]
fn a_gate_that_swallows_everything_loses_its_client_at_gate_timeout() {
    let ordeal = Ordeal::new("gate", &asking("(local.get $length)")).set("gate_timeout", "500ms");
    ordeal.endure(|trial| {
        send_on_and_on(trial);
        trial.told_once(&["client closed at the gate", "within `gate_timeout`"]);
        assert_eq!(trial.times(&["starting the target"]), 1, "only that of `other`");
    });
}
