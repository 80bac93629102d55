//! POSIX permission checks for callers that are not root.

use crate::fs::{Caller, FsError, FsResult};

/// `R_OK`.
pub const READ: u32 = 4;
/// `W_OK`.
pub const WRITE: u32 = 2;
/// `X_OK`.
pub const EXEC: u32 = 1;

/// What a check looks at, with owners as shown in this mount.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Subject {
    pub uid: u32,
    pub gid: u32,
    pub mode: u16,
    pub dir: bool,
}

/// Where the supplementary groups of a process come from.
pub trait Groups {
    /// Whether process `pid` has `gid` among its supplementary groups.
    fn has(&self, pid: u32, gid: u32) -> bool;
}

/// `/proc/<pid>/status`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcGroups;

impl Groups for ProcGroups {
    fn has(&self, pid: u32, gid: u32) -> bool {
        if pid == 0 {
            return false;
        }
        let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else {
            return false;
        };
        status
            .lines()
            .find_map(|line| line.strip_prefix("Groups:"))
            .is_some_and(|groups| {
                groups
                    .split_ascii_whitespace()
                    .any(|g| g.parse() == Ok(gid))
            })
    }
}

/// Whether the caller is in group `gid`.
pub fn in_group(caller: Caller, gid: u32, groups: &dyn Groups) -> bool {
    caller.gid == gid || groups.has(caller.pid, gid)
}

/// Checks `mask` (of [`READ`], [`WRITE`], [`EXEC`]).
pub fn check(subject: Subject, caller: Caller, mask: u32, groups: &dyn Groups) -> FsResult<()> {
    let mode = u32::from(subject.mode);
    let granted = |bits: u32| mask & !bits == 0;
    let allowed = if caller.uid == 0 {
        // Root may do everything but run what nobody may run.
        mask & EXEC == 0 || subject.dir || mode & 0o111 != 0
    } else if caller.uid == subject.uid {
        granted(mode >> 6 & 7)
    } else {
        let (group, other) = (granted(mode >> 3 & 7), granted(mode & 7));
        // Groups are only looked up when they decide.
        if group == other || in_group(caller, subject.gid, groups) {
            group
        } else {
            other
        }
    };
    if allowed {
        Ok(())
    } else {
        Err(FsError::Access)
    }
}

/// Whether the sticky bit keeps `caller` from removing or renaming `entry` in `dir`.
pub fn check_sticky(dir: Subject, entry: Subject, caller: Caller) -> FsResult<()> {
    let sticky = dir.mode & 0o1000 != 0;
    if sticky && caller.uid != 0 && caller.uid != dir.uid && caller.uid != entry.uid {
        return Err(FsError::NotPermitted);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(&'static [u32]);

    impl Groups for Fixed {
        fn has(&self, _: u32, gid: u32) -> bool {
            self.0.contains(&gid)
        }
    }

    fn caller(uid: u32, gid: u32) -> Caller {
        Caller {
            uid,
            gid,
            pid: 7,
            umask: 0,
        }
    }

    fn file(mode: u16) -> Subject {
        Subject {
            uid: 10,
            gid: 20,
            mode,
            dir: false,
        }
    }

    #[test]
    fn owner_group_other() {
        let none = Fixed(&[]);
        assert!(check(file(0o700), caller(10, 1), 7, &none).is_ok());
        assert!(check(file(0o077), caller(10, 20), 4, &none).is_err());
        assert!(check(file(0o070), caller(11, 20), 7, &none).is_ok());
        assert!(check(file(0o070), caller(11, 1), 1, &none).is_err());
        assert!(check(file(0o070), caller(11, 1), 1, &Fixed(&[20])).is_ok());
        assert!(check(file(0o007), caller(11, 1), 1, &Fixed(&[20])).is_err());
        assert!(check(file(0o005), caller(11, 1), 5, &none).is_ok());
        assert!(check(file(0o005), caller(11, 1), 2, &none).is_err());
    }

    #[test]
    fn root_needs_an_exec_bit_to_run() {
        let none = Fixed(&[]);
        assert!(check(file(0), caller(0, 0), READ | WRITE, &none).is_ok());
        assert!(check(file(0), caller(0, 0), EXEC, &none).is_err());
        assert!(check(file(0o001), caller(0, 0), EXEC, &none).is_ok());
    }

    #[test]
    fn sticky() {
        let dir = Subject {
            mode: 0o1777,
            dir: true,
            ..file(0)
        };
        let mine = Subject {
            uid: 11,
            ..file(0o644)
        };
        assert!(check_sticky(dir, mine, caller(11, 1)).is_ok());
        assert!(check_sticky(dir, mine, caller(10, 1)).is_ok());
        assert!(check_sticky(dir, mine, caller(12, 1)).is_err());
        assert!(check_sticky(dir, mine, caller(0, 0)).is_ok());
    }
}
