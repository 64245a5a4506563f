//! A service with a hostile plugin, beside the services that are watched.
//!
//! Its clients make the gate compute without end, open a named pipe that nothing opens on the other
//! side, eat memory, flood the log, crash, or ask for more for ever. Nothing is expected of this
//! service, but that the others don't notice.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::dice::Dice;
use super::stop::Stretch;
use super::tally::Tally;
use super::world::World;
use crate::files;

// What builds guests for the tests of Dormouse.
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../../../tests/suite/support/guest.rs"]
mod guest;
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../../../tests/suite/support/reach.rs"]
mod reach;

use guest::Guest;

/// What the plugin is called, and its service.
pub const NAME: &str = "hostile";

/// How many clients come at once.
const CROWD: std::ops::RangeInclusive<u64> = 1..=60;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// What the gate does, by the client's first byte.
const DEEDS: [(u8, &str); 6] = [
    (b'l', "(loop $again (br $again)) (unreachable)"),
    (
        b'p',
        "(drop (call $open)) (call $reply (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2))",
    ),
    (
        b'm',
        "(loop $again (memory.fill
            (i32.mul (memory.grow (i32.const 1)) (i32.const 65536)) (i32.const 1) (i32.const 65536))
            (br $again)) (unreachable)",
    ),
    (
        b'f',
        "(loop $again (call $log (i32.const 1) (i32.const 4096) (i32.const 4000)) (br $again))
         (unreachable)",
    ),
    (b't', "(unreachable)"),
    (b'w', "(call $reply (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1))"),
];

/// Writes the plugin and the folder that it may read into `world`.
pub fn prepare(world: &World) -> Result<(), String> {
    let deeds: String = DEEDS
        .iter()
        .map(|(byte, deed)| {
            format!(
                "(if (i32.eq (i32.load8_u (local.get $data)) (i32.const {byte}))
                    (then (return (block $deed (result i32) {deed}))))"
            )
        })
        .collect();
    let body = format!(
        "(if (i32.eqz (local.get $length))
            (then (return (call $reply (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1)))))
         {deeds} (unreachable)"
    );
    let guest = Guest::bare()
        .opens("console", 0, 1)
        .import("dormouse:plugin/log@0.1.0", "write", "log", "(param i32 i32 i32)")
        .gate(&body);
    files::write(&world.path().join("hostile.wasm"), &guest.build())?;
    let folder = world.path().join("pipes");
    files::create_folder(&folder)?;
    mknodat(CWD, folder.join("console"), FileType::Fifo, Mode::RWXU, 0)
        .map_err(|error| format!("can't make a named pipe: {error}"))
}

/// The tables of the config. `listen` and `target` are ports; nothing listens at `target`.
pub fn config(listen: u16, target: u16) -> String {
    format!(
        "\n[services.{NAME}]\nlisten = \"127.0.0.1:{listen}\"\ntarget = \"127.0.0.1:{target}\"\n\
         gate = \"{NAME}\"\non_gate_error = \"refuse\"\ngate_timeout = \"5s\"\n\
         hooks = {{ start = \"true\", stop = \"true\" }}\n\
         [plugins.{NAME}]\nwasm = \"{NAME}.wasm\"\nallow.read = [\"./pipes\"]\n\
         limits = {{ cpu = \"200ms\", call = \"2s\" }}\n"
    )
}

/// The clients of the hostile service.
pub struct HostileCrowd<'a> {
    pub world: &'a World,
    pub tally: &'a Tally,
    pub end: &'a Stretch,
}

impl HostileCrowd<'_> {
    /// Comes and goes until the end of the stretch.
    pub fn act(&self, mut dice: Dice) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.world.hostile));
        while !self.end.is_over() {
            let mut clients = Vec::new();
            for _ in 0..dice.within(CROWD) {
                let (deed, _) = DEEDS[dice.index(DEEDS.len())];
                // Dormouse may be down.
                let Ok(mut client) = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) else {
                    break;
                };
                let is_silent = dice.once_in(8);
                if is_silent || client.write_all(&[deed]).is_ok() {
                    self.tally.count("hostile clients");
                    clients.push(client);
                }
            }
            self.end.sleep(dice.millis(100..=4000));
        }
    }
}
