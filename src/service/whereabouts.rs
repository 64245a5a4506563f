//! Where the target is, when its plugin has named another address than the config: a cloud VM has
//! a new one at each start.
//!
//! The address holds until the target sleeps, and that may be longer than Dormouse runs. So it is
//! kept in a file of the service, in `state_dir`, and is the first place where the next run looks for
//! the target:
//!
//! ```text
//! dormouse address 1      what it is
//! web.example:80          the `target` that it stands for
//! 10.9.8.7:80             the address
//! ```
//!
//! The driver never waits for a disk: files are written by threads of their own, one after the
//! other, and each writes what is true by then. The exit waits for them.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::dial::DialError;
use super::dialers::Dialers;
use super::driver::{Reach, Report};
use crate::config::Target;
use crate::decide::Answer;
use crate::files;

const HEADER: &str = "dormouse address 1";

/// No file of ours is longer: two hosts of 253 bytes, their ports, and the header.
const LONGEST_FILE: u64 = 1024;

/// The target of a service, where it is by now.
pub(super) struct Whereabouts {
    dialers: Arc<Dialers>,
    record: Arc<Record>,
    writers: TaskTracker,
    decisions: Handle,
}

/// The file, and what is to be in it.
struct Record {
    service: String,
    file: PathBuf,
    /// The `target` of the config.
    configured: Target,
    named: Mutex<Named>,
}

/// What is to be in the file.
#[derive(Default)]
struct Named {
    target: Option<Target>,
    /// Whether the file is to be written again.
    is_news: bool,
    /// Whether a thread writes. There is one at most: a disk that hangs keeps no second one.
    is_writing: bool,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("it can't be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("it is damaged")]
    Damaged,
    #[error("it is about `{0}`, and the config has another `target` by now")]
    OtherTarget(String),
}

impl Whereabouts {
    /// The target that `dialers` connect to, kept for `service` in a file in `state_dir`. Writing is
    /// work on `decisions`, which `writers` counts.
    pub(super) fn new(
        service: &str,
        dialers: Arc<Dialers>,
        state_dir: &Path,
        writers: TaskTracker,
        decisions: Handle,
    ) -> Whereabouts {
        let record = Record {
            service: service.to_owned(),
            file: state_dir.join(format!("{service}.address")),
            configured: dialers.service().target(),
            named: Mutex::default(),
        };
        Whereabouts { dialers, record: Arc::new(record), writers, decisions }
    }
}

impl Reach for Whereabouts {
    fn probe(&self) -> Answer<'_, Result<(), String>> {
        Box::pin(async {
            let probed = self.dialers.service().probe().await;
            probed.map(drop).map_err(|error| error.to_string())
        })
    }

    fn until_ready(&self, began: Instant, mut report: Report) -> Answer<'_, Option<TcpStream>> {
        Box::pin(async move {
            let mut report = |error: &DialError| report(error.to_string());
            Some(self.dialers.service().until_ready(began, &mut report).await)
        })
    }

    fn redirect(&self, target: Option<Target>) {
        self.dialers.redirect(target.clone());
        if self.record.name(target) && self.record.begins_to_write() {
            let record = Arc::clone(&self.record);
            self.writers.spawn_blocking_on(move || record.write(), &self.decisions);
        }
    }

    fn recall(&self) -> Answer<'_, Option<Target>> {
        let record = Arc::clone(&self.record);
        let reading = self.decisions.spawn_blocking(move || record.recall());
        // An error only when the runtime shuts down.
        Box::pin(async { reading.await.ok().flatten() })
    }
}

impl Record {
    /// Notes where the target is, and says whether that is news to the file.
    fn name(&self, target: Option<Target>) -> bool {
        let mut named = self.named();
        let is_news = named.target != target;
        named.target = target;
        named.is_news |= is_news;
        is_news
    }

    /// Whether a thread is to be started that writes.
    fn begins_to_write(&self) -> bool {
        !std::mem::replace(&mut self.named().is_writing, true)
    }

    fn named(&self) -> MutexGuard<'_, Named> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the file up to date.
    fn write(&self) {
        loop {
            let target = {
                let mut named = self.named();
                if !std::mem::take(&mut named.is_news) {
                    named.is_writing = false;
                    return;
                }
                named.target.clone()
            };
            self.write_target(target.as_ref());
        }
    }

    fn write_target(&self, target: Option<&Target>) {
        let done = match target {
            Some(target) => {
                let content = format!("{HEADER}\n{}\n{target}\n", self.configured);
                files::replace(&self.file, content.as_bytes())
            }
            None => files::remove(&self.file),
        };
        if let Err(error) = done {
            tracing::error!(
                service = self.service,
                %error,
                "the address of the target can't be kept in `{}`: after a restart, Dormouse may look \
                 for the target at the wrong place. Let it write to `state_dir`",
                self.file.display(),
            );
        }
    }

    /// The address that the last run has left, if it has.
    fn recall(&self) -> Option<Target> {
        match self.read() {
            Ok(recalled) => {
                self.named().target.clone_from(&recalled);
                recalled
            }
            Err(unusable) => {
                tracing::warn!(
                    service = self.service,
                    "the address in `{}` is ignored: {unusable}. The target is looked for at `{}`",
                    self.file.display(),
                    self.configured,
                );
                self.write_target(None);
                None
            }
        }
    }

