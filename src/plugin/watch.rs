//! Looks after what was loaded, while Dormouse runs: takes up plugin files that change, and tells
//! what plugins have done wrong.
//!
//! A file is looked at from outside, once a second: that needs nothing of the kernel that could be
//! used up, and works on every file system. One that has changed is read when it has looked the same
//! twice, so that no half of a file is loaded that somebody is just writing. It is compiled beside
//! the old one and takes over at the next call. One that does not load, or lacks what a service
//! needs, changes nothing but the log; it is tried again when it changes again.
//!
//! Each file has a task of its own, and never two: one whose file system hangs, or that takes minutes
//! to compile, delays no other.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::config::PluginSource;

use super::Host;
use super::current::Current;
use super::error::{LoadError, LoadFault};
use super::load::{self, Loader, Pin, Stamp};
use crate::text;

/// The time between two looks at the files.
const PAUSE: Duration = Duration::from_secs(1);

/// The time between two lines about what a plugin has done wrong.
const TELLING: Duration = Duration::from_secs(60);

/// A component that came from a file, and what was last seen of it.
pub(super) struct Watched {
    current: Arc<Current>,
    file: PathBuf,
    pin: Option<Pin>,
    sight: Mutex<Sight>,
    /// Whether a task looks at it.
    is_busy: AtomicBool,
}

/// What was seen of a file.
#[derive(Debug)]
struct Sight {
    /// How it looked when it was read last.
    read: Stamp,
    /// How it looks since it has changed.
    changed: Option<Stamp>,
    gone: bool,
}

/// What a look at a file means.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    /// There is nothing to do.
    Nothing,
    /// It has changed, and stands still again.
    Changed,
    /// It is gone.
    Gone,
}

impl Sight {
    fn new(read: Stamp) -> Sight {
        Sight { read, changed: None, gone: false }
    }

    /// Takes in how the file looks; `None` if it isn't there.
    fn look(&mut self, stamp: Option<Stamp>) -> Meaning {
        let Some(stamp) = stamp else {
            self.changed = None;
            let known = std::mem::replace(&mut self.gone, true);
            return if known { Meaning::Nothing } else { Meaning::Gone };
        };
        self.gone = false;
        if stamp == self.read {
            self.changed = None;
            Meaning::Nothing
        } else if self.changed == Some(stamp) {
            self.read = stamp;
            self.changed = None;
            Meaning::Changed
        } else {
            self.changed = Some(stamp);
            Meaning::Nothing
        }
    }
}

impl Host {
    /// Looks after the plugins for as long as somebody waits for it, which is without end.
    pub async fn watch(&self) {
        let mut looks = interval(PAUSE);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Instant::now();
        let mut tasks = JoinSet::new();
        loop {
            looks.tick().await;
            self.begin_looks(&mut tasks);
            while tasks.try_join_next().is_some() {}
            if told.elapsed() >= TELLING {
                told = Instant::now();
                self.accounts.tell();
            }
        }
    }

    /// Looks at the files of all plugins once, and takes up those that have changed since they were
    /// loaded and not since the last look.
    pub async fn take_up_changes(&self) {
        let mut tasks = JoinSet::new();
        self.begin_looks(&mut tasks);
        tasks.join_all().await;
    }

    /// Begins a look at each file that no task looks at.
    fn begin_looks(&self, tasks: &mut JoinSet<()>) {
        for watched in self.watched() {
            if let Some(busy) = Busy::of(&watched) {
                tasks.spawn(look(self.loader.clone(), busy));
            }
        }
    }

    /// From here on, looks at this file too.
    pub(super) fn watch_file(&self, watched: Watched) {
        let mut all = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::new(watched));
    }

    /// All components that came from files and are loaded.
    fn watched(&self) -> Vec<Arc<Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The task of a file: there is no other while it lives.
struct Busy(Arc<Watched>);

impl Busy {
    fn of(watched: &Arc<Watched>) -> Option<Busy> {
        let was_busy = watched.is_busy.swap(true, Ordering::AcqRel);
        (!was_busy).then(|| Busy(Arc::clone(watched)))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.is_busy.store(false, Ordering::Release);
    }
}

