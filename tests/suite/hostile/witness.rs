//! Somebody who talks to the other service all along, and notices when it keeps them waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::proxy::{Client, Scene};

/// The pause between two questions.
const PAUSE: Duration = Duration::from_millis(2);

/// After so many questions, one is asked on a connection of its own.
const NEWCOMER: u32 = 10;

/// Fewer answers than these prove nothing: the witness stays until they are there.
const LEAST: u32 = 5 * NEWCOMER;

/// The longest that an answer may take. It takes some microseconds where nobody else runs; a machine
/// with two cores and a dozen tests on them is granted this.
const PATIENCE: Duration = Duration::from_secs(1);

/// A conversation with `other`, on a thread of its own.
pub(super) struct Witness {
    enough: Arc<AtomicBool>,
    thread: JoinHandle<Statement>,
}

/// What the witness has seen.
#[derive(Default)]
struct Statement {
    answers: u32,
    longest: Duration,
}

impl Witness {
    /// Begins the conversation.
    pub(super) fn call(scene: &Scene) -> Witness {
        let address = scene.address_of("other", "listen");
        let client = Client::connect(address);
        let enough = Arc::<AtomicBool>::default();
        let thread = thread::spawn({
            let enough = Arc::clone(&enough);
            move || {
                let mut seen = Statement::default();
                while seen.answers < LEAST || !enough.load(Ordering::Relaxed) {
                    let question = format!("question {}", seen.answers);
                    let began = Instant::now();
                    // Neither returns without the whole answer.
                    if seen.answers % NEWCOMER == 0 {
                        Client::connect(address).ask(&question);
                    } else {
                        client.ask(&question);
                    }
                    seen.longest = seen.longest.max(began.elapsed());
                    seen.answers += 1;
                    thread::sleep(PAUSE);
                }
                seen
            }
        });
        Witness { enough, thread }
    }

    /// Ends the conversation, in which nothing may have been lost and nothing late.
    pub(super) fn dismiss(self) {
        self.enough.store(true, Ordering::Relaxed);
        let seen = self.thread.join().expect("an answer was lost");
        assert!(seen.longest < PATIENCE, "an answer took {:?}", seen.longest);
    }
}
