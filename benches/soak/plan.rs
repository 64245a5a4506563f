//! What a random connection is like, decided before it is made.

use std::time::Duration;

use crate::dice::Dice;
use crate::pattern::{PERIOD, PIECE};

/// What both sides do.
#[derive(Debug)]
pub(crate) struct Plan {
    /// How many of the client's bytes were read before there was a target.
    pub(crate) early: u64,
    pub(crate) client: Part,
    pub(crate) target: Part,
    /// The size of the relay's own send buffers, if they are small.
    pub(crate) send_buffer: Option<u32>,
}

/// What one side does.
#[derive(Debug)]
pub(crate) struct Part {
    /// Where in the pattern its bytes begin.
    pub(crate) start: u64,
    /// How many bytes it sends.
    pub(crate) bytes: u64,
    /// How many of them at a time, at most.
    pub(crate) piece: u64,
    /// It ends only when the other has.
    pub(crate) ends_last: bool,
    /// How many bytes it reads at a time, at most.
    pub(crate) read: usize,
    /// How long it pauses now and then while it reads.
    pub(crate) pause: Option<Duration>,
    /// The size of its receive buffer, if that is small.
    pub(crate) receive_buffer: Option<u32>,
    /// When it resets the connection.
    pub(crate) reset: Option<Moment>,
    /// What its sizes follow from.
    pub(crate) seed: u64,
}

/// A moment in the life of a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// It has sent so many bytes.
    Sent(u64),
    /// It has read so many bytes.
    Read(u64),
    /// The connection is so old.
    Age(Duration),
}

impl Plan {
    /// A random connection.
    pub(crate) fn new(dice: &mut Dice) -> Plan {
        let mut client = Part::new(dice);
        let mut target = Part::new(dice);
        let send_buffer = dice.once_in(4).then(|| dice.within(4_000..=100_000) as u32);
        // A sender whose buffer is smaller than a segment waits for each acknowledgement.
        let most = if send_buffer.is_some() { 2_000_000 } else { u64::MAX };
        client.bytes = client.bytes.min(target.digests()).min(most);
        target.bytes = target.bytes.min(client.digests()).min(most);
        match dice.within(0..=3) {
            0 => client.ends_last = true,
            1 => target.ends_last = true,
            _ => {}
        }
        if dice.once_in(4) {
            let (resetting, other) = match dice.once_in(2) {
                true => (&mut client, &target),
                false => (&mut target, &client),
            };
            resetting.reset = Some(Moment::new(dice, resetting.bytes, other.bytes));
        }
        let early = match dice.once_in(3) {
            true => client.bytes.min(dice.within(1..=100_000)),
            false => 0,
        };
        Plan { early, client, target, send_buffer }
    }
}

impl Part {
    fn new(dice: &mut Dice) -> Part {
        let (bytes, piece) = match dice.within(0..=9) {
            0 => (0, 1),
            1 => (dice.within(1..=3_000), 1),
            2 => (dice.within(1..=200), PIECE as u64),
            3 => (dice.within(1..=500_000), 5_000),
            4 => (dice.within(1..=10_000_000), 100_000),
            _ => (dice.within(1_000_000..=64_000_000), PIECE as u64),
        };
        let mut part = Part {
            start: dice.within(0..=PERIOD - 1),
            bytes,
            piece,
            ends_last: false,
            read: 256 << 10,
            pause: None,
            receive_buffer: None,
            reset: None,
            seed: dice.next(),
        };
        match dice.within(0..=9) {
            0 => part.read = dice.within(1..=100) as usize,
            1 => part.read = dice.within(1_000..=10_000) as usize,
            2 => part.receive_buffer = Some(dice.within(4_000..=60_000) as u32),
            3 => {
                part.read = dice.within(1_000..=100_000) as usize;
                part.pause = Some(Duration::from_micros(dice.within(1..=20_000)));
            }
            _ => {}
        }
        part
    }

    /// How many bytes the other side may send, so that this one has read them within seconds.
    fn digests(&self) -> u64 {
        match (self.pause, self.receive_buffer) {
            (Some(_), _) => 2_000_000,
            (None, Some(_)) => 1_000_000,
            (None, None) => (self.read as u64) * 100_000,
        }
    }
}

impl Moment {
    fn new(dice: &mut Dice, sends: u64, reads: u64) -> Moment {
        match dice.within(0..=2) {
            0 => Moment::Sent(dice.within(0..=sends)),
            1 => Moment::Read(dice.within(0..=reads)),
            _ => Moment::Age(Duration::from_micros(dice.within(0..=50_000))),
        }
    }
}
