//! The nodes that listings are stored as.
//!
//! A listing of up to 2,048 items and 1 MiB is one leaf. A larger one is cut into leaves under
//! index nodes. Where it is cut depends on the keys (names) alone as far as possible: an item
//! begins a new leaf when the low 9 bits of the hash of its key (domain 9) are 0, or when the
//! leaf has 2,048 items or would pass 512 KiB. An index node of level `n` ends the same way
//! before a child whose first key has the low `9 + 7 n` bits 0, or at 1,024 children. So an edit
//! changes the leaf it is in and one index node per level.
//!
//! # Bytes
//!
//! All numbers little-endian.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 1 | version, 1 |
//! | 1 | 1 | level: 0 leaf, 1 to 4 index |
//! | 2 | 4 | number of items or children |
//! | 6 | … | the items, ascending by key; or the children |
//!
//! A child: key length (1) and key of its first item, object id (32), number of items below (8).

use std::borrow::Cow;

use mesa_types::ObjectId;

use super::{TreeError, ensure};
use crate::{Domain, Object, OrgKey, object::OBJECT_BYTES_MAX, wire::Reader};

const VERSION: u8 = 1;
const LEVEL_MAX: u8 = 4;
const SINGLE_ITEMS_MAX: usize = 2048;
const SINGLE_BYTES_MAX: usize = 1 << 20;
const LEAF_BYTES_MAX: usize = 512 << 10;
const LEAF_BITS: u32 = 9;
const INDEX_BITS: u32 = 7;
const CHILDREN_MAX: usize = 1024;
const CHILD_BYTES_MIN: usize = 42;

/// What a listing lists.
pub(crate) trait Item: Sized {
    /// Domain of the nodes' ids.
    const DOMAIN: Domain;
    /// Fewest bytes of an encoded item.
    const BYTES_MIN: usize;
    /// What items are sorted by, 1 to 255 bytes.
    fn key(&self) -> Cow<'_, [u8]>;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), TreeError>;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, TreeError>;
}

/// A child of an index node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Child {
    pub(crate) first: Vec<u8>,
    pub(crate) id: ObjectId,
    pub(crate) items: u64,
}

/// A decoded node.
#[derive(Debug)]
pub(crate) enum Node<T> {
    Leaf(Vec<T>),
    Index { level: u8, children: Vec<Child> },
}

impl<T: Item> Node<T> {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, TreeError> {
        ensure(bytes.len() <= OBJECT_BYTES_MAX, "node too large")?;
        let mut reader = Reader::new(bytes);
        ensure(reader.u8()? == VERSION, "unknown version")?;
        let level = reader.u8()?;
        ensure(level <= LEVEL_MAX, "too many levels")?;
        let node = if level == 0 {
            let count = reader.count(T::BYTES_MIN)?;
            ensure(count <= SINGLE_ITEMS_MAX, "too many items")?;
            let mut items: Vec<T> = Vec::with_capacity(count);
            for _ in 0..count {
                let item = T::decode(&mut reader)?;
                let ascending = items.last().is_none_or(|last| last.key() < item.key());
                ensure(ascending, "items are not sorted")?;
                items.push(item);
            }
            Self::Leaf(items)
        } else {
            let count = reader.count(CHILD_BYTES_MIN)?;
            ensure(
                (1..=CHILDREN_MAX).contains(&count),
                "bad number of children",
            )?;
            let mut children: Vec<Child> = Vec::with_capacity(count);
            for _ in 0..count {
                let len = usize::from(reader.u8()?);
                let first = reader.take(len)?.to_vec();
                let ascending = children.last().is_none_or(|last| last.first < first);
                ensure(ascending && len > 0, "children are not sorted")?;
                let id = ObjectId(reader.array()?);
                let items = reader.u64()?;
                ensure(items > 0, "empty child")?;
                children.push(Child { first, id, items });
            }
            Self::Index { level, children }
        };
        ensure(reader.remaining() == 0, "bytes after the end")?;
        Ok(node)
    }
}

/// The child of an index node that holds `key` if any does.
pub(crate) fn child_for<'a>(children: &'a [Child], key: &[u8]) -> Option<&'a Child> {
    let after = children.partition_point(|child| child.first.as_slice() <= key);
    children[..after].last()
}

