//! What one call may use up: CPU time, time on the wall, memory.
//!
//! Three mechanisms, because no one of them is enough. A guest that *computes* is interrupted by the
//! engine's clock, which looks at the CPU time that the call has used. A guest that *waits* in a
//! host function uses no CPU and is not interrupted: a timer on the wall ends it, by dropping the
//! call. A guest that *grows* asks [`Memory`] for each page.
//!
//! CPU time is measured and not counted in ticks: it is the time of the thread on its core while
//! the call was polled. So a guest is not charged for what it waited for, nor for a busy machine.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;
use wasmtime::{ResourceLimiter, Store, Trap, UpdateDeadline};

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

/// The reason of a trap: the memory of the instance is used up.
#[derive(Debug, thiserror::Error)]
#[error("the memory is used up")]
pub(super) struct MemorySpent;

/// Did a guest end for want of memory? The limit of a heap with garbage collection comes as a trap of its
/// own, in place of [`MemorySpent`].
pub(super) fn is_memory_spent(error: &wasmtime::Error) -> bool {
    error.is::<MemorySpent>() || error.downcast_ref() == Some(&Trap::AllocationTooLarge)
}

/// The allowance of an instance. Each call on it begins with a full one.
#[derive(Debug)]
pub(super) struct Allowance {
    /// The CPU time of one call.
    cpu: Duration,
    /// CPU time used in polls of this call that are over, in nanoseconds.
    used: AtomicU64,
    /// The thread's CPU time at the beginning of the poll that runs, in nanoseconds.
    poll_began: AtomicU64,
    /// Whether the call has run a command.
    waits_for_command: AtomicBool,
}

impl Allowance {
    /// An allowance with so much CPU time a call.
    pub(super) fn new(cpu: Duration) -> Arc<Allowance> {
        Arc::new(Allowance {
            cpu,
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
        let mut metered = pin!(std::future::poll_fn(|context| {
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

/// The memory of one instance: all its linear memories and tables together.
#[derive(Debug)]
pub(super) struct Memory {
    limit: usize,
    used: usize,
}

/// What an element of a table costs, in bytes.
const TABLE_ELEMENT: usize = size_of::<usize>();

impl Memory {
    /// A cap of `limit` bytes.
    pub(super) fn new(limit: usize) -> Memory {
        Memory { limit, used: 0 }
    }

    /// What is in use, in bytes. Memories only grow, so it is the peak as well.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    fn grow(&mut self, by: usize) -> wasmtime::Result<bool> {
        match self.used.checked_add(by) {
            Some(used) if used <= self.limit => {
                self.used = used;
                Ok(true)
            }
            // Few guests survive an allocation that fails, and none can say why it did: a trap here
            // becomes a sentence that names the limit.
            Some(_) | None => Err(MemorySpent.into()),
        }
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            // The guest's own limit: it asked for this answer.
            return Ok(false);
        }
        self.grow(desired.saturating_sub(current))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(desired.saturating_sub(current).saturating_mul(TABLE_ELEMENT))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]
mod tests {
    use super::*;
    use tokio::sync::Notify;

    #[test]
    fn the_memory_of_an_instance_is_the_sum_of_its_parts() {
        let mut memory = Memory::new(1000);
        assert!(memory.memory_growing(0, 400, None).unwrap());
        assert!(memory.memory_growing(0, 400, None).unwrap());
        assert!(memory.table_growing(0, 25, None).unwrap());
        assert!(memory.memory_growing(400, 401, None).unwrap_err().is::<MemorySpent>());
    }

    #[test]
    fn a_guest_that_reaches_its_own_maximum_is_told_so_and_lives() {
        let mut memory = Memory::new(1000);
        assert!(!memory.memory_growing(0, 400, Some(300)).unwrap());
        assert!(!memory.table_growing(0, 4, Some(3)).unwrap());
        assert!(memory.memory_growing(0, 1000, None).unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_uses_no_cpu_time() {
        let allowance = Allowance::new(Duration::from_millis(50));
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
        let allowance = Allowance::new(Duration::from_secs(1));
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
        let (allowance, scope) = (Allowance::new(Duration::from_secs(1)), Scope::default());
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
        let (allowance, scope) = (Allowance::new(Duration::from_secs(1)), Scope::default());
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
        let (allowance, scope) = (Allowance::new(Duration::from_secs(1)), Scope::default());
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
