//! Tar archives in the ustar form (POSIX.1-1988), with a pax header where Alpine wants one.

use crate::meta::{Entry, directories};

const BLOCK: usize = 512;

/// What ends an archive.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// A growing archive.
pub(crate) struct Archive<'a> {
    pub bytes: Vec<u8>,
    /// Before every path: `./` or nothing.
    prefix: &'a str,
    modified: u32,
    /// Regular files carry their SHA-1 in a pax header.
    checksums: bool,
}

impl<'a> Archive<'a> {
    pub fn new(prefix: &'a str, modified: u32, checksums: bool) -> Self {
        Self {
            bytes: Vec::new(),
            prefix,
            modified,
            checksums,
        }
    }

    /// Files, and the directories above them that are not in `known`.
    pub fn entries(&mut self, entries: &[Entry], known: &[String]) {
        for dir in directories(entries.iter().map(|e| e.path.as_str())) {
            if !known.contains(&dir) {
                let name = format!("{}{}/", self.prefix, &dir[1..]);
                self.header(&name, b'5', 0o755, 0);
            }
        }
        for entry in entries {
            let name = format!("{}{}", self.prefix, &entry.path[1..]);
            if self.checksums {
                self.checksum(&name, &entry.bytes);
            }
            self.file(&name, entry.mode, &entry.bytes);
        }
    }

    pub fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.header(name, b'0', mode, content.len());
        self.content(content);
    }

    fn content(&mut self, content: &[u8]) {
        self.bytes.extend_from_slice(content);
        let full = self.bytes.len().next_multiple_of(BLOCK);
        self.bytes.resize(full, 0);
    }

    fn checksum(&mut self, name: &str, content: &[u8]) {
        let sum = hex::encode(sha1_checked::Sha1::try_digest(content).hash());
        let field = format!("APK-TOOLS.checksum.SHA1={sum}\n");
        // "<length> <field>", where the length counts itself: two digits for this field.
        let record = format!("{} {field}", field.len() + 3);
        self.header(name, b'x', 0o644, record.len());
        self.content(record.as_bytes());
    }

    fn header(&mut self, name: &str, kind: u8, mode: u32, size: usize) {
        assert!(name.len() <= 100, "{name} is too long for a package");
        let mut block = [0_u8; BLOCK];
        let mut put = |at: usize, text: &str| {
            block[at..at + text.len()].copy_from_slice(text.as_bytes());
        };
        put(0, name);
        put(100, &format!("{mode:07o}"));
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{size:011o}"));
        put(136, &format!("{:011o}", self.modified));
        put(148, "        ");
        put(257, "ustar\u{0}00");
        put(265, "root");
        put(297, "root");
        block[156] = kind;
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\u{0} ").as_bytes());
        self.bytes.extend_from_slice(&block);
    }
}
