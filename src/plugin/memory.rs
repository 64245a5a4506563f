//! The memory of guests: how many bytes an instance may use, and how many memories all of them may
//! reserve.
//!
//! A linear memory costs more than its bytes: each one, even an empty one, reserves 4 GiB of
//! addresses and some of the kernel's memory maps, of which a process has 128 TiB and, as a default,
//! 65,530. When they run out, nothing in the process can start a thread or a command. So memories are
//! counted for each instance (`limits.memories`), and over all plugins ([`AddressSpace`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wasmtime::{ResourceLimiter, Trap};

/// The most memories that all plugins may have together: half of the addresses that Linux gives a
/// process on x86-64, in pieces of 4 GiB.
const MAX_MEMORIES: usize = 16 << 10;

/// How many maps of the kernel are set aside for each memory: the memory itself, its guard pages, and
/// as much again for what else the process maps.
const MAPS_PER_MEMORY: usize = 8;

/// How many maps a process may have unless the kernel says otherwise (`vm.max_map_count`).
const DEFAULT_MAPS: usize = 65_530;

/// What an element of a table costs, in bytes.
const TABLE_ELEMENT: usize = size_of::<usize>();

/// The reason of a trap: the memory of the instance is used up.
#[derive(Debug, thiserror::Error)]
#[error("the memory is used up")]
pub(super) struct MemorySpent;

/// The reason of a trap: the instance has as many memories as it may have.
#[derive(Debug, thiserror::Error)]
#[error("the instance has as many linear memories as it may have")]
pub(super) struct MemoriesSpent;

/// The reason of a trap: the instances of the plugin have as many memories as there are for it.
#[derive(Debug, thiserror::Error)]
#[error("the instances of the plugin have {0} linear memories, which is its share of the process")]
pub(super) struct ShareSpent(pub(super) usize);

/// Did a guest end because its memory was used up? The limit of a heap with garbage collection comes as
/// a trap of its own, in place of [`MemorySpent`].
pub(super) fn is_memory_spent(error: &wasmtime::Error) -> bool {
    error.is::<MemorySpent>() || error.downcast_ref() == Some(&Trap::AllocationTooLarge)
}

/// Did a guest end because of a limit on how many memories, tables or instances there are?
pub(super) fn is_count_spent(error: &wasmtime::Error) -> bool {
    error.is::<MemoriesSpent>() || error.is::<ShareSpent>() || counted(error).is_some()
}

/// Which of wasmtime's own counts a guest has used up: `instance`, `memory` or `table`.
pub(super) fn counted(error: &wasmtime::Error) -> Option<&'static str> {
    // Wasmtime has no type for this error.
    let reason = error.root_cause().to_string();
    let reason = reason.strip_prefix("resource limit exceeded: ")?;
    ["instance", "memory", "table"].into_iter().find(|count| reason.starts_with(count))
}

/// The memories that all plugins of a process may have.
#[derive(Debug)]
pub(super) struct AddressSpace {
    max: usize,
    used: AtomicUsize,
}

impl AddressSpace {
    /// What this machine lets a process have.
    pub(super) fn of_this_machine() -> Arc<AddressSpace> {
        let maps = std::fs::read_to_string("/proc/sys/vm/max_map_count");
        let maps = maps.ok().and_then(|maps| maps.trim().parse().ok()).unwrap_or(DEFAULT_MAPS);
        Self::of((maps / MAPS_PER_MEMORY).clamp(1, MAX_MEMORIES))
    }

    fn of(max: usize) -> Arc<AddressSpace> {
        Arc::new(AddressSpace { max, used: AtomicUsize::new(0) })
    }

    /// The share of one plugin, with nothing used of it.
    pub(super) fn share(self: &Arc<Self>) -> Arc<Share> {
        Arc::new(Share { space: Arc::clone(self), held: AtomicUsize::new(0) })
    }
}

/// What one plugin has of the [`AddressSpace`].
///
/// A plugin may have as much as is free at that moment, and no more: one greedy plugin gets a half,
/// two get a third each, and something is always left for the next one.
#[derive(Debug)]
pub(super) struct Share {
    space: Arc<AddressSpace>,
    held: AtomicUsize,
}

