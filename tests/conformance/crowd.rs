//! Many clients at the gate at once.

use std::fs;
use std::future::poll_fn;
use std::os::unix::fs::DirBuilderExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use dormouse::decide::{Phase, Verdict};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{conversation, stage};

/// How many conversations are held at once.
const CONVERSATIONS: usize = 200;

/// What Dormouse may need with all of them, in bytes.
const MOST_MEMORY: u64 = 1 << 30;

/// The state is a pipe here: whoever reads it waits until somebody writes. So each conversation has
/// an instance, and they wait for the state beside each other.
#[tokio::test]
async fn two_hundred_conversations_at_once_stay_under_a_gibibyte() {
    let stage = stage(10).await;
    let state = stage.config.state_dir.join("plugin+p+s.state");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&stage.config.state_dir).unwrap();
    mknodat(CWD, &state, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let deciders = stage.deciders().await;

    let alone = memory();
    let mut answers = Vec::new();
    for client in 0..CONVERSATIONS {
        let mut conversation = conversation(&deciders, &format!("192.0.2.{client}"));
        let mut answer =
            Box::pin(async move { conversation.should_wake(Phase::Asleep, b"hello").await });
        until_it_waits(answer.as_mut()).await;
        answers.push(answer);
    }
    let together = memory();

    // With an empty state everybody knocks for the first time.
    fs::write(&state, "").unwrap();
    let answers: Vec<_> = answers.into_iter().map(tokio::spawn).collect();
    for answer in answers {
        assert_eq!(answer.await.unwrap().unwrap().verdict, Verdict::Refuse);
    }
    assert!(together < MOST_MEMORY, "{together} bytes, and {alone} without the conversations");
    // An instance has a page of memory at the very least.
    assert!(together - alone > CONVERSATIONS as u64 * 4096, "{together} after {alone}");
}

/// Polls until there is nothing more to do before something outside happens.
async fn until_it_waits(mut answer: Pin<&mut impl Future>) {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    loop {
        let polled =
            poll_fn(|_| Poll::Ready(answer.as_mut().poll(&mut Context::from_waker(&waker))));
        assert!(polled.await.is_pending(), "the conversation did not wait for the state");
        // A guest that computes for long yields, and asks to be polled again.
        if !woken.0.swap(false, Ordering::AcqRel) {
            return;
        }
        // The runtime's budget for one task would be used up some day.
        tokio::task::yield_now().await;
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// The memory of this process, in bytes. Instances share the pages of the component that none of
/// them has changed; here, each page counts once.
fn memory() -> u64 {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").expect("Linux");
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).expect("a Pss");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes << 10
}
