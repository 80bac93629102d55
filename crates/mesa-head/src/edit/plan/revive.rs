//! Operations that bring back what was: moves, names of one node, times.

use bytes::Bytes;
use mesa_proto::v1::{self, op::Kind};
use mesa_types::{Nanos, NodeKind};

use super::{Plan, join, refuse};
use crate::{edit::FilePath, error::Result};

impl Plan<'_> {
    /// Moves something to where nothing is; its old directory stays, also if nothing is left in it.
    pub(super) async fn shift(&mut self, from: &FilePath, to: &FilePath) -> Result<()> {
        let missing = || refuse("PATH_NOT_FOUND", from, "does not exist");
        let (dir, name) = self.parent(from, false).await?;
        let seen = self.look(&dir, name).await?.ok_or_else(missing)?;
        let (new_dir, new_name) = self.parent(to, true).await?;
        if let Some(there) = self.look(&new_dir, new_name).await? {
            self.take_away(&new_dir, new_name, &there).await?;
        }
        let rename = v1::Rename {
            parent: dir.id.0,
            name: Bytes::copy_from_slice(name.as_bytes()),
            id: seen.id.0,
            new_parent: new_dir.id.0,
            new_name: Bytes::copy_from_slice(new_name.as_bytes()),
            new_path: new_dir.path.clone().into(),
            replaced: 0,
            exchange: false,
        };
        self.push(dir.path.clone(), Kind::Rename(rename));
        self.set(&dir, name, None);
        self.set(&new_dir, new_name, Some(seen));
        Ok(())
    }

    /// Makes a path another name of what is at `source`.
    pub(super) async fn link(&mut self, path: &FilePath, source: &FilePath) -> Result<()> {
        let missing = || refuse("PATH_NOT_FOUND", source, "does not exist");
        let (from, from_name) = self.parent(source, false).await?;
        let node = self.look(&from, from_name).await?.ok_or_else(missing)?;
        if node.kind == NodeKind::Dir {
            return Err(refuse("PATH_IS_DIRECTORY", source, "is a directory"));
        }
        let (dir, name) = self.parent(path, true).await?;
        if let Some(there) = self.look(&dir, name).await? {
            if there.id == node.id {
                return Ok(());
            }
            self.take_away(&dir, name, &there).await?;
        }
        let link = v1::Link {
            id: node.id.0,
            parent: dir.id.0,
            name: Bytes::copy_from_slice(name.as_bytes()),
            source_path: join(&from.path, from_name).into(),
        };
        self.push(dir.path.clone(), Kind::Link(link));
        self.set(&dir, name, Some(node));
        Ok(())
    }

    /// Sets a modification time, after everything that would change it.
    pub(super) async fn times(&mut self, path: &FilePath, mtime: Nanos) -> Result<()> {
        let (dir, name) = self.parent(path, false).await?;
        if let Some(seen) = self.look(&dir, name).await? {
            let set = v1::SetAttr {
                id: seen.id.0,
                mtime_ns: Some(mtime.0),
                ..v1::SetAttr::default()
            };
            self.push(join(&dir.path, name), Kind::SetAttr(set));
        }
        Ok(())
    }
}
