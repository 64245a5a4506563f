//! Whether a target is up.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time;

use super::*;

fn a_start(ago: Duration) -> time::Instant {
    time::Instant::now() - ago
}

fn nobody(_: &DialError) {}

#[tokio::test]
async fn a_target_that_closes_each_connection_at_once_is_not_ready_until_it_keeps_one() {
    let listener = listener().await;
    let dialer = Dialer::new(target_of(&listener), PATIENCE, None);
    let proxy = tokio::spawn(async move {
        for number in 0..6 {
            let (stream, _) = listener.accept().await.unwrap();
            if number % 2 == 0 {
                SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
            }
        }
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        stream.read_exact(&mut [0; 4]).await.unwrap();
    });
    // In a task of its own, as the driver does it.
    let ready = tokio::spawn(async move {
        let mut kinds = Vec::new();
        let mut report = |error: &DialError| kinds.push(error.kind());
        let stream = dialer.until_ready(a_start(PATIENCE), &mut report).await;
        (stream, kinds)
    });
    let (mut stream, kinds) = ready.await.unwrap();
    assert_eq!(kinds, [DialErrorKind::ClosedAtOnce; 6]);
    let mut read = [0; 5];
    stream.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"hello");
    stream.write_all(b"back").await.unwrap();
    proxy.await.unwrap();
}

#[tokio::test]
async fn a_machine_that_swallows_packets_is_found_within_300_ms_after_it_answers() {
    for ago in [Duration::ZERO, Duration::from_secs(60)] {
        let silent = Silent::new();
        let dialer = Dialer::new(target(silent.address), PATIENCE, None);
        let mut report = nobody;
        let mut ready = std::pin::pin!(dialer.until_ready(a_start(ago), &mut report));
        // Until all attempts that may hang do, and the first ones have made room.
        let is_ready = time::timeout(Duration::from_millis(1700), &mut ready).await;
        assert!(is_ready.is_err(), "nobody has answered yet");
        let _listener = silent.answer();
        let before = Instant::now();
        ready.await;
        assert!(before.elapsed() <= Duration::from_millis(300), "{:?}", before.elapsed());
    }
}

#[tokio::test]
async fn what_hangs_is_limited_and_reported_when_it_makes_room() {
    let silent = Silent::new();
    let dialer = Dialer::new(target(silent.address), PATIENCE, None);
    let (mut reported, before) = (None, Instant::now());
    let mut report = |error: &DialError| {
        reported.get_or_insert_with(|| (before.elapsed(), error.kind(), error.to_string()));
    };
    let ready = dialer.until_ready(a_start(Duration::from_secs(60)), &mut report);
    let _ = time::timeout(Duration::from_secs(2), ready).await;
    let (after, kind, message) = reported.expect("the ninth attempt needs room");
    assert!(after >= Duration::from_secs(1), "{after:?}");
    assert_eq!(kind, DialErrorKind::TimedOut);
    assert_eq!(message, format!("the target `{}` did not answer in time", silent.address));
}

#[tokio::test]
async fn a_server_that_begins_to_listen_is_ready() {
    let address = listener().await.local_addr().unwrap();
    let dialer = Dialer::new(target(address), PATIENCE, None);
    let refusals = AtomicUsize::new(0);
    let refused = tokio::sync::Notify::new();
    let mut report = |error: &DialError| {
        assert_eq!(error.kind(), DialErrorKind::Refused);
        if refusals.fetch_add(1, Ordering::Relaxed) == 3 {
            refused.notify_one();
        }
    };
    let ready = dialer.until_ready(a_start(Duration::ZERO), &mut report);
    let server = async {
        refused.notified().await;
        TcpListener::bind(address).await.unwrap()
    };
    let (stream, _listener) = tokio::join!(ready, server);
    assert_eq!(stream.peer_addr().unwrap(), address);
}

#[tokio::test]
async fn a_name_that_is_there_once_the_target_runs_is_found() {
    let good = listener().await;
    let address = good.local_addr().unwrap();
    let asked = AtomicUsize::new(0);
    let dialer = named(PATIENCE, move || match asked.fetch_add(1, Ordering::Relaxed) {
        0..3 => Err(io::ErrorKind::NotFound.into()),
        _ => Ok(vec![address]),
    });
    let mut kinds = Vec::new();
    let stream =
        dialer.until_ready(a_start(Duration::ZERO), &mut |error| kinds.push(error.kind())).await;
    assert_eq!(stream.peer_addr().unwrap(), address);
    assert!(!kinds.is_empty() && kinds.iter().all(|kind| *kind == DialErrorKind::Unresolved));
}

#[tokio::test]
async fn a_name_that_is_looked_up_slowly_is_found() {
    let good = listener().await;
    let address = good.local_addr().unwrap();
    let (answer, answers) = std::sync::mpsc::channel::<()>();
    let answers = std::sync::Mutex::new(answers);
    let dialer = named(PATIENCE, move || {
        let _ = answers.lock().unwrap().recv();
        Ok(vec![address])
    });
    let mut report = |error: &DialError| panic!("{error}");
    let mut ready = std::pin::pin!(dialer.until_ready(a_start(Duration::ZERO), &mut report));
    assert!(time::timeout(Duration::from_millis(1500), &mut ready).await.is_err());
    answer.send(()).unwrap();
    assert_eq!(ready.await.peer_addr().unwrap(), address);
}

#[tokio::test]
async fn of_two_addresses_a_silent_one_does_not_hold_up_the_other() {
    let (silent, good) = (Silent::new(), listener().await);
    let addresses = vec![silent.address, good.local_addr().unwrap()];
    let dialer = named(PATIENCE, move || Ok(addresses.clone()));
    let before = Instant::now();
    let stream = dialer.until_ready(a_start(Duration::ZERO), &mut nobody).await;
    assert_eq!(stream.peer_addr().unwrap(), good.local_addr().unwrap());
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
}

#[tokio::test]
async fn a_target_that_is_moved_in_its_start_is_found_where_it_is() {
    let (silent, good) = (Silent::new(), listener().await);
    let dialer = Dialer::new(target(silent.address), PATIENCE, None);
    let mut report = nobody;
    let mut ready = std::pin::pin!(dialer.until_ready(a_start(Duration::ZERO), &mut report));
    assert!(time::timeout(Duration::from_millis(100), &mut ready).await.is_err());
    dialer.set(Some(target_of(&good)));
    assert_eq!(ready.await.peer_addr().unwrap(), good.local_addr().unwrap());
}

#[tokio::test]
async fn a_probe_sees_whether_the_target_closes_at_once() {
    let listener = listener().await;
    let dialer = Dialer::new(target_of(&listener), PATIENCE, None);
    let closes = async { drop(listener.accept().await.unwrap()) };
    let (error, ()) = tokio::join!(dialer.probe(), closes);
    let error = error.unwrap_err();
    assert_eq!(error.kind(), DialErrorKind::ClosedAtOnce);
    assert!(error.blames_target());
    assert_eq!(
        error.to_string(),
        format!(
            "the target `{}` closed the connection at once, without sending anything; a proxy in \
             front of it may be up before the server is",
            target_of(&listener)
        )
    );

    let speaks = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"hello").await.unwrap();
    };
    let (stream, ()) = tokio::join!(dialer.probe(), speaks);
    let mut read = Vec::new();
    stream.unwrap().read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"hello", "it may close after it has spoken");

    let before = Instant::now();
    dialer.probe().await.expect("it waits for us to speak");
    assert!(before.elapsed() >= Duration::from_millis(20), "{:?}", before.elapsed());
}
