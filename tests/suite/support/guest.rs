//! Plugins for tests, made inside the test from WAT and `wit/`, without a toolchain.
//!
//! A guest is a core module, written as WAT, that `wit_component` makes a component of. What the
//! canonical ABI wants stands in a prelude: a memory, an allocator, and functions that write each
//! kind of answer to a fixed place and return it. A test writes the bodies only.
//!
//! Memory of a guest: answers at 1024, what host functions return at 2048, the test's own texts
//! from 4096, and from 256 KiB what the host writes into the guest.

#![allow(clippy::expect_used, reason = "a test that fails here should fail loudly")]

use std::fmt::Write;
use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Where host functions of the prelude's shape write what they return.
pub(crate) const RETURNED: u32 = 2048;

/// Interfaces of WASI that guests of tests import.
const WASI: &str = r"
    package wasi:io@0.2.0 {
        interface error { resource error; }
        interface poll { resource pollable { block: func(); } }
        interface streams {
            use error.{error};
            resource input-stream {
                blocking-read: func(len: u64) -> result<list<u8>, stream-error>;
            }
            variant stream-error { last-operation-failed(error), closed }
            resource output-stream {
                blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>;
            }
        }
    }
    package wasi:cli@0.2.0 {
        interface environment { get-environment: func() -> list<tuple<string, string>>; }
        interface exit { exit: func(status: result); }
        interface stderr {
            use wasi:io/streams@0.2.0.{output-stream};
            get-stderr: func() -> output-stream;
        }
    }
    package wasi:random@0.3.0 {
        interface random { get-random-u64: func() -> u64; }
    }
    package wasi:filesystem@0.2.0 {
        interface types {
            enum error-code {
                access, would-block, already, bad-descriptor, busy, deadlock, quota, exist,
                file-too-large, illegal-byte-sequence, in-progress, interrupted, invalid, io,
                is-directory, loop, too-many-links, message-size, name-too-long, no-device,
                no-entry, no-lock, insufficient-memory, insufficient-space, not-directory,
                not-empty, not-recoverable, unsupported, no-tty, no-such-device, overflow,
                not-permitted, pipe, read-only, invalid-seek, text-file-busy, cross-device
            }
            flags descriptor-flags {
                read, write, file-integrity-sync, data-integrity-sync, requested-write-sync,
                mutate-directory
            }
            flags path-flags { symlink-follow }
            flags open-flags { create, directory, exclusive, truncate }
            resource descriptor {
                open-at: func(path-flags: path-flags, path: string, open-flags: open-flags,
                    %flags: descriptor-flags) -> result<descriptor, error-code>;
                read: func(length: u64, offset: u64) -> result<tuple<list<u8>, bool>, error-code>;
                write: func(buffer: list<u8>, offset: u64) -> result<u64, error-code>;
                unlink-file-at: func(path: string) -> result<_, error-code>;
                create-directory-at: func(path: string) -> result<_, error-code>;
            }
        }
        interface preopens {
            use types.{descriptor};
            get-directories: func() -> list<tuple<descriptor, string>>;
        }
    }
    package wasi:sockets@0.2.0 {
        interface network {
            resource network;
            enum error-code {
                unknown, access-denied, not-supported, invalid-argument, out-of-memory, timeout,
                concurrency-conflict, not-in-progress, would-block, invalid-state,
                new-socket-limit, address-not-bindable, address-in-use, remote-unreachable,
                connection-refused, connection-reset, connection-aborted, datagram-too-large,
                name-unresolvable, temporary-resolver-failure, permanent-resolver-failure
            }
            enum ip-address-family { ipv4, ipv6 }
            type ipv4-address = tuple<u8, u8, u8, u8>;
            type ipv6-address = tuple<u16, u16, u16, u16, u16, u16, u16, u16>;
            record ipv4-socket-address { port: u16, address: ipv4-address }
            record ipv6-socket-address {
                port: u16, flow-info: u32, address: ipv6-address, scope-id: u32
            }
            variant ip-socket-address { ipv4(ipv4-socket-address), ipv6(ipv6-socket-address) }
        }
        interface instance-network {
            use network.{network};
            instance-network: func() -> network;
        }
        interface tcp {
            use wasi:io/poll@0.2.0.{pollable};
            use wasi:io/streams@0.2.0.{input-stream, output-stream};
            use network.{network, error-code, ip-socket-address};
            resource tcp-socket {
                start-bind: func(network: borrow<network>, address: ip-socket-address)
                    -> result<_, error-code>;
                start-connect: func(network: borrow<network>, address: ip-socket-address)
                    -> result<_, error-code>;
                finish-connect: func() -> result<tuple<input-stream, output-stream>, error-code>;
                subscribe: func() -> pollable;
            }
        }
        interface tcp-create-socket {
            use network.{error-code, ip-address-family};
            use tcp.{tcp-socket};
            create-tcp-socket: func(address-family: ip-address-family) -> result<tcp-socket, error-code>;
        }
        interface udp {
            use network.{network, error-code, ip-socket-address};
            record outgoing-datagram { data: list<u8>, remote-address: option<ip-socket-address> }
            resource incoming-datagram-stream;
            resource outgoing-datagram-stream {
                check-send: func() -> result<u64, error-code>;
                send: func(datagrams: list<outgoing-datagram>) -> result<u64, error-code>;
            }
            resource udp-socket {
                start-bind: func(network: borrow<network>, address: ip-socket-address)
                    -> result<_, error-code>;
                finish-bind: func() -> result<_, error-code>;
                %stream: func(address: option<ip-socket-address>)
                    -> result<tuple<incoming-datagram-stream, outgoing-datagram-stream>, error-code>;
            }
        }
        interface udp-create-socket {
            use network.{error-code, ip-address-family};
            use udp.{udp-socket};
            create-udp-socket: func(address-family: ip-address-family) -> result<udp-socket, error-code>;
        }
        interface ip-name-lookup {
            use network.{network, error-code};
            resource resolve-address-stream;
            resolve-addresses: func(network: borrow<network>, name: string)
                -> result<resolve-address-stream, error-code>;
        }
    }
