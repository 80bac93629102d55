//! `mesa_sdk._native`: the filesystem inside a Python process.
//!
//! Everything here blocks, with the interpreter free for other threads; `mesa_sdk.fs` puts the
//! asynchronous form on top. Failures are Python's own `OSError` and its subclasses, with the paths
//! of the call. What it looks like from Python is in `sdk/python/src/mesa_sdk/_native.pyi`.

// Python's calls come with values of their own, and a class holds what it is named after.
#![allow(clippy::needless_pass_by_value, clippy::struct_field_names)]

mod convert;
mod credential;
mod file;
mod filesystem;
mod options;
mod run;
mod watch;

use pyo3::prelude::*;

/// The module.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<filesystem::FileSystem>()?;
    module.add_class::<file::File>()?;
    module.add_class::<watch::Watch>()
}
