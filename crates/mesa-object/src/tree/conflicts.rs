//! The conflicts of a snapshot.
//!
//! # Bytes
//!
//! All numbers little-endian; fields in this order without gaps.
//!
//! | size | field |
//! |---|---|
//! | 1 | version, 1 |
//! | 2 | number of terms, odd, at least 3 |
//! | 1 | flags: 1 the terms' snapshots follow, 2 the terms' labels follow |
//! | 32 each | root objects of the terms' snapshots, if flagged |
//! | 2 + n each | labels, if flagged: length and UTF-8 |
//! | 4 | number of paths, at least 1 |
//! | … | each path, ascending |
//!
//! A path:
//!
//! | size | field |
//! |---|---|
//! | 2 + n | length and bytes of the path |
//! | 1 | kind ([`ConflictKind`]) |
//! | … | each term: 0 nothing, 1 a record ([`super::record`]), 3 a record and its snapshot's link table (32) |
//! | 1 + 40 | content of the file that shows it: 0 empty or none, 1 chunk, 2 manifest; id and size |
//! | 2 | number of side files |
//! | … | each: length (2) and bytes of its name, number of the term it shows (2) |

use mesa_types::{ContentRef, EntryName, ObjectId, limits};

use super::{
    NodeRecord, TreeError, ensure,
    record::{RECORD_BYTES_MIN, decode_content, encode_content},
};
use crate::{Domain, Object, OrgKey, object::OBJECT_BYTES_MAX, wire::Reader};

const VERSION: u8 = 1;
const ROOTS: u8 = 1;
const LABELS: u8 = 2;

/// Most terms.
pub const CONFLICT_TERMS_MAX: usize = 1 << 10;
/// Most paths.
pub const CONFLICT_PATHS_MAX: usize = 10_000;

/// How a conflict is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ConflictKind {
    /// A file with markers.
    Text = 0,
    /// Side files: a side is not text.
    Binary = 1,
    /// Side files: a side is too large.
    TooLarge = 2,
    /// Side files: something else than a file takes part.
    Types = 3,
}

/// What one term has at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictTerm {
    /// The node.
    pub node: NodeRecord,
    /// The link table of the snapshot it is from, for what is below a directory.
    pub links: Option<ObjectId>,
}

/// A path in conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictPath {
    /// The path from the root, names divided by slashes.
    pub path: Vec<u8>,
    /// How it is shown.
    pub kind: ConflictKind,
    /// What each term has there.
    pub terms: Vec<Option<ConflictTerm>>,
    /// Of a text: the content of the file that shows it, as last looked at.
    pub seen: ContentRef,
    /// Names of the files beside the path, each with the number of the term it shows.
    pub sides: Vec<(EntryName, u16)>,
}

/// The conflicts of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflicts {
    /// Number of terms, alternately added and removed.
    pub terms: usize,
    /// The snapshot of each term, without conflicts; none before the first seal.
    pub roots: Vec<ObjectId>,
    /// Names for the terms; none, or one each.
    pub labels: Vec<String>,
    /// The paths, ascending by [`ConflictPath::path`].
    pub paths: Vec<ConflictPath>,
}

impl Conflicts {
    /// Encodes.
    pub fn encode(&self, key: &OrgKey) -> Result<Object, TreeError> {
        self.check()?;
        let mut out = vec![VERSION];
        out.extend((self.terms as u16).to_le_bytes());
        let flag = |on: bool, flag: u8| if on { flag } else { 0 };
        out.push(flag(!self.roots.is_empty(), ROOTS) | flag(!self.labels.is_empty(), LABELS));
        for root in &self.roots {
            out.extend(root.0);
        }
        for label in &self.labels {
            text(label.as_bytes(), &mut out);
        }
        out.extend((self.paths.len() as u32).to_le_bytes());
        for path in &self.paths {
            text(&path.path, &mut out);
            out.push(path.kind as u8);
            for term in &path.terms {
                let Some(term) = term else {
                    out.push(0);
                    continue;
                };
                out.push(if term.links.is_some() { 3 } else { 1 });
                term.node.encode(&mut out)?;
                if let Some(links) = &term.links {
                    out.extend(links.0);
                }
            }
            encode_content(&path.seen, &mut out);
            out.extend((path.sides.len() as u16).to_le_bytes());
            for (name, term) in &path.sides {
                text(name.as_bytes(), &mut out);
                out.extend(term.to_le_bytes());
            }
        }
        ensure(out.len() <= OBJECT_BYTES_MAX, "too many conflicts")?;
        Ok(Object::new(key, Domain::Conflicts, out))
    }