";

const PRELUDE: &str = r#"
    (memory (export "memory") 8)
    (global $heap (mut i32) (i32.const 262144))
    (global $count (mut i32) (i32.const 0))
    (func (export "cabi_realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
        (local $at i32)
        (local.set $at (i32.and
            (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
            (i32.sub (i32.const 0) (local.get $align))))
        (global.set $heap (i32.add (local.get $at) (local.get $size)))
        (local.get $at))
    ;; Answers. All functions return the same shape: a result whose payload begins at 1032.
    (func $done (result i32)
        (i32.store8 (i32.const 1024) (i32.const 0))
        (i32.const 1024))
    (func $fail (param $kind i32) (param $text i32) (param $length i32) (result i32)
        (i32.store8 (i32.const 1024) (i32.const 1))
        (i32.store8 (i32.const 1032) (local.get $kind))
        (i32.store8 (i32.const 1040) (i32.const 0))
        (i32.store (i32.const 1056) (local.get $text))
        (i32.store (i32.const 1060) (local.get $length))
        (i32.const 1024))
    (func $reply (param $send i32) (param $length i32) (param $consumed i32) (param $verdict i32) (result i32)
        (i32.store (i32.const 1032) (local.get $send))
        (i32.store (i32.const 1036) (local.get $length))
        (i32.store (i32.const 1040) (local.get $consumed))
        (i32.store8 (i32.const 1044) (local.get $verdict))
        (call $done))
    (func $ready_at (param $text i32) (param $length i32) (result i32)
        (i32.store8 (i32.const 1032) (i32.const 0))
        (i32.store8 (i32.const 1036) (i32.const 1))
        (i32.store (i32.const 1040) (local.get $text))
        (i32.store (i32.const 1044) (local.get $length))
        (call $done))
    (func $not_yet (param $text i32) (param $length i32) (result i32)
        (i32.store8 (i32.const 1032) (i32.const 1))
        (i32.store (i32.const 1036) (local.get $text))
        (i32.store (i32.const 1040) (local.get $length))
        (call $done))
    (func $stay_awake (param $time i64) (result i32)
        (i32.store8 (i32.const 1032) (i32.const 1))
        (i64.store (i32.const 1040) (local.get $time))
        (call $done))
    (func $sleep (result i32)
        (i32.store8 (i32.const 1032) (i32.const 0))
        (call $done))
    ;; One decimal digit, as a text at 1536.
    (func $digit (param $value i32) (result i32)
        (i32.store8 (i32.const 1536) (i32.add (i32.const 48) (local.get $value)))
        (i32.const 1536))
    (func $count_up (result i32)
        (global.set $count (i32.add (global.get $count) (i32.const 1)))
        (global.get $count))
    (func $recurse (param $depth i32) (result i32)
        (i32.add (i32.const 1) (call $recurse (i32.add (local.get $depth) (i32.const 1)))))
"#;

/// Parameters of a `service`, flattened.
const SERVICE: &str = "(param $name i32) (param $name_len i32) (param $host i32) (param $host_len i32) (param $port i32)";

/// A guest that is put together. Its `lifecycle` answers "done" if the test says nothing else.
pub(crate) struct Guest {
    package: String,
    packages: String,
    exports: Vec<String>,
    imports: Vec<String>,
    core_imports: String,
    functions: String,
    texts: String,
    next_text: u32,
}

/// A text in the guest's memory; `Display` writes its place and length as two WAT constants.
#[derive(Clone, Copy)]
pub(crate) struct Text {
    pub(crate) at: u32,
    pub(crate) length: u32,
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "(i32.const {}) (i32.const {})", self.at, self.length)
    }
}

