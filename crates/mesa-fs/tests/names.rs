//! Names and attributes by path.

#![allow(clippy::unwrap_used, clippy::op_ref, clippy::large_stack_arrays)]

mod support;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use mesa_fs::{Code, CopyOptions, FileKind, OpenOptions, RemoveOptions, RepoMount, Result};
use support::Server;

#[track_caller]
fn fails<T: std::fmt::Debug>(outcome: Result<T>, code: Code) {
    let error = outcome.unwrap_err();
    assert_eq!(error.code(), code, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_are_made_listed_and_removed() {
    let fs = Server::start().await.fs();
    let root: Vec<_> = fs.read_dir("/").await.unwrap();
    assert_eq!(root.len(), 1);
    assert_eq!(root[0].name, "acme");
    let names = |entries: Vec<mesa_fs::DirEntry>| {
        let name = |e: mesa_fs::DirEntry| e.name.into_string().unwrap();
        entries.into_iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(
        names(fs.read_dir("/acme").await.unwrap()),
        ["demo", "other"]
    );
    fs.mkdir("/acme/demo/a", 0o755).await.unwrap();
    fails(fs.mkdir("/acme/demo/a", 0o755).await, Code::Exists);
    fails(fs.mkdir("/acme/demo/x/y", 0o755).await, Code::NotFound);
    let first = fs.mkdir_all("acme/demo/x/y/z", 0o755).await.unwrap();
    assert_eq!(first, Some(PathBuf::from("/acme/demo/x")));
    assert_eq!(fs.mkdir_all("/acme/demo/x/y", 0o755).await.unwrap(), None);
    fs.write("/acme/demo/x/file", b"1").await.unwrap();
    fails(fs.mkdir_all("/acme/demo/x/file", 0o755).await, Code::Exists);
    fails(
        fs.mkdir_all("/acme/demo/x/file/y", 0o755).await,
        Code::NotDir,
    );
    fs.symlink("file", "/acme/demo/x/link").await.unwrap();
    let listed = fs.read_dir("/acme/demo/x/").await.unwrap();
    let kinds: Vec<_> = listed
        .iter()
        .map(|e| (e.name.to_str().unwrap(), e.kind))
        .collect();
    assert_eq!(
        kinds,
        [
            ("file", FileKind::File),
            ("link", FileKind::Symlink),
            ("y", FileKind::Dir)
        ]
    );
    fails(fs.read_dir("/acme/demo/x/file").await, Code::NotDir);
    fails(fs.rmdir("/acme/demo/x").await, Code::NotEmpty);
    fails(fs.unlink("/acme/demo/x").await, Code::IsDir);
    fails(fs.rmdir("/acme/demo/x/file").await, Code::NotDir);
    let all = RemoveOptions {
        recursive: true,
        force: false,
    };
    fails(
        fs.remove("/acme/demo/x", RemoveOptions::default()).await,
        Code::IsDir,
    );
    fs.remove("/acme/demo/x", all).await.unwrap();
    fails(fs.remove("/acme/demo/x", all).await, Code::NotFound);
    let force = RemoveOptions {
        recursive: true,
        force: true,
    };
    fs.remove("/acme/demo/x", force).await.unwrap();
    fs.remove("/nowhere/at/all", force).await.unwrap();
    assert_eq!(names(fs.read_dir("/acme/demo").await.unwrap()), ["a"]);
    fs.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_changes_above_the_repos() {
    let fs = Server::start().await.fs();
    fails(fs.mkdir("/new", 0o755).await, Code::ReadOnly);
    fails(fs.mkdir("/acme", 0o755).await, Code::Exists);
    fails(fs.mkdir("/acme/new", 0o755).await, Code::ReadOnly);
    fails(fs.write("/file", b"").await, Code::ReadOnly);
    fails(fs.write("/acme/file", b"").await, Code::ReadOnly);
    fails(fs.write("/acme/demo", b"").await, Code::IsDir);
    let all = RemoveOptions {
        recursive: true,
        force: true,
    };
    fs.write("/acme/demo/kept", b"x").await.unwrap();
    fails(fs.remove("/acme/demo", all).await, Code::Busy);
    fails(fs.remove("/acme", all).await, Code::Busy);
    fails(fs.remove("/", all).await, Code::Busy);
    assert!(fs.exists("/acme/demo/kept").await.unwrap());
    fails(fs.rename("/acme/demo", "/acme/x").await, Code::Busy);
    assert!(!fs.exists("/acme/none").await.unwrap());
    assert!(!fs.exists("/none/none").await.unwrap());
    fails(fs.stat("/acme/none").await, Code::NotFound);
    assert!(fs.stat("/").await.unwrap().is_dir());
    assert!(fs.stat("/acme").await.unwrap().is_dir());
    assert!(fs.stat("/acme/demo/").await.unwrap().is_dir());
    fs.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn symlinks_are_followed_within_the_mount() {
    let fs = Server::start().await.fs();
    fs.mkdir_all("/acme/demo/d/e", 0o755).await.unwrap();
    fs.write("/acme/demo/d/f", b"here").await.unwrap();
    fs.symlink("d", "/acme/demo/to-d").await.unwrap();
    fs.symlink("/acme/demo/d/f", "/acme/demo/absolute")
        .await
        .unwrap();
    fs.symlink("../../../../../acme/demo/d/f", "/acme/demo/up")
        .await
        .unwrap();
    fs.symlink("nowhere", "/acme/demo/dangling").await.unwrap();
    fs.symlink("loop", "/acme/demo/loop").await.unwrap();
    for path in [
        "to-d/f",
        "absolute",
        "up",
        "d/e/../f",
        "./d//f",
        "to-d/e/../f",
    ] {
        let path = Path::new("/acme/demo").join(path);
        assert_eq!(fs.read(&path).await.unwrap(), &b"here"[..], "{path:?}");
        let real = fs.real_path(&path).await.unwrap();
        assert_eq!(real, Path::new("/acme/demo/d/f"), "{path:?}");
    }
    assert!(fs.lstat("/acme/demo/to-d").await.unwrap().is_symlink());
    assert!(fs.lstat("/acme/demo/to-d/").await.unwrap().is_dir());
    assert_eq!(
        fs.read_link("/acme/demo/to-d").await.unwrap(),
        Path::new("d")
    );
    fails(fs.read_link("/acme/demo/d").await, Code::Invalid);
    fails(fs.read("/acme/demo/loop").await, Code::Loop);
    fails(fs.read("/acme/demo/dangling").await, Code::NotFound);
    fails(fs.read("/acme/demo/d/f/").await, Code::NotDir);
    fails(fs.read("/acme/demo/d/f/x").await, Code::NotDir);
    assert!(!fs.exists("/acme/demo/dangling").await.unwrap());
    // Opening for writing makes what the link names.
    fs.write("/acme/demo/dangling", b"made").await.unwrap();
    assert_eq!(fs.read("/acme/demo/nowhere").await.unwrap(), &b"made"[..]);
    let new = OpenOptions {
        create_new: true,
        ..OpenOptions::writing()
    };
    fails(
        fs.write_with("/acme/demo/loop", b"", &new).await,
        Code::Exists,
    );
    fs.unlink("/acme/demo/to-d").await.unwrap();
    assert!(fs.exists("/acme/demo/d/f").await.unwrap());
    fs.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn renames_links_copies() {
    let fs = Server::start().await.fs();
    fs.mkdir_all("/acme/demo/d/e", 0o750).await.unwrap();
    fs.write("/acme/demo/d/f", b"one").await.unwrap();
    fs.chmod("/acme/demo/d/f", 0o640).await.unwrap();
    fs.symlink("f", "/acme/demo/d/s").await.unwrap();
    fs.rename("/acme/demo/d/f", "/acme/demo/d/e/g")
        .await
        .unwrap();
    fails(
        fs.rename("/acme/demo/d/f", "/acme/demo/x").await,
        Code::NotFound,
    );
    fs.rename("/acme/demo/d/e/g", "/acme/demo/d/f")
        .await
        .unwrap();
    fails(
        fs.rename("/acme/demo/d", "/acme/demo/d/e/x").await,
        Code::Invalid,
    );
    fs.link("/acme/demo/d/f", "/acme/demo/second")
        .await
        .unwrap();
    let (first, second) = (
        fs.stat("/acme/demo/d/f").await.unwrap(),
        fs.stat("/acme/demo/second").await.unwrap(),
    );
    assert_eq!((first.ino, first.nlink), (second.ino, 2));
    fails(
        fs.link("/acme/demo/d/f", "/acme/other/f").await,
        Code::CrossDevice,
    );
    fails(
        fs.rename("/acme/demo/d", "/acme/other/d").await,
        Code::CrossDevice,
    );

    let flat = CopyOptions::default();
    let deep = CopyOptions {
        recursive: true,
        ..flat
    };
    fails(
        fs.copy("/acme/demo/d", "/acme/demo/c", flat).await,
        Code::IsDir,
    );
    fails(
        fs.copy("/acme/demo/d", "/acme/demo/d/e/x", deep).await,
        Code::Invalid,
    );
    fs.copy("/acme/demo/d", "/acme/demo/c", deep).await.unwrap();
    assert_eq!(fs.read("/acme/demo/c/s").await.unwrap(), &b"one"[..]);
    assert!(fs.lstat("/acme/demo/c/s").await.unwrap().is_symlink());
    assert_eq!(fs.stat("/acme/demo/c/f").await.unwrap().mode, 0o640);
    let keep = CopyOptions {
        overwrite: false,
        ..flat
    };
    fails(
        fs.copy("/acme/demo/d/f", "/acme/demo/c/f", keep).await,
        Code::Exists,
    );
    fs.write("/acme/demo/d/f", b"longer than before")
        .await
        .unwrap();
    fs.copy("/acme/demo/d/s", "/acme/demo/c/f", flat)
        .await
        .unwrap();
    assert_eq!(
        fs.read("/acme/demo/c/f").await.unwrap(),
        &b"longer than before"[..]
    );

    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs.set_times("/acme/demo/d/f", Some(old), Some(old))
        .await
        .unwrap();
    fs.move_to("/acme/demo/d", "/acme/other/d").await.unwrap();
    assert!(!fs.exists("/acme/demo/d").await.unwrap());
    let moved = fs.stat("/acme/other/d/f").await.unwrap();
    assert_eq!((moved.size, moved.mode, moved.modified), (18, 0o640, old));
    assert_eq!(fs.stat("/acme/other/d/e").await.unwrap().mode, 0o750);
    fs.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_and_metadata() {
    let fs = Server::start()
        .await
        .fs_with(|options| options.umask = 0o027);
    let path = "/acme/demo/f";
    fs.write(path, b"0123456789").await.unwrap();
    assert_eq!(fs.stat(path).await.unwrap().mode, 0o640);
    assert_eq!(fs.stat(path).await.unwrap().st_mode(), 0o100_640);
    fs.chmod(path, 0o755).await.unwrap();
    fs.truncate(path, 4).await.unwrap();
    assert_eq!(fs.read(path).await.unwrap(), &b"0123"[..]);
    fs.truncate(path, 6).await.unwrap();
    assert_eq!(fs.read(path).await.unwrap(), &b"0123\0\0"[..]);
    fails(fs.truncate("/acme/demo", 0).await, Code::IsDir);
    fs.access(path, 7).await.unwrap();
    fails(fs.access("/acme/demo/none", 4).await, Code::NotFound);

    fs.set_xattr(path, b"user.k", b"v\xff").await.unwrap();
    assert_eq!(fs.get_xattr(path, b"user.k").await.unwrap(), &b"v\xff"[..]);
    fails(fs.get_xattr(path, b"user.none").await, Code::NoXattr);
    let entries = BTreeMap::from([
        ("topic".to_owned(), Some("parser".to_owned())),
        ("gone".to_owned(), None),
    ]);
    fs.set_metadata(path, &entries).await.unwrap();
    let told = fs.metadata(path).await.unwrap();
    let told: Vec<_> = told.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(
        told,
        [("org", "acme"), ("repo", "demo"), ("topic", "parser")]
    );
    let emptied = BTreeMap::from([("topic".to_owned(), Some(String::new()))]);
    fs.set_metadata(path, &emptied).await.unwrap();
    assert_eq!(fs.metadata(path).await.unwrap().len(), 2);
    fs.set_metadata(path, &entries).await.unwrap();
    let reserved = BTreeMap::from([("org".to_owned(), Some("x".to_owned()))]);
    fails(fs.set_metadata(path, &reserved).await, Code::NotPermitted);
    fs.clear_metadata(path).await.unwrap();
    assert_eq!(fs.metadata(path).await.unwrap().len(), 2);
    assert_eq!(fs.list_xattrs(path).await.unwrap(), [b"user.k".to_vec()]);
    fs.remove_xattr(path, b"user.k").await.unwrap();
    assert!(fs.list_xattrs(path).await.unwrap().is_empty());
    fs.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn repos_in_places_of_their_own() {
    let server = Server::start().await;
    let fs = server.fs_with(|options| {
        let mut shown = RepoMount::new("acme", "demo");
        shown.path = Some("/workspace".into());
        let mut deep = RepoMount::new("acme", "other");
        deep.path = Some("/lib/shared".into());
        deep.read_only = true;
        options.repos = vec![shown, deep];
    });
    let names = |entries: Vec<mesa_fs::DirEntry>| {
        let name = |e: mesa_fs::DirEntry| e.name.into_string().unwrap();
        entries.into_iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(names(fs.read_dir("/").await.unwrap()), ["lib", "workspace"]);
    assert_eq!(names(fs.read_dir("/lib").await.unwrap()), ["shared"]);
    fs.write("/workspace/f", b"x").await.unwrap();
    assert_eq!(fs.read("/lib/../workspace/f").await.unwrap(), &b"x"[..]);
    fails(fs.write("/lib/shared/f", b"x").await, Code::ReadOnly);
    fails(fs.mkdir("/lib/x", 0o755).await, Code::ReadOnly);
    assert_eq!(fs.metadata("/workspace/f").await.unwrap()["repo"], "demo");
    assert!(fs.stat("/lib").await.unwrap().is_dir());
    fs.close().await.unwrap();
    // The same file where the repo is by itself.
    let plain = server.fs();
    assert_eq!(plain.read("/acme/demo/f").await.unwrap(), &b"x"[..]);
    plain.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_cannot_be() {
    use mesa_fs::{At, FileSystem};
    let wrong: [fn(&mut mesa_fs::MountOptions); 6] = [
        |o| o.repos.clear(),
        |o| o.repos[0].name = "a/b".into(),
        |o| o.repos[0].org = "UPPER".into(),
        |o| o.repos[0].at = At::Change("short".into()),
        |o| o.repos[1].name = "demo".into(),
        |o| o.server = "ftp://x".into(),
    ];
    for change in wrong {
        let mut options = support::options();
        change(&mut options);
        fails(FileSystem::open(options), Code::Invalid);
    }
}
