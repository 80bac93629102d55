//! Attributes and extended attributes.

use std::{path::Path, time::SystemTime};

use bytes::Bytes;
use mesa_vfs::fs::{AttrChange, Filesystem, TimeOrNow};

use crate::{
    core::{Core, Op},
    error::{Code, Result},
    file::again,
    filesystem::FileSystem,
    walk::{Last, done},
};

impl Core {
    async fn change(&self, path: &Path, last: Last, change: AttrChange) -> Op<()> {
        let held = self.find_node(path, last, Code::ReadOnly).await?;
        done(self.mount.setattr(self.caller(), held.node, None, change)).await?;
        Ok(())
    }

    pub async fn xattr(&self, path: &Path, name: &[u8]) -> Op<Bytes> {
        let held = self.find_node(path, Last::FOLLOW, Code::NoXattr).await?;
        Ok(done(self.mount.getxattr(self.caller(), held.node, name)).await?)
    }

    pub async fn put_xattr(&self, path: &Path, name: &[u8], value: &[u8]) -> Op<()> {
        let held = self.find_node(path, Last::FOLLOW, Code::ReadOnly).await?;
        let set = self
            .mount
            .setxattr(self.caller(), held.node, name, value, 0);
        Ok(done(set).await?)
    }

    pub async fn drop_xattr(&self, path: &Path, name: &[u8]) -> Op<()> {
        let held = self.find_node(path, Last::FOLLOW, Code::ReadOnly).await?;
        Ok(done(self.mount.removexattr(self.caller(), held.node, name)).await?)
    }

    pub async fn xattr_names(&self, path: &Path) -> Op<Vec<Vec<u8>>> {
        let spot = self.find(path, Last::FOLLOW).await?;
        let Some(held) = spot.node() else {
            return Ok(Vec::new());
        };
        let names = done(self.mount.listxattr(self.caller(), held.node)).await?;
        let names = names.split(|byte| *byte == 0);
        Ok(names
            .filter(|name| !name.is_empty())
            .map(<[u8]>::to_vec)
            .collect())
    }
}

fn times(accessed: Option<SystemTime>, modified: Option<SystemTime>) -> AttrChange {
    AttrChange {
        atime: accessed.map(TimeOrNow::Time),
        mtime: modified.map(TimeOrNow::Time),
        ..AttrChange::default()
    }
}

impl FileSystem {
    /// Changes permission bits.
    pub async fn chmod(&self, path: impl AsRef<Path>, mode: u32) -> Result<()> {
        let path = path.as_ref();
        let change = AttrChange {
            mode: Some((mode & 0o7777) as u16),
            ..AttrChange::default()
        };
        let work = async { again!(self.core.change(path, Last::FOLLOW, change)) };
        self.core.call("chmod", path, work).await
    }

    /// Changes owner and group; `None` keeps one.
    pub async fn chown(
        &self,
        path: impl AsRef<Path>,
        uid: Option<u32>,
        gid: Option<u32>,
    ) -> Result<()> {
        let path = path.as_ref();
        let change = AttrChange {
            uid,
            gid,
            ..AttrChange::default()
        };
        let work = async { again!(self.core.change(path, Last::FOLLOW, change)) };
        self.core.call("chown", path, work).await
    }

    /// Changes times; `None` keeps one. The access time is kept for this mount only.
    pub async fn set_times(
        &self,
        path: impl AsRef<Path>,
        accessed: Option<SystemTime>,
        modified: Option<SystemTime>,
    ) -> Result<()> {
        let path = path.as_ref();
        let change = times(accessed, modified);
        let work = async { again!(self.core.change(path, Last::FOLLOW, change)) };
        self.core.call("utime", path, work).await
    }

    /// The same of a symlink itself.
    pub async fn set_link_times(
        &self,
        path: impl AsRef<Path>,
        accessed: Option<SystemTime>,
        modified: Option<SystemTime>,
    ) -> Result<()> {
        let path = path.as_ref();
        let change = times(accessed, modified);
        let work = async { again!(self.core.change(path, Last::KEEP, change)) };
        self.core.call("lutime", path, work).await
    }

    /// An extended attribute; `ENODATA` if it is not there.
    pub async fn get_xattr(&self, path: impl AsRef<Path>, name: &[u8]) -> Result<Bytes> {
        let path = path.as_ref();
        let work = async { again!(self.core.xattr(path, name)) };
        self.core.call("getxattr", path, work).await
    }

    /// Sets an extended attribute. Users have names that begin with `user.`.
    pub async fn set_xattr(&self, path: impl AsRef<Path>, name: &[u8], value: &[u8]) -> Result<()> {
        let path = path.as_ref();
        let work = async { again!(self.core.put_xattr(path, name, value)) };
        self.core.call("setxattr", path, work).await
    }

    /// Names of the extended attributes.
    pub async fn list_xattrs(&self, path: impl AsRef<Path>) -> Result<Vec<Vec<u8>>> {
        let path = path.as_ref();
        let work = async { again!(self.core.xattr_names(path)) };
        self.core.call("listxattr", path, work).await
    }

    /// Removes an extended attribute; `ENODATA` if it is not there.
    pub async fn remove_xattr(&self, path: impl AsRef<Path>, name: &[u8]) -> Result<()> {
        let path = path.as_ref();
        let work = async { again!(self.core.drop_xattr(path, name)) };
        self.core.call("removexattr", path, work).await
    }
}