impl Guest {
    /// A guest that exports nothing yet.
    pub(crate) fn bare() -> Guest {
        Guest {
            package: package("0.1.0"),
            packages: String::new(),
            exports: Vec::new(),
            imports: vec!["include dormouse:plugin/imports@0.1.0;".to_owned()],
            core_imports: String::new(),
            functions: String::new(),
            texts: String::new(),
            next_text: 4096,
        }
    }

    /// A guest with a `lifecycle` that answers "done".
    pub(crate) fn new() -> Guest {
        Guest::bare().lifecycle("(call $done)", "(call $done)")
    }

    /// Builds against this text of WIT in place of `wit/`.
    pub(crate) fn against(mut self, package: &str) -> Guest {
        self.package = package.to_owned();
        self.imports.clear();
        self
    }

    /// Knows these packages of WIT, so that it can import from them.
    pub(crate) fn knowing(mut self, packages: &str) -> Guest {
        self.packages.push_str(packages);
        self
    }

    /// Exports `lifecycle`, with these bodies of `start` and `stop`.
    pub(crate) fn lifecycle(self, start: &str, stop: &str) -> Guest {
        let cause = "(param $cause i32) (param i32 i32 i32 i32)";
        self.export("dormouse:plugin/lifecycle@0.1.0")
            .function(&exported("lifecycle", "start", &format!("{SERVICE} {cause}"), start))
            .function(&exported("lifecycle", "stop", &format!("{SERVICE} {cause}"), stop))
    }

    /// Exports `readiness`, with this body of `ready`; `$attempt` is its parameter.
    pub(crate) fn readiness(self, ready: &str) -> Guest {
        let parameters = format!("{SERVICE} (param $attempt i32)");
        self.export("dormouse:plugin/readiness@0.1.0").function(&exported(
            "readiness",
            "ready",
            &parameters,
            ready,
        ))
    }

    /// Exports `gate`, with this body of `should-wake`; `$data` and `$length` are what it is shown.
    pub(crate) fn gate(self, should_wake: &str) -> Guest {
        let parameters = format!(
            "{SERVICE} (param $client i32) (param $client_len i32) (param $listener i32) \
             (param $listener_len i32) (param $phase i32) (param $data i32) (param $length i32)"
        );
        self.export("dormouse:plugin/gate@0.1.0").function(&exported(
            "gate",
            "should-wake",
            &parameters,
            should_wake,
        ))
    }

    /// Exports `idleness`, with this body of `should-sleep`; `$idle_for` is its parameter.
    pub(crate) fn idleness(self, should_sleep: &str) -> Guest {
        let parameters = format!("{SERVICE} (param $idle_for i64)");
        self.export("dormouse:plugin/idleness@0.1.0").function(&exported(
            "idleness",
            "should-sleep",
            &parameters,
            should_sleep,
        ))
    }

    /// Exports an interface, or whatever else a world may export; the test writes its functions.
    pub(crate) fn export(mut self, item: &str) -> Guest {
        self.exports.push(item_of_world("export", item));
        self
    }

    /// Imports a function as `$name` of the module: one of an interface, of `NAME: interface {…}`,
    /// or `NAME: func(…)` itself.
    pub(crate) fn import(mut self, item: &str, function: &str, name: &str, shape: &str) -> Guest {
        // Those of the current version are in the world already.
        if !item.starts_with("dormouse:plugin/") || self.imports.is_empty() {
            let item = item_of_world("import", item);
            if !self.imports.contains(&item) {
                self.imports.push(item);
            }
        }
        let module = match item.split_once(": ") {
            Some((_, shape)) if shape.starts_with("func") => "$root",
            Some((interface, _)) => interface,
            None => item,
        };
        self.intrinsic(module, function, name, shape)
    }

    /// Imports a function of the component model itself as `$name` of the module.
    pub(crate) fn intrinsic(
        mut self,
        module: &str,
        function: &str,
        name: &str,
        shape: &str,
    ) -> Guest {
        let _ = writeln!(
            self.core_imports,
            "(import \"{module}\" \"{function}\" (func ${name} {shape}))"
        );
        self
    }

    /// Adds functions to the module.
    pub(crate) fn function(mut self, wat: &str) -> Guest {
        self.functions.push_str(wat);
        self
    }

    /// Puts bytes into the guest's memory.
    pub(crate) fn text(&mut self, bytes: impl AsRef<[u8]>) -> Text {
        let bytes = bytes.as_ref();
        let escaped: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let text = Text { at: self.next_text, length: bytes.len() as u32 };
        let _ = writeln!(self.texts, "(data (i32.const {}) \"{escaped}\")", text.at);
        self.next_text += (text.length + 8) & !7;
        text
    }

