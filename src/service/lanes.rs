//! Lanes: the threads that clients are served on, one for each core.
//!
//! Each lane is a runtime of one thread, and a connection stays on its lane. So nothing of it
//! crosses from one core to another, no thread looks for work that another has, and a message costs
//! no wake-up but its own. The price is that a lane can't be helped by others: so a new client goes
//! to the lane that has the fewest.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The threads that clients are served on. Dropping it cuts off whoever is still there.
#[derive(Debug)]
pub struct Lanes {
    lanes: Vec<Lane>,
    _cut: DropGuard,
}

/// Where one lane can be reached.
#[derive(Clone, Debug)]
pub struct Lane {
    handle: Handle,
    clients: Arc<AtomicUsize>,
}

impl Lanes {
    /// Starts `count` lanes, at least one.
    ///
    /// # Errors
    ///
    /// There are no threads or descriptors to be had.
    pub fn start(count: usize) -> io::Result<Lanes> {
        let cut = CancellationToken::new();
        let guard = cut.clone().drop_guard();
        let lanes = (0..count.max(1)).map(|number| Lane::start(number, cut.clone()));
        Ok(Lanes { lanes: lanes.collect::<io::Result<_>>()?, _cut: guard })
    }

    /// One lane for each core that this process may use.
    ///
    /// # Errors
    ///
    /// As for [`start`](Lanes::start).
    pub fn for_this_machine() -> io::Result<Lanes> {
        Lanes::start(thread::available_parallelism().map_or(1, usize::from))
    }

    /// All of them. Never empty.
    pub fn all(&self) -> Arc<[Lane]> {
        self.lanes.as_slice().into()
    }
}

impl Lane {
    /// A lane that is a runtime which somebody else runs.
    pub fn on(handle: Handle) -> Lane {
        Lane { handle, clients: Arc::default() }
    }

    fn start(number: usize, cut: CancellationToken) -> io::Result<Lane> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let lane = Lane::on(runtime.handle().clone());
        thread::Builder::new().name(format!("lane-{number}")).spawn(move || {
            runtime.block_on(cut.cancelled());
            // What is still running is dropped; a name that is being looked up is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(lane)
    }

    /// Runs `task` here.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(task);
    }

    /// A place for one more client.
    pub(super) fn place(&self) -> Place {
        self.clients.fetch_add(1, Ordering::Relaxed);
        Place(Arc::clone(&self.clients))
    }
}

/// The lane with the fewest clients.
pub(super) fn emptiest(lanes: &[Lane]) -> Option<&Lane> {
    lanes.iter().min_by_key(|lane| lane.clients.load(Ordering::Relaxed))
}

/// One client's place on a lane, as long as it lives.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn a_new_client_gets_the_lane_with_the_fewest() {
        let lanes = Lanes::start(3).unwrap();
        let lanes = lanes.all();
        let mut places: Vec<_> = (0..6).map(|_| emptiest(&lanes).unwrap().place()).collect();
        let count = |lane: &Lane| lane.clients.load(Ordering::Relaxed);
        assert_eq!(lanes.iter().map(count).collect::<Vec<_>>(), [2, 2, 2]);
        // Two leave the same lane.
        places.retain(|place| !Arc::ptr_eq(&place.0, &lanes[1].clients));
        assert!(Arc::ptr_eq(&emptiest(&lanes).unwrap().clients, &lanes[1].clients));
    }

    #[test]
    fn each_lane_is_a_thread_of_its_own() {
        let lanes = Lanes::start(2).unwrap();
        let (tell, told) = mpsc::channel();
        for lane in lanes.all().iter().cycle().take(4) {
            let tell = tell.clone();
            lane.spawn(async move { tell.send(thread::current().id()).unwrap() });
        }
        let threads: Vec<_> = (0..4).map(|_| told.recv_timeout(PATIENCE).unwrap()).collect();
        let different: std::collections::HashSet<_> = threads.iter().collect();
        assert_eq!(different.len(), 2);
        assert!(!threads.contains(&thread::current().id()));
    }

    #[test]
    fn whoever_is_on_a_lane_is_cut_off_with_it() {
        let lanes = Lanes::start(1).unwrap();
        let (there, gone) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        lanes.all()[0].spawn(async move {
            let _there = there;
            tell.send(()).unwrap();
            std::future::pending::<()>().await;
        });
        told.recv_timeout(PATIENCE).unwrap();
        drop(lanes);
        assert_eq!(gone.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
    }

    #[test]
    fn there_is_always_a_lane() {
        assert_eq!(Lanes::start(0).unwrap().all().len(), 1);
    }
}
