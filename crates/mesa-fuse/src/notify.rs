//! The thread that tells the kernel to forget what changed elsewhere.
//!
//! A notification takes the inode lock of a directory whose holder may be waiting for an answer
//! from a dispatch thread; so it is never sent from one, and never under a lock of the core.

use std::{sync::Arc, thread};

use mesa_vfs::fs::Notice;
use rustix::io::Errno;
use tokio::sync::mpsc::UnboundedReceiver;
use zerocopy::IntoBytes;

use crate::{
    session::{Mode, Session},
    wire::{
        flags::{self, init},
        notify,
        reply::{DeleteOut, InvalEntryOut, InvalInodeOut, PruneOut},
    },
};

pub(crate) fn start(
    session: &Arc<Session>,
    mut notices: UnboundedReceiver<Notice>,
) -> std::io::Result<()> {
    let session = session.clone();
    thread::Builder::new()
        .name("fuse-notify".to_owned())
        .spawn(move || {
            let mut ended = session.ended();
            loop {
                let next = session.runtime.block_on(async {
                    tokio::select! {
                        biased;
                        _ = ended.wait_for(|ended| *ended) => None,
                        notice = notices.recv() => notice,
                    }
                });
                let Some(notice) = next else { return };
                match send(&session, &notice) {
                    Ok(()) => session.counters.noticed(),
                    // The kernel does not know the node or name: nothing to forget.
                    Err(Errno::NOENT) => {
                        if let Notice::Unused { child, .. } = notice {
                            session.fs.unknown(child);
                        }
                    }
                    Err(Errno::NOTDIR | Errno::NODEV | Errno::NOTCONN) => {}
                    Err(error) => {
                        tracing::warn!(%error, ?notice, "the kernel refused a notification");
                    }
                }
            }
        })?;
    Ok(())
}

fn send(session: &Session, notice: &Notice) -> Result<(), Errno> {
    match notice {
        Notice::Entry { parent, name } => {
            // Expired entries are looked up again and survive if they still name the same node,
            // so a directory that is somebody's working directory is not torn away.
            let expire = session.negotiated.has(init::HAS_EXPIRE_ONLY);
            let body = InvalEntryOut {
                parent: parent.0,
                namelen: name.len() as u32,
                flags: if expire { flags::EXPIRE_ONLY } else { 0 },
            };
            session
                .device
                .notify(notify::INVAL_ENTRY, [body.as_bytes(), &terminated(name)])
        }
        Notice::Deleted {
            parent,
            child,
            name,
        } => {
            let body = DeleteOut {
                parent: parent.0,
                child: child.0,
                namelen: name.len() as u32,
                padding: 0,
            };
            match session
                .device
                .notify(notify::DELETE, [body.as_bytes(), &terminated(name)])
            {
                // The kernel keeps directories that still have cached children, and names that
                // lead to another node by now: let it look again.
                Err(Errno::NOTEMPTY | Errno::BUSY | Errno::NOENT) => {
                    let body = InvalEntryOut {
                        parent: parent.0,
                        namelen: name.len() as u32,
                        flags: 0,
                    };
                    session
                        .device
                        .notify(notify::INVAL_ENTRY, [body.as_bytes(), &terminated(name)])
                }
                other => other,
            }
        }
        Notice::Unused {
            parent,
            child,
            name,
        } => {
            let body = InvalEntryOut {
                parent: parent.0,
                namelen: name.len() as u32,
                flags: 0,
            };
            match session
                .device
                .notify(notify::INVAL_ENTRY, [body.as_bytes(), &terminated(name)])
            {
                Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(error) => return Err(error),
            }
            // Without its name it is still there if somebody has it open.
            let body = InvalInodeOut {
                ino: child.0,
                off: -1,
                len: 0,
            };
            session
                .device
                .notify(notify::INVAL_INODE, [body.as_bytes(), &[]])
        }
        Notice::Node { node, data } => {
            // A negative offset spares the pages.
            let off = if *data { 0 } else { -1 };
            let body = InvalInodeOut {
                ino: node.0,
                off,
                len: 0,
            };
            session
                .device
                .notify(notify::INVAL_INODE, [body.as_bytes(), &[]])?;
            if *data && session.negotiated.mode == Mode::Writeback {
                // With write-back the kernel believes only itself about the size and times of a
                // file it knows; it must meet the file anew. It does not forget what is in use at
                // this moment, if only by a lookup, and older kernels lack this notification: then
                // the new content needs another node number.
                let body = PruneOut {
                    count: 1,
                    ..PruneOut::default()
                };
                let nodes = node.0.to_ne_bytes();
                match session
                    .device
                    .notify(notify::PRUNE, [body.as_bytes(), &nodes])
                {
                    Ok(()) | Err(Errno::INVAL) => session.fs.unforgotten(*node),
                    Err(Errno::NOENT) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        }
    }
}

fn terminated(name: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 1);
    bytes.extend_from_slice(name);
    bytes.push(0);
    bytes
}
