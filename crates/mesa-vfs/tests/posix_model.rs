//! Random operations here and on a directory of this machine: same answers, same trees.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use mesa_types::NodeKind;
use mesa_vfs::{
    fs::{AttrChange, Filesystem, FsError, RenameFlags},
    mount::Mount,
};
use proptest::prelude::*;
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags},
    io::Errno,
};
use support::{
    calls::{self, USER, done},
    rig::{Options, Rig},
    server::FakeServer,
};

#[derive(Debug, Clone)]
enum Step {
    Mkdir(String),
    Create(String),
    Put(String, Vec<u8>),
    Truncate(String, u64),
    Unlink(String),
    Rmdir(String),
    Rename(String, String, RenameFlags),
    Link(String, String),
    Symlink(String),
    Chmod(String, u16),
    Stat(String),
    List(String),
    Sync,
}

fn path() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec!["a", "b", "c"]);
    prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"))
}

fn step() -> impl Strategy<Value = Step> {
    let flags = prop::sample::select(vec![
        RenameFlags::default(),
        RenameFlags::default(),
        RenameFlags {
            no_replace: true,
            exchange: false,
        },
        RenameFlags {
            no_replace: false,
            exchange: true,
        },
    ]);
    let bytes = prop::collection::vec(any::<u8>(), 0..20);
    prop_oneof![
        4 => path().prop_map(Step::Mkdir),
        3 => path().prop_map(Step::Create),
        4 => (path(), bytes).prop_map(|(p, b)| Step::Put(p, b)),
        1 => (path(), 0..30_u64).prop_map(|(p, n)| Step::Truncate(p, n)),
        2 => path().prop_map(Step::Unlink),
        2 => path().prop_map(Step::Rmdir),
        5 => (path(), path(), flags).prop_map(|(a, b, f)| Step::Rename(a, b, f)),
        2 => (path(), path()).prop_map(|(a, b)| Step::Link(a, b)),
        1 => path().prop_map(Step::Symlink),
        1 => (path(), 0..0o7777_u16).prop_map(|(p, m)| Step::Chmod(p, m)),
        2 => path().prop_map(Step::Stat),
        1 => path().prop_map(Step::List),
        1 => Just(Step::Sync),
    ]
}

/// What both sides can say.
type Answer = Result<String, Errno>;

fn errno(error: FsError) -> Errno {
    match error {
        FsError::NotFound => Errno::NOENT,
        FsError::Exists => Errno::EXIST,
        FsError::NotDir => Errno::NOTDIR,
        FsError::IsDir => Errno::ISDIR,
        FsError::NotEmpty => Errno::NOTEMPTY,
        FsError::NotPermitted => Errno::PERM,
        FsError::Invalid => Errno::INVAL,
        other => panic!("unexpected {other}"),
    }
}

/// Symlinks are never followed on the way: a path through one ends there, on both sides.
fn through_symlink(base: &Path, path: &str) -> bool {
    let mut at = PathBuf::from(base);
    let mut parts = path.split('/').peekable();
    while let Some(part) = parts.next() {
        at.push(part);
        if parts.peek().is_some() && at.is_symlink() {
            return true;
        }
    }
    false
}

fn local(base: &Path, step: &Step) -> Answer {
    let at = |p: &String| base.join(p);
    let no = |()| String::new();
    match step {
        Step::Mkdir(p) => rustix::fs::mkdir(at(p), Mode::from(0o755)).map(no),
        Step::Create(p) => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
            rustix::fs::open(at(p), flags, Mode::from(0o644)).map(|_| String::new())
        }
        Step::Put(p, bytes) => {
            let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::RDWR | OFlags::NOFOLLOW;
            let file = rustix::fs::open(at(p), flags, Mode::from(0o644))?;
            assert_eq!(rustix::io::pwrite(&file, bytes, 0), Ok(bytes.len()));
            Ok(String::new())
        }
        Step::Truncate(p, size) => {
            let file = rustix::fs::open(at(p), OFlags::RDWR | OFlags::NOFOLLOW, Mode::empty())?;
            rustix::fs::ftruncate(&file, *size).map(no)
        }
        Step::Unlink(p) => rustix::fs::unlink(at(p)).map(no),
        Step::Rmdir(p) => rustix::fs::rmdir(at(p)).map(no),
        Step::Rename(a, b, flags) => {
            let mut bits = rustix::fs::RenameFlags::empty();
            if flags.no_replace {
                bits |= rustix::fs::RenameFlags::NOREPLACE;
            }
            if flags.exchange {
                bits |= rustix::fs::RenameFlags::EXCHANGE;
            }
            rustix::fs::renameat_with(CWD, at(a), CWD, at(b), bits).map(no)
        }
        Step::Link(a, b) => rustix::fs::link(at(a), at(b)).map(no),
        Step::Symlink(p) => rustix::fs::symlink("target", at(p)).map(no),
        Step::Chmod(p, mode) => {
            rustix::fs::chmodat(CWD, at(p), Mode::from(u32::from(*mode)), AtFlags::empty()).map(no)
        }
        Step::Stat(p) => {
            let stat = rustix::fs::lstat(at(p))?;
            let kind = stat.st_mode & 0o170_000;
            let size = if kind == 0o100_000 { stat.st_size } else { 0 };
            let mode = stat.st_mode & 0o7777;
            Ok(format!("{kind:o} {mode:o} {} {size}", stat.st_nlink))
        }
        Step::List(p) => {
            let dir = rustix::fs::open(at(p), OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
            let mut names: Vec<String> = rustix::fs::Dir::read_from(dir)?
                .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
                .filter(|n| n != "." && n != "..")
                .collect();
            names.sort();
            Ok(names.join(" "))
        }
        Step::Sync => Ok(String::new()),
    }
}