impl Share {
    fn take(&self) -> Result<(), ShareSpent> {
        let held = self.held.load(Ordering::Relaxed);
        let used = self.space.used.fetch_add(1, Ordering::Relaxed);
        if held >= self.space.max.saturating_sub(used) {
            self.space.used.fetch_sub(1, Ordering::Relaxed);
            return Err(ShareSpent(held));
        }
        self.held.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn give_back(&self, memories: usize) {
        self.held.fetch_sub(memories, Ordering::Relaxed);
        self.space.used.fetch_sub(memories, Ordering::Relaxed);
    }
}

/// How much one instance may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemoryLimits {
    /// All linear memories and tables together, in bytes.
    pub(super) bytes: usize,
    /// How many linear memories.
    pub(super) memories: usize,
    /// How many tables.
    pub(super) tables: usize,
    /// How many core instances.
    pub(super) instances: usize,
}

/// The memory of one instance: all its linear memories and tables together.
#[derive(Debug)]
pub(super) struct Memory {
    limits: MemoryLimits,
    used: usize,
    memories: usize,
    share: Arc<Share>,
}

impl Memory {
    /// No memory so far, and at most what `limits` and the `share` of the plugin let it have.
    pub(super) fn new(limits: MemoryLimits, share: &Arc<Share>) -> Memory {
        Memory { limits, used: 0, memories: 0, share: Arc::clone(share) }
    }

    /// What is in use, in bytes. Memories only grow, so it is the peak as well.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    fn grow(&mut self, by: usize) -> wasmtime::Result<bool> {
        match self.used.checked_add(by) {
            Some(used) if used <= self.limits.bytes => {
                self.used = used;
                Ok(true)
            }
            // Few guests survive an allocation that fails, and none can say why it did: a trap here
            // becomes a sentence that names the limit.
            Some(_) | None => Err(MemorySpent.into()),
        }
    }

    fn reserve(&mut self) -> wasmtime::Result<()> {
        if self.memories >= self.limits.memories {
            return Err(MemoriesSpent.into());
        }
        self.share.take()?;
        self.memories += 1;
        Ok(())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.share.give_back(self.memories);
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
        // A new memory, or an empty one that grows and is counted once more.
        if current == 0 {
            self.reserve()?;
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

    fn instances(&self) -> usize {
        self.limits.instances
    }

    fn tables(&self) -> usize {
        self.limits.tables
    }

    fn memories(&self) -> usize {
        self.limits.memories
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]
mod tests {
    use super::*;

    const LIMITS: MemoryLimits = MemoryLimits { bytes: 1000, memories: 3, tables: 1, instances: 1 };

    #[test]
    fn the_memory_of_an_instance_is_the_sum_of_its_parts() {
        let mut memory = Memory::new(LIMITS, &AddressSpace::of(100).share());
        assert!(memory.memory_growing(0, 400, None).unwrap());
        assert!(memory.memory_growing(0, 400, None).unwrap());
        assert!(memory.table_growing(0, 25, None).unwrap());
        assert!(memory.memory_growing(400, 401, None).unwrap_err().is::<MemorySpent>());
    }

    #[test]
    fn empty_memories_are_counted() {
        let mut memory = Memory::new(LIMITS, &AddressSpace::of(100).share());
        for _ in 0..3 {
            assert!(memory.memory_growing(0, 0, None).unwrap());
        }
        assert!(memory.memory_growing(0, 0, None).unwrap_err().is::<MemoriesSpent>());
    }

    #[test]
    fn a_growth_beyond_the_guests_own_limit_is_no_trap() {
        let mut memory = Memory::new(LIMITS, &AddressSpace::of(100).share());
        assert!(!memory.memory_growing(10, 20, Some(15)).unwrap());
        assert!(!memory.table_growing(10, 20, Some(15)).unwrap());
    }

    #[test]
    fn greedy_plugins_leave_something_for_the_next_one() {
        let space = AddressSpace::of(99);
        let take_all = |share: &Share| while share.take().is_ok() {};
        let shares = [space.share(), space.share(), space.share()];
        for share in &shares {
            take_all(share);
            assert!(space.used.load(Ordering::Relaxed) < 99, "something is free");
        }
        assert_eq!(shares[0].held.load(Ordering::Relaxed), 50);
        assert!(shares[2].held.load(Ordering::Relaxed) > 10);
    }

    #[test]
    fn what_an_instance_had_is_free_when_it_is_gone() {
        let space = AddressSpace::of(4);
        let share = space.share();
        for _ in 0..10 {
            let mut memory = Memory::new(LIMITS, &share);
            assert!(memory.memory_growing(0, 1, None).unwrap());
            assert!(memory.memory_growing(0, 1, None).unwrap());
        }
        assert_eq!(space.used.load(Ordering::Relaxed), 0);
        assert_eq!(share.held.load(Ordering::Relaxed), 0);
    }
}
