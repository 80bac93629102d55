//! What a case is and what it gets.

use std::{
    fmt::Debug,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use rustix::{
    io::Errno,
    process::{Gid, Uid},
};

/// One case.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// `area/what`, unique.
    pub name: &'static str,
    /// The check.
    pub run: fn(&Ctx) -> Result<(), Failure>,
}

/// A case did not hold.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

impl From<Errno> for Failure {
    #[track_caller]
    fn from(errno: Errno) -> Self {
        Self(format!(
            "unexpected error {errno:?} at {}",
            std::panic::Location::caller()
        ))
    }
}

impl From<std::io::Error> for Failure {
    #[track_caller]
    fn from(error: std::io::Error) -> Self {
        Self(format!(
            "unexpected error {error} at {}",
            std::panic::Location::caller()
        ))
    }
}

/// The ordinary user of the cases (`nobody` on Debian; needs no entry in passwd).
pub const USER: u32 = 65534;
/// Another ordinary user.
pub const OTHER: u32 = 65533;

/// A case's surroundings.
#[derive(Debug)]
pub struct Ctx {
    dir: PathBuf,
}

impl Ctx {
    /// A context in a fresh directory `dir` (mode 0777).
    pub fn new(dir: PathBuf) -> Result<Self, Failure> {
        std::fs::create_dir(&dir)?;
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o777))?;
        Ok(Self { dir })
    }

    /// A path below the case's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The case's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Creates a file with these bytes.
    pub fn file(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, Failure> {
        let path = self.path(name);
        std::fs::write(&path, bytes)?;
        Ok(path)
    }

    /// Creates a directory with this mode.
    pub fn mkdir(&self, name: &str, mode: u32) -> Result<PathBuf, Failure> {
        let path = self.path(name);
        std::fs::create_dir(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
        Ok(path)
    }

    /// Runs `body` on a thread that has the identity of `uid` with primary group `gid` and no
    /// other group.
    pub fn as_user<T: Send>(
        &self,
        uid: u32,
        gid: u32,
        body: impl FnOnce() -> Result<T, Failure> + Send,
    ) -> Result<T, Failure> {
        self.as_user_in(uid, gid, &[], body)
    }

    /// As [`Ctx::as_user`] with supplementary groups.
    pub fn as_user_in<T: Send>(
        &self,
        uid: u32,
        gid: u32,
        groups: &[u32],
        body: impl FnOnce() -> Result<T, Failure> + Send,
    ) -> Result<T, Failure> {
        let groups: Vec<Gid> = groups.iter().map(|&g| Gid::from_raw(g)).collect();
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                rustix::thread::set_thread_groups(&groups)?;
                let gid = Gid::from_raw(gid);
                rustix::thread::set_thread_res_gid(gid, gid, gid)?;
                let uid = Uid::from_raw(uid);
                rustix::thread::set_thread_res_uid(uid, uid, uid)?;
                body()
            });
            thread
                .join()
                .unwrap_or_else(|_| Err(Failure("the case panicked".into())))
        })
    }
}

/// Checks that a call failed with `wanted`.
#[track_caller]
pub fn refused<T: Debug>(result: Result<T, Errno>, wanted: Errno) -> Result<(), Failure> {
    refused_any(result, &[wanted])
}

/// Checks that a call failed with one of `wanted`.
#[track_caller]
pub fn refused_any<T: Debug>(result: Result<T, Errno>, wanted: &[Errno]) -> Result<(), Failure> {
    match result {
        Err(errno) if wanted.contains(&errno) => Ok(()),
        other => Err(Failure(format!(
            "wanted {wanted:?}, got {other:?} at {}",
            std::panic::Location::caller()
        ))),
    }
}

/// Checks that two values are equal.
#[track_caller]
#[allow(clippy::needless_pass_by_value)] // lets callers write literals
pub fn same<T: PartialEq + Debug>(got: T, wanted: T) -> Result<(), Failure> {
    if got == wanted {
        return Ok(());
    }
    let at = std::panic::Location::caller();
    Err(Failure(format!("got {got:?}, wanted {wanted:?} at {at}")))
}

/// Checks a condition.
#[track_caller]
pub fn holds(condition: bool, what: &str) -> Result<(), Failure> {
    if condition {
        return Ok(());
    }
    Err(Failure(format!(
        "{what} does not hold at {}",
        std::panic::Location::caller()
    )))
}
