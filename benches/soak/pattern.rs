//! What is sent: noise that repeats after a prime number of bytes, so that whatever was lost,
//! doubled or swapped shows, be it whole pages or whole pipes. Comparing costs next to nothing,
//! and making it nothing at all.

use std::sync::LazyLock;

use crate::dice::Dice;

/// After so many bytes it repeats.
pub(crate) const PERIOD: u64 = 1_048_573;

/// The longest piece that is there in one, in bytes.
pub(crate) const PIECE: usize = 512 << 10;

static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut dice = Dice::new(PERIOD);
    let mut noise: Vec<u8> = (0..PERIOD).map(|_| dice.next() as u8).collect();
    noise.extend_from_within(..PIECE);
    noise
});

/// The bytes at `position`, as many as are asked for; no more than [`PIECE`].
pub(crate) fn at(position: u64, count: usize) -> &'static [u8] {
    let start = (position % PERIOD) as usize;
    &NOISE[start..start + count]
}
