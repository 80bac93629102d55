//! Nodes as messages.

use bytes::Bytes;
use mesa_object::tree::{NodeRecord, Xattrs};
use mesa_proto::{convert::attr_to_wire, v1};

use crate::tree::Node;

/// A node in memory. `changed`: the directory, or something below it, changed since the seal.
pub fn node(node: &Node, changed: bool) -> v1::Node {
    let tree = node
        .dir
        .as_ref()
        .and_then(|dir| dir.sealed.as_ref())
        .filter(|_| !changed);
    v1::Node {
        inline: node.target.clone(),
        xattrs: xattrs(&node.xattrs),
        tree: tree.map_or_else(Bytes::new, |sealed| {
            Bytes::copy_from_slice(&sealed.object.0)
        }),
        ..attr_to_wire(&node.attr)
    }
}

/// A node as stored.
pub fn record(record: &NodeRecord) -> v1::Node {
    v1::Node {
        inline: record.target.clone(),
        xattrs: xattrs(&record.xattrs),
        tree: record
            .dir
            .as_ref()
            .map_or_else(Bytes::new, |dir| Bytes::copy_from_slice(&dir.object.0)),
        ..attr_to_wire(&record.attr)
    }
}

fn xattrs(xattrs: &Xattrs) -> Vec<v1::Xattr> {
    xattrs
        .iter()
        .map(|(name, value)| v1::Xattr {
            name: Bytes::copy_from_slice(name),
            value: value.clone(),
        })
        .collect()
}
