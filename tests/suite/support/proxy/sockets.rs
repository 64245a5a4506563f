//! The TCP sockets of this machine, as the kernel lists them in `/proc/net/tcp`.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

/// A socket with its two ends.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    state: u8,
    timer: u8,
}

impl Socket {
    /// The owner has it open, and both ends or the owner's can send.
    pub(crate) fn is_open(&self) -> bool {
        const ESTABLISHED: u8 = 1;
        const CLOSE_WAIT: u8 = 8;
        [ESTABLISHED, CLOSE_WAIT].contains(&self.state)
    }

    /// It takes connections at this address.
    pub(crate) fn is_listener(&self, address: SocketAddr) -> bool {
        const LISTEN: u8 = 10;
        self.state == LISTEN && self.local == address
    }

    /// The kernel will do something if nothing happens on it.
    pub(crate) fn has_timer(&self) -> bool {
        self.timer != 0
    }

    /// The kernel will ask a silent peer for a sign of life.
    pub(crate) fn has_keepalive(&self) -> bool {
        const KEEPALIVE: u8 = 2;
        self.timer == KEEPALIVE
    }
}

/// All sockets over IPv4.
pub(crate) fn sockets() -> Vec<Socket> {
    let list = fs::read_to_string("/proc/net/tcp").expect("/proc can be read");
    list.lines().skip(1).map(|line| parse(line).expect("a socket")).collect()
}

/// A line: `sl local_address rem_address st tx_queue:rx_queue tr:tm->when …`.
fn parse(line: &str) -> Option<Socket> {
    let mut fields = line.split_whitespace().skip(1);
    let local = address(fields.next()?)?;
    let remote = address(fields.next()?)?;
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    let timer = fields.nth(1)?.split(':').next()?;
    Some(Socket { local, remote, state, timer: u8::from_str_radix(timer, 16).ok()? })
}

/// `0100007F:1F90`: the address as a number of the machine, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let address = u32::from_str_radix(address, 16).ok()?.to_ne_bytes();
    Some((Ipv4Addr::from(address), u16::from_str_radix(port, 16).ok()?).into())
}
