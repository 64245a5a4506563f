//! What one call may use up: CPU time, and time on the wall.
//!
//! Two mechanisms, because neither is enough. A guest that *computes* is interrupted by the
//! engine's clock, which looks at the CPU time that the call has used. A guest that *waits* in a
//! host function uses no CPU and is not interrupted: a timer on the wall ends it, by dropping the
//! call. (A guest that *grows* is held to its [memory](super::memory).)
//!
//! The calls of one decider take turns: one of them computes at a time, and gives its turn away at
//! each tick of the clock. So hundreds of clients at a busy gate hold up a `start` of the same plugin
//! by a tick, and not by hundreds.
//!
//! CPU time is measured and not counted in ticks: it is the time of the thread on its core while
//! the call was polled. So a guest is not charged for what it waited for, nor for a busy machine.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::PollSemaphore;
use wasmtime::{Store, UpdateDeadline};

use super::process::Scope;

/// How long a call whose deadline passed while it waited for a command may take for its answer, once
/// the command has ended.
const ANSWER: Duration = Duration::from_secs(2);

/// How a call ended without an answer.
#[derive(Debug)]
pub(super) enum Ending {
    /// The guest trapped, was ended by a limit, or could not be instantiated.
    Trapped(wasmtime::Error),
    /// The deadline passed.
    Late,
    /// The answer is not wanted any more.
    Cancelled,
}

/// The reason of a trap: the call's CPU time is used up.
#[derive(Debug, thiserror::Error)]
#[error("the CPU time is used up")]
pub(super) struct CpuSpent;

/// The allowance of an instance. Each call on it begins with a full one.
#[derive(Debug)]
pub(super) struct Allowance {
    /// The CPU time of one call.
    cpu: Duration,
    /// One permit for all calls that take turns with this one.
    turns: Arc<Semaphore>,
    /// CPU time used in polls of this call that are over, in nanoseconds.
    used: AtomicU64,
    /// The thread's CPU time at the beginning of the poll that runs, in nanoseconds.
    poll_began: AtomicU64,
    /// Whether the call has run a command.
    waits_for_command: AtomicBool,
}

impl Allowance {
    /// An allowance with so much CPU time a call, used in `turns` of one permit.
    pub(super) fn new(cpu: Duration, turns: &Arc<Semaphore>) -> Arc<Allowance> {
        Arc::new(Allowance {
            cpu,
            turns: Arc::clone(turns),
            used: AtomicU64::new(0),
            poll_began: AtomicU64::new(0),
            waits_for_command: AtomicBool::new(false),
        })
    }

    /// Has `store` interrupted at each tick of the clock, to let others run or to be ended.
    pub(super) fn attach<T: 'static>(self: &Arc<Self>, store: &mut Store<T>) {
        let allowance = Arc::clone(self);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| {
            if allowance.cpu_spent() { Err(CpuSpent.into()) } else { Ok(UpdateDeadline::Yield(1)) }
        });
    }

    /// Notes that the call waits for a command, whose end may take longer than the deadline.
    pub(super) fn wait_for_command(&self) {
        self.waits_for_command.store(true, Ordering::Relaxed);
    }

    /// Whether the call has run a command.
    pub(super) fn waits_for_command(&self) -> bool {
        self.waits_for_command.load(Ordering::Relaxed)
    }

    /// Runs `call` to its end, to `deadline`, or until the CPU time is used up. `scope` has the commands
    /// that the call runs.
    pub(super) async fn spend<T>(
        &self,
        deadline: Instant,
        scope: &Scope,
        call: impl Future<Output = wasmtime::Result<T>>,
    ) -> Result<T, Ending> {
        self.used.store(0, Ordering::Relaxed);
        self.waits_for_command.store(false, Ordering::Relaxed);
        let mut call = pin!(call);
        let mut turns = PollSemaphore::new(Arc::clone(&self.turns));
        let mut metered = pin!(std::future::poll_fn(|context| {
            let Poll::Ready(_turn) = turns.poll_acquire(context) else { return Poll::Pending };
            self.poll_began.store(thread_cpu_time(), Ordering::Relaxed);
            let answer = call.as_mut().poll(context);
            self.used.fetch_add(self.current_poll(), Ordering::Relaxed);
            answer
        }));
        let mut answer = tokio::time::timeout_at(deadline, &mut metered).await;
        if answer.is_err() && self.waits_for_command() {
            // A command has a timeout of its own, which is over by the deadline. It decides, and not
            // this clock: if the process was stopped or the machine suspended, both come due at once,
            // and the command may have ended long before.
            tokio::select! {
                biased;
                answer = &mut metered => return answer.map_err(Ending::Trapped),
                () = scope.ended() => {}
            }
            answer = tokio::time::timeout(ANSWER, &mut metered).await;
        }
        match answer {
            Ok(answer) => answer.map_err(Ending::Trapped),
            Err(_) => Err(Ending::Late),
        }
    }

    /// The CPU time that the call has used. Whole only once the call is over.
    pub(super) fn used(&self) -> Duration {
        Duration::from_nanos(self.used.load(Ordering::Relaxed))
    }

    /// The CPU time of the poll that runs, in nanoseconds.
    fn current_poll(&self) -> u64 {
        thread_cpu_time().saturating_sub(self.poll_began.load(Ordering::Relaxed))
    }

    fn cpu_spent(&self) -> bool {
        let used = self.used.load(Ordering::Relaxed).saturating_add(self.current_poll());
        u128::from(used) >= self.cpu.as_nanos()
    }
}

