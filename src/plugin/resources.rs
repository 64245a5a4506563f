//! What all services share that have the same plugin: its threads, its folders, its share of the
//! memory, and whose certificates it trusts.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wasmtime_wasi::filesystem::WasiFilesystemCtx;

use crate::config::Plugin;

use super::error::LoadFault;
use super::grants;
use super::http::Trust;
use super::memory::Share;
use super::process::Runner;
use super::process::log_rate::LogRate;
use super::threads::PluginThreads;

/// After this time, a warning says that the files of a plugin can't be opened yet.
const SLOW: Duration = Duration::from_secs(10);

/// The resources of one plugin.
pub(super) struct Resources {
    pub(super) threads: Arc<PluginThreads>,
    /// The folders that it may use, opened.
    pub(super) folders: WasiFilesystemCtx,
    pub(super) memories: Arc<Share>,
    pub(super) trust: Arc<Trust>,
    /// How much it may log in a second.
    pub(super) log_rate: Arc<Mutex<LogRate>>,
    /// Runs its commands.
    pub(super) runner: Runner,
    /// The folders that any plugin may write.
    pub(super) writable: Arc<[PathBuf]>,
}

impl Resources {
    /// Opens what `plugin` is granted. `writable` are the folders that any plugin may write.
    ///
    /// # Errors
    ///
    /// If a folder or the file of its `ca` can't be opened.
    pub(super) async fn open(
        plugin: &Plugin,
        threads: Arc<PluginThreads>,
        memories: Arc<Share>,
        runner: Runner,
        writable: Arc<[PathBuf]>,
    ) -> Result<Resources, LoadFault> {
        let (granted, not_followed) = (plugin.clone(), Arc::clone(&writable));
        let opening = threads.block(move || {
            let trust = Trust::of(granted.ca.as_deref())?;
            let folders =
                grants::open_folders(&granted, &not_followed).map_err(LoadFault::Folder)?;
            Ok::<_, LoadFault>((trust, folders))
        });
        let opened = async {
            tokio::pin!(opening);
            if let Ok(opened) = tokio::time::timeout(SLOW, &mut opening).await {
                return opened;
            }
            tracing::warn!(
                plugin = plugin.name,
                waited = SLOW.as_secs(),
                "the folders and certificates of the plugin are not open yet: the file system does \
                 not answer"
            );
            opening.await
        };
        let (trust, folders) = opened.await?;
        let log_rate = LogRate::new(plugin.limits.log_bytes, Instant::now());
        Ok(Resources {
            threads,
            folders,
            memories,
            trust: Arc::new(trust),
            log_rate: Arc::new(Mutex::new(log_rate)),
            runner,
            writable,
        })
    }
}
