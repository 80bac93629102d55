//! Which local file stands behind each open node.
//!
//! While any descriptor of a node is open, the kernel demands one way of serving it: all opens
//! passthrough with the same registered file, or none (a differing open fails with `EIO`). So the
//! first open decides for the whole cycle, which ends with the last `RELEASE`.

use std::{
    collections::{HashMap, hash_map},
    os::fd::AsFd,
    sync::Arc,
};

use mesa_vfs::fs::{Backing, Handle, NodeId, OpenMode};
use parking_lot::Mutex;

use crate::{
    device::{BackingId, Device},
    wire::flags::open,
};

/// Open nodes.
pub(crate) struct Registry {
    /// The connection has passthrough.
    enabled: bool,
    nodes: Mutex<HashMap<NodeId, OpenNode>>,
}

struct OpenNode {
    opens: u32,
    /// The kernel serves this cycle from here.
    registered: Option<(BackingId, Arc<Backing>)>,
    /// Files behind handles that we serve.
    served: HashMap<Handle, Arc<Backing>>,
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
            nodes: Mutex::default(),
        }
    }

    /// Counts an open and decides how it is served. Every call is undone by [`Self::released`].
    pub fn opened(
        &self,
        device: &Device,
        node: NodeId,
        handle: Handle,
        mode: OpenMode,
    ) -> OpenReply {
        let mut nodes = self.nodes.lock();
        let entry = match nodes.entry(node) {
            hash_map::Entry::Occupied(entry) => {
                let entry = entry.into_mut();
                entry.opens += 1;
                entry
            }
            hash_map::Entry::Vacant(vacant) => {
                let registered = match &mode {
                    OpenMode::Local(backing) if self.enabled => register(device, backing),
                    _ => None,
                };
                vacant.insert(OpenNode {
                    opens: 1,
                    registered,
                    served: HashMap::new(),
                })
            }
        };
        if let Some((id, backing)) = &entry.registered {
            if let OpenMode::Local(other) = &mode
                && !same_file(backing, other)
            {
                tracing::error!(?node, "a second backing file for an open node");
            }
            return OpenReply {
                flags: open::PASSTHROUGH,
                backing_id: id.0,
            };
        }
        let keep_cache = match mode {
            // Content under a node changes only through the kernel or with a notice.
            OpenMode::Local(backing) => {
                entry.served.insert(handle, backing);
                true
            }
            OpenMode::Served { keep_cache } => keep_cache,
        };
        OpenReply {
            flags: if keep_cache { open::KEEP_CACHE } else { 0 },
            backing_id: 0,
        }
    }

    /// A handle is closed for good.
    pub fn released(&self, device: &Device, node: NodeId, handle: Handle) {
        let mut nodes = self.nodes.lock();
        // Handles of a former process are not known here.
        let hash_map::Entry::Occupied(mut entry) = nodes.entry(node) else {
            return;
        };
        let open = entry.get_mut();
        open.served.remove(&handle);
        open.opens = open.opens.saturating_sub(1);
        if open.opens > 0 {
            return;
        }
        if let Some((id, _)) = entry.remove().registered
            && let Err(error) = device.backing_close(id)
        {
            tracing::warn!(%error, ?node, "a backing file could not be withdrawn");
        }
    }

    /// The local file behind a handle that the kernel asks us to read or write.
    pub fn backing(&self, node: NodeId, handle: Handle) -> Option<Arc<Backing>> {
        let nodes = self.nodes.lock();
        let open = nodes.get(&node)?;
        open.served
            .get(&handle)
            // Write-back and mapped pages come with whatever handle the kernel has at hand.
            .or_else(|| open.registered.as_ref().map(|(_, backing)| backing))
            .cloned()
    }

    /// Nodes with open descriptors.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.nodes.lock().len()
    }
}

fn register(device: &Device, backing: &Arc<Backing>) -> Option<(BackingId, Arc<Backing>)> {
    match device.backing_open(backing.file.as_fd()) {
        Ok(id) => Some((id, backing.clone())),
        Err(error) => {
            // For this open cycle we serve the file ourselves.
            tracing::warn!(%error, "the kernel refused a backing file");
            None
        }
    }
}

fn same_file(one: &Arc<Backing>, other: &Arc<Backing>) -> bool {
    if Arc::ptr_eq(one, other) {
        return true;
    }
    let identity = |backing: &Backing| {
        rustix::fs::fstat(&backing.file)
            .map(|stat| (stat.st_dev, stat.st_ino))
            .ok()
    };
    identity(one).is_some() && identity(one) == identity(other)
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
            let reply = registry.opened(&device, node, handle, OpenMode::Local(file.clone()));
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
    fn releases_of_unknown_handles_are_ignored() {
        let (registry, device) = (Registry::new(true), device());
        registry.released(&device, NodeId(9), Handle(1));
        let served = OpenMode::Served { keep_cache: false };
        assert_eq!(
            registry.opened(&device, NodeId(9), Handle(2), served).flags,
            0
        );
        assert!(registry.backing(NodeId(9), Handle(2)).is_none());
        registry.released(&device, NodeId(9), Handle(2));
        assert_eq!(registry.len(), 0);
    }
}
