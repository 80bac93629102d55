//! Merging what git does not keep: every attribute by its own value.
//!
//! Permission bits merge one by one and therefore never conflict. Ids, owners, modification times
//! and extended attributes keep the winner's value where sides disagree: git cannot hold a
//! conflict in them, and nobody could resolve one by writing the file.

use std::collections::BTreeSet;

use mesa_object::tree::{NodeRecord, Xattrs};
use mesa_types::Nanos;

use super::{Field, TreeValue};
use crate::Merge;

/// The attributes of `terms` merged onto a copy of `winner`, and those the sides disagree about.
/// Kind, content and executable bit stay the winner's.
pub(crate) fn merge(
    terms: &Merge<Option<&TreeValue>>,
    winner: &NodeRecord,
    now: Nanos,
) -> (NodeRecord, Vec<Field>) {
    let mut merged = winner.clone();
    let mut clashes = Vec::new();
    let mut mode = 0;
    for bit in (0..12).map(|bit| 1_u16 << bit) {
        let set = field(terms, |node| node.attr.mode & bit != 0);
        if set.unwrap_or(winner.attr.mode & bit != 0) {
            mode |= bit;
        }
    }
    merged.attr.mode = mode & !0o100 | winner.attr.mode & 0o100;

    let mut keep = |known: bool, what: Field| {
        if !known {
            clashes.push(what);
        }
    };
    let id = field(terms, |node| node.attr.id);
    merged.attr.id = id.unwrap_or(winner.attr.id);
    let uid = field(terms, |node| node.attr.uid);
    keep(uid.is_some(), Field::User);
    merged.attr.uid = uid.unwrap_or(winner.attr.uid);
    let gid = field(terms, |node| node.attr.gid);
    keep(gid.is_some(), Field::Group);
    merged.attr.gid = gid.unwrap_or(winner.attr.gid);
    let mtime = field(terms, |node| node.attr.mtime);
    merged.attr.mtime = mtime.unwrap_or(winner.attr.mtime);
    merged.attr.ctime = now;

    let names: BTreeSet<&Vec<u8>> = terms
        .iter()
        .flatten()
        .flat_map(|value| value.node.xattrs.keys())
        .collect();
    let mut xattrs = Xattrs::new();
    for name in names {
        let value = field(terms, |node| node.xattrs.get(name));
        keep(value.is_some(), Field::Xattr(name.clone()));
        if let Some(value) = value.unwrap_or(winner.xattrs.get(name)) {
            xattrs.insert(name.clone(), value.clone());
        }
    }
    merged.xattrs = xattrs;
    (merged, clashes)
}

/// One field's value; `None` if the terms that have the node disagree.
fn field<'a, V: PartialEq>(
    terms: &Merge<Option<&'a TreeValue>>,
    get: impl Fn(&'a NodeRecord) -> V,
) -> Option<V> {
    let values = terms.map(|term| term.map(|value| get(&value.node)));
    let resolved = values.resolve_trivial().filter(|value| value.is_some());
    let at = resolved.and_then(|resolved| values.iter().position(|value| value == resolved));
    at.and_then(|at| values.into_terms().swap_remove(at))
        .or_else(|| all_equal(terms, get))
}

/// The value all terms agree about that have the node at all.
fn all_equal<'a, V: PartialEq>(
    terms: &Merge<Option<&'a TreeValue>>,
    get: impl Fn(&'a NodeRecord) -> V,
) -> Option<V> {
    let mut values = terms.iter().flatten().map(|value| get(&value.node));
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}
