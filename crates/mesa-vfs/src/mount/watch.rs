//! Telling programs in this process what others change.

use mesa_proto::v1::{self, op::Kind};
use mesa_types::{OrgSlug, RepoName};
use tokio::sync::broadcast;

use super::{Mount, repo::Repo};

/// Changes that wait for a slow listener; one that is further behind is told so.
const WAITING_MAX: usize = 1024;

/// Something that another session changed, or that is to be looked at anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Org.
    pub org: OrgSlug,
    /// Repo.
    pub repo: RepoName,
    /// From the repo's root, without a leading slash.
    pub path: Vec<u8>,
    /// Anything below the path may have changed too.
    pub recursive: bool,
}

/// Where changes go out.
pub struct Changes(broadcast::Sender<Changed>);

impl Default for Changes {
    fn default() -> Self {
        Self(broadcast::channel(WAITING_MAX).0)
    }
}

impl Mount {
    /// What others change in repos that are open, from now on. What is told of can be read as it is
    /// told.
    pub fn watch(&self) -> broadcast::Receiver<Changed> {
        self.inner.env.changes.0.subscribe()
    }
}

impl Repo {
    fn tell(&self, path: Vec<u8>, recursive: bool) {
        let config = self.session.config();
        let changed = Changed {
            org: config.org.clone(),
            repo: config.repo.clone(),
            path,
            recursive,
        };
        // Without a listener nobody needs to know.
        let _ = self.env.changes.0.send(changed);
    }

    /// Tells of operations that others made.
    pub fn tell_of(&self, entry: &v1::LogEntry) {
        if self.env.changes.0.receiver_count() == 0 {
            return;
        }
        for op in &entry.ops {
            for path in changed(op) {
                self.tell(path, false);
            }
        }
    }

    /// Tells that anything in the repo may have changed.
    pub fn tell_of_all(&self) {
        self.tell(Vec::new(), true);
    }
}

/// The paths an operation changes.
fn changed(op: &v1::Op) -> Vec<Vec<u8>> {
    let entry = |dir: &[u8], name: &[u8]| {
        let mut path = dir.to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        path
    };
    match &op.kind {
        Some(Kind::Create(create)) => vec![entry(&op.path, &create.name)],
        Some(Kind::Link(link)) => vec![entry(&op.path, &link.name)],
        Some(Kind::Unlink(unlink)) => vec![entry(&op.path, &unlink.name)],
        Some(Kind::Rmdir(rmdir)) => vec![entry(&op.path, &rmdir.name)],
        Some(Kind::Rename(rename)) => vec![
            entry(&op.path, &rename.name),
            entry(&rename.new_path, &rename.new_name),
        ],
        _ => vec![op.path.to_vec()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(path: &'static [u8], kind: Kind) -> v1::Op {
        v1::Op {
            path: path.into(),
            kind: Some(kind),
            ..v1::Op::default()
        }
    }

    #[test]
    fn entry_operations_change_the_entry_and_node_operations_the_node() {
        let create = v1::Create {
            name: (&b"f"[..]).into(),
            ..v1::Create::default()
        };
        assert_eq!(
            changed(&op(b"", Kind::Create(create.clone()))),
            [b"f".to_vec()]
        );
        assert_eq!(
            changed(&op(b"a/b", Kind::Create(create))),
            [b"a/b/f".to_vec()]
        );
        let rename = v1::Rename {
            name: (&b"f"[..]).into(),
            new_name: (&b"g"[..]).into(),
            new_path: (&b"c"[..]).into(),
            ..v1::Rename::default()
        };
        assert_eq!(
            changed(&op(b"a", Kind::Rename(rename))),
            [b"a/f".to_vec(), b"c/g".to_vec()]
        );
        let set = v1::SetContent::default();
        assert_eq!(
            changed(&op(b"a/f", Kind::SetContent(set))),
            [b"a/f".to_vec()]
        );
    }
}
