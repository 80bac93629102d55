//! Which local file stands behind each open node.
//!
//! While any descriptor of a node is open, the kernel demands one way of serving it: all opens
//! passthrough with the same registered file, or none (a differing open fails with `EIO`). So the
//! first open decides for the whole cycle, which ends with the last `RELEASE`.

mod table;

use std::{
    collections::{HashMap, hash_map},
    os::fd::AsFd,
    path::Path,
    sync::Arc,
};

use mesa_vfs::fs::{Backing, Handle, NodeId, OpenMode};
use parking_lot::Mutex;
use rustix::io::Errno;

use self::table::{Slot, Table};
use crate::{
    device::{BackingId, Device},
    wire::flags::open,
};

/// Name of the [`table`] in the state directory.
const TABLE_NAME: &str = "fuse-open-files";

/// In place of a registration where we serve the node: the kernel counts from 1.
const SERVED: BackingId = BackingId(0);

/// Open nodes.
pub(crate) struct Registry {
    /// The connection has passthrough.
    enabled: bool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    nodes: HashMap<NodeId, OpenNode>,
    table: Option<Table>,
}

struct OpenNode {
    opens: u32,
    /// Where it is written down.
    slot: Option<Slot>,
    /// The kernel serves this cycle from here.
    registered: Option<Registered>,
    /// Files behind handles that we serve.
    served: HashMap<Handle, Arc<Backing>>,
}

struct Registered {
    id: BackingId,
    identity: Identity,
    /// Absent if a former process registered it.
    backing: Option<Arc<Backing>>,
}

/// Tells local files apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    dev: u64,
    ino: u64,
}

/// What to tell the kernel about an open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenReply {
    pub flags: u32,
    pub backing_id: i32,
}

impl Registry {
    pub fn new(enabled: bool) -> Self {
        Self {
            enabled,
            inner: Mutex::default(),
        }
    }

    /// Starts writing down what is open in `state_dir`, and with `resume` goes on from what a
    /// former process wrote there. Without the file only a takeover is worse off.
    pub fn record_in(&self, state_dir: &Path, resume: bool) {
        if !self.enabled {
            return;
        }
        let mut inner = self.inner.lock();
        match Table::open(&state_dir.join(TABLE_NAME), resume) {
            Ok((table, recorded)) => {
                inner.nodes.extend(recorded.into_iter().map(|found| {
                    let registered = (found.id != SERVED).then_some(Registered {
                        id: found.id,
                        identity: found.identity,
                        backing: None,
                    });
                    let node = OpenNode {
                        opens: found.opens,
                        slot: Some(found.slot),
                        registered,
                        served: HashMap::new(),
                    };
                    (NodeId(found.node), node)
                }));
                inner.table = Some(table);
            }
            Err(error) => tracing::warn!(%error, "open files are not recorded for a takeover"),
        }
    }

    /// Counts an open and decides how it is served. Undone by [`Self::released`], unless it
    /// fails, which means that the filesystem named a second file for an open node.
    pub fn opened(
        &self,
        device: &Device,
        node: NodeId,
        handle: Handle,
        mode: OpenMode,
    ) -> Result<OpenReply, Errno> {
        let mut inner = self.inner.lock();
        let Inner { nodes, table } = &mut *inner;
        let entry = match nodes.entry(node) {
            hash_map::Entry::Occupied(entry) => {
                let entry = entry.into_mut();
                if let (Some(registered), OpenMode::Local(other)) = (&entry.registered, &mode)
                    && !registered.is(other)
                {
                    // The kernel would refuse the second file, and the first one is not what the
                    // filesystem means.
                    tracing::error!(?node, "a second backing file for an open node");
                    return Err(Errno::IO);
                }
                entry.opens += 1;
                entry.record(table.as_mut());
                entry
            }
            hash_map::Entry::Vacant(vacant) => {
                let registered = match &mode {
                    OpenMode::Local(backing) if self.enabled => register(device, backing),
                    _ => None,
                };
                let (id, identity) = registered
                    .as_ref()
                    .map_or((SERVED, Identity::NONE), |r| (r.id, r.identity));
                let slot = table.as_mut().and_then(|t| t.insert(node.0, id, identity));
                vacant.insert(OpenNode {
                    opens: 1,
                    slot,
                    registered,
                    served: HashMap::new(),
                })
            }
        };
        if let Some(registered) = &entry.registered {
            return Ok(OpenReply {
                flags: open::PASSTHROUGH,
                backing_id: registered.id.0,
            });
        }
        let keep_cache = match mode {
            // Content under a node changes only through the kernel or with a notice.
            OpenMode::Local(backing) => {
                entry.served.insert(handle, backing);
                true
            }
            OpenMode::Served { keep_cache } => keep_cache,
        };
        Ok(OpenReply {
            flags: if keep_cache { open::KEEP_CACHE } else { 0 },
            backing_id: 0,
        })
    }

