//! One file of the journal.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

/// First bytes of every segment.
pub(super) const MAGIC: &[u8] = b"MSJ1";

/// A segment being written.
pub(super) struct Segment {
    file: File,
    len: u64,
    /// A failed write could not be undone: nothing may follow it.
    broken: bool,
}

impl Segment {
    /// Makes a new segment.
    pub fn create(dir: &Path, number: u64) -> io::Result<Self> {
        let file = File::options()
            .write(true)
            .read(true)
            .create_new(true)
            .open(path(dir, number))?;
        let mut segment = Self {
            file,
            len: 0,
            broken: false,
        };
        segment.append(MAGIC)?;
        Ok(segment)
    }

    /// Bytes in it.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Adds bytes in one write(2); on an error the segment is as before.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        if self.broken {
            return Err(io::Error::other("an earlier journal write failed"));
        }
        if let Err(error) = self.file.write_all_at(bytes, self.len) {
            if self.file.set_len(self.len).is_err() {
                self.broken = true;
            }
            return Err(error);
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Puts it on stable storage.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Another descriptor of it.
    pub fn duplicate(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

/// Where segment `number` is.
pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016x}.seg"))
}

/// Numbers of the segments present, ascending.
pub(super) fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number = name
            .to_str()
            .and_then(|n| n.strip_suffix(".seg"))
            .and_then(|n| u64::from_str_radix(n, 16).ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}
