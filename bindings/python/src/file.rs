//! An open file.

use mesa_fs::FileSystem;
use pyo3::{prelude::*, types::PyBytes};

use crate::{
    convert::{self, StatFields},
    filesystem::own_process,
    run::run,
};

/// An open file, read and written at positions.
#[pyclass(frozen, module = "mesa_sdk._native")]
pub(crate) struct File {
    pub(crate) fs: FileSystem,
    pub(crate) file: mesa_fs::File,
    pub(crate) process: u32,
}

#[pymethods]
impl File {
    /// At most `length` bytes; fewer only at the end.
    fn read_at<'py>(
        &self,
        py: Python<'py>,
        offset: u64,
        length: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        own_process(self.process)?;
        let bytes = run(py, &self.fs, self.file.read_at(offset, length))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Writes all of it.
    fn write_at(&self, py: Python<'_>, offset: u64, data: &[u8]) -> PyResult<()> {
        own_process(self.process)?;
        run(py, &self.fs, self.file.write_at(offset, data))
    }

    /// Its attributes.
    fn stat(&self, py: Python<'_>) -> PyResult<StatFields> {
        own_process(self.process)?;
        let stat = run(py, &self.fs, self.file.stat())?;
        Ok(convert::stat(&stat))
    }

    /// Cuts it off, or lengthens it by a hole.
    fn truncate(&self, py: Python<'_>, size: u64) -> PyResult<()> {
        own_process(self.process)?;
        run(py, &self.fs, self.file.set_size(size))
    }

    /// Returns when everything written to it is on the server.
    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        own_process(self.process)?;
        run(py, &self.fs, self.file.sync())
    }

    /// Closes it.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        own_process(self.process)?;
        run(py, &self.fs, self.file.close())
    }
}
