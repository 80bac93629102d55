//! Calls that wait: the interpreter goes on meanwhile, and Ctrl-C ends the wait.

use std::{future::Future, pin::pin, time::Duration};

use mesa_fs::FileSystem;
use pyo3::{exceptions::PyOSError, prelude::*};

/// How often a wait looks for signals.
const SIGNALS: Duration = Duration::from_millis(100);

/// The answer of a call. An exception of a signal handler ends the wait, not what began.
pub(crate) fn run<T: Send>(
    py: Python<'_>,
    fs: &FileSystem,
    future: impl Future<Output = mesa_fs::Result<T>> + Send,
) -> PyResult<T> {
    wait(py, fs, future)?.map_err(|error| raised(py, &error))
}

/// The same for what cannot fail.
pub(crate) fn wait<T: Send>(
    py: Python<'_>,
    fs: &FileSystem,
    future: impl Future<Output = T> + Send,
) -> PyResult<T> {
    let mut future = pin!(future);
    loop {
        let turn = async { tokio::time::timeout(SIGNALS, future.as_mut()).await };
        match py.detach(|| fs.block_on(turn)) {
            Ok(answer) => return Ok(answer),
            Err(_) => py.check_signals()?,
        }
    }
}

/// What a failure is in Python: `OSError` makes its subclasses from the number.
pub(crate) fn raised(py: Python<'_>, error: &mesa_fs::Error) -> PyErr {
    let path = error.path().map(|path| path.as_os_str().to_owned());
    let dest = error.dest().map(|path| path.as_os_str().to_owned());
    let message = message(py, error);
    let made = match (path, dest) {
        (Some(path), Some(dest)) => {
            PyOSError::new_err((error.errno(), message, path, None::<i32>, dest))
        }
        (Some(path), None) => PyOSError::new_err((error.errno(), message, path)),
        (None, _) => PyOSError::new_err((error.errno(), message)),
    };
    // An attribute more than the class has; an exception has room for any.
    let code = error.server_code().map(ToOwned::to_owned);
    let _ = made.value(py).setattr("server_code", code);
    made
}

/// What the system says of such failures, unless there is more to say.
fn message(py: Python<'_>, error: &mesa_fs::Error) -> String {
    let said = error.message();
    if said != error.code().message() {
        return said.to_owned();
    }
    let os = py.import("os");
    let usual = os.and_then(|os| os.call_method1("strerror", (error.errno(),))?.extract());
    usual.unwrap_or_else(|_| said.to_owned())
}