    /// Imports `process.run`, and adds `$run`, which runs this command. It writes what the host
    /// returns to [`RETURNED`]; then `$ran_well` says whether it is an output.
    pub(crate) fn runs(
        self,
        program: &str,
        arguments: &[&str],
        variable: Option<(&str, &str)>,
    ) -> Guest {
        self.runs_as("test", program, arguments, variable)
    }

    /// The same with this label of the command.
    pub(crate) fn runs_as(
        mut self,
        label: &str,
        program: &str,
        arguments: &[&str],
        variable: Option<(&str, &str)>,
    ) -> Guest {
        let program = self.text(program);
        let arguments = self.strings(arguments);
        let (variables, count) = match variable {
            Some((name, value)) => (self.strings(&[name, value]).at, 1),
            None => (0, 0),
        };
        let label = self.text(label);
        let shape = "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32 i32 i32)";
        self.import("dormouse:plugin/process@0.1.0", "run", "process_run", shape).function(
            &format!(
                r"(func $run
                (call $process_run {program} {arguments} (i32.const {variables}) (i32.const {count})
                    (i32.const 0) (i32.const 0) (i32.const 0)
                    (i32.const 0) (i64.const 0) {label} (i32.const {RETURNED})))
            (func $ran_well (result i32) (i32.eqz (i32.load8_u (i32.const {RETURNED}))))
            ;; Its standard output, or the text of the error, as the message of a failure.
            (func $tell (result i32)
                (if (result i32) (call $ran_well)
                    (then (call $fail (i32.const 2)
                        (i32.load (i32.const {stdout})) (i32.load (i32.const {stdout_length}))))
                    (else (call $fail (i32.const 3)
                        (i32.load (i32.const {error})) (i32.load (i32.const {error_length}))))))",
                stdout = RETURNED + 12,
                stdout_length = RETURNED + 16,
                error = RETURNED + 8,
                error_length = RETURNED + 12,
            ),
        )
    }

    /// A list of strings.
    pub(crate) fn strings(&mut self, strings: &[&str]) -> Text {
        let texts: Vec<Text> = strings.iter().map(|string| self.text(string)).collect();
        let words = texts.iter().flat_map(|text| [text.at, text.length]);
        let bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
        Text { at: self.text(bytes).at, length: strings.len() as u32 }
    }

    /// The module alone.
    pub(crate) fn core_module(&self) -> Vec<u8> {
        let Guest { core_imports, functions, texts, .. } = self;
        let wat = format!("(module {core_imports} {PRELUDE} {texts} {functions})");
        wat::parse_str(&wat).unwrap_or_else(|error| panic!("the guest is wrong: {error}"))
    }

    /// The component.
    pub(crate) fn build(&self) -> Vec<u8> {
        let component = self.component_of(self.core_module());
        component.unwrap_or_else(|error| panic!("the guest is wrong: {error:#}"))
    }

    /// The component with another module, which imports and exports what this one does; `None` if it
    /// does not.
    pub(crate) fn build_of(&self, module: Vec<u8>) -> Option<Vec<u8>> {
        self.component_of(module).ok()
    }

    fn component_of(&self, mut module: Vec<u8>) -> Result<Vec<u8>, impl std::fmt::Display> {
        let mut resolve = Resolve::default();
        resolve.push_str("plugin.wit", &self.package).expect("the package should be right");
        let world = format!(
            "package test:guest; {WASI} {} world guest {{ {} {} }}",
            self.packages,
            self.imports.join(" "),
            self.exports.join(" ")
        );
        let package = resolve.push_str("guest.wit", &world).expect("the world should be right");
        let world = resolve.select_world(&[package], Some("guest")).expect("it has one");
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
            .expect("the world should be encodable");
        let encoder = ComponentEncoder::default().validate(true).module(&module);
        encoder.and_then(|mut encoder| encoder.encode())
    }
}

/// The files of `wit/` as one text, as if they were of this version.
pub(crate) fn package(version: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("wit/dormouse-plugin-0.1.0");
    let mut text = format!("package dormouse:plugin@{version};\n");
    for file in std::fs::read_dir(folder).expect("wit/ should be there") {
        let file = file.expect("wit/ should be readable").path();
        let source = std::fs::read_to_string(file).expect("wit/ should be readable");
        text.push_str(&source.replace("package dormouse:plugin@0.1.0;", ""));
    }
    text
}

fn exported(interface: &str, function: &str, parameters: &str, body: &str) -> String {
    format!(
        "(func (export \"dormouse:plugin/{interface}@0.1.0#{function}\") {parameters} \
         (result i32) {body})\n"
    )
}

fn item_of_world(verb: &str, item: &str) -> String {
    let end = if item.ends_with('}') { "" } else { ";" };
    format!("{verb} {item}{end}")
}
