//! Metadata as the SDKs have it: pairs of text on a file or directory.
//!
//! They are extended attributes, `user.mesa.KEY`, so they travel with the file: through renames,
//! seals, other mounts and `getfattr`.

use std::{collections::BTreeMap, path::Path};

use crate::{
    core::{Core, Op},
    error::{Code, Result},
    file::again,
    filesystem::FileSystem,
    walk::Last,
};

/// Extended attributes that are metadata begin so.
const PREFIX: &[u8] = b"user.mesa.";
/// What the mount tells of a path; nobody sets them.
const TOLD: [&str; 2] = ["org", "repo"];

fn attribute(key: &str) -> Op<Vec<u8>> {
    if key.is_empty() || key.contains('\0') {
        return Err(Code::Invalid);
    }
    if TOLD.contains(&key) {
        return Err(Code::NotPermitted);
    }
    Ok([PREFIX, key.as_bytes()].concat())
}

impl Core {
    async fn put_metadata(
        &self,
        path: &Path,
        entries: &BTreeMap<String, Option<String>>,
    ) -> Op<()> {
        // All or none, as far as that can be told before.
        let changes = entries
            .iter()
            .map(|(key, value)| Ok((attribute(key)?, value)));
        for (name, value) in changes.collect::<Op<Vec<_>>>()? {
            match value.as_deref().filter(|value| !value.is_empty()) {
                Some(value) => self.put_xattr(path, &name, value.as_bytes()).await?,
                None => match self.drop_xattr(path, &name).await {
                    Ok(()) | Err(Code::NoXattr) => {}
                    Err(error) => return Err(error),
                },
            }
        }
        Ok(())
    }

    async fn metadata(&self, path: &Path) -> Op<BTreeMap<String, String>> {
        let mut entries = BTreeMap::new();
        for name in self.xattr_names(path).await? {
            let Some(key) = name.strip_prefix(PREFIX) else {
                continue;
            };
            let value = match self.xattr(path, &name).await {
                // Removed meanwhile.
                Err(Code::NoXattr) => continue,
                value => value?,
            };
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            entries.insert(text(key), text(&value));
        }
        let walked = self.walk(path, Last::FOLLOW).await?;
        if let Some((org, repo)) = self.places.owner(&walked.path()) {
            entries.insert(TOLD[0].to_owned(), org);
            entries.insert(TOLD[1].to_owned(), repo);
        }
        Ok(entries)
    }

    async fn clear_metadata(&self, path: &Path) -> Op<()> {
        for name in self.xattr_names(path).await? {
            if name.starts_with(PREFIX) {
                match self.drop_xattr(path, &name).await {
                    Ok(()) | Err(Code::NoXattr) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

impl FileSystem {
    /// Sets metadata; `None` and empty text remove a key. `org` and `repo` cannot be set (`EPERM`).
    pub async fn set_metadata(
        &self,
        path: impl AsRef<Path>,
        entries: &BTreeMap<String, Option<String>>,
    ) -> Result<()> {
        let path = path.as_ref();
        let work = async { again!(self.core.put_metadata(path, entries)) };
        self.core.call("setxattr", path, work).await
    }

    /// Metadata of a path, with the `org` and `repo` it is in.
    pub async fn metadata(&self, path: impl AsRef<Path>) -> Result<BTreeMap<String, String>> {
        let path = path.as_ref();
        let work = async { again!(self.core.metadata(path)) };
        self.core.call("getxattr", path, work).await
    }

    /// Removes all metadata of a path.
    pub async fn clear_metadata(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let work = async { again!(self.core.clear_metadata(path)) };
        self.core.call("removexattr", path, work).await
    }
}
