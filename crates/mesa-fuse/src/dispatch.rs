//! From a request's bytes to an operation of the filesystem, and from its result to the answer's
//! bytes. Knows nothing of how requests arrive.

mod args;
mod attrs;
mod body;
mod convert;
mod dirs;
mod files;
mod local;
mod names;

use std::{pin::Pin, sync::Arc};

use mesa_vfs::fs::{Caller, NodeId, Step};
use rustix::io::Errno;

use crate::{
    errno::errno,
    session::{Session, interrupt},
    wire::{
        Opcode,
        request::{BatchForgetIn, ForgetIn, ForgetOne, InHeader, InterruptIn},
    },
};
pub(crate) use args::Args;
pub(crate) use body::Body;

/// An answer that is not there yet.
pub(crate) type Future = Pin<Box<dyn std::future::Future<Output = Result<Body, Errno>> + Send>>;

/// What to do about a request.
pub(crate) enum Answer {
    /// The kernel expects no answer.
    None,
    /// Answer now.
    Now(Result<Body, Errno>),
    /// Answer when the future is ready.
    Later(Future),
}

impl From<Errno> for Answer {
    fn from(errno: Errno) -> Self {
        Self::Now(Err(errno))
    }
}

/// One request while it is looked at.
pub(crate) struct Call<'a> {
    session: &'a Arc<Session>,
    header: &'a InHeader,
}

impl Call<'_> {
    fn node(&self) -> NodeId {
        NodeId(self.header.nodeid)
    }

    fn caller(&self) -> Caller {
        self.caller_with(0)
    }

    fn caller_with(&self, umask: u32) -> Caller {
        let InHeader { uid, gid, pid, .. } = *self.header;
        Caller {
            uid,
            gid,
            pid,
            umask: umask & 0o7777,
        }
    }

    /// The answer made from an operation's result by `body`.
    fn answer<T: Send + 'static>(
        &self,
        step: Step<T>,
        body: impl FnOnce(&Session, T) -> Result<Body, Errno> + Send + 'static,
    ) -> Answer {
        match step {
            Step::Done(Ok(value)) => Answer::Now(body(self.session, value)),
            Step::Done(Err(error)) => Answer::Now(Err(errno(error))),
            Step::Later(future) => {
                let session = self.session.clone();
                Answer::Later(Box::pin(async move {
                    future
                        .await
                        .map_err(errno)
                        .and_then(|value| body(&session, value))
                }))
            }
        }
    }

    fn done(&self, step: Step<()>) -> Answer {
        self.answer(step, |_, ()| Ok(Body::Empty))
    }
}

/// Carries out one request. Never blocks.
pub(crate) fn dispatch(session: &Arc<Session>, header: &InHeader, args: Args<'_>) -> Answer {
    let opcode = Opcode::from_number(header.opcode);
    session.counters.request(opcode);
    let Some(opcode) = opcode else {
        return Errno::NOSYS.into();
    };
    let call = Call { session, header };
    // Extensions (not asked for, but announced in the header) follow the arguments.
    let extensions = usize::from(header.total_extlen) * 8;
    route(&call, opcode, args.without_last(extensions)).unwrap_or_else(Answer::from)
}

/// `Err` is a malformed request.
fn route(call: &Call<'_>, opcode: Opcode, mut args: Args<'_>) -> Result<Answer, Errno> {
    Ok(match opcode {
        Opcode::Lookup => names::lookup(call, args)?,
        Opcode::Forget => {
            let ForgetIn { nlookup } = args.take()?;
            call.session.fs.forget(call.node(), nlookup);
            Answer::None
        }
        Opcode::BatchForget => {
            let BatchForgetIn { count, .. } = args.take()?;
            for _ in 0..count {
                let ForgetOne { nodeid, nlookup } = args.take()?;
                call.session.fs.forget(NodeId(nodeid), nlookup);
            }
            Answer::None
        }
        Opcode::Interrupt => {
            let InterruptIn { unique } = args.take()?;
            interrupt(call.session, unique);
            Answer::None
        }
        Opcode::Getattr => attrs::getattr(call, args)?,
        Opcode::Setattr => attrs::setattr(call, args)?,
        Opcode::Access => attrs::access(call, args)?,
        Opcode::Readlink => attrs::readlink(call),
        Opcode::Statfs => attrs::statfs(call),
        Opcode::Getxattr => attrs::getxattr(call, args)?,
        Opcode::Setxattr => attrs::setxattr(call, args)?,
        Opcode::Listxattr => attrs::listxattr(call, args)?,
        Opcode::Removexattr => attrs::removexattr(call, args)?,
        Opcode::Mknod => names::mknod(call, args)?,
        Opcode::Mkdir => names::mkdir(call, args)?,
        Opcode::Symlink => names::symlink(call, args)?,
        Opcode::Link => names::link(call, args)?,
        Opcode::Unlink => names::unlink(call, args)?,
        Opcode::Rmdir => names::rmdir(call, args)?,
        Opcode::Rename => names::rename(call, args)?,
        Opcode::Rename2 => names::rename2(call, args)?,
        Opcode::Create => files::create(call, args)?,
        Opcode::Tmpfile => files::tmpfile(call, args)?,
        Opcode::Open => files::open(call, args)?,
        Opcode::Read => files::read(call, args)?,
        Opcode::Write => files::write(call, args)?,
        Opcode::Flush => files::flush(call, args)?,
        Opcode::Release => files::release(call, args)?,
        Opcode::Fsync => files::fsync(call, args)?,
        Opcode::Fallocate => files::fallocate(call, args)?,
        Opcode::Lseek => files::lseek(call, args)?,
        Opcode::CopyFileRange | Opcode::CopyFileRange64 => {
            files::copy_file_range(call, opcode, args)?
        }
        Opcode::Opendir => dirs::opendir(call),
        Opcode::Readdir => dirs::readdir(call, args, false)?,
        Opcode::Readdirplus => dirs::readdir(call, args, true)?,
        Opcode::Releasedir => dirs::releasedir(call, args)?,
        Opcode::Fsyncdir => dirs::fsyncdir(call, args)?,
        // Comes at unmount of block-device mounts only; the end is read as ENODEV.
        Opcode::Destroy | Opcode::Syncfs => Answer::Now(Ok(Body::Empty)),
        // Locks are not negotiated, so the kernel keeps them; the rest it remembers as missing.
        Opcode::Init
        | Opcode::Getlk
        | Opcode::Setlk
        | Opcode::Setlkw
        | Opcode::Bmap
        | Opcode::Ioctl
        | Opcode::Poll
        | Opcode::NotifyReply
        | Opcode::Setupmapping
        | Opcode::Removemapping
        | Opcode::Statx => Errno::NOSYS.into(),
    })
}
