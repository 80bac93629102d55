//! Calls by path, as a kernel would make them.

use bytes::Bytes;
use mesa_types::NodeKind;
use mesa_vfs::{
    fs::{
        Caller, Entry, FileAttr, Filesystem, Found, FsError, FsResult, Handle, NodeId, OpenFlags,
        OpenMode, Opened, RenameFlags, Step,
    },
    mount::Mount,
};

pub const USER: Caller = Caller {
    uid: 0,
    gid: 0,
    pid: 0,
    umask: 0o022,
};

pub async fn done<T>(step: Step<T>) -> FsResult<T> {
    match step {
        Step::Done(answer) => answer,
        Step::Later(answer) => answer.await,
    }
}

/// The answer, which must not take a wait.
pub fn now<T>(step: Step<T>) -> FsResult<T> {
    match step {
        Step::Done(answer) => answer,
        Step::Later(_) => panic!("had to wait"),
    }
}

pub fn read_flags() -> OpenFlags {
    OpenFlags {
        read: true,
        ..OpenFlags::default()
    }
}

pub fn write_flags() -> OpenFlags {
    OpenFlags {
        read: true,
        write: true,
        ..OpenFlags::default()
    }
}

pub async fn lookup(mount: &Mount, dir: NodeId, name: &str) -> FsResult<Entry> {
    match done(mount.lookup(USER, dir, name.as_bytes())).await? {
        Found::Entry(entry) => Ok(entry),
        Found::Absent => Err(FsError::NotFound),
    }
}

/// The repo's root.
pub async fn work(mount: &Mount) -> NodeId {
    let org = lookup(mount, NodeId::ROOT, "acme").await.unwrap().node;
    lookup(mount, org, "work").await.unwrap().node
}

/// A node by path below the repo's root.
pub async fn find(mount: &Mount, path: &str) -> FsResult<Entry> {
    let mut at = work(mount).await;
    let mut entry = None;
    for part in path.split('/').filter(|p| !p.is_empty()) {
        let found = lookup(mount, at, part).await?;
        at = found.node;
        entry = Some(found);
    }
    match entry {
        Some(entry) => Ok(entry),
        None => Ok(Entry {
            node: at,
            attr: done(mount.getattr(USER, at, None)).await?,
        }),
    }
}

/// The directory and the last name of a path.
pub async fn place<'p>(mount: &Mount, path: &'p str) -> FsResult<(NodeId, &'p str)> {
    let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
    let found = find(mount, dir).await?;
    // As a kernel finds out on the way.
    match found.attr.kind {
        NodeKind::Dir => Ok((found.node, name)),
        _ => Err(FsError::NotDir),
    }
}

pub async fn attr(mount: &Mount, path: &str) -> FsResult<FileAttr> {
    let node = find(mount, path).await?.node;
    done(mount.getattr(USER, node, None)).await
}

pub async fn mkdir(mount: &Mount, path: &str) -> FsResult<Entry> {
    let (dir, name) = place(mount, path).await?;
    done(mount.mkdir(USER, dir, name.as_bytes(), 0o777)).await
}

pub async fn create(mount: &Mount, path: &str) -> FsResult<(Entry, Opened)> {
    let (dir, name) = place(mount, path).await?;
    let flags = OpenFlags {
        exclusive: true,
        ..write_flags()
    };
    done(mount.create(USER, dir, name.as_bytes(), 0o666, flags)).await
}

pub async fn write_at(mount: &Mount, node: NodeId, opened: &Opened, at: u64, data: &[u8]) {
    match &opened.mode {
        // As the kernel does with passthrough.
        OpenMode::Local(backing) => {
            assert_eq!(rustix::io::pwrite(&backing.file, data, at), Ok(data.len()));
        }
        OpenMode::Served { .. } => {
            let written = done(mount.write(node, opened.handle, at, data)).await;
            assert_eq!(written, Ok(data.len() as u32));
        }
    }
}

/// Makes or overwrites a file.
pub async fn put(mount: &Mount, path: &str, data: &[u8]) -> FsResult<()> {
    let (node, opened) = match find(mount, path).await {
        Ok(entry) => {
            let flags = OpenFlags {
                truncate: true,
                ..write_flags()
            };
            let opened = done(mount.open(USER, entry.node, flags)).await?;
            (entry.node, opened)
        }
        Err(FsError::NotFound) => {
            let (entry, opened) = create(mount, path).await?;
            (entry.node, opened)
        }
        Err(error) => return Err(error),
    };
    write_at(mount, node, &opened, 0, data).await;
    done(mount.flush(node, opened.handle)).await?;
    mount.release(node, opened.handle);
    Ok(())
}

pub async fn get(mount: &Mount, path: &str) -> FsResult<Bytes> {
    let node = find(mount, path).await?.node;
    let opened = done(mount.open(USER, node, read_flags())).await?;
    let data = done(mount.read(node, opened.handle, 0, 1 << 20)).await;
    mount.release(node, opened.handle);
    data
}

pub async fn rename(mount: &Mount, from: &str, to: &str, flags: RenameFlags) -> FsResult<()> {
    let (dir, name) = place(mount, from).await?;
    let (new_dir, new_name) = place(mount, to).await?;
    let (name, new_name) = (name.as_bytes(), new_name.as_bytes());
    done(mount.rename(USER, dir, name, new_dir, new_name, flags)).await
}

pub async fn unlink(mount: &Mount, path: &str) -> FsResult<()> {
    let (dir, name) = place(mount, path).await?;
    done(mount.unlink(USER, dir, name.as_bytes())).await
}

pub async fn rmdir(mount: &Mount, path: &str) -> FsResult<()> {
    let (dir, name) = place(mount, path).await?;
    done(mount.rmdir(USER, dir, name.as_bytes())).await
}

pub async fn link(mount: &Mount, from: &str, to: &str) -> FsResult<Entry> {
    let node = find(mount, from).await?.node;
    let (dir, name) = place(mount, to).await?;
    done(mount.link(USER, node, dir, name.as_bytes())).await
}

pub async fn symlink(mount: &Mount, target: &str, path: &str) -> FsResult<Entry> {
    let (dir, name) = place(mount, path).await?;
    done(mount.symlink(USER, dir, name.as_bytes(), target.as_bytes())).await
}

/// Names and kinds of a directory, `.` and `..` left out.
pub async fn list(mount: &Mount, path: &str) -> FsResult<Vec<(String, NodeKind)>> {
    let node = find(mount, path).await?.node;
    let handle: Handle = done(mount.opendir(USER, node)).await?;
    let mut names = Vec::new();
    let mut from = 0;
    loop {
        let entries = done(mount.readdir(USER, node, handle, from, 200, true)).await?;
        let Some(last) = entries.last() else { break };
        from = last.next;
        for entry in entries {
            let name = String::from_utf8_lossy(&entry.name).into_owned();
            if name != "." && name != ".." {
                names.push((name, entry.kind));
            }
        }
    }
    mount.releasedir(node, handle);
    Ok(names)
}
