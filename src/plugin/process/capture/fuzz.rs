//! Fuzz target of the last bytes of a stream.

use super::Tail;

/// The first byte is the limit, the second one the size of the pieces.
#[test]
fn tails() {
    bolero::check!(name = "tails").with_iterations(1000).for_each(|input: &[u8]| {
        let [limit, size, printed @ ..] = input else { return };
        let (limit, size) = (usize::from(*limit), 1 + usize::from(*size));
        let mut tail = Tail::new(limit);
        for piece in printed.chunks(size) {
            tail.push(piece);
            assert!(tail.bytes.len() <= limit);
        }
        assert_eq!(tail.into_bytes(), printed[printed.len().saturating_sub(limit)..]);
    });
}
