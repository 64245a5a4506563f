//! Notices that a waiting client hangs up, without reading what it has sent.
//!
//! What a held client sends stays in the kernel, which bounds it and pushes back, until the target
//! takes it: first and unchanged (rule 3). So a hang-up can't be found by reading.
//!
//! An end of what a client sends is not a hang-up by itself: it may have sent a request and wait
//! for the answer. A client that ends without having sent anything is taken to be gone: it is what
//! a port scanner or a health check looks like, and nobody waits for an answer to nothing.

use std::io;

use tokio::io::Interest;
use tokio::net::TcpStream;

/// Ends when the client has hung up. `has_sent`: something it sent has been read already. After
/// this was polled, only [`awaken`] makes the stream fit for reading and writing again.
pub(super) async fn hung_up(stream: &TcpStream, has_sent: bool) {
    loop {
        let Ok(ready) = stream.ready(Interest::READABLE).await else { return };
        if ready.is_read_closed() {
            match peek(stream) {
                // It has sent something, and then ended: it waits for the answer.
                Ok(1..) => break,
                Ok(0) if has_sent => break,
                Ok(0) | Err(_) => return,
            }
        }
        forget(stream, Interest::READABLE);
    }
    // Nothing more can come but a reset, which ends the other direction as well.
    loop {
        let Ok(ready) = stream.ready(Interest::WRITABLE).await else { return };
        if ready.is_write_closed() {
            return;
        }
        forget(stream, Interest::WRITABLE);
    }
}

/// The same connection with its readiness learnt afresh, for everything that has been forgotten
/// while it waited.
pub(super) fn awaken(stream: TcpStream) -> io::Result<TcpStream> {
    TcpStream::from_std(stream.into_std()?)
}

/// How many bytes are there to be read, one at most.
fn peek(stream: &TcpStream) -> io::Result<usize> {
    let mut byte = [0];
    let (read, _) = rustix::net::recv(
        stream,
        &mut byte[..],
        rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT,
    )?;
    Ok(read)
}

/// Forgets that the stream is ready, so that the next wait is for something new: the kernel tells
/// of each change once.
fn forget(stream: &TcpStream, interest: Interest) {
    let blocked = || Err::<(), _>(io::Error::from(io::ErrorKind::WouldBlock));
    let _ = stream.try_io(interest, blocked);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    /// Longer than a hang-up on loopback takes to arrive, by far.
    const SOON: Duration = Duration::from_secs(5);
    /// So long nothing must happen.
    const A_WHILE: Duration = Duration::from_millis(50);

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn a_client_that_closes_without_a_word_has_hung_up() {
        let (client, held) = pair().await;
        drop(client);
        timeout(SOON, hung_up(&held, false)).await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_ends_after_its_request_was_read_waits_for_the_answer() {
        let (mut client, mut held) = pair().await;
        client.write_all(b"request").await.unwrap();
        held.read_exact(&mut [0; 7]).await.unwrap();
        client.shutdown().await.unwrap();
        assert!(timeout(A_WHILE, hung_up(&held, true)).await.is_err());
        timeout(SOON, hung_up(&held, false)).await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_resets_has_hung_up_whatever_it_had_sent() {
        let (mut client, held) = pair().await;
        client.write_all(b"hello").await.unwrap();
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        timeout(SOON, hung_up(&held, false)).await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_resets_after_its_half_close_has_hung_up() {
        let (mut client, held) = pair().await;
        client.write_all(b"hello").await.unwrap();
        client.shutdown().await.unwrap();
        assert!(timeout(A_WHILE, hung_up(&held, false)).await.is_err());
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        timeout(SOON, hung_up(&held, false)).await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_waits_is_there_and_all_it_sent_is_read_afterwards() {
        let (mut client, held) = pair().await;
        assert!(timeout(A_WHILE, hung_up(&held, false)).await.is_err());
        client.write_all(b"first, ").await.unwrap();
        assert!(timeout(A_WHILE, hung_up(&held, false)).await.is_err());
        client.write_all(b"last").await.unwrap();
        client.shutdown().await.unwrap();
        assert!(timeout(A_WHILE, hung_up(&held, false)).await.is_err());

        let mut held = awaken(held).unwrap();
        let mut read = Vec::new();
        timeout(SOON, held.read_to_end(&mut read)).await.unwrap().unwrap();
        assert_eq!(read, b"first, last");
        held.write_all(b"answer").await.unwrap();
        drop(held);
        read.clear();
        timeout(SOON, client.read_to_end(&mut read)).await.unwrap().unwrap();
        assert_eq!(read, b"answer");
    }
}
