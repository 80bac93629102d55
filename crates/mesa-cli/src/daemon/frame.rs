//! What supervisor and worker say to each other over a pair of packet sockets. A message is
//! `kind u8 | more u8 | bytes`; a longer payload takes several. A descriptor travels with the
//! first.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use mesa_fuse::fdpass;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, socketpair},
    process::Pid,
};

/// Largest payload in bytes.
const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Payload bytes in one message.
const PIECE_BYTES: usize = fdpass::MESSAGE_BYTES_MAX - 2;

/// What a frame means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// To the worker, first: the plan (JSON).
    Plan = 1,
    /// To the worker, second: no mount to take over.
    Fresh = 2,
    /// Both ways: saved state of a mount, with its device.
    Parts = 3,
    /// To the supervisor: serving.
    Ready = 4,
    /// To the supervisor: not started; the error (JSON).
    Failed = 5,
    /// To the supervisor: ending because it was told to; one byte, 1 = everything was sent.
    Ended = 6,
}

impl Kind {
    fn of(byte: u8) -> io::Result<Self> {
        Ok(match byte {
            1 => Self::Plan,
            2 => Self::Fresh,
            3 => Self::Parts,
            4 => Self::Ready,
            5 => Self::Failed,
            6 => Self::Ended,
            _ => return Err(io::Error::from(io::ErrorKind::InvalidData)),
        })
    }
}

/// A received frame.
#[derive(Debug)]
pub struct Frame {
    pub kind: Kind,
    pub payload: Vec<u8>,
    pub fd: Option<OwnedFd>,
}

/// One end.
#[derive(Debug)]
pub struct Link(OwnedFd);

impl Link {
    /// Two connected ends, neither inherited by other programs.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Self(a), Self(b)))
    }

    /// The end that was given to this process as its standard input.
    pub fn from_stdin() -> io::Result<Self> {
        Ok(Self(io::stdin().as_fd().try_clone_to_owned()?))
    }

    /// Waits for one process to connect to `path` (by [`Link::connect`]); the name goes then.
    pub fn listen(path: &Path) -> io::Result<OwnedFd> {
        let socket = socket()?;
        let _ = std::fs::remove_file(path);
        rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
        rustix::net::listen(&socket, 1)?;
        Ok(socket)
    }

    /// The one that connected.
    pub fn accept(socket: &OwnedFd) -> io::Result<Self> {
        Ok(Self(rustix::net::accept_with(
            socket,
            SocketFlags::CLOEXEC,
        )?))
    }

    /// Connects to a process that listens.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let socket = socket()?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(Self(socket))
    }

    /// The process at the other end of a connection.
    pub fn peer(&self) -> io::Result<Pid> {
        Ok(rustix::net::sockopt::socket_peercred(&self.0)?.pid)
    }

    /// Whether the other end is still held by somebody.
    pub fn is_alive(&self) -> bool {
        let mut polled = [PollFd::new(&self.0, PollFlags::empty())];
        let now = Timespec::default();
        poll(&mut polled, Some(&now)).is_ok()
            && !polled[0]
                .revents()
                .intersects(PollFlags::HUP | PollFlags::ERR)
    }

    /// The descriptor, to be given to a child process.
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }

    /// A second handle on the same end.
    pub fn duplicate(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    /// Sends a frame.
    pub fn send(&self, kind: Kind, payload: &[u8], fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let mut fd = fd;
        let mut rest = payload;
        loop {
            let (piece, tail) = rest.split_at(rest.len().min(PIECE_BYTES));
            rest = tail;
            let mut message = vec![kind as u8, u8::from(!rest.is_empty())];
            message.extend_from_slice(piece);
            match fd.take() {
                Some(fd) => fdpass::send(&self.0, &message, fd)?,
                None => {
                    rustix::net::send(&self.0, &message, SendFlags::NOSIGNAL)?;
                }
            }
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// Receives a frame; `None` when the other end is gone.
    pub fn receive(&self) -> io::Result<Option<Frame>> {
        let broken = || io::Error::from(io::ErrorKind::InvalidData);
        let mut payload = Vec::new();
        let mut fd = None;
        loop {
            let (message, received) = fdpass::receive(&self.0)?;
            fd = fd.or(received);
            match message[..] {
                [] if payload.is_empty() => return Ok(None),
                [kind, more @ 0..=1, ref piece @ ..] => {
                    payload.extend_from_slice(piece);
                    if payload.len() > PAYLOAD_BYTES_MAX {
                        return Err(broken());
                    }
                    if more == 0 {
                        return Ok(Some(Frame {
                            kind: Kind::of(kind)?,
                            payload,
                            fd,
                        }));
                    }
                }
                _ => return Err(broken()),
            }
        }
    }
}

fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let kind = SocketType::SEQPACKET;
    Ok(rustix::net::socket_with(
        AddressFamily::UNIX,
        kind,
        flags,
        None,
    )?)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Seek, Write},
        os::fd::AsFd,
    };

    use super::*;

    #[test]
    fn frames_and_descriptors_arrive_in_order() {
        let (ours, theirs) = Link::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"hello").unwrap();
        let long = vec![7; 10_000];
        std::thread::scope(|scope| {
            scope.spawn(move || {
                ours.send(Kind::Plan, &long, None).unwrap();
                ours.send(Kind::Parts, b"state", Some(file.as_fd()))
                    .unwrap();
                ours.send(Kind::Ready, b"", None).unwrap();
            });
            let plan = theirs.receive().unwrap().unwrap();
            assert_eq!((plan.kind, plan.payload.len()), (Kind::Plan, 10_000));
            assert!(plan.fd.is_none());
            let parts = theirs.receive().unwrap().unwrap();
            assert_eq!(
                (parts.kind, parts.payload.as_slice()),
                (Kind::Parts, &b"state"[..])
            );
            let mut copy = std::fs::File::from(parts.fd.unwrap());
            copy.rewind().unwrap();
            let mut text = String::new();
            copy.read_to_string(&mut text).unwrap();
            assert_eq!(text, "hello");
            assert_eq!(theirs.receive().unwrap().unwrap().kind, Kind::Ready);
            assert!(theirs.receive().unwrap().is_none());
        });
    }

    #[test]
    fn an_end_that_is_gone_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = Link::listen(&path).unwrap();
        let theirs = Link::connect(&path).unwrap();
        let ours = Link::accept(&listener).unwrap();
        assert_eq!(ours.peer().unwrap(), rustix::process::getpid());
        assert!(ours.is_alive() && theirs.is_alive());
        theirs.send(Kind::Ended, &[1], None).unwrap();
        drop(theirs);
        assert!(!ours.is_alive());
        let ended = ours.receive().unwrap().unwrap();
        assert_eq!((ended.kind, ended.payload), (Kind::Ended, vec![1]));
        assert!(ours.receive().unwrap().is_none());
    }
}
