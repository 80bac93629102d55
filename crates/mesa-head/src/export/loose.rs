//! Loose git objects and refs.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use mesa_types::{CommitOid, GitOid};

/// Longest stored block of a deflate stream.
const BLOCK: usize = 65_535;

/// A bare repository in the making.
pub(super) struct Loose {
    dir: PathBuf,
    written: u64,
}

impl Loose {
    pub fn create(dir: &Path) -> io::Result<Self> {
        super::empty_dir(dir)?;
        for part in ["objects/info", "objects/pack", "refs/heads", "refs/tags"] {
            fs::create_dir_all(dir.join(part))?;
        }
        Ok(Self {
            dir: dir.to_owned(),
            written: 0,
        })
    }

    /// Objects written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Writes an object.
    pub fn write(&mut self, oid: GitOid, kind: &str, body: &[u8]) -> io::Result<()> {
        let mut object = self.begin(oid, kind, body.len() as u64)?;
        object.push(body)?;
        object.finish()
    }

    /// Begins an object of a known length.
    pub fn begin(&mut self, oid: GitOid, kind: &str, length: u64) -> io::Result<Object> {
        let hex = oid.to_string();
        let dir = self.dir.join("objects").join(&hex[..2]);
        fs::create_dir_all(&dir)?;
        let mut out = BufWriter::new(File::create(dir.join(&hex[2..]))?);
        // zlib, stored blocks: nothing is gained by compressing what git will repack.
        out.write_all(&[0x78, 0x01])?;
        self.written += 1;
        let mut object = Object {
            out,
            block: Vec::with_capacity(BLOCK),
            adler: (1, 0),
        };
        object.push(format!("{kind} {length}\0").as_bytes())?;
        Ok(object)
    }

    /// Writes refs, HEAD and the configuration.
    pub fn finish(&self, head: &str, refs: &BTreeMap<String, CommitOid>) -> io::Result<()> {
        let mut packed = String::from("# pack-refs with: peeled fully-peeled sorted \n");
        for (name, oid) in refs {
            // Writing to a text cannot fail.
            let _ = writeln!(packed, "{oid} {name}");
        }
        fs::write(self.dir.join("packed-refs"), packed)?;
        fs::write(
            self.dir.join("config"),
            "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n",
        )?;
        fs::write(self.dir.join("HEAD"), format!("ref: refs/heads/{head}\n"))
    }
}

/// An object in the making.
pub(super) struct Object {
    out: BufWriter<File>,
    block: Vec<u8>,
    adler: (u32, u32),
}

impl Object {
    /// The next bytes of the body.
    pub fn push(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        for &byte in bytes {
            self.adler.0 = (self.adler.0 + u32::from(byte)) % 65_521;
            self.adler.1 = (self.adler.1 + self.adler.0) % 65_521;
        }
        while !bytes.is_empty() {
            if self.block.len() == BLOCK {
                self.flush(false)?;
            }
            let count = bytes.len().min(BLOCK - self.block.len());
            self.block.extend_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Ends the object.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush(true)?;
        let sum = (self.adler.1 << 16) | self.adler.0;
        self.out.write_all(&sum.to_be_bytes())?;
        self.out.flush()
    }

    fn flush(&mut self, last: bool) -> io::Result<()> {
        let length = self.block.len() as u16;
        self.out.write_all(&[u8::from(last)])?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(&(!length).to_le_bytes())?;
        self.out.write_all(&self.block)?;
        self.block.clear();
        Ok(())
    }
}
