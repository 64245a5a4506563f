//! Notices that a waiting client hangs up, without reading what it has sent.
//!
//! What a held client sends stays in the kernel, which bounds it and pushes back, until the target
//! takes it: first and unchanged (rule 3). So a hang-up can't be found by reading.
//!
//! An end of what a client sends is not a hang-up by itself: it may have sent a request and wait
//! for the answer, or wait for a greeting without having anything to send. From here this looks like
//! a client that has closed: the kernel only tells them apart when something is sent to them. So a
//! client that has ended is held until it resets, or until keepalive finds that it is gone.

use std::io;

use tokio::io::Interest;
use tokio::net::TcpStream;

/// Ends when the client has hung up. After this was polled, only [`awaken`] makes the stream fit for
/// reading and writing again.
pub(super) async fn hung_up(stream: &TcpStream) {
    loop {
        let Ok(ready) = stream.ready(Interest::READABLE).await else { return };
        if ready.is_read_closed() {
            if is_reset(stream) {
                return;
            }
            break;
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

/// Whether the connection has failed. Takes nothing of what was sent.
fn is_reset(stream: &TcpStream) -> bool {
    let mut byte = [0];
    let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
    match rustix::net::recv(stream, &mut byte[..], flags) {
        Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => false,
        Err(_) => true,
    }
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
    async fn a_client_that_ends_without_a_word_waits_for_a_greeting() {
        let (mut client, held) = pair().await;
        client.shutdown().await.unwrap();
        assert!(timeout(A_WHILE, hung_up(&held)).await.is_err());
        let mut held = awaken(held).unwrap();
        held.write_all(b"hello").await.unwrap();
        let mut greeting = [0; 5];
        timeout(SOON, client.read_exact(&mut greeting)).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_client_that_closes_and_resets_later_has_hung_up() {
        let (mut client, held) = pair().await;
        client.shutdown().await.unwrap();
        assert!(timeout(A_WHILE, hung_up(&held)).await.is_err());
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        timeout(SOON, hung_up(&held)).await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_ends_after_its_request_was_read_waits_for_the_answer() {
        let (mut client, mut held) = pair().await;
        client.write_all(b"request").await.unwrap();
        held.read_exact(&mut [0; 7]).await.unwrap();
        client.shutdown().await.unwrap();
        assert!(timeout(A_WHILE, hung_up(&held)).await.is_err());
    }

    #[tokio::test]
    async fn a_client_that_resets_has_hung_up_whatever_it_had_sent() {
        let (mut client, held) = pair().await;
        client.write_all(b"hello").await.unwrap();
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        timeout(SOON, hung_up(&held)).await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_resets_after_its_half_close_has_hung_up() {
        let (mut client, held) = pair().await;
        client.write_all(b"hello").await.unwrap();
        client.shutdown().await.unwrap();
        assert!(timeout(A_WHILE, hung_up(&held)).await.is_err());
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        timeout(SOON, hung_up(&held)).await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_waits_is_there_and_all_it_sent_is_read_afterwards() {
        let (mut client, held) = pair().await;
        assert!(timeout(A_WHILE, hung_up(&held)).await.is_err());
        client.write_all(b"first, ").await.unwrap();
        assert!(timeout(A_WHILE, hung_up(&held)).await.is_err());
        client.write_all(b"last").await.unwrap();
        client.shutdown().await.unwrap();
        assert!(timeout(A_WHILE, hung_up(&held)).await.is_err());

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
