//! The `INIT` exchange and the choice between the two ways of serving data.

use rustix::{
    fs::{Mode as FileMode, OFlags},
    io::Errno,
};
use zerocopy::{FromBytes, IntoBytes};

use crate::{
    device::Device,
    mount::{self, Feature, MountError, MountOptions},
    wire::{
        self, Opcode,
        flags::init,
        reply::InitOut,
        request::{InHeader, InitIn},
    },
};

/// Largest write and read in one request: 256 pages, the kernel's own limit.
pub(crate) const MAX_WRITE: usize = 1 << 20;
const MAX_PAGES: u16 = 256;
const MAX_BACKGROUND: u16 = 64;

/// How file data reaches the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The kernel reads and writes local files itself. Needs root.
    Passthrough,
    /// The page cache holds writes back and sends them in large pieces.
    Writeback,
}

/// What was agreed with the kernel for the life of the mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Negotiated {
    pub mode: Mode,
    /// Capability bits that are in force.
    pub flags: u64,
    /// close(2) is of interest to the filesystem.
    pub flush_on_close: bool,
}

impl Negotiated {
    pub fn has(&self, flag: u64) -> bool {
        self.flags & flag != 0
    }
}

/// What to ask for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub mode: Mode,
    /// How many stacked filesystems a backing file may lie on.
    pub stack_depth: u32,
    pub flush_on_close: bool,
    pub io_uring: bool,
}

/// Connects and negotiates, with passthrough if it works here.
///
/// Whether it works can only be tried on a connection that has it, and what a connection has
/// cannot be changed; so the mount is made again when the trial fails, before anybody is told
/// of it. Depth 2 (backing files on overlayfs) is the most the kernel allows and keeps our mount
/// from being a layer of another overlay, so it comes second.
pub(super) fn connect(options: &MountOptions) -> Result<(Device, Negotiated), MountError> {
    let io_uring = crate::uring::usable(options.io_uring);
    if options.io_uring == Feature::Required && !io_uring {
        return Err(MountError::FeatureMissing("FUSE over io_uring"));
    }
    if options.passthrough != Feature::Off && mount::privileged() {
        for stack_depth in [1, 2] {
            let wanted = Wanted {
                mode: Mode::Passthrough,
                stack_depth,
                flush_on_close: options.flush_on_close,
                io_uring,
            };
            let device = mount::connect(options)?;
            let outcome = negotiate(&device, wanted)
                .and_then(|negotiated| probe(&device, options).map(|tried| (negotiated, tried)));
            match outcome {
                Ok((negotiated, Ok(()))) if negotiated.mode == Mode::Passthrough => {
                    return Ok((device, negotiated));
                }
                Ok((negotiated, tried)) => {
                    tracing::debug!(?negotiated, ?tried, stack_depth, "passthrough refused");
                    discard(options, device);
                    if tried != Err(Errno::LOOP) {
                        break;
                    }
                }
                Err(error) => {
                    discard(options, device);
                    return Err(error);
                }
            }
        }
    }
    if options.passthrough == Feature::Required {
        return Err(MountError::FeatureMissing("kernel passthrough"));
    }
    let wanted = Wanted {
        mode: Mode::Writeback,
        stack_depth: 0,
        flush_on_close: options.flush_on_close,
        io_uring,
    };
    let device = mount::connect(options)?;
    match negotiate(&device, wanted) {
        Ok(negotiated) => Ok((device, negotiated)),
        Err(error) => {
            discard(options, device);
            Err(error)
        }
    }
}

fn discard(options: &MountOptions, device: Device) {
    let _ = mount::unmount(&options.mount_point, true);
    drop(device);
}

/// Answers the kernel's `INIT`.
fn negotiate(device: &Device, wanted: Wanted) -> Result<Negotiated, MountError> {
    let mut buffer = vec![0; wire::READ_BUFFER_MIN];
    loop {
        let len = match device.read(&mut buffer) {
            Ok(len) => len,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(MountError::Connection(error)),
        };
        let (header, rest) = InHeader::read_from_prefix(&buffer[..len])
            .map_err(|_| MountError::Connection(Errno::PROTO))?;
        if header.opcode != Opcode::Init as u32 {
            device
                .reply_error(header.unique, Errno::IO)
                .map_err(MountError::Connection)?;
            continue;
        }
        // Kernels before 7.36 send a shorter body; what is missing reads as zero.
        let mut body = [0; size_of::<InitIn>()];
        let present = rest.len().min(body.len());
        body[..present].copy_from_slice(&rest[..present]);
        let offer =
            InitIn::read_from_bytes(&body).map_err(|_| MountError::Connection(Errno::PROTO))?;
        if offer.major != wire::MAJOR || offer.minor < wire::MINOR_MIN {
            let _ = device.reply_error(header.unique, Errno::PROTO);
            return Err(MountError::KernelTooOld {
                major: offer.major,
                minor: offer.minor,
            });
        }
        let (reply, negotiated) = answer(&offer, wanted);
        device
            .reply(header.unique, [reply.as_bytes(), &[]])
            .map_err(MountError::Connection)?;
        return Ok(negotiated);
    }
}