    fn read(&self) -> Result<Option<Target>, Unusable> {
        let file = match fs::File::open(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(LONGEST_FILE + 1).read_to_end(&mut bytes)?;
        let text = String::from_utf8(bytes).map_err(|_| Unusable::Damaged)?;
        let lines: Vec<_> = text.split('\n').collect();
        let [HEADER, configured, address, ""] = lines[..] else { return Err(Unusable::Damaged) };
        let target = |text| Target::parse(text).ok_or(Unusable::Damaged);
        let (configured, address) = (target(configured)?, target(address)?);
        if configured != self.configured {
            return Err(Unusable::OtherTarget(configured.to_string()));
        }
        Ok(Some(address))
    }
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::service::dial::Dialer;

    const FILE: &str = "web.1.address";

    fn target(text: &str) -> Target {
        Target::parse(text).unwrap()
    }

    fn whereabouts(folder: &Path, configured: &str) -> Whereabouts {
        let dialer = Arc::new(Dialer::new(target(configured), Duration::from_secs(1), None));
        let dialers = Dialers::bare(dialer);
        Whereabouts::new("web.1", Arc::new(dialers), folder, TaskTracker::new(), Handle::current())
    }

    /// Waits until everything is on the disk.
    async fn written(whereabouts: &Whereabouts) {
        whereabouts.writers.close();
        whereabouts.writers.wait().await;
        whereabouts.writers.reopen();
    }

    #[tokio::test]
    async fn an_address_is_there_after_a_restart_and_one_that_was_taken_back_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("deep/state");
        let before = whereabouts(&state, "web.example:80");
        assert_eq!(before.recall().await, None);
        for address in ["10.9.8.7:80", "[2001:db8::1]:8080"] {
            before.redirect(Some(target(address)));
            assert_eq!(before.dialers.service().target(), target(address));
            written(&before).await;
            let after = whereabouts(&state, "web.example:80");
            assert_eq!(after.recall().await, Some(target(address)));
        }
        before.redirect(None);
        assert_eq!(before.dialers.service().target(), target("web.example:80"));
        written(&before).await;
        assert_eq!(whereabouts(&state, "web.example:80").recall().await, None);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 0, "nothing is left behind");
    }

    #[tokio::test]
    async fn an_address_that_was_recalled_and_does_not_hold_is_gone_for_good() {
        let folder = tempfile::tempdir().unwrap();
        let before = whereabouts(folder.path(), "web.example:80");
        before.redirect(Some(target("10.9.8.7:80")));
        written(&before).await;
        let after = whereabouts(folder.path(), "web.example:80");
        assert!(after.recall().await.is_some());
        after.redirect(None);
        written(&after).await;
        assert!(!folder.path().join(FILE).exists());
    }

    #[tokio::test]
    async fn of_many_changes_the_last_one_is_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let before = whereabouts(folder.path(), "web.example:80");
        for port in 1..100 {
            before.redirect(Some(target(&format!("10.9.8.7:{port}"))));
            before.redirect(None);
        }
        before.redirect(Some(target("10.9.8.7:100")));
        written(&before).await;
        let after = whereabouts(folder.path(), "web.example:80");
        assert_eq!(after.recall().await, Some(target("10.9.8.7:100")));
    }

    #[tokio::test]
    async fn a_damaged_file_is_ignored_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let whole = format!("{HEADER}\nweb.example:80\n10.9.8.7:80\n");
        let damages = [
            Vec::new(),
            b"\n\n\n".to_vec(),
            b"\xff\xfe".to_vec(),
            whole.trim_end().into(),
            whole[..40].into(),
            format!("{whole}\n").into(),
            whole.replace("address 1", "address 2").into(),
            whole.replace("10.9.8.7:80", "10.9.8.7").into(),
            whole.replace("10.9.8.7:80", "10.9.8.7:80\0").into(),
            whole.replace("10.9.8.7", &"1".repeat(2000)).into(),
        ];
        for damage in damages {
            fs::write(&file, &damage).unwrap();
            let after = whereabouts(folder.path(), "web.example:80");
            assert_eq!(after.recall().await, None, "{}", String::from_utf8_lossy(&damage));
            assert!(!file.exists());
        }
        fs::write(&file, whole).unwrap();
        assert!(whereabouts(folder.path(), "web.example:80").recall().await.is_some());
    }

    #[tokio::test]
    async fn a_disk_that_refuses_costs_the_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let in_the_way = folder.path().join("state");
        fs::write(&in_the_way, "").unwrap();
        let whereabouts = whereabouts(&in_the_way, "web.example:80");
        assert_eq!(whereabouts.recall().await, None);
        whereabouts.redirect(Some(target("10.9.8.7:80")));
        written(&whereabouts).await;
        assert_eq!(whereabouts.dialers.service().target(), target("10.9.8.7:80"));
        assert_eq!(fs::read(&in_the_way).unwrap(), b"");
    }

    #[tokio::test]
    async fn an_address_for_another_target_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let before = whereabouts(folder.path(), "web.example:80");
        before.redirect(Some(target("10.9.8.7:80")));
        written(&before).await;
        assert_eq!(whereabouts(folder.path(), "other.example:80").recall().await, None);
    }
}
