//! A disk whose power can be cut: an ext4 filesystem in an image file.
//!
//! What programs wrote without syncing is in the kernel's caches above the image, not in it, so a
//! copy of the image is what a machine would find after losing power at that moment. Background
//! journal commits are put off (`commit=300`), so that nothing reaches the image unasked.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, geteuid, kill_process};

/// A mounted filesystem in a file. Dropping it unmounts.
#[derive(Debug)]
pub struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    /// An empty disk of `bytes`. An error names what the machine lacks: root, loop devices or
    /// `mkfs.ext4`.
    pub fn new(bytes: u64) -> io::Result<Self> {
        let lacks = |what: &str| Err(io::Error::other(format!("a disk of its own needs {what}")));
        if !geteuid().is_root() {
            return lacks("root");
        }
        if !Path::new("/dev/loop-control").exists() {
            return lacks("loop devices: /dev/loop-control is missing");
        }
        let mkfs = Command::new("mkfs.ext4")
            .arg("-V")
            .stderr(Stdio::null())
            .status();
        if mkfs.is_err() {
            return lacks("mkfs.ext4, from the package e2fsprogs");
        }
        let folder = tempfile::Builder::new().prefix("mesa-disk-").tempdir()?;
        fs::File::create(folder.path().join("image"))?.set_len(bytes)?;
        run(Command::new("mkfs.ext4")
            .arg("-q")
            .arg(folder.path().join("image")))?;
        Self::mount(folder)
    }

    fn mount(folder: tempfile::TempDir) -> io::Result<Self> {
        let root = folder.path().join("root");
        fs::create_dir(&root)?;
        attach(&folder.path().join("image"), &root)?;
        Ok(Self { folder })
    }

    /// The root of the filesystem.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// The disk as a machine would find it had the power failed now. Nothing may be writing:
    /// [`freeze`] the writers first.
    pub fn after_power_cut(&self) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("mesa-disk-").tempdir()?;
        copy_sparse(&self.image(), &folder.path().join("image"))?;
        Self::mount(folder)
    }

    /// Keeps what is on the disk at this moment for [`Disk::restore`]. Nothing may be writing:
    /// [`freeze`] the writers first.
    pub fn keep(&self) -> io::Result<()> {
        copy_sparse(&self.image(), &self.folder.path().join("kept"))
    }

    /// Puts back what was kept, at the same path. Whoever used the disk must be gone: it waits for
    /// the last of them.
    pub fn restore(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Err(error) = run(Command::new("umount").arg(self.path())) {
            if Instant::now() > deadline {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        fs::rename(self.folder.path().join("kept"), self.image())?;
        attach(&self.image(), &self.path())
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }
}

fn attach(image: &Path, root: &Path) -> io::Result<()> {
    let mut mount = Command::new("mount");
    mount.args(["-t", "ext4", "-o", "loop,commit=300"]);
    run(mount.arg(image).arg(root))
}

fn copy_sparse(from: &Path, to: &Path) -> io::Result<()> {
    let mut copy = Command::new("cp");
    copy.args(["--sparse=always", "--reflink=auto"]);
    run(copy.arg(from).arg(to))
}

impl Drop for Disk {
    fn drop(&mut self) {
        let path = self.path();
        if run(Command::new("umount").arg(&path)).is_err() {
            // Somebody still has a file open: the image goes when they close it.
            let _ = run(Command::new("umount").arg("-l").arg(&path));
        }
    }
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::other(format!("{command:?}: {text}")))
}

/// Stops a process and waits until none of its threads runs, not even in a system call.
pub fn freeze(pid: Pid) -> io::Result<()> {
    kill_process(pid, Signal::STOP)?;
    let deadline = Instant::now() + Duration::from_secs(20);
    let tasks = PathBuf::from(format!("/proc/{}/task", pid.as_raw_nonzero()));
    while !all_stopped(&tasks)? {
        if Instant::now() > deadline {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "threads go on running",
            ));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn all_stopped(tasks: &Path) -> io::Result<bool> {
    for task in fs::read_dir(tasks)? {
        // A thread may end while this looks.
        let Ok(stat) = fs::read_to_string(task?.path().join("stat")) else {
            continue;
        };
        let state = stat
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.chars().next());
        if !matches!(state, Some('T' | 't' | 'Z' | 'X')) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_synced_survives() {
        let disk = Disk::new(32 << 20).unwrap();
        let synced = fs::File::create(disk.path().join("synced")).unwrap();
        fs::write(disk.path().join("synced"), "kept").unwrap();
        synced.sync_all().unwrap();
        fs::write(disk.path().join("cached"), "lost").unwrap();
        let after = disk.after_power_cut().unwrap();
        assert_eq!(
            fs::read_to_string(after.path().join("synced")).unwrap(),
            "kept"
        );
        assert!(!after.path().join("cached").exists());

        let mut disk = disk;
        disk.keep().unwrap();
        fs::write(disk.path().join("later"), "lost").unwrap();
        drop(synced);
        disk.restore().unwrap();
        assert!(disk.path().join("synced").exists());
        assert!(!disk.path().join("cached").exists() && !disk.path().join("later").exists());
    }
}
