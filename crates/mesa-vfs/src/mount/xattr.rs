//! Extended attributes. `user.*` by the node's permissions, `trusted.*` for root, `security.*`
//! readable by all and set by root; ACLs are not supported.

use std::sync::Arc;

use bytes::Bytes;
use mesa_proto::v1::{self, op::Kind};
use mesa_types::{
    NodeKind,
    limits::{XATTR_NAME_MAX, XATTR_OVERHEAD, XATTR_TOTAL_MAX, XATTR_VALUE_MAX},
};

use super::repo::{Change, Plan, Repo};
use crate::{
    fs::{Caller, FsError, FsResult, NodeId, Step},
    tree::{Node, Origin, perm},
};

/// `XATTR_CREATE`.
const CREATE: u32 = 1;
/// `XATTR_REPLACE`.
const REPLACE: u32 = 2;

impl Repo {
    pub fn getxattr(self: &Arc<Self>, caller: Caller, node: NodeId, name: &[u8]) -> Step<Bytes> {
        let name: Box<[u8]> = name.into();
        self.read(move |repo, state| {
            let id = repo.live(state, node)?;
            let node = state.tree.get(id).ok_or(FsError::Stale)?;
            repo.check_xattr(node, caller, &name, false)?;
            let value = node.extra.as_ref().and_then(|e| e.xattrs.get(&name));
            Ok(value.cloned().ok_or(FsError::NoXattr)?)
        })
    }

    pub fn listxattr(self: &Arc<Self>, caller: Caller, node: NodeId) -> Step<Bytes> {
        self.read(move |repo, state| {
            let id = repo.live(state, node)?;
            let node = state.tree.get(id).ok_or(FsError::Stale)?;
            let mut names = Vec::new();
            for name in node.extra.iter().flat_map(|e| e.xattrs.keys()) {
                if caller.uid == 0 || !name.starts_with(b"trusted.") {
                    names.extend_from_slice(name);
                    names.push(0);
                }
            }
            Ok(names.into())
        })
    }

    pub fn setxattr(
        self: &Arc<Self>,
        caller: Caller,
        number: NodeId,
        name: &[u8],
        value: &[u8],
        flags: u32,
    ) -> Step<()> {
        if value.len() > XATTR_VALUE_MAX {
            return Step::Done(Err(FsError::XattrTooBig));
        }
        if flags & !(CREATE | REPLACE) != 0 {
            return Step::Done(Err(FsError::Invalid));
        }
        let name: Box<[u8]> = name.into();
        let value = Bytes::copy_from_slice(value);
        self.change(caller, move |repo, state| {
            let id = repo.live(state, number)?;
            let node = state.tree.get(id).ok_or(FsError::Stale)?;
            repo.check_way(state, id, caller)?;
            repo.check_xattr(node, caller, &name, true)?;
            let xattrs = node.extra.as_ref().map(|e| &e.xattrs);
            let present = xattrs.is_some_and(|x| x.contains_key(&name));
            if present && flags & CREATE != 0 {
                return Err(FsError::Exists.into());
            }
            if !present && flags & REPLACE != 0 {
                return Err(FsError::NoXattr.into());
            }
            let others = xattrs.into_iter().flatten().filter(|(n, _)| **n != name);
            let total: usize = others
                .map(|(n, v)| n.len() + v.len() + XATTR_OVERHEAD)
                .sum();
            if total + name.len() + value.len() + XATTR_OVERHEAD > XATTR_TOTAL_MAX {
                return Err(FsError::NoSpace.into());
            }
            let set = v1::SetXattr {
                id: id.0,
                name: name.to_vec().into(),
                value: value.clone(),
                flags,
            };
            Ok(repo.on_xattr(state, number, Kind::SetXattr(set))?)
        })
    }

    pub fn removexattr(self: &Arc<Self>, caller: Caller, number: NodeId, name: &[u8]) -> Step<()> {
        let name: Box<[u8]> = name.into();
        self.change(caller, move |repo, state| {
            let id = repo.live(state, number)?;
            let node = state.tree.get(id).ok_or(FsError::Stale)?;
            repo.check_way(state, id, caller)?;
            repo.check_xattr(node, caller, &name, true)?;
            let xattrs = node.extra.as_ref().map(|e| &e.xattrs);
            if !xattrs.is_some_and(|x| x.contains_key(&name)) {
                return Err(FsError::NoXattr.into());
            }
            let remove = v1::RemoveXattr {
                id: id.0,
                name: name.to_vec().into(),
            };
            Ok(repo.on_xattr(state, number, Kind::RemoveXattr(remove))?)
        })
    }

    fn on_xattr(
        &self,
        state: &mut super::repo::State,
        number: NodeId,
        kind: Kind,
    ) -> FsResult<Plan<()>> {
        let id = self.live(state, number)?;
        let now = self.env.now();
        let named = state.tree.get(id).is_some_and(|n| n.nlink > 0);
        if let Some(path) = state.tree.path(id).filter(|_| named) {
            return Ok(Plan::Op(Change::new(kind, path, now, |_, _| Ok(()))));
        }
        let op = v1::Op {
            time_ns: now.0,
            kind: Some(kind),
            ..v1::Op::default()
        };
        state.tree.apply(&op, Origin::Own);
        Ok(Plan::Answer(()))
    }

    fn check_xattr(&self, node: &Node, caller: Caller, name: &[u8], write: bool) -> FsResult<()> {
        if name.is_empty() || name.len() > XATTR_NAME_MAX {
            return Err(FsError::Range);
        }
        if write && self.read_only {
            return Err(FsError::ReadOnly);
        }
        if name.starts_with(b"user.") {
            if name.len() == 5 {
                return Err(FsError::Invalid);
            }
            // Only files and directories have them; a sticky directory's are its owner's.
            if !matches!(node.kind, NodeKind::File | NodeKind::Dir) {
                return Err(if write {
                    FsError::NotPermitted
                } else {
                    FsError::NoXattr
                });
            }
            let owner = self.env.shown_uid(node.uid);
            if write
                && node.is_dir()
                && node.mode & 0o1000 != 0
                && caller.uid != 0
                && caller.uid != owner
            {
                return Err(FsError::NotPermitted);
            }
            let mask = if write { perm::WRITE } else { perm::READ };
            return self.check(node, caller, mask);
        }
        if name.starts_with(b"trusted.") {
            return match (caller.uid == 0, write) {
                (true, _) => Ok(()),
                (false, true) => Err(FsError::NotPermitted),
                (false, false) => Err(FsError::NoXattr),
            };
        }
        if name.starts_with(b"security.") {
            return if write && caller.uid != 0 {
                Err(FsError::NotPermitted)
            } else {
                Ok(())
            };
        }
        Err(FsError::NotSupported)
    }
}
