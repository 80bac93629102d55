//! Packages in three parts.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};

use crate::{
    apk, cpio, deb,
    meta::{Entry, Format, Meta, directories},
    rpm,
    tar::{self, Archive},
};

/// Files that all packages of a program have, compressed.
#[derive(Debug, Clone)]
pub struct Payload {
    format: Format,
    meta: Meta,
    listed: Vec<Listed>,
    body: Bytes,
    body_hash: Sha256,
    unpacked: u64,
}

/// What remains to be known of a packed file.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub path: String,
    /// With the bits of the file's kind.
    pub mode: u32,
    pub size: u32,
    /// Hex SHA-256 of the content; empty for directories.
    pub digest: String,
}

/// What the small parts of a package are made from.
pub(crate) struct Described<'a> {
    pub meta: &'a Meta,
    pub listed: &'a [Listed],
    /// Bytes of all files.
    pub installed: u64,
    /// Bytes of the compressed archive.
    pub packed: u64,
    /// Bytes of the archive before compression.
    pub unpacked: u64,
    /// Hex SHA-256 of the compressed archive.
    pub hash: String,
}

/// A complete package in three parts, to be written one after the other.
#[derive(Debug, Clone)]
pub struct Package {
    /// The beginning.
    pub head: Bytes,
    /// The shared part.
    pub body: Bytes,
    /// The end.
    pub tail: Bytes,
}

impl Package {
    /// All parts in one piece.
    pub fn whole(&self) -> Vec<u8> {
        [&self.head[..], &self.body[..], &self.tail[..]].concat()
    }
}

impl Payload {
    /// Compresses these files; takes about a second for 20 MB.
    ///
    /// # Panics
    /// If a path is 99 bytes or longer.
    pub fn new(format: Format, meta: Meta, entries: &[Entry]) -> Self {
        let listed = listed(entries, &[]);
        let archive = archive(format, &meta, entries, &[], 0);
        let body = Bytes::from(gzip(&archive));
        Self {
            format,
            meta,
            listed,
            body_hash: Sha256::new_with_prefix(&body),
            body,
            unpacked: archive.len() as u64,
        }
    }

    /// The package with these files added.
    ///
    /// # Panics
    /// If a path is 99 bytes or longer.
    pub fn finish(&self, entries: &[Entry]) -> Package {
        let known = self.known();
        let mut all = self.listed.clone();
        all.extend(listed(entries, &known));
        let mut rest = archive(self.format, &self.meta, entries, &known, self.listed.len());
        match self.format {
            Format::Deb | Format::Apk => rest.extend_from_slice(&tar::END),
            Format::Rpm => cpio::end(&mut rest),
        }
        let mut tail = gzip(&rest);
        let hash = self.body_hash.clone().chain_update(&tail).finalize();
        let described = Described {
            meta: &self.meta,
            listed: &all,
            installed: all.iter().map(|file| u64::from(file.size)).sum(),
            packed: (self.body.len() + tail.len()) as u64,
            unpacked: self.unpacked + rest.len() as u64,
            hash: hex::encode(hash),
        };
        let head = match self.format {
            Format::Deb => {
                if described.packed % 2 == 1 {
                    tail.push(b'\n');
                }
                deb::head(&described)
            }
            Format::Apk => apk::head(&described),
            Format::Rpm => rpm::head(&described),
        };
        Package {
            head: head.into(),
            body: self.body.clone(),
            tail: tail.into(),
        }
    }

    fn known(&self) -> Vec<String> {
        directories(self.listed.iter().map(|file| file.path.as_str()))
    }
}

const FILE: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;

/// Directories that are the package's own: the others belong to the system's packages.
fn own(dir: &str) -> bool {
    dir.ends_with("/mesa")
}

fn listed(entries: &[Entry], known: &[String]) -> Vec<Listed> {
    let dirs = directories(entries.iter().map(|e| e.path.as_str()))
        .into_iter()
        .filter(|dir| own(dir) && !known.contains(dir))
        .map(|path| Listed {
            path,
            mode: DIRECTORY | 0o755,
            size: 0,
            digest: String::new(),
        });
    let files = entries.iter().map(|entry| Listed {
        path: entry.path.clone(),
        mode: FILE | entry.mode,
        size: entry.bytes.len() as u32,
        digest: hex::encode(Sha256::digest(&entry.bytes)),
    });
    dirs.chain(files).collect()
}

/// The archive without its end. `first` = entries that came before.
fn archive(
    format: Format,
    meta: &Meta,
    entries: &[Entry],
    known: &[String],
    first: usize,
) -> Vec<u8> {
    let prefix = if format == Format::Deb { "./" } else { "" };
    let mut tar = Archive::new(prefix, meta.modified, format == Format::Apk);
    if format != Format::Rpm {
        tar.entries(entries, known);
        return tar.bytes;
    }
    let mut bytes = Vec::new();
    for (at, file) in listed(entries, known).iter().enumerate() {
        let content = entries.iter().find(|entry| entry.path == file.path);
        let content = content.map_or(&[][..], |entry| &entry.bytes[..]);
        let inode = (first + at + 1) as u32;
        let name = format!(".{}", file.path);
        cpio::entry(&mut bytes, &name, file.mode, inode, meta.modified, content);
    }
    bytes
}

/// One member; members after each other unpack to their contents after each other.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = GzBuilder::new().write(Vec::new(), Compression::default());
    let written = writer.write_all(bytes).and_then(|()| writer.finish());
    written.unwrap_or_else(|error| unreachable!("writing to memory: {error}"))
}