/// The answer to `offer`: what we want of what is offered.
fn answer(offer: &InitIn, wanted: Wanted) -> (InitOut, Negotiated) {
    let offered = u64::from(offer.flags) | (u64::from(offer.flags2) << 32);
    let mut ask = init::INIT_EXT
        | init::ASYNC_READ
        | init::ATOMIC_O_TRUNC
        | init::BIG_WRITES
        | init::DO_READDIRPLUS
        | init::ASYNC_DIO
        | init::PARALLEL_DIROPS
        | init::ABORT_ERROR
        | init::MAX_PAGES
        | init::CACHE_SYMLINKS
        | init::EXPLICIT_INVAL_DATA
        | init::HANDLE_KILLPRIV_V2
        | init::HAS_EXPIRE_ONLY
        | init::DIRECT_IO_ALLOW_MMAP
        | init::HAS_RESEND;
    let passthrough = wanted.mode == Mode::Passthrough && offered & init::PASSTHROUGH != 0;
    ask |= if passthrough {
        init::PASSTHROUGH
    } else {
        init::WRITEBACK_CACHE
    };
    if wanted.io_uring {
        ask |= init::OVER_IO_URING;
    }
    let flags = ask & offered;
    let reply = InitOut {
        major: wire::MAJOR,
        minor: wire::MINOR.min(offer.minor),
        max_readahead: offer.max_readahead,
        flags: flags as u32,
        flags2: (flags >> 32) as u32,
        max_background: MAX_BACKGROUND,
        congestion_threshold: MAX_BACKGROUND / 4 * 3,
        max_write: MAX_WRITE as u32,
        time_gran: 1,
        max_pages: MAX_PAGES,
        max_stack_depth: if passthrough { wanted.stack_depth } else { 0 },
        ..InitOut::default()
    };
    let mode = if passthrough {
        Mode::Passthrough
    } else {
        Mode::Writeback
    };
    (
        reply,
        Negotiated {
            mode,
            flags,
            flush_on_close: wanted.flush_on_close,
        },
    )
}

/// Registers a scratch file of the state directory. The outer error is ours (no scratch file),
/// the inner one is the kernel's verdict.
fn probe(device: &Device, options: &MountOptions) -> Result<Result<(), Errno>, MountError> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let dir = options.state_dir.as_path();
    let scratch = rustix::fs::open(dir, flags, FileMode::RUSR | FileMode::WUSR).or_else(|_| {
        // Some overlay filesystems have no O_TMPFILE.
        let name = dir.join(format!(".passthrough-probe-{}", std::process::id()));
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
        let scratch = rustix::fs::open(&name, flags, FileMode::RUSR | FileMode::WUSR)?;
        let _ = rustix::fs::unlink(&name);
        Ok(scratch)
    });
    let scratch = scratch.map_err(|error| MountError::MountPoint(dir.to_owned(), error))?;
    Ok(
        match device.backing_open(std::os::fd::AsFd::as_fd(&scratch)) {
            Ok(id) => device.backing_close(id),
            Err(error) => Err(error),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::{Mode, Wanted, answer};
    use crate::wire::{flags::init, request::InitIn};

    const ALL: InitIn = InitIn {
        major: 7,
        minor: 45,
        max_readahead: 131_072,
        flags: u32::MAX,
        flags2: u32::MAX,
        unused: [0; 11],
    };

    fn wanted(mode: Mode) -> Wanted {
        Wanted {
            mode,
            stack_depth: 1,
            flush_on_close: false,
            io_uring: false,
        }
    }

    #[test]
    fn passthrough_and_writeback_exclude_each_other() {
        let (reply, agreed) = answer(&ALL, wanted(Mode::Passthrough));
        assert!(agreed.has(init::PASSTHROUGH) && !agreed.has(init::WRITEBACK_CACHE));
        assert_eq!(reply.max_stack_depth, 1);
        let (reply, agreed) = answer(&ALL, wanted(Mode::Writeback));
        assert!(!agreed.has(init::PASSTHROUGH) && agreed.has(init::WRITEBACK_CACHE));
        assert_eq!(reply.max_stack_depth, 0);
    }

    #[test]
    fn locks_and_export_stay_with_the_kernel() {
        let (reply, _) = answer(&ALL, wanted(Mode::Passthrough));
        assert_eq!(
            reply.flags & ((1 << 1) | (1 << 10)),
            0,
            "POSIX_LOCKS, FLOCK_LOCKS"
        );
        assert_eq!(reply.flags & (1 << 4), 0, "EXPORT_SUPPORT");
        assert_eq!(reply.flags & (1 << 14), 0, "READDIRPLUS_AUTO");
        assert_eq!(
            reply.flags2 & (1 << 9),
            0,
            "OVER_IO_URING is asked for by option only"
        );
    }

    #[test]
    fn nothing_is_claimed_that_was_not_offered() {
        let offer = InitIn {
            flags: 0,
            flags2: 0,
            minor: 38,
            ..ALL
        };
        let (reply, agreed) = answer(&offer, wanted(Mode::Passthrough));
        assert_eq!((reply.flags, reply.flags2, reply.minor), (0, 0, 38));
        assert_eq!(agreed.mode, Mode::Writeback);
    }
}
