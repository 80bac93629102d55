//! What a machine installs mesa from: the installer, the static program of each architecture, and
//! packages made from it.
//!
//! The names are fixed when the server starts: its own program, and the files of one directory.
//! Packages are put together when they are asked for; what all packages of a program share is
//! compressed once and kept in memory (about half the program's size for each format).

pub mod address;
mod elf;
pub mod served;

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::UNIX_EPOCH,
};

use bytes::Bytes;
use mesa_package::{Arch, Entry, Format, Meta, Payload};
use tokio::sync::{OnceCell, Semaphore};

pub use self::served::Served;

/// More files in the directory are not looked at.
const FILES_MAX: usize = 1000;
/// Answers that are being sent at the same time.
const SENDING_MAX: usize = 64;

const SCRIPT: &str = include_str!("../../../packaging/install.sh");

/// What to hand out.
#[derive(Debug, Clone, Default)]
pub struct DownloadOptions {
    /// The version that installers take, and that of `program`.
    pub version: String,
    /// The program of this machine; handed out if it is static.
    pub program: Option<PathBuf>,
    /// Files to hand out under their names. `mesa_<version>_linux_<arch>` are programs.
    pub dir: Option<PathBuf>,
    /// What packages hold beside the program.
    pub support: Vec<Entry>,
}

/// The files by name.
#[derive(Debug)]
pub struct Downloads {
    version: String,
    support: Vec<Entry>,
    files: BTreeMap<String, Arc<Served>>,
    packages: BTreeMap<String, Arc<Packed>>,
    sending: Arc<Semaphore>,
}

/// A package that can be made.
#[derive(Debug)]
struct Packed {
    format: Format,
    arch: Arch,
    program: Arc<Served>,
    payload: OnceCell<Payload>,
}

impl Downloads {
    /// Looks at the program and the directory.
    ///
    /// Fails when the directory cannot be read, or when something in it that is called like a
    /// program is none.
    pub fn open(options: DownloadOptions) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        if let Some(dir) = &options.dir {
            for entry in std::fs::read_dir(dir)?.take(FILES_MAX) {
                let entry = entry?;
                let Ok(name) = entry.file_name().into_string() else {
                    continue;
                };
                if harmless(&name) && entry.path().is_file() {
                    check_program(&name, &entry.path())?;
                    files.insert(name, Arc::new(Served::file(File::open(entry.path())?)?));
                }
            }
        }
        if let Some((arch, program)) = own_program(options.program.as_deref()) {
            files
                .entry(program_name(&options.version, arch))
                .or_insert(Arc::new(Served::file(program)?));
        }
        let mut downloads = Self {
            version: options.version,
            support: options.support,
            files,
            packages: BTreeMap::new(),
            sending: Arc::new(Semaphore::new(SENDING_MAX)),
        };
        for arch in Arch::ALL {
            let Some(program) = downloads.files.get(&program_name(&downloads.version, arch)) else {
                continue;
            };
            for format in Format::ALL {
                let packed = Packed {
                    format,
                    arch,
                    program: Arc::clone(program),
                    payload: OnceCell::new(),
                };
                let name = format.file_name(&Meta::new("mesa", &downloads.version, arch, 0));
                downloads.packages.insert(name, Arc::new(packed));
            }
        }
        Ok(downloads)
    }

    /// Names of everything that can be had now.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files
            .keys()
            .chain(self.packages.keys())
            .map(String::as_str)
    }

    /// The version that installers take.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Bounds the answers that are being sent.
    pub(crate) fn sending(&self) -> &Arc<Semaphore> {
        &self.sending
    }

    /// The installer for machines that reach this server at `address`.
    pub fn script(&self, address: &str) -> Bytes {
        let text = SCRIPT
            .replace("@SERVER@", address)
            .replace("@VERSION@", &self.version);
        text.into()
    }

    /// A file or package. With an address, packages hold an `install.toml` that names it.
    pub async fn get(&self, name: &str, address: Option<&str>) -> io::Result<Option<Arc<Served>>> {
        if let Some(packed) = self.packages.get(name) {
            return Ok(Some(Arc::new(self.package(packed, address).await?)));
        }
        Ok(self.files.get(name).map(Arc::clone))
    }

    /// `SHA256SUMS` of the files (packages have one of their own each).
    pub async fn sums(&self) -> io::Result<String> {
        let mut text = String::new();
        for (name, file) in &self.files {
            text.extend([file.sha256().await?, "  ", name, "\n"]);
        }
        Ok(text)
    }

    async fn package(&self, packed: &Arc<Packed>, address: Option<&str>) -> io::Result<Served> {
        let payload = packed
            .payload
            .get_or_try_init(|| self.payload(packed))
            .await?;
        let extra = address.map(|address| {
            let text = format!("# The server this was installed from.\napi-url = \"{address}\"\n");
            Entry::new("/etc/mesa/install.toml", 0o644, text)
        });
        let made = payload.finish(extra.as_slice());
        Ok(Served::pieces([made.head, made.body, made.tail]))
    }

    async fn payload(&self, packed: &Arc<Packed>) -> io::Result<Payload> {
        let (version, mut entries, packed) = (
            self.version.clone(),
            self.support.clone(),
            Arc::clone(packed),
        );
        let work = move || {
            let program = packed.program.whole()?;
            entries.insert(0, Entry::new("/usr/bin/mesa", 0o755, program));
            let mut meta = Meta::new("mesa", &version, packed.arch, packed.program.modified());
            "A durable, versioned filesystem for AI agents".clone_into(&mut meta.summary);
            "Server, FUSE daemon and command line in one static program."
                .clone_into(&mut meta.description);
            "Mesa <mesa@localhost>".clone_into(&mut meta.maintainer);
            meta.recommends = vec!["fuse3".to_owned()];
            Ok(Payload::new(packed.format, meta, &entries))
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(io::Error::other)?
    }
}