/// Looks at a file once, and takes up what stands in it if it has changed.
async fn look(loader: Loader, busy: Busy) {
    let watched = &busy.0;
    let file = watched.file.clone();
    let looking = tokio::task::spawn_blocking(move || Stamp::look(&file)).await;
    // An error only when the runtime shuts down.
    let Ok(stamp) = looking else { return };
    let meaning = watched.sight.lock().unwrap_or_else(PoisonError::into_inner).look(stamp);
    match meaning {
        Meaning::Nothing => {}
        Meaning::Gone => watched.warn_of_loss(),
        Meaning::Changed => {
            if let Err(fault) = take_up(&loader, watched).await {
                watched.tell_of(fault);
            }
        }
    }
}

/// Loads what stands in the file of `watched`, and lets it decide from the next call on.
async fn take_up(loader: &Loader, watched: &Arc<Watched>) -> Result<(), LoadFault> {
    let source = PluginSource::File(watched.file.clone());
    // A file with the known sum was touched, or written anew as it was.
    let known = Some(watched.current.sum());
    let Some(version) = loader.load(source, watched.pin.clone(), known).await? else {
        return Ok(());
    };
    let (sum, there) = (version.sum, Arc::clone(watched));
    // The native code of the old version is freed, which takes a while.
    load::blocking(move || there.current.replace(version)).await?;
    tracing::info!(
        plugin = watched.plugins(),
        sha256 = %text::hex(&sum),
        "the plugin file `{}` has changed: what stands in it decides from the next call on",
        watched.place(),
    );
    Ok(())
}

impl Watched {
    /// What was loaded from `file`, which looked like `stamp` then.
    pub(super) fn new(
        current: &Arc<Current>,
        file: &Path,
        pin: Option<Pin>,
        stamp: Stamp,
    ) -> Watched {
        let sight = Mutex::new(Sight::new(stamp));
        let (current, is_busy) = (Arc::clone(current), AtomicBool::new(false));
        Watched { current, file: file.to_owned(), pin, sight, is_busy }
    }

    fn tell_of(&self, fault: LoadFault) {
        let place = self.file.display().to_string();
        let error = LoadError { plugin: Some(self.plugins()), place, fault };
        tracing::error!(
            plugin = self.plugins(),
            "{error}. It has changed since it was loaded: the version from before decides on",
        );
    }

    fn warn_of_loss(&self) {
        tracing::warn!(
            plugin = self.plugins(),
            "the plugin file `{}` is gone. What was loaded from it decides on until Dormouse ends; \
             the next start needs the file",
            self.place(),
        );
    }

    fn place(&self) -> String {
        text::line(&self.file.display().to_string(), 500)
    }

    /// The names of the plugins that it is.
    fn plugins(&self) -> String {
        self.current.plugins().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(size: u64) -> Stamp {
        Stamp { size, ..Stamp::default() }
    }

    #[test]
    fn a_file_is_read_when_it_has_looked_the_same_twice() {
        let mut sight = Sight::new(stamp(1));
        assert_eq!(sight.look(Some(stamp(1))), Meaning::Nothing);
        for growing in 2..10 {
            assert_eq!(sight.look(Some(stamp(growing))), Meaning::Nothing, "it is being written");
        }
        assert_eq!(sight.look(Some(stamp(9))), Meaning::Changed);
        assert_eq!(sight.look(Some(stamp(9))), Meaning::Nothing, "it is read once");
    }

    #[test]
    fn a_file_that_is_as_it_was_before_anybody_read_it_has_not_changed() {
        let mut sight = Sight::new(stamp(1));
        assert_eq!(sight.look(Some(stamp(2))), Meaning::Nothing);
        assert_eq!(sight.look(Some(stamp(1))), Meaning::Nothing);
        assert_eq!(sight.look(Some(stamp(2))), Meaning::Nothing, "counted anew");
        assert_eq!(sight.look(Some(stamp(2))), Meaning::Changed);
    }

    #[test]
    fn a_file_that_is_gone_is_told_of_once_and_one_that_comes_back_is_read() {
        let mut sight = Sight::new(stamp(1));
        assert_eq!(sight.look(None), Meaning::Gone);
        assert_eq!(sight.look(None), Meaning::Nothing);
        assert_eq!(sight.look(Some(stamp(2))), Meaning::Nothing);
        assert_eq!(sight.look(None), Meaning::Gone, "gone again before anybody read it");
        assert_eq!(sight.look(Some(stamp(2))), Meaning::Nothing);
        assert_eq!(sight.look(Some(stamp(2))), Meaning::Changed);
    }
}