    /// Decodes.
    pub fn decode(bytes: &[u8]) -> Result<Self, TreeError> {
        let mut reader = Reader::new(bytes);
        let reader = &mut reader;
        ensure(reader.u8()? == VERSION, "unknown version")?;
        let terms = usize::from(reader.u16()?);
        ensure(
            terms >= 3 && terms % 2 == 1 && terms <= CONFLICT_TERMS_MAX,
            "number of terms",
        )?;
        let flags = reader.u8()?;
        ensure(flags <= ROOTS | LABELS, "unknown flags")?;
        let mut roots = Vec::new();
        let mut labels = Vec::new();
        if flags & ROOTS != 0 {
            for _ in 0..terms {
                roots.push(ObjectId(reader.array()?));
            }
        }
        if flags & LABELS != 0 {
            for _ in 0..terms {
                let label = String::from_utf8(read_text(reader)?.to_vec());
                labels.push(label.map_err(|_| TreeError::new("a label is not UTF-8"))?);
            }
        }
        let count = reader.count(terms + 6)?;
        let mut paths = Vec::with_capacity(count.min(CONFLICT_PATHS_MAX));
        for _ in 0..count {
            paths.push(read_path(reader, terms)?);
        }
        ensure(reader.remaining() == 0, "bytes after the end")?;
        let found = Self {
            terms,
            roots,
            labels,
            paths,
        };
        found.check()?;
        Ok(found)
    }

    fn check(&self) -> Result<(), TreeError> {
        let n = self.terms;
        let fits = |len: usize| len == 0 || len == n;
        ensure(
            n >= 3 && n % 2 == 1 && n <= CONFLICT_TERMS_MAX && fits(self.roots.len()),
            "number of terms",
        )?;
        ensure(fits(self.labels.len()), "number of labels")?;
        let short = |text: &[u8]| text.len() <= limits::PATH_MAX;
        ensure(
            self.labels.iter().all(|label| short(label.as_bytes())),
            "a label is too long",
        )?;
        ensure(
            (1..=CONFLICT_PATHS_MAX).contains(&self.paths.len()),
            "number of paths",
        )?;
        let ascending = self.paths.windows(2).all(|two| two[0].path < two[1].path);
        ensure(ascending, "paths are not in order")?;
        for path in &self.paths {
            let names = path.path.split(|&b| b == b'/');
            let good = |name: &[u8]| EntryName::check(name).is_ok();
            ensure(
                short(&path.path) && names.into_iter().all(good),
                "not a path",
            )?;
            ensure(path.terms.len() == n, "number of a path's terms")?;
            ensure(
                path.terms.iter().any(Option::is_some),
                "a path that no term has",
            )?;
            let known = |term: u16| usize::from(term) < n;
            ensure(
                path.sides.len() <= n && path.sides.iter().all(|(_, term)| known(*term)),
                "side files",
            )?;
        }
        Ok(())
    }
}

fn read_path(reader: &mut Reader<'_>, count: usize) -> Result<ConflictPath, TreeError> {
    let path = read_text(reader)?.to_vec();
    let kind = match reader.u8()? {
        0 => ConflictKind::Text,
        1 => ConflictKind::Binary,
        2 => ConflictKind::TooLarge,
        3 => ConflictKind::Types,
        _ => return Err(TreeError::new("unknown kind of conflict")),
    };
    let mut terms = Vec::with_capacity(count);
    for _ in 0..count {
        let flags = reader.u8()?;
        ensure(matches!(flags, 0 | 1 | 3), "unknown flags of a term")?;
        terms.push(if flags == 0 {
            None
        } else {
            ensure(reader.remaining() >= RECORD_BYTES_MIN, "truncated")?;
            let node = NodeRecord::decode(reader)?;
            let links = if flags == 3 {
                Some(ObjectId(reader.array()?))
            } else {
                None
            };
            Some(ConflictTerm { node, links })
        });
    }
    let seen = decode_content(reader)?;
    let mut sides = Vec::new();
    for _ in 0..reader.u16()? {
        let name = EntryName::new(read_text(reader)?)
            .map_err(|_| TreeError::new("a side file has no name"))?;
        sides.push((name, reader.u16()?));
    }
    Ok(ConflictPath {
        path,
        kind,
        terms,
        seen,
        sides,
    })
}

fn text(bytes: &[u8], out: &mut Vec<u8>) {
    // Checked to fit before anything is written.
    out.extend((bytes.len() as u16).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn read_text<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], TreeError> {
    let len = usize::from(reader.u16()?);
    Ok(reader.take(len)?)
}
