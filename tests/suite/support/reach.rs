//! Guests that reach outside: by sockets, files and kept processes.
//!
//! Each helper adds functions to a guest that do one thing and tell what came of it, as the message
//! of a failure: what was read, or the [`code`] of the error.

use std::net::SocketAddr;

use super::guest::{Guest, RETURNED, Text};

/// How a guest tells the case with this number of an enum or a variant.
pub(crate) fn code(case: u8) -> String {
    char::from(b'0' + case).to_string()
}

const ADDRESS: &str = "i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32";

/// An address as the canonical ABI passes it.
fn flat(address: SocketAddr) -> String {
    let words: Vec<u32> = match address {
        SocketAddr::V4(address) => {
            let octets = address.ip().octets().map(u32::from);
            [&[0, u32::from(address.port())], &octets[..], &[0; 6]].concat()
        }
        SocketAddr::V6(address) => {
            let segments = address.ip().segments().map(u32::from);
            [&[1, u32::from(address.port()), 0], &segments[..], &[0]].concat()
        }
    };
    words.iter().map(|word| format!("(i32.const {word}) ")).collect()
}

fn family(address: SocketAddr) -> u8 {
    u8::from(address.is_ipv6())
}

/// Leaves the function with the error that the last call returned, whose payload is so far behind:
/// as far as the payload of a success has to be aligned.
fn or_tell(payload: u32) -> String {
    format!(
        "(if (i32.load8_u (i32.const {RETURNED})) (then (return (call $fail (i32.const 3)
            (call $digit (i32.load8_u (i32.const {}))) (i32.const 1)))))",
        RETURNED + payload
    )
}

