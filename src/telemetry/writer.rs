//! Writes standard error, on a thread of its own.
//!
//! Whoever reads the log may stand still: a terminal after Ctrl-S, a pipe to a shipper that hangs, a
//! full disk on the other side. So nothing in Dormouse writes to standard error but this thread. All
//! others put their lines into a queue of bounded size. When it is full, new lines are lost, and how
//! many is logged when the reader reads again.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// How many bytes may wait to be written.
const MAX_QUEUED_BYTES: usize = 1 << 20;

/// How many bytes are written at once, if that many wait.
const MAX_WRITE_BYTES: usize = 64 << 10;

/// How long the end of the process waits for a reader that stands still.
const MAX_FLUSH: Duration = Duration::from_secs(1);

/// Standard error of this process. One a process: two writers would mix their lines.
static WRITER: OnceLock<Arc<Queue>> = OnceLock::new();

/// Writes `text` when its turn comes; says nothing if it is lost.
pub(super) fn write(text: Vec<u8>) {
    WRITER.get_or_init(start).push(text);
}

/// Waits until everything is written that was given to [`write`], or until the reader has stood still
/// for a second.
pub(super) fn flush() {
    if let Some(queue) = WRITER.get() {
        queue.flush(MAX_FLUSH);
    }
}

fn start() -> Arc<Queue> {
    let queue = Arc::<Queue>::default();
    let lines = Arc::clone(&queue);
    let thread = thread::Builder::new().name("log".to_owned());
    // Without a thread there is no log. There is nowhere to report that.
    let _ = thread.spawn(move || {
        loop {
            let (text, lost) = lines.take();
            write_all(&text);
            if let Some(lost) = lost {
                tracing::warn!(lost, "log lines were lost: nothing read standard error");
            }
        }
    });
    queue
}

/// Lines that wait to be written.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    /// Something waits.
    filled: Condvar,
    /// Nothing waits, and all is written.
    emptied: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// How many lines were lost since that was last reported.
    lost: u64,
    is_writing: bool,
}

impl Queue {
    fn push(&self, line: Vec<u8>) {
        let mut state = self.state();
        // One that is longer than the queue is written if nothing else waits.
        if state.bytes > 0 && state.bytes + line.len() > MAX_QUEUED_BYTES {
            state.lost += 1;
            return;
        }
        state.bytes += line.len();
        state.lines.push_back(line);
        self.filled.notify_one();
    }

    /// Waits for lines, and takes as many as are written at once. With the last of them comes how many
    /// were lost.
    fn take(&self) -> (Vec<u8>, Option<u64>) {
        let mut state = self.state();
        state.is_writing = false;
        while state.lines.is_empty() {
            self.emptied.notify_all();
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_writing = true;
        let mut text = Vec::new();
        while let Some(line) = state.lines.front()
            && (text.is_empty() || text.len() + line.len() <= MAX_WRITE_BYTES)
        {
            text.extend_from_slice(line);
            state.bytes -= line.len();
            state.lines.pop_front();
        }
        let lost = if state.lines.is_empty() { std::mem::take(&mut state.lost) } else { 0 };
        (text, (lost > 0).then_some(lost))
    }

    fn flush(&self, patience: Duration) {
        let waits = |state: &mut State| state.is_writing || !state.lines.is_empty();
        let waited = self.emptied.wait_timeout_while(self.state(), patience, waits);
        drop(waited);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes all of `text`. What can't be written (a reader that is gone, a full disk) is lost: there is
/// nowhere to report that.
fn write_all(mut text: &[u8]) {
    // Without the lock of the standard library, which a panic would wait for.
    let stderr = io::stderr();
    while !text.is_empty() {
        match rustix::io::write(&stderr, text) {
            Ok(0) => return,
            Ok(written) => text = &text[written..],
            Err(Errno::INTR) => {}
            // A terminal or a pipe that somebody has set to not block.
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], None);
            }
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(length: usize) -> Vec<u8> {
        vec![b'x'; length]
    }

    #[test]
    fn lines_come_out_in_order_and_together() {
        let queue = Queue::default();
        queue.push(b"one\n".to_vec());
        queue.push(b"two\n".to_vec());
        assert_eq!(queue.take(), (b"one\ntwo\n".to_vec(), None));
    }

    #[test]
    fn lines_beyond_the_bound_are_lost_and_counted_when_the_others_are_written() {
        let queue = Queue::default();
        let half = MAX_QUEUED_BYTES / 2;
        for _ in 0..5 {
            queue.push(line(half));
        }
        assert_eq!(queue.state().bytes, 2 * half);
        assert_eq!(queue.take(), (line(half), None), "one more waits");
        assert_eq!(queue.take(), (line(half), Some(3)));
        queue.push(line(1));
        assert_eq!(queue.take(), (line(1), None), "counted once");
    }

    #[test]
    fn a_line_longer_than_the_bound_is_written_if_nothing_waits() {
        let queue = Queue::default();
        queue.push(line(2 * MAX_QUEUED_BYTES));
        assert_eq!(queue.take().0.len(), 2 * MAX_QUEUED_BYTES);
    }

    #[test]
    fn a_flush_waits_for_what_is_being_written_and_not_for_ever() {
        let queue = Arc::new(Queue::default());
        queue.flush(Duration::from_secs(60));
        queue.push(line(1));
        let _taken = queue.take();
        queue.flush(Duration::from_millis(10));
        assert!(queue.state().is_writing, "it gave up");
        // The next look at the queue says that all is written.
        let there = Arc::clone(&queue);
        thread::spawn(move || there.take());
        queue.flush(Duration::from_secs(60));
        assert!(!queue.state().is_writing);
        queue.push(line(1));
    }
}