async fn ours(m: &Mount, step: &Step) -> Result<String, FsError> {
    let no = |()| String::new();
    match step {
        Step::Mkdir(p) => calls::mkdir(m, p).await.map(|_| String::new()),
        Step::Create(p) => {
            let (entry, opened) = calls::create(m, p).await?;
            m.release(entry.node, opened.handle);
            Ok(String::new())
        }
        Step::Put(p, bytes) => calls::put(m, p, bytes).await.map(no),
        Step::Truncate(p, size) => {
            let entry = calls::find(m, p).await?;
            if entry.attr.kind == NodeKind::Dir {
                return Err(FsError::IsDir);
            }
            let change = AttrChange {
                size: Some(*size),
                ..AttrChange::default()
            };
            done(m.setattr(USER, entry.node, None, change)).await?;
            Ok(String::new())
        }
        Step::Unlink(p) => calls::unlink(m, p).await.map(no),
        Step::Rmdir(p) => calls::rmdir(m, p).await.map(no),
        Step::Rename(a, b, flags) => calls::rename(m, a, b, *flags).await.map(no),
        Step::Link(a, b) => calls::link(m, a, b).await.map(|_| String::new()),
        Step::Symlink(p) => calls::symlink(m, "target", p).await.map(|_| String::new()),
        Step::Chmod(p, mode) => {
            let node = calls::find(m, p).await?.node;
            let change = AttrChange {
                mode: Some(*mode),
                ..AttrChange::default()
            };
            done(m.setattr(USER, node, None, change)).await?;
            Ok(String::new())
        }
        Step::Stat(p) => {
            // A directory's link count is known once it was read.
            let _ = calls::list(m, p).await;
            let attr = calls::attr(m, p).await?;
            let kind = attr.kind.type_bits();
            let size = if kind == 0o100_000 { attr.size } else { 0 };
            Ok(format!("{kind:o} {:o} {} {size}", attr.mode, attr.nlink))
        }
        Step::List(p) => {
            let names = calls::list(m, p).await?;
            let names: Vec<String> = names.into_iter().map(|(n, _)| n).collect();
            Ok(names.join(" "))
        }
        Step::Sync => m.sync_all().await.map(no),
    }
}

fn paths(step: &Step) -> Vec<&String> {
    match step {
        Step::Rename(a, b, _) | Step::Link(a, b) => vec![a, b],
        Step::Mkdir(p)
        | Step::Create(p)
        | Step::Put(p, _)
        | Step::Truncate(p, _)
        | Step::Unlink(p)
        | Step::Rmdir(p)
        | Step::Symlink(p)
        | Step::Chmod(p, _)
        | Step::Stat(p)
        | Step::List(p) => vec![p],
        Step::Sync => Vec::new(),
    }
}

/// The last name is a symlink, and the step would follow it or open it.
fn on_symlink(base: &Path, step: &Step) -> bool {
    match step {
        Step::Put(p, _) | Step::Truncate(p, _) | Step::Chmod(p, _) | Step::List(p) => {
            base.join(p).is_symlink()
        }
        _ => false,
    }
}

/// Everything below a directory as text, as [`FakeServer::tree`] tells it.
fn tree_of(base: &Path, at: &Path, out: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        let stat = rustix::fs::lstat(&path).unwrap();
        let name = format!("/{}", path.strip_prefix(base).unwrap().display());
        let mode = stat.st_mode & 0o7777;
        let (kind, nlink, content) = match stat.st_mode & 0o170_000 {
            0o040_000 => (NodeKind::Dir, 1, String::new()),
            0o120_000 => {
                let target = std::fs::read_link(&path).unwrap();
                (
                    NodeKind::Symlink,
                    stat.st_nlink,
                    target.display().to_string(),
                )
            }
            _ => {
                let bytes = std::fs::read(&path).unwrap();
                let hash = hex::encode(&blake3::hash(&bytes).as_bytes()[..4]);
                let content = format!("{} {hash}", bytes.len());
                (NodeKind::File, stat.st_nlink, content)
            }
        };
        let text = format!("{} {mode:o} {nlink} {content}", kind as u32);
        out.insert(name, text);
        if kind == NodeKind::Dir {
            tree_of(base, &path, out);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        max_shrink_iters: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn like_a_local_directory(
        steps in prop::collection::vec(step(), 1..60),
        restart in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let model = tempfile::tempdir().unwrap();
            let base = model.path();
            let server = FakeServer::new();
            let mut rig = Rig::new(&server);
            let half = steps.len() / 2;
            for (index, step) in steps.iter().enumerate() {
                if paths(step).iter().any(|p| through_symlink(base, p)) || on_symlink(base, step) {
                    continue;
                }
                let expected = local(base, step);
                let answer = ours(&rig.mount, step).await.map_err(errno);
                assert_eq!(answer, expected, "step {index}: {step:?}");
                if restart && index == half {
                    let dir = rig.stop().await;
                    server.disconnect();
                    rig = Rig::at(&server, dir, Options::default());
                }
            }
            rig.mount.sync_all().await.unwrap();
            let mut expected = BTreeMap::new();
            tree_of(base, base, &mut expected);
            assert_eq!(server.tree(), expected);
            // A fresh mount shows the same.
            let fresh = Rig::new(&server);
            for path in expected.keys() {
                let path = path.trim_start_matches('/').to_owned();
                if through_symlink(base, &path) {
                    continue;
                }
                let step = Step::Stat(path);
                let shown = ours(&fresh.mount, &step).await.map_err(errno);
                assert_eq!(shown, local(base, &step), "{step:?}");
            }
            rig.mount.unmount().await.unwrap();
        });
    }
}