/// `mesa_0.1.0_linux_x86_64`.
pub fn program_name(version: &str, arch: Arch) -> String {
    format!("mesa_{version}_linux_{}", arch.name())
}

/// Fit for a line of `SHA256SUMS` and for a path.
fn harmless(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    !name.starts_with('.') && name.len() <= 128 && name.bytes().all(plain)
}

/// A file that is called like a program must be one, for that architecture, and static.
fn check_program(name: &str, path: &Path) -> io::Result<()> {
    let named = name
        .strip_prefix("mesa_")
        .and_then(|rest| rest.rsplit_once("_linux_"));
    let Some(arch) = named.and_then(|(_, arch)| Arch::of(arch)) else {
        return Ok(());
    };
    match elf::static_program(&File::open(path)?)? {
        Some(found) if found == arch => Ok(()),
        _ => Err(io::Error::other(format!(
            "{} is not a static program for {}",
            path.display(),
            arch.name()
        ))),
    }
}

/// The program, if other machines can run it.
fn own_program(path: Option<&Path>) -> Option<(Arch, File)> {
    let file = File::open(path?).ok()?;
    if let Ok(Some(arch)) = elf::static_program(&file) {
        return Some((arch, file));
    }
    tracing::warn!(
        "this program needs shared libraries, so it is not handed out to sandboxes; \
         give static ones with --dist-dir, or run a static one"
    );
    None
}

/// Seconds since 1970 of a file's last change.
fn modified(metadata: &std::fs::Metadata) -> u32 {
    let time = metadata.modified().ok();
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| u32::try_from(since.as_secs()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_keeps_no_placeholder() {
        let downloads = Downloads::open(DownloadOptions {
            version: "1.2.3".to_owned(),
            ..DownloadOptions::default()
        })
        .unwrap();
        let text = String::from_utf8(downloads.script("http://h:1").to_vec()).unwrap();
        assert!(text.contains("'http://h:1'") && text.contains("1.2.3"));
        assert!(!text.contains("@SERVER@") && !text.contains("@VERSION@"));
    }

    #[test]
    fn names_are_harmless() {
        assert!(harmless("mesa_0.1.0+a_linux_x86_64"));
        for name in ["", ".hidden", "a b", "a/b", "a\n", "ä"] {
            assert!(!harmless(name) || name.is_empty(), "{name}");
        }
    }

    #[test]
    fn what_is_called_a_program_must_be_one() {
        let dir = tempfile::tempdir().unwrap();
        let open = || {
            Downloads::open(DownloadOptions {
                dir: Some(dir.path().to_owned()),
                ..DownloadOptions::default()
            })
        };
        std::fs::write(dir.path().join("notes.txt"), "n").unwrap();
        assert_eq!(open().unwrap().names().collect::<Vec<_>>(), ["notes.txt"]);
        let script = dir.path().join("mesa_0.1.0_linux_x86_64");
        std::fs::write(script, "#!/bin/sh\n").unwrap();
        assert!(
            open()
                .unwrap_err()
                .to_string()
                .contains("not a static program")
        );
    }
}
