//! What is mounted where, from `/proc/self/mountinfo` (never `/etc/mtab`, which sandboxes lack).

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::io::Errno;

use super::FS_TYPE;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountState {
    /// Not a mount point.
    NotMounted,
    /// A mount with a daemon, which need not answer at once.
    Live {
        /// Made by this program.
        ours: bool,
    },
    /// A FUSE mount whose daemon is gone ("Transport endpoint is not connected").
    Dead,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MountEntry {
    pub mount_point: PathBuf,
    pub fs_type: String,
    /// Device number; the minor names the connection under `/sys/fs/fuse/connections`.
    pub minor: u32,
}

/// The table of this process.
const OWN: &str = "/proc/self/mountinfo";
/// How long a mount may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is mounted at `path` itself.
pub fn state(path: &Path) -> MountState {
    let entry = find(path);
    match statfs(path) {
        Some(Errno::NOTCONN | Errno::CONNABORTED) => MountState::Dead,
        _ => match entry {
            Some(entry) => MountState::Live {
                ours: entry.fs_type == FS_TYPE,
            },
            None => MountState::NotMounted,
        },
    }
}

/// The error of `statfs`, if it ends in time with one: a daemon that stands still never answers.
fn statfs(path: &Path) -> Option<Errno> {
    let (answer, answered) = std::sync::mpsc::channel();
    let path = path.to_owned();
    // It ends with the answer or the process.
    let ask = move || answer.send(rustix::fs::statfs(path).err());
    std::thread::Builder::new().spawn(ask).ok()?;
    answered.recv_timeout(PATIENCE).ok().flatten()
}

/// Whether a process, perhaps of another mount namespace, sees one of this program's mounts at `path`.
pub fn is_mounted_for(pid: u32, path: &Path) -> bool {
    read(&format!("/proc/{pid}/mountinfo"))
        .iter()
        .any(|entry| entry.mount_point == path && entry.fs_type == FS_TYPE)
}

/// Mount points of all mounts of `fs_type` in this namespace.
pub fn mounts_of_type(fs_type: &str) -> Vec<PathBuf> {
    read(OWN)
        .into_iter()
        .filter(|entry| entry.fs_type == fs_type)
        .map(|entry| entry.mount_point)
        .collect()
}

/// The topmost mount at `path`.
pub(super) fn find(path: &Path) -> Option<MountEntry> {
    let wanted = lexical(path);
    read(OWN)
        .into_iter()
        .rfind(|entry| entry.mount_point == wanted)
}

/// The path as the table has it: the parent resolved, the last component as it is, since asking
/// about a dead mount point itself fails.
fn lexical(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if let Ok(real) = absolute.canonicalize() {
        return real;
    }
    match (
        absolute.parent().map(Path::canonicalize),
        absolute.file_name(),
    ) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => absolute,
    }
}

fn read(table: &str) -> Vec<MountEntry> {
    let table = std::fs::read(table).unwrap_or_default();
    table
        .split(|byte| *byte == b'\n')
        .filter_map(parse)
        .collect()
}

/// Fields: id, parent, major:minor, root, mount point, options, optional fields, "-", type, ...
fn parse(line: &[u8]) -> Option<MountEntry> {
    let mut fields = line.split(|byte| *byte == b' ');
    let device = std::str::from_utf8(fields.nth(2)?).ok()?;
    let minor = device.split_once(':')?.1.parse().ok()?;
    let mount_point = PathBuf::from(OsString::from_vec(unescape(fields.nth(1)?)));
    let fs_type = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some(MountEntry {
        mount_point,
        fs_type: String::from_utf8_lossy(fs_type).into_owned(),
        minor,
    })
}

/// Undoes `\040` and the like.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'\\'
            && let Some(code) = tail
                .get(..3)
                .and_then(|digits| std::str::from_utf8(digits).ok())
            && let Ok(value) = u8::from_str_radix(code, 8)
        {
            out.push(value);
            rest = &tail[3..];
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{MountEntry, MountState, parse, state};

    #[test]
    fn lines_are_parsed_with_optional_fields_and_escapes() {
        let line = br"36 35 0:98 / /mnt/a\040b rw,noatime shared:1 - fuse.mesa mesa rw,user_id=0";
        assert_eq!(
            parse(line),
            Some(MountEntry {
                mount_point: PathBuf::from("/mnt/a b"),
                fs_type: "fuse.mesa".to_owned(),
                minor: 98,
            })
        );
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"36 35 98 / /mnt rw - ext4 /dev/sda rw"), None);
    }

    #[test]
    fn proc_is_a_mount_and_a_plain_directory_is_not() {
        assert_eq!(state(Path::new("/proc")), MountState::Live { ours: false });
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(state(dir.path()), MountState::NotMounted);
        assert_eq!(state(&dir.path().join("missing")), MountState::NotMounted);
    }
}
