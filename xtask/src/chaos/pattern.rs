//! The bytes of a stream: each is known from the stream's number and its place alone, so that a
//! byte of another stream or of another place is recognised as wrong.

use super::dice::mix;

/// The byte at `offset` of the stream `id`.
fn byte(id: u64, offset: u64) -> u8 {
    let word = mix(id.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (offset / 8 + 1));
    word.to_le_bytes()[(offset % 8) as usize]
}

/// Fills `buffer` with the bytes from `offset` on.
pub fn fill(id: u64, offset: u64, buffer: &mut [u8]) {
    for (place, slot) in (offset..).zip(buffer) {
        *slot = byte(id, place);
    }
}

/// The place of the first byte that is not the one of the stream.
pub fn first_wrong(id: u64, offset: u64, bytes: &[u8]) -> Option<u64> {
    (offset..).zip(bytes).find(|&(place, &found)| found != byte(id, place)).map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_byte_is_found_at_its_place() {
        let mut bytes = [0; 100];
        fill(1, 50, &mut bytes);
        assert_eq!(first_wrong(1, 50, &bytes), None);
        bytes[33] ^= 1;
        assert_eq!(first_wrong(1, 50, &bytes), Some(83));
    }

    #[test]
    fn bytes_of_another_stream_or_place_are_wrong() {
        let mut bytes = [0; 100];
        fill(1, 0, &mut bytes);
        assert!(first_wrong(2, 0, &bytes).is_some());
        assert!(first_wrong(1, 1, &bytes).is_some());
        assert!(first_wrong(1, 8, &bytes).is_some());
    }
}