/// The CPU time that this thread has used, in nanoseconds.
fn thread_cpu_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(Duration::try_from(time).unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use tokio::sync::Notify;

    fn turns() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(1))
    }

    #[tokio::test]
    async fn calls_that_compute_take_turns_and_others_wait_for_one_of_them() {
        // Three that compute for many ticks, all with the same turns, and one that comes later.
        let (turns, computing, most) = (turns(), AtomicUsize::new(0), AtomicUsize::new(0));
        let compute = async |ticks: u32| {
            let allowance = Allowance::new(Duration::from_secs(1), &turns);
            let call = async {
                for _ in 0..ticks {
                    let now = computing.fetch_add(1, Ordering::Relaxed) + 1;
                    most.fetch_max(now, Ordering::Relaxed);
                    computing.fetch_sub(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
                Ok(())
            };
            let deadline = Instant::now() + Duration::from_secs(60);
            allowance.spend(deadline, &Scope::default(), call).await.unwrap();
        };
        let done = AtomicUsize::new(0);
        let long = async || {
            compute(1000).await;
            done.fetch_add(1, Ordering::Relaxed);
        };
        let short = async {
            tokio::task::yield_now().await;
            compute(2).await;
            assert_eq!(
                done.load(Ordering::Relaxed),
                0,
                "it did not wait for the end of the others"
            );
        };
        tokio::join!(long(), long(), long(), short);
        assert_eq!(most.load(Ordering::Relaxed), 1, "one computes at a time");
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_uses_no_cpu_time() {
        let allowance = Allowance::new(Duration::from_millis(50), &turns());
        let deadline = Instant::now() + Duration::from_secs(60);
        let call = async {
            tokio::time::sleep(Duration::from_secs(30)).await;
            Ok(())
        };
        allowance.spend(deadline, &Scope::default(), call).await.unwrap();
        assert!(!allowance.cpu_spent());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_waits_for_ever_is_late_at_its_deadline() {
        let allowance = Allowance::new(Duration::from_secs(1), &turns());
        let began = Instant::now();
        let deadline = began + Duration::from_secs(10);
        let call = std::future::pending::<wasmtime::Result<()>>();
        assert!(matches!(
            allowance.spend(deadline, &Scope::default(), call).await,
            Err(Ending::Late)
        ));
        assert_eq!(began.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_waits_for_the_end_of_a_command_may_overrun_its_deadline() {
        let (allowance, scope) =
            (Allowance::new(Duration::from_secs(1), &turns()), Scope::default());
        let deadline = Instant::now() + Duration::from_secs(10);
        let call = async {
            allowance.wait_for_command();
            let _command = scope.enter();
            tokio::time::sleep(Duration::from_secs(19)).await;
            Ok("ended")
        };
        assert_eq!(allowance.spend(deadline, &scope, call).await.unwrap(), "ended");
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_has_ended_while_time_stood_still_is_not_late() {
        let (allowance, scope) =
            (Allowance::new(Duration::from_secs(1), &turns()), Scope::default());
        let (command, ended) = (scope.enter(), Notify::new());
        let deadline = Instant::now() + Duration::from_secs(10);
        let call = async {
            allowance.wait_for_command();
            ended.notified().await;
            Ok("ended")
        };
        let frozen = async {
            tokio::task::yield_now().await;
            // All timers come due at once, and before the end of the command is noticed.
            tokio::time::advance(Duration::from_secs(3600)).await;
            tokio::task::yield_now().await;
            drop(command);
            tokio::task::yield_now().await;
            ended.notify_one();
        };
        let (answer, ()) = tokio::join!(allowance.spend(deadline, &scope, call), frozen);
        assert_eq!(answer.unwrap(), "ended");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_does_not_answer_after_its_command_is_late() {
        let (allowance, scope) =
            (Allowance::new(Duration::from_secs(1), &turns()), Scope::default());
        let began = Instant::now();
        let call = async {
            allowance.wait_for_command();
            let command = scope.enter();
            tokio::time::sleep(Duration::from_secs(15)).await;
            drop(command);
            std::future::pending::<wasmtime::Result<()>>().await
        };
        let answer = allowance.spend(began + Duration::from_secs(10), &scope, call).await;
        assert!(matches!(answer, Err(Ending::Late)));
        assert_eq!(began.elapsed(), Duration::from_secs(15) + ANSWER);
    }
}