fn header(level: u8, count: usize) -> Vec<u8> {
    let mut out = vec![VERSION, level];
    out.extend((count as u32).to_le_bytes());
    out
}

/// Where a key lets nodes begin: the number of low zero bits of its hash.
fn boundary_bits(key: &OrgKey, item_key: &[u8]) -> u32 {
    let hash = key.hash(Domain::Boundary, item_key);
    let low = hash.0.first_chunk().copied().unwrap_or_default();
    u64::from_le_bytes(low).trailing_zeros()
}

/// Encodes a sorted listing; the last object is the topmost node.
pub(crate) fn build<T: Item>(
    key: &OrgKey,
    items: &[T],
) -> Result<(ObjectId, Vec<Object>), TreeError> {
    let sorted = items.windows(2).all(|pair| pair[0].key() < pair[1].key());
    ensure(sorted, "items are not sorted")?;
    let mut bytes = Vec::new();
    let mut ends = Vec::with_capacity(items.len());
    for item in items {
        item.encode(&mut bytes)?;
        ends.push(bytes.len());
    }
    let leaf = |range: std::ops::Range<usize>| {
        let start = range.start.checked_sub(1).map_or(0, |before| ends[before]);
        let end = range.end.checked_sub(1).map_or(0, |last| ends[last]);
        let mut out = header(0, range.len());
        out.extend_from_slice(&bytes[start..end]);
        Object::new(key, T::DOMAIN, out)
    };
    if items.len() <= SINGLE_ITEMS_MAX && bytes.len() <= SINGLE_BYTES_MAX {
        let object = leaf(0..items.len());
        return Ok((object.id, vec![object]));
    }
    let mut objects = Vec::new();
    let mut row: Vec<(Child, u32)> = Vec::new();
    let mut start = 0_usize;
    let mut start_bits = u32::MAX;
    let mut close = |range: std::ops::Range<usize>, bits: u32, objects: &mut Vec<Object>| {
        let object = leaf(range.clone());
        let child = Child {
            first: items[range.start].key().into_owned(),
            id: object.id,
            items: range.len() as u64,
        };
        row.push((child, bits));
        objects.push(object);
    };
    for (at, item) in items.iter().enumerate().skip(1) {
        let bits = boundary_bits(key, &item.key());
        let start_byte = start.checked_sub(1).map_or(0, |before| ends[before]);
        if bits >= LEAF_BITS
            || at - start >= SINGLE_ITEMS_MAX
            || ends[at] - start_byte > LEAF_BYTES_MAX
        {
            close(start..at, start_bits, &mut objects);
            start = at;
            start_bits = bits;
        }
    }
    close(start..items.len(), start_bits, &mut objects);
    let mut level = 1;
    while row.len() > 1 || level == 1 {
        ensure(level <= LEVEL_MAX, "too many items")?;
        row = build_index::<T>(key, level, &row, &mut objects);
        level += 1;
    }
    match &row[..] {
        [(top, _)] => Ok((top.id, objects)),
        _ => Err(TreeError::new("too many items")),
    }
}

/// One level of index nodes over `row`, whose elements carry their first key's boundary bits.
fn build_index<T: Item>(
    key: &OrgKey,
    level: u8,
    row: &[(Child, u32)],
    objects: &mut Vec<Object>,
) -> Vec<(Child, u32)> {
    let wanted = LEAF_BITS + INDEX_BITS * u32::from(level);
    let mut above = Vec::new();
    let mut start = 0;
    for at in 1..=row.len() {
        let ends = at == row.len() || row[at].1 >= wanted || at - start >= CHILDREN_MAX;
        if !ends {
            continue;
        }
        let group = &row[start..at];
        let mut out = header(level, group.len());
        for (child, _) in group {
            out.push(child.first.len() as u8);
            out.extend_from_slice(&child.first);
            out.extend(child.id.0);
            out.extend(child.items.to_le_bytes());
        }
        let object = Object::new(key, T::DOMAIN, out);
        let (first, bits) = &group[0];
        let child = Child {
            first: first.first.clone(),
            id: object.id,
            items: group.iter().map(|(child, _)| child.items).sum(),
        };
        above.push((child, *bits));
        objects.push(object);
        start = at;
    }
    above
}
