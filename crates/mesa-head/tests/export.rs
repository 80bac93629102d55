//! The history as a git repository, checked by git itself.

#![allow(clippy::unwrap_used)] // helpers outside of test functions

use std::{path::Path, process::Command};

use mesa_client::SyncApi;
use mesa_proto::v1::{self, op};
use mesa_repo::Scope;
use mesa_testkit::{Backend, InProcess, RawSession};
use mesa_types::NodeKind;

fn git(dir: &Path, args: &[&str]) -> String {
    let out = Command::new("git")
        .current_dir(dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .args(args)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "git {args:?}: {text}{errors}");
    text + &errors
}

#[tokio::test]
async fn passes_fsck_and_checks_out_to_the_same_bytes() {
    let backend = Backend::memory();
    let caller = backend.org("acme", &[Scope::Write]).await.unwrap();
    let repo = backend.repo(&caller, "demo").await.unwrap();
    let api = InProcess::new(backend.heads.clone(), caller.clone());
    let mut s = RawSession::open(&api, "acme", "demo").await;
    s.lease().await;
    let root = s.root();

    let mut ops = Vec::new();
    let (dir, op) = s.create("", root, "sub dir", NodeKind::Dir);
    ops.push(op);
    let (deep, op) = s.create("sub dir", dir, "deep", NodeKind::Dir);
    ops.push(op);
    let (_, op) = s.create("", root, "empty", NodeKind::Dir);
    ops.push(op);
    ops.push(
        s.file("sub dir/deep", deep, "a\n\tb\"\\", b"newline in its name")
            .1,
    );
    ops.push(
        s.file("", root, "sub dir.txt", b"sorts before the directory")
            .1,
    );
    let (run, op) = s.file("", root, "run", b"#!/bin/sh\n");
    ops.push(op);
    let chmod = v1::SetAttr {
        id: run,
        mode: Some(0o755),
        ..v1::SetAttr::default()
    };
    ops.push(s.op("run", op::Kind::SetAttr(chmod)));
    let (_, mut symlink) = s.create("", root, "link", NodeKind::Symlink);
    if let Some(op::Kind::Create(create)) = &mut symlink.kind {
        create.target = "sub dir/deep".into();
    }
    ops.push(symlink);
    let hard = v1::Link {
        id: run,
        parent: dir,
        name: "run too".into(),
        source_path: "run".into(),
    };
    ops.push(s.op("sub dir", op::Kind::Link(hard)));
    ops.push(s.create("", root, "pipe", NodeKind::Fifo).1);
    ops.push(s.create("", root, "nothing", NodeKind::File).1);
    // A repository made inside the mount, and names that are one on some filesystem.
    let (inner, op) = s.create("sub dir", dir, ".git", NodeKind::Dir);
    ops.push(op);
    ops.push(
        s.file("sub dir/.git", inner, "HEAD", b"ref: refs/heads/main\n")
            .1,
    );
    ops.push(s.file("", root, ".GIT", b"hidden").1);
    ops.push(s.file("", root, "git~1", b"hidden").1);
    ops.push(
        s.file(
            "",
            root,
            ".gitmodules",
            b"[submodule \"../x\"]\n\tpath = -x\n\turl = -x\n",
        )
        .1,
    );
    s.commit(ops).await;
    let raw = bytes::Bytes::from_static(b"\xff\xfe");
    let (_, mut op) = s.file("", root, "x", b"not utf-8");
    if let Some(op::Kind::Create(create)) = &mut op.kind {
        create.name = raw;
    }
    s.commit(vec![op]).await;

    // Several chunks.
    let big: Vec<u8> = (0..700_000_u32).flat_map(u32::to_le_bytes).collect();
    let built = mesa_object::content::of_slice(&s.key(), &big);
    let mut at = 0;
    let mut chunks = Vec::new();
    for chunk in &built.chunks {
        let end = at + chunk.len as usize;
        let id = bytes::Bytes::copy_from_slice(&chunk.id.0);
        chunks.push((id, bytes::Bytes::copy_from_slice(&big[at..end])));
        at = end;
    }
    let manifests = built.manifests.iter();
    let manifests = manifests.map(|o| (bytes::Bytes::copy_from_slice(&o.id.0), o.bytes.clone()));
    let name = s.opened.session.clone();
    api.upload("acme", &name, false, chunks).await.unwrap();
    let manifests = manifests.collect();
    api.upload("acme", &name, true, manifests).await.unwrap();
    let (_, mut op) = s.create("", root, "big", NodeKind::File);
    if let Some(op::Kind::Create(create)) = &mut op.kind {
        create.content = Some(mesa_proto::convert::content_to_wire(&built.content));
    }
    s.commit(vec![op]).await;
    let seal = v1::SealRequest { session: name };
    let first = api.seal("acme", seal).await.unwrap();
    let write = s.write("run", run, b"#!/bin/sh\n", b"#!/bin/sh\nexit 0\n");
    s.commit(vec![write]).await;

    let temp = tempfile::tempdir().unwrap();
    let bare = temp.path().join("demo.git");
    let exported = backend
        .heads
        .export_git(&caller.org, &repo.id, &bare)
        .await
        .unwrap();
    assert!(
        exported.commits >= 1 && exported.objects > 8,
        "{exported:?}"
    );
    let fsck = git(&bare, &["fsck", "--strict", "--full"]);
    assert!(
        !fsck.contains("error") && !fsck.contains("warning"),
        "{fsck}"
    );
    let head = git(&bare, &["rev-parse", "refs/heads/main"]);
    assert_ne!(head.trim(), first.commit_oid);
    let text = git(&bare, &["cat-file", "commit", "main"]);
    let change = &s.opened.change_id;
    assert!(text.contains(&format!("change-id {change}")), "{text}");
    assert!(text.contains("mesa-snapshot "), "{text}");

    git(temp.path(), &["clone", "-q", "demo.git", "out"]);
    let out = temp.path().join("out");
    let status = git(&out, &["status", "--porcelain"]);
    assert_eq!(status, "");
    let tracked = git(&out, &["ls-files", "-z"]);
    let tracked: Vec<_> = tracked
        .split('\0')
        .filter(|name| !name.is_empty())
        .collect();
    assert_eq!(tracked.len(), 8, "{tracked:?}");
    let read = |name: &str| std::fs::read(out.join(name)).unwrap();
    assert_eq!(read("sub dir/deep/a\n\tb\"\\"), b"newline in its name");
    assert_eq!(read("run"), b"#!/bin/sh\nexit 0\n");
    assert_eq!(read("sub dir/run too"), b"#!/bin/sh\nexit 0\n");
    assert!(read("big") == big);
    assert_eq!(read("nothing"), b"");
    let target = std::fs::read_link(out.join("link")).unwrap();
    assert_eq!(target, Path::new("sub dir/deep"));
    use std::os::unix::{ffi::OsStrExt, fs::PermissionsExt};
    let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    assert_eq!(std::fs::read(out.join(odd)).unwrap(), b"not utf-8");
    let mode = |name: &str| {
        std::fs::metadata(out.join(name))
            .unwrap()
            .permissions()
            .mode()
    };
    assert_ne!(mode("run") & 0o111, 0);
    assert_eq!(mode("big") & 0o111, 0);
    assert!(!out.join("empty").exists() && !out.join(".GIT").exists());
}
