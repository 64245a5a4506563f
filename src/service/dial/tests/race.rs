//! Names: their lookup, and several addresses.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use super::*;
use crate::service::dial::resolver::Look;

/// Less than the time after which the next address is tried.
const AT_ONCE: Duration = Duration::from_millis(200);

#[tokio::test]
async fn an_address_that_keeps_silent_costs_a_quarter_of_a_second_and_is_then_tried_last() {
    let (silent, good) = (Silent::new(), listener().await);
    let addresses = vec![silent.address, good.local_addr().unwrap()];
    let dialer = named(PATIENCE, move || Ok(addresses.clone()));
    let before = Instant::now();
    let stream = dialer.dial().await.unwrap();
    let took = before.elapsed();
    assert_eq!(stream.peer_addr().unwrap(), good.local_addr().unwrap());
    assert!(took >= Duration::from_millis(250), "{took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");

    let Ok(Look::Found(known)) = dialer.resolver().look() else { panic!("it is known") };
    assert_eq!(*known.all, [good.local_addr().unwrap(), silent.address]);
    let before = Instant::now();
    dialer.dial().await.unwrap();
    assert!(before.elapsed() < AT_ONCE, "{:?}", before.elapsed());
}

#[tokio::test]
async fn ipv4_is_tried_a_quarter_of_a_second_after_ipv6_that_keeps_silent() {
    let Ok(silent) = Silent::at("[::1]:0".parse().unwrap()) else { return };
    let good = listener().await;
    let addresses = vec![good.local_addr().unwrap(), silent.address];
    let dialer = named(PATIENCE, move || Ok(addresses.clone()));
    let before = Instant::now();
    let stream = dialer.dial().await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), good.local_addr().unwrap());
    assert!(before.elapsed() >= Duration::from_millis(250), "IPv6 comes first");
    assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());
}

#[tokio::test]
async fn after_an_address_that_refuses_the_next_one_is_tried_at_once() {
    let good = listener().await.local_addr().unwrap();
    let listener = TcpListener::bind(good).await.unwrap();
    let refuses = super::listener().await.local_addr().unwrap();
    let dialer = named(PATIENCE, move || Ok(vec![refuses, refuses, good]));
    let before = Instant::now();
    let stream = dialer.dial().await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
    assert!(before.elapsed() < AT_ONCE, "{:?}", before.elapsed());
}

#[tokio::test]
async fn all_addresses_share_one_connect_timeout_and_the_most_telling_failure_counts() {
    let (silent, another) = (Silent::new(), Silent::new());
    let refuses = listener().await.local_addr().unwrap();
    let addresses = vec![silent.address, refuses, another.address];
    let dialer = named(Duration::from_millis(600), move || Ok(addresses.clone()));
    let before = Instant::now();
    let error = dialer.dial().await.unwrap_err();
    assert_eq!(error.kind(), DialErrorKind::Refused);
    assert!(before.elapsed() >= Duration::from_millis(600), "{:?}", before.elapsed());
    assert!(before.elapsed() < Duration::from_millis(1200), "{:?}", before.elapsed());
}

#[tokio::test]
async fn a_lookup_that_outlasts_the_dial_is_kept_for_the_next_one() {
    let good = listener().await;
    let address = good.local_addr().unwrap();
    let (server, dialer) = NameServer::new(Duration::from_millis(50));
    let error = dialer.dial().await.unwrap_err();
    assert_eq!(error.kind(), DialErrorKind::Unresolved);
    assert!(error.blames_target());
    assert_eq!(
        error.to_string(),
        "the name `mc.example` of the target can't be resolved: no name server answered in time; \
         check its spelling, and the name server of this machine"
    );
    server.answer(Ok(vec![address]));
    dialer.resolver().lookup_ended().await;
    assert_eq!(dialer.dial().await.unwrap().peer_addr().unwrap(), address);
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn all_who_dial_a_name_wait_for_the_same_lookup() {
    let good = listener().await;
    let (server, dialer) = NameServer::new(PATIENCE);
    let dialer = Arc::new(dialer);
    let dials: Vec<_> = (0..10)
        .map(|_| {
            let dialer = Arc::clone(&dialer);
            tokio::spawn(async move { dialer.dial().await })
        })
        .collect();
    server.answer(Ok(vec![good.local_addr().unwrap()]));
    for dial in dials {
        dial.await.unwrap().unwrap();
    }
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn a_target_that_moved_is_found_although_its_old_address_keeps_silent() {
    let before = listener().await;
    let after = listener().await;
    let (server, dialer) = NameServer::new(PATIENCE);
    server.answer(Ok(vec![before.local_addr().unwrap()]));
    dialer.dial().await.unwrap();
    // The old address answers nobody, and the name server takes its time.
    drop(before);
    let silent = Silent::new();
    dialer.resolver().overwrite(vec![silent.address], Duration::from_secs(4));
    let mut dial = std::pin::pin!(dialer.dial());
    assert!(tokio::time::timeout(Duration::from_millis(700), &mut dial).await.is_err());
    server.answer(Ok(vec![after.local_addr().unwrap()]));
    assert_eq!(dial.await.unwrap().peer_addr().unwrap(), after.local_addr().unwrap());
    assert_eq!(server.asked(), 2);
}

/// A name server that answers when it is ordered to.
struct NameServer {
    answers: mpsc::Sender<io::Result<Vec<SocketAddr>>>,
    asked: Arc<AtomicUsize>,
}

impl NameServer {
    fn new(connect_timeout: Duration) -> (NameServer, Dialer) {
        let (answers, ordered) = mpsc::channel();
        let ordered = Mutex::new(ordered);
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let dialer = named(connect_timeout, move || {
            counted.fetch_add(1, Ordering::Relaxed);
            ordered.lock().unwrap().recv().unwrap_or_else(|_| Ok(Vec::new()))
        });
        (NameServer { answers, asked }, dialer)
    }

    fn answer(&self, answer: io::Result<Vec<SocketAddr>>) {
        self.answers.send(answer).unwrap();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}