    /// A handle is closed for good.
    pub fn released(&self, device: &Device, node: NodeId, handle: Handle) {
        let mut inner = self.inner.lock();
        let Inner { nodes, table } = &mut *inner;
        // Served handles of a former process are not known here.
        let hash_map::Entry::Occupied(mut entry) = nodes.entry(node) else {
            return;
        };
        let open = entry.get_mut();
        open.served.remove(&handle);
        open.opens = open.opens.saturating_sub(1);
        open.record(table.as_mut());
        if open.opens > 0 {
            return;
        }
        if let Some(registered) = entry.remove().registered
            && let Err(error) = device.backing_close(registered.id)
        {
            tracing::warn!(%error, ?node, "a backing file could not be withdrawn");
        }
    }

    /// The local file behind a handle that the kernel asks us to read or write.
    pub fn backing(&self, node: NodeId, handle: Handle) -> Option<Arc<Backing>> {
        let inner = self.inner.lock();
        let open = inner.nodes.get(&node)?;
        // Write-back and mapped pages come with whatever handle the kernel has at hand.
        let registered = || {
            open.registered
                .as_ref()
                .and_then(|found| found.backing.as_ref())
        };
        open.served.get(&handle).or_else(registered).cloned()
    }

    /// Nodes with open descriptors.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.inner.lock().nodes.len()
    }
}

impl OpenNode {
    fn record(&self, table: Option<&mut Table>) {
        if let (Some(slot), Some(table)) = (self.slot, table) {
            let id = self.registered.as_ref().map_or(SERVED, |found| found.id);
            table.update(slot, id, self.opens);
        }
    }
}

impl Registered {
    /// Whether `other` is the registered file.
    fn is(&self, other: &Arc<Backing>) -> bool {
        self.backing
            .as_ref()
            .is_some_and(|backing| Arc::ptr_eq(backing, other))
            || Identity::of(other) == Some(self.identity)
    }
}

impl Identity {
    const NONE: Self = Self { dev: 0, ino: 0 };

    fn of(backing: &Backing) -> Option<Self> {
        let stat = rustix::fs::fstat(&backing.file).ok()?;
        Some(Self {
            dev: stat.st_dev,
            ino: stat.st_ino,
        })
    }
}

fn register(device: &Device, backing: &Arc<Backing>) -> Option<Registered> {
    let identity = Identity::of(backing)?;
    match device.backing_open(backing.file.as_fd()) {
        Ok(id) => Some(Registered {
            id,
            identity,
            backing: Some(backing.clone()),
        }),
        Err(error) => {
            // For this open cycle we serve the file ourselves.
            tracing::warn!(%error, "the kernel refused a backing file");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{os::fd::OwnedFd, sync::Arc};

    use mesa_vfs::fs::{Backing, Handle, NodeId, OpenMode};

    use super::Registry;
    use crate::{device::Device, wire::flags::open};

    fn backing() -> Arc<Backing> {
        Arc::new(Backing {
            file: OwnedFd::from(tempfile::tempfile().unwrap()),
        })
    }

    /// A device on which no ioctl works.
    fn device() -> Device {
        Device::from_fd(OwnedFd::from(tempfile::tempfile().unwrap()))
    }

    #[test]
    fn a_refused_registration_is_served_for_the_whole_cycle() {
        let (registry, device) = (Registry::new(true), device());
        let (node, file) = (NodeId(5), backing());
        for handle in [Handle(1), Handle(2)] {
            let mode = OpenMode::Local(file.clone());
            let reply = registry.opened(&device, node, handle, mode).unwrap();
            assert_eq!((reply.flags, reply.backing_id), (open::KEEP_CACHE, 0));
            assert!(Arc::ptr_eq(&registry.backing(node, handle).unwrap(), &file));
        }
        registry.released(&device, node, Handle(1));
        assert!(registry.backing(node, Handle(1)).is_none());
        assert!(registry.backing(node, Handle(2)).is_some());
        registry.released(&device, node, Handle(2));
        assert_eq!(registry.len(), 0);
    }

    #[test]
    fn the_next_process_serves_what_this_one_did() {
        let dir = tempfile::tempdir().unwrap();
        let (first, device) = (Registry::new(true), device());
        first.record_in(dir.path(), false);
        let (node, handle) = (NodeId(5), Handle(1));
        let served = OpenMode::Served { keep_cache: true };
        first.opened(&device, node, handle, served).unwrap();
        drop(first);
        let second = Registry::new(true);
        second.record_in(dir.path(), true);
        assert_eq!(second.len(), 1);
        let mode = OpenMode::Local(backing());
        let reply = second.opened(&device, node, Handle(2), mode).unwrap();
        assert_eq!(reply.flags & open::PASSTHROUGH, 0, "not while it is open");
        second.released(&device, node, Handle(2));
        second.released(&device, node, handle);
        assert_eq!(second.len(), 0);
        drop(second);
        let third = Registry::new(true);
        third.record_in(dir.path(), true);
        assert_eq!(third.len(), 0);
    }

    #[test]
    fn releases_of_unknown_handles_are_ignored() {
        let (registry, device) = (Registry::new(true), device());
        registry.released(&device, NodeId(9), Handle(1));
        let served = OpenMode::Served { keep_cache: false };
        assert_eq!(
            registry
                .opened(&device, NodeId(9), Handle(2), served)
                .unwrap()
                .flags,
            0
        );
        assert!(registry.backing(NodeId(9), Handle(2)).is_none());
        registry.released(&device, NodeId(9), Handle(2));
        assert_eq!(registry.len(), 0);
    }
}
