//! Changes that others make.

use std::ffi::OsString;

use mesa_fs::FileSystem;
use pyo3::prelude::*;
use tokio::sync::{Mutex, Notify};

use crate::run::wait;

/// Changes one after the other.
#[pyclass(frozen, module = "mesa_sdk._native")]
pub(crate) struct Watch {
    fs: FileSystem,
    watch: Mutex<Option<mesa_fs::Watch>>,
    closed: Notify,
}

impl Watch {
    pub(crate) fn new(fs: FileSystem) -> Self {
        let watch = Mutex::new(Some(fs.watch()));
        Self {
            fs,
            watch,
            closed: Notify::new(),
        }
    }
}

#[pymethods]
impl Watch {
    /// The next change, as path and whether anything below it may have changed; None at the end.
    fn next(&self, py: Python<'_>) -> PyResult<Option<(OsString, bool)>> {
        let next = async {
            let mut held = self.watch.lock().await;
            let watch = held.as_mut()?;
            tokio::select! {
                changed = watch.next_change() => changed,
                () = self.closed.notified() => {
                    *held = None;
                    // For those who wait as well.
                    self.closed.notify_one();
                    None
                }
            }
        };
        let changed = wait(py, &self.fs, next)?;
        Ok(changed.map(|changed| (changed.path.into_os_string(), changed.recursive)))
    }

    /// Ends it; who waits for a change gets None.
    fn close(&self) {
        self.closed.notify_one();
    }
}