impl Guest {
    /// Adds `$connect`, which connects to `address` and tells what it reads there.
    pub(crate) fn connects(self, address: SocketAddr) -> Guest {
        let tcp = "wasi:sockets/tcp@0.2.0";
        let method = |name: &str| format!("[method]tcp-socket.{name}");
        let (result, tell) = (format!("(i32.const {RETURNED})"), or_tell(4));
        self.makes_tcp_sockets()
            .import(
                tcp,
                &method("start-connect"),
                "start_connect",
                &format!("(param i32 i32 {ADDRESS} i32)"),
            )
            .import(tcp, &method("finish-connect"), "finish_connect", "(param i32 i32)")
            .import(tcp, &method("subscribe"), "subscribe", "(param i32) (result i32)")
            .import("wasi:io/poll@0.2.0", "[method]pollable.block", "block", "(param i32)")
            .import(
                "wasi:io/streams@0.2.0",
                "[method]input-stream.blocking-read",
                "read",
                "(param i32 i64 i32)",
            )
            .function(&format!(
                "(func $connect (result i32) (local $socket i32)
                    (call $make_tcp (i32.const {family}) {result}) {tell}
                    (local.set $socket (i32.load (i32.const {handle})))
                    (call $start_connect (local.get $socket) (call $network) {address} {result})
                    {tell_1}
                    (call $block (call $subscribe (local.get $socket)))
                    (call $finish_connect (local.get $socket) {result}) {tell}
                    (call $read (i32.load (i32.const {handle})) (i64.const 100) {result}) {tell}
                    (call $fail (i32.const 2)
                        (i32.load (i32.const {handle})) (i32.load (i32.const {length}))))",
                family = family(address),
                address = flat(address),
                tell_1 = or_tell(1),
                handle = RETURNED + 4,
                length = RETURNED + 8,
            ))
    }

    /// Adds `$bind_tcp`, which binds a TCP socket to `address`.
    pub(crate) fn binds_tcp(self, address: SocketAddr) -> Guest {
        self.makes_tcp_sockets()
            .import(
                "wasi:sockets/tcp@0.2.0",
                "[method]tcp-socket.start-bind",
                "start_bind_tcp",
                &format!("(param i32 i32 {ADDRESS} i32)"),
            )
            .function(&format!(
                "(func $bind_tcp (result i32)
                    (call $make_tcp (i32.const {family}) (i32.const {RETURNED})) {tell}
                    (call $start_bind_tcp (i32.load (i32.const {handle})) (call $network) {address}
                        (i32.const {RETURNED})) {tell_1}
                    (call $done))",
                family = family(address),
                tell = or_tell(4),
                tell_1 = or_tell(1),
                address = flat(address),
                handle = RETURNED + 4,
            ))
    }

    /// Adds `$make_tcp`.
    pub(crate) fn makes_tcp_sockets(self) -> Guest {
        self.import(
            "wasi:sockets/instance-network@0.2.0",
            "instance-network",
            "network",
            "(result i32)",
        )
        .import(
            "wasi:sockets/tcp-create-socket@0.2.0",
            "create-tcp-socket",
            "make_tcp",
            "(param i32 i32)",
        )
    }

    /// Adds `$datagram`, which binds to `from` and sends `text` to `address` by UDP.
    pub(crate) fn sends(mut self, text: &str, from: SocketAddr, address: SocketAddr) -> Guest {
        let udp = "wasi:sockets/udp@0.2.0";
        let text = self.text(text);
        // A datagram for whoever the socket is connected to.
        let mut datagram = [text.at.to_le_bytes(), text.length.to_le_bytes()].concat();
        datagram.resize(44, 0);
        let datagram = self.text(datagram).at;
        let result = format!("(i32.const {RETURNED})");
        self.import(
            "wasi:sockets/instance-network@0.2.0",
            "instance-network",
            "network",
            "(result i32)",
        )
        .import(
            "wasi:sockets/udp-create-socket@0.2.0",
            "create-udp-socket",
            "make_udp",
            "(param i32 i32)",
        )
        .import(
            udp,
            "[method]udp-socket.start-bind",
            "start_bind",
            &format!("(param i32 i32 {ADDRESS} i32)"),
        )
        .import(udp, "[method]udp-socket.finish-bind", "finish_bind", "(param i32 i32)")
        .import(
            udp,
            "[method]udp-socket.stream",
            "stream",
            &format!("(param i32 i32 {ADDRESS} i32)"),
        )
        .import(udp, "[method]outgoing-datagram-stream.check-send", "check_send", "(param i32 i32)")
        .import(udp, "[method]outgoing-datagram-stream.send", "send", "(param i32 i32 i32 i32)")
        .function(&format!(
            "(func $datagram (result i32) (local $socket i32) (local $out i32)
                (call $make_udp (i32.const {family}) {result}) {tell}
                (local.set $socket (i32.load (i32.const {handle})))
                (call $start_bind (local.get $socket) (call $network) {from} {result}) {tell_1}
                (call $finish_bind (local.get $socket) {result}) {tell_1}
                (call $stream (local.get $socket) (i32.const 1) {address} {result}) {tell}
                (local.set $out (i32.load (i32.const {second})))
                (call $check_send (local.get $out) {result}) {tell_8}
                (call $send (local.get $out) (i32.const {datagram}) (i32.const 1) {result}) {tell_8}
                (call $done))",
            family = family(address),
            tell = or_tell(4),
            tell_1 = or_tell(1),
            tell_8 = or_tell(8),
            from = flat(from),
            address = flat(address),
            handle = RETURNED + 4,
            second = RETURNED + 8,
        ))
    }

    /// Adds `$wake`, which sends a magic packet, and tells the text of its error.
    pub(crate) fn wakes(mut self, mac: &str, broadcast: Option<&str>) -> Guest {
        let mac = self.text(mac);
        let (is_some, broadcast) = match broadcast {
            Some(broadcast) => (1, self.text(broadcast)),
            None => (0, Text { at: 0, length: 0 }),
        };
        self.import(
            "dormouse:plugin/wake-on-lan@0.1.0",
            "send",
            "wake_on_lan",
            "(param i32 i32 i32 i32 i32 i32)",
        )
        .function(&format!(
            "(func $wake (result i32)
                (call $wake_on_lan {mac} (i32.const {is_some}) {broadcast} (i32.const {RETURNED}))
                (if (i32.eqz (i32.load8_u (i32.const {RETURNED}))) (then (return (call $done))))
                (call $fail (i32.const 3)
                    (i32.load (i32.const {text})) (i32.load (i32.const {length}))))",
            text = RETURNED + 8,
            length = RETURNED + 12,
        ))
    }

    /// Adds `$open`, which opens `path` below the first folder that there is, with these flags of
    /// opening and of the descriptor, and tells its error; and `$read_file`, which reads the file
    /// that was opened, and `$write_file`, which writes `x` to it.
    pub(crate) fn opens(mut self, path: &str, open_flags: u8, flags: u8) -> Guest {
        let types = "wasi:filesystem/types@0.2.0";
        let path = self.text(path);
        let letter = self.text("x");
        let result = format!("(i32.const {RETURNED})");
        self.sees_folders()
            .import(
                types,
                "[method]descriptor.open-at",
                "open_at",
                "(param i32 i32 i32 i32 i32 i32 i32)",
            )
            .import(types, "[method]descriptor.read", "read_at", "(param i32 i64 i64 i32)")
            .import(types, "[method]descriptor.write", "write_at", "(param i32 i32 i32 i64 i32)")
            .function(&format!(
                "(global $file (mut i32) (i32.const -1))
                 (func $open (result i32)
                    (call $folders {result})
                    (call $open_at (i32.load (i32.load {result})) (i32.const 1) {path}
                        (i32.const {open_flags}) (i32.const {flags}) {result}) {tell}
                    (global.set $file (i32.load (i32.const {handle})))
                    (call $done))
                 (func $read_file (result i32)
                    (call $read_at (global.get $file) (i64.const 100) (i64.const 0) {result}) {tell}
                    (call $fail (i32.const 2)
                        (i32.load (i32.const {handle})) (i32.load (i32.const {length}))))
                 (func $write_file (result i32)
                    (call $write_at (global.get $file) {letter} (i64.const 0) {result}) {tell_8}
                    (call $done))",
                tell = or_tell(4),
                tell_8 = or_tell(8),
                handle = RETURNED + 4,
                length = RETURNED + 8,
            ))
    }

    /// Adds `$folders`, which gets the list of folders.
    pub(crate) fn sees_folders(self) -> Guest {
        let preopens = "wasi:filesystem/preopens@0.2.0";
        self.import(preopens, "get-directories", "folders", "(param i32)")
    }

    /// Adds `$start_child`, `$signal_child`, `$write_child` and `$child_status`, all for a child
    /// that has the name `name`. The first three tell the text of an error, or its case.
    pub(crate) fn keeps(
        mut self,
        name: &str,
        program: &str,
        arguments: &[&str],
        signal: u8,
        input: &str,
    ) -> Guest {
        let children = "dormouse:plugin/children@0.1.0";
        let (name, program) = (self.text(name), self.text(program));
        let (arguments, input) = (self.strings(arguments), self.text(input));
        let result = format!("(i32.const {RETURNED})");
        self.import(
            children,
            "start",
            "children_start",
            "(param i32 i32 i32 i32 i32 i32 i32 i32 i32)",
        )
        .import(children, "signal", "children_signal", "(param i32 i32 i32 i32)")
        .import(children, "write", "children_write", "(param i32 i32 i32 i32 i32)")
        .import(children, "status", "children_status", "(param i32 i32 i32)")
        .function(&format!(
            "(func $told (result i32)
                    (if (i32.eqz (i32.load8_u {result})) (then (return (call $done))))
                    (if (i32.lt_u (i32.load8_u (i32.const {case})) (i32.const 2))
                        (then (return (call $fail (i32.const 3)
                            (i32.load (i32.const {text})) (i32.load (i32.const {length}))))))
                    (call $fail (i32.const 2)
                        (call $digit (i32.load8_u (i32.const {case}))) (i32.const 1)))
                 (func $start_child (result i32)
                    (call $children_start {name} {program} {arguments} (i32.const 0) (i32.const 0)
                        {result})
                    (call $told))
                 (func $signal_child (result i32)
                    (call $children_signal {name} (i32.const {signal}) {result}) (call $told))
                 (func $write_child (result i32)
                    (call $children_write {name} {input} {result}) (call $told))
                 (func $child_status (result i32)
                    (call $children_status {name} {result})
                    (i32.store8 (i32.const 1600)
                        (i32.add (i32.const 48) (i32.load8_u {result})))
                    (i32.store8 (i32.const 1601)
                        (i32.add (i32.const 48) (i32.load8_u (i32.const {case}))))
                    (i32.store8 (i32.const 1602)
                        (i32.add (i32.const 48) (i32.load8_u (i32.const {text}))))
                    (i32.store8 (i32.const 1603)
                        (i32.add (i32.const 48) (i32.load8_u (i32.const {length}))))
                    (call $not_yet (i32.const 1600)
                        (select (i32.const 4) (i32.const 1)
                            (i32.eq (i32.load8_u {result}) (i32.const 2)))))",
            case = RETURNED + 4,
            text = RETURNED + 8,
            length = RETURNED + 12,
        ))
    }
}
