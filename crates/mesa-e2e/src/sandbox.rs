//! Sandboxes as providers have them: a root file system of their own, a network in which exactly
//! one address answers, `/dev/fuse` as the provider leaves it. `sandbox/` holds the scripts.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{Output, Place, Server, Wire};

/// Where a sandbox finds the server. Nothing else can be reached from it.
pub const ADDRESS: &str = "192.0.2.1:7117";

/// Who may open `/dev/fuse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fuse {
    /// Root only, as in virtual machines.
    Root,
    /// Everybody.
    All,
    /// There is none.
    Missing,
}

/// A running sandbox; it ends with everything in it when this is dropped.
#[derive(Debug)]
pub struct Sandbox {
    init: Child,
    pid: u32,
    _upper: Place,
}

impl Sandbox {
    /// A slim Debian without curl, fuse3 and certificates, whose package archive is reachable.
    pub fn debian(fuse: Fuse) -> Self {
        Self::start("debian-root", "debian", fuse)
    }

    /// Busybox and no shared library.
    pub fn busybox(fuse: Fuse) -> Self {
        Self::start("busybox-root", "busybox", fuse)
    }

    fn start(make: &str, name: &str, fuse: Fuse) -> Self {
        let root = kept().join(name);
        Output::of(Command::new(script(make)).arg(&root).stdin(Stdio::null())).ok();
        let upper = Place::fresh();
        let mut command = Command::new("unshare");
        command
            .args([
                "--mount",
                "--pid",
                "--net",
                "--uts",
                "--ipc",
                "--fork",
                "--kill-child",
            ])
            .args(["--propagation", "private"])
            .arg(script("init"))
            .args([&root, upper.path()])
            .arg(match fuse {
                Fuse::Root => "600",
                Fuse::All => "666",
                Fuse::Missing => "none",
            })
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut init = command.spawn().expect("unshare");
        let mut line = String::new();
        let stdout = init.stdout.take().expect("a pipe");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("the sandbox's first words");
        assert_eq!(line, "ready\n", "the sandbox did not start");
        let children = format!("/proc/{0}/task/{0}/children", init.id());
        let children = std::fs::read_to_string(children).expect("its processes");
        let pid = children.trim().parse().expect("one child");
        let root = std::fs::read_link(format!("/proc/{pid}/root")).expect("its root");
        assert_ne!(
            root,
            Path::new("/"),
            "the sandbox shares the machine's root"
        );
        Self {
            init,
            pid,
            _upper: upper,
        }
    }

    /// Lets [`ADDRESS`] lead to a server.
    ///
    /// # Panics
    /// If nobody can listen there.
    pub fn reaches(&self, server: &Server) -> Wire {
        let network = std::fs::File::open(format!("/proc/{}/ns/net", self.pid));
        let network = network.expect("the sandbox's network");
        // A socket belongs to the network in which it was made, whoever uses it.
        let listening = std::thread::spawn(move || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(std::os::fd::AsFd::as_fd(&network), kind)?;
            TcpListener::bind(ADDRESS)
        });
        let listener = listening
            .join()
            .expect("a thread")
            .expect("a listener in the sandbox");
        Wire::between(listener, server.port())
    }

    /// Its first process, for `sandbox/enter`.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Runs a program with these variables.
    pub fn run(&self, user: &str, variables: &[(&str, &str)], words: &[&str]) -> Output {
        let mut command = Command::new(script("enter"));
        command.arg(self.pid.to_string()).arg(user);
        command.args(
            variables
                .iter()
                .map(|(name, value)| format!("{name}={value}")),
        );
        Output::of(command.arg("--").args(words).stdin(Stdio::null()))
    }

    /// Runs shell text as services do that start no login shell.
    pub fn sh(&self, user: &str, text: &str) -> Output {
        self.run(user, &[], &["/bin/sh", "-c", text])
    }

    /// Runs shell text in a login shell.
    pub fn login(&self, user: &str, text: &str) -> Output {
        self.run(user, &[], &["/bin/bash", "-lc", text])
    }

    /// A path of the sandbox as it is seen from outside.
    pub fn path(&self, path: &str) -> PathBuf {
        Path::new(&format!("/proc/{}/root", self.pid)).join(path.trim_start_matches('/'))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.pid.cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        let _ = self.init.kill();
        let _ = self.init.wait();
    }
}

/// The target directory of these tests.
fn target() -> PathBuf {
    let test = std::env::current_exe().expect("the test knows its own path");
    // target/<profile>/deps/<test>
    test.ancestors()
        .nth(3)
        .expect("the target directory")
        .to_owned()
}

/// What takes long to make is kept between runs.
fn kept() -> PathBuf {
    let roots = target().join("roots");
    std::fs::create_dir_all(&roots).expect("a directory for roots");
    roots
}

/// A script of `sandbox/`.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("sandbox")
        .join(name)
}

/// The static program, as servers hand it out.
///
/// # Panics
/// If it was not built.
pub fn static_program() -> PathBuf {
    if let Some(path) = std::env::var_os("MESA_STATIC_BIN") {
        return path.into();
    }
    let target = target();
    let built = ["debug", "release"]
        .map(|profile| {
            target
                .join("x86_64-unknown-linux-musl")
                .join(profile)
                .join("mesa")
        })
        .into_iter()
        .find(|path| path.is_file());
    built.expect("build it first: cargo build -p mesa-cli --target x86_64-unknown-linux-musl")
}

/// Adds a static `fusermount3` to a directory for `--dist-dir`.
///
/// # Panics
/// If it cannot be built.
pub fn add_fusermount(dist: &Path) {
    let kept = kept().join("fusermount");
    let build = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/fusermount");
    Output::of(Command::new(build).arg(&kept).stdin(Stdio::null())).ok();
    let name = "fusermount3_linux_x86_64";
    std::fs::copy(kept.join(name), dist.join(name)).expect("a copy of fusermount3");
}

/// A directory for `--dist-dir` with the static program.
///
/// # Panics
/// If it cannot be made.
pub fn dist() -> Place {
    let place = Place::fresh();
    let name = format!("mesa_{}_linux_x86_64", env!("CARGO_PKG_VERSION"));
    // Without symbols, as released: a third of the bytes to send and to pack.
    let mut strip = Command::new("strip");
    strip
        .arg("-o")
        .arg(place.path().join(name))
        .arg(static_program());
    Output::of(&mut strip).ok();
    place
}
