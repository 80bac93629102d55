//! Mounts that are open when the process ends.

use std::time::Duration;

use mesa_fs::{FileSystem, WeakFileSystem};
use napi::{Env, Result};
use parking_lot::Mutex;

/// Longest wait at the end of the process for what is not sent yet.
const FAREWELL: Duration = Duration::from_secs(10);

static LIVE: Mutex<Vec<WeakFileSystem>> = Mutex::new(Vec::new());

/// What is not sent yet is sent before the environment ends, if nobody closes the mount.
pub fn remember(env: &Env, fs: &FileSystem) -> Result<()> {
    let mut live = LIVE.lock();
    live.retain(|fs| fs.upgrade().is_some());
    live.push(fs.downgrade());
    drop(live);
    env.add_env_cleanup_hook(fs.downgrade(), |fs| {
        if let Some(fs) = fs.upgrade().filter(|fs| !fs.is_closed()) {
            // Nobody is left who could be told.
            let _ = fs.block_on(async { tokio::time::timeout(FAREWELL, fs.close()).await });
        }
    })?;
    Ok(())
}
