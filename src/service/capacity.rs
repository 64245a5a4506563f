//! How many clients the limit of open files lets Dormouse serve.
//!
//! A client takes two descriptors: its own, and, sooner or later, one for its target. Both are counted
//! from the moment in which it is accepted: clients that wait must not use up what would let one of
//! them in. What Dormouse needs beside its clients is set aside: for itself, for probes, hooks and
//! plugins, and for pipes to splice through.

/// What clients take of one.
const EACH: usize = 2;

/// Standard streams, signals, and a few files.
const OWN: usize = 8;
/// Of the runtimes: one for each core, one for decisions, and those of plugins.
pub const EACH_RUNTIME: usize = 4;

/// Set aside in any case: a hook takes eight descriptors while it is started, and clients that are only
/// judged take some.
const RESERVE: usize = 16;
/// Set aside for each service: a probe, a hook that runs, a file that is written.
const EACH_SERVICE: usize = 8;
/// Set aside for each plugin: its memory's image, and its file when it is looked at.
const EACH_PLUGIN: usize = 2;

/// One pipe (two descriptors) for so many that are left.
const PIPE_SHARE: usize = 16;

/// What there is to be served beside clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// How many listeners there are.
    pub listeners: usize,
    /// How many services.
    pub services: usize,
    /// How many plugins, hooks of a service included.
    pub plugins: usize,
    /// How many pipes the relay takes at most.
    pub pipes: usize,
}

/// What a limit of open files is shared out to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// How many clients fit, over all services. At least one.
    pub clients: usize,
    /// How many pipes the relay may have.
    pub pipes: usize,
}

impl Demand {
    /// How many descriptors Dormouse has without a client, on a machine with so many cores.
    pub fn open(&self, cores: usize) -> usize {
        OWN + self.listeners + EACH_RUNTIME * (cores + 1)
    }

    /// How a limit is shared out, of which so many descriptors are open before a client comes. Under a
    /// small limit what is set aside is half of the rest at most.
    pub fn within(&self, limit: u64, open: usize) -> Capacity {
        let left = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(open);
        let reserve = RESERVE + EACH_SERVICE * self.services + EACH_PLUGIN * self.plugins;
        let left = left - reserve.min(left / 2);
        let pipes = self.pipes.min(left / PIPE_SHARE);
        Capacity { clients: ((left - 2 * pipes) / EACH).max(1), pipes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Demand = Demand { listeners: 1, services: 1, plugins: 1, pipes: 64 };

    #[test]
    fn a_usual_limit_is_for_clients_but_for_some_tens() {
        let open = ONE.open(2);
        assert_eq!(open, 21);
        assert_eq!(ONE.within(1024, open), Capacity { clients: 427, pipes: 61 });
        assert_eq!(ONE.within(262_144, open), Capacity { clients: 130_984, pipes: 64 });
        assert!(ONE.within(u64::MAX, open).clients > usize::MAX / 4);
    }

    #[test]
    fn a_small_limit_is_for_clients_to_at_least_a_third() {
        assert_eq!(ONE.within(64, ONE.open(2)), Capacity { clients: 10, pipes: 1 });
        let many = Demand { listeners: 100, services: 100, plugins: 100, pipes: 64 };
        let Capacity { clients, pipes } = many.within(1024, many.open(8));
        assert!(clients * EACH + pipes * 2 >= 430, "{clients} clients and {pipes} pipes");
    }

    #[test]
    fn there_is_room_for_one_in_any_case() {
        for limit in [0, 10, 21, 22, 30] {
            let capacity = ONE.within(limit, 21);
            assert!(capacity.clients >= 1, "{limit}: {capacity:?}");
        }
    }
}
