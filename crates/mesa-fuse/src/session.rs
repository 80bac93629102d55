//! A connection being served: negotiated with the kernel, read by its threads, ended by unmount.

mod handle;
mod near;
mod negotiate;
mod pending;
mod reader;
mod saved;

use std::sync::Arc;

use mesa_vfs::fs::{Filesystem, Notice};
use tokio::{
    runtime::Handle,
    sync::{mpsc::UnboundedReceiver, watch},
};

pub use handle::MountHandle;
pub use negotiate::Mode;
pub(crate) use negotiate::{MAX_WRITE, Negotiated};
pub(crate) use pending::{Pending, interrupt};
pub(crate) use reader::{answer, prefer_this_thread, wait_for};
pub use saved::{Parts, SavedState};

use crate::{
    counters::Counters,
    device::Device,
    mount::{self, MountError, MountOptions},
    notify,
    passthrough::Registry,
    uring,
    wire::{self, flags::init},
};

/// What dispatch threads, waiting operations and the notifier share.
pub(crate) struct Session {
    pub(crate) device: Device,
    pub(crate) fs: Arc<dyn Filesystem>,
    pub(crate) negotiated: Negotiated,
    pub(crate) open_files: Registry,
    pub(crate) pending: Pending,
    pub(crate) counters: Counters,
    pub(crate) runtime: Handle,
    ended: watch::Sender<bool>,
}

impl Session {
    fn new(
        device: Device,
        fs: Arc<dyn Filesystem>,
        negotiated: Negotiated,
        runtime: Handle,
    ) -> Arc<Self> {
        Arc::new(Self {
            device,
            fs,
            open_files: Registry::new(negotiated.mode == Mode::Passthrough),
            negotiated,
            pending: Pending::default(),
            counters: Counters::default(),
            runtime,
            ended: watch::Sender::new(false),
        })
    }

    /// Marks the connection as gone and ends every wait. Idempotent.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
        self.pending.cancel_all();
    }

    pub(crate) fn ended(&self) -> watch::Receiver<bool> {
        self.ended.subscribe()
    }
}

/// Mounts `fs` and serves it until it is unmounted. When this returns, the kernel connection is
/// negotiated and requests are being answered.
///
/// `notices` names what changed without the kernel asking; it is drained by a thread of its own.
pub fn mount(
    options: MountOptions,
    fs: Arc<dyn Filesystem>,
    notices: UnboundedReceiver<Notice>,
) -> Result<MountHandle, MountError> {
    mount::check(&options)?;
    let (device, negotiated) = negotiate::connect(&options)?;
    let session = Session::new(device, fs, negotiated, options.runtime.clone());
    session.open_files.record_in(&options.state_dir, false);
    start(&session, &options, notices).inspect_err(|_| {
        let _ = mount::unmount(&options.mount_point, true);
    })?;
    Ok(MountHandle::new(session, options.mount_point))
}

/// Serves a mount made by a former process, from the parts it left
/// ([`MountHandle::parts`]). Requests that process had read and not answered come again.
///
/// `options` must name the same mount point; what was negotiated stays as it was.
pub fn resume(
    options: MountOptions,
    parts: Parts,
    fs: Arc<dyn Filesystem>,
    notices: UnboundedReceiver<Notice>,
) -> Result<MountHandle, MountError> {
    let device = Device::from_fd(parts.device);
    if parts.state.0.has(init::OVER_IO_URING) {
        // Requests in the former process's rings are not delivered again.
        return Err(MountError::FeatureMissing("taking over an io_uring mount"));
    }
    let session = Session::new(device, fs, parts.state.0, options.runtime.clone());
    session.open_files.record_in(&options.state_dir, true);
    // Before any reader starts: a request read by this process must not be sent twice.
    session
        .device
        .notify(wire::notify::RESEND, [&[], &[]])
        .map_err(MountError::Connection)?;
    start(&session, &options, notices)?;
    Ok(MountHandle::new(session, options.mount_point))
}

fn start(
    session: &Arc<Session>,
    options: &MountOptions,
    notices: UnboundedReceiver<Notice>,
) -> Result<(), MountError> {
    notify::start(session, notices).map_err(MountError::Thread)?;
    for number in 0..options.readers.max(1) {
        reader::start(session, number).map_err(MountError::Thread)?;
    }
    if session.negotiated.has(init::OVER_IO_URING) {
        uring::start(session).map_err(MountError::Thread)?;
    }
    Ok(())
}
