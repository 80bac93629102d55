//! Mounts: several of one change, many in one process, state that stays, servers that go away.

#![allow(clippy::unwrap_used, clippy::op_ref, clippy::large_stack_arrays)]

mod support;

use std::{path::Path, sync::Arc, time::Duration};

use mesa_fs::{Changed, Code, FileSystem, OpenOptions};
use support::{Server, until};

#[tokio::test(flavor = "multi_thread")]
async fn mounts_of_one_change_see_and_watch_each_other() {
    let server = Server::start().await;
    let (one, two) = (server.fs(), server.fs());
    one.write("/acme/demo/before", b"1").await.unwrap();
    one.sync().await.unwrap();
    two.ready().await.unwrap();
    let mut watch = two.watch();
    one.mkdir("/acme/demo/d", 0o755).await.unwrap();
    one.write("/acme/demo/d/f", b"from one").await.unwrap();
    let mut told = Vec::new();
    until("the file is told of and can be read", async || {
        while let Ok(Some(Changed { path, .. })) =
            tokio::time::timeout(Duration::from_millis(20), watch.next_change()).await
        {
            told.push(path);
        }
        let read = two.read("/acme/demo/d/f").await.ok()?;
        (told.iter().any(|p| p == Path::new("/acme/demo/d/f")) && read == &b"from one"[..])
            .then_some(())
    })
    .await;
    two.append("/acme/demo/d/f", b", and two").await.unwrap();
    until("the answer comes back", async || {
        let read = one.read("/acme/demo/d/f").await.ok()?;
        (read == &b"from one, and two"[..]).then_some(())
    })
    .await;
    two.close().await.unwrap();
    // After what was on its way comes the end.
    while watch.next_change().await.is_some() {}
    one.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_open_keeps_its_content() {
    let server = Server::start().await;
    let (one, two) = (server.fs(), server.fs());
    one.write("/acme/demo/f", &[1; 200_000]).await.unwrap();
    one.sync().await.unwrap();
    let open = two
        .open_file("/acme/demo/f", &OpenOptions::reading())
        .await
        .unwrap();
    assert_eq!(open.read_at(0, 10).await.unwrap(), &[1; 10][..]);
    one.write("/acme/demo/f", &[2; 100_000]).await.unwrap();
    until("the new content", async || {
        (two.read("/acme/demo/f").await.ok()? == &[2; 100_000][..]).then_some(())
    })
    .await;
    assert_eq!(open.read_at(150_000, 10).await.unwrap(), &[1; 10][..]);
    open.close().await.unwrap();
    one.close().await.unwrap();
    two.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_mounts_in_one_process() {
    let server = Server::start().await;
    let mounts: Vec<FileSystem> = (0..50).map(|_| server.fs()).collect();
    let tasks = mounts.iter().enumerate().map(|(n, fs)| {
        let fs = fs.clone();
        tokio::spawn(async move {
            fs.write(format!("/acme/demo/{n}"), format!("mount {n}").as_bytes())
                .await
                .unwrap();
            fs.sync().await.unwrap();
        })
    });
    for task in futures::future::join_all(tasks).await {
        task.unwrap();
    }
    for fs in &mounts {
        until("all files", async || {
            (fs.read_dir("/acme/demo").await.unwrap().len() == 50).then_some(())
        })
        .await;
        assert_eq!(fs.read("/acme/demo/49").await.unwrap(), &b"mount 49"[..]);
    }
    let closes = mounts.iter().map(FileSystem::close);
    for closed in futures::future::join_all(closes).await {
        closed.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_sent_is_sent_by_the_next_mount_of_the_state() {
    let server = Server::start().await;
    let state = tempfile::tempdir().unwrap();
    let link = server.link();
    let options = || {
        let mut options = support::options();
        options.state_dir = Some(state.path().to_owned());
        options.deadline = Duration::from_secs(3);
        options
    };
    let fs = FileSystem::open_over(options(), Arc::new(link.clone())).unwrap();
    fs.write("/acme/demo/sent", b"1").await.unwrap();
    fs.sync().await.unwrap();
    link.cut();
    fs.write("/acme/demo/kept", b"2").await.unwrap();
    let error = fs.close().await.unwrap_err();
    assert!(
        matches!(error.code(), Code::Io | Code::Unreachable | Code::TimedOut),
        "{error}"
    );
    drop(fs);
    link.connect(server.backend.heads.clone());
    let again = FileSystem::open_over(options(), Arc::new(link.clone())).unwrap();
    until("the state is free", async || again.ready().await.ok()).await;
    assert_eq!(again.read("/acme/demo/kept").await.unwrap(), &b"2"[..]);
    again.close().await.unwrap();
    let other = server.fs();
    assert_eq!(other.read("/acme/demo/kept").await.unwrap(), &b"2"[..]);
    other.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_tell_the_servers_reason() {
    let server = Server::start().await;
    let link = server.link();
    link.cut();
    let mut options = support::options();
    options.deadline = Duration::from_secs(1);
    let fs = FileSystem::open_over(options, Arc::new(link)).unwrap();
    let error = fs.read("/acme/demo/f").await.unwrap_err();
    assert_eq!(error.code(), Code::Unreachable, "{error}");
    assert_eq!(error.server_code(), Some("UNREACHABLE"));
    assert_eq!(error.class(), mesa_fs::Class::Transient);

    let fs = server.fs_with(|options| options.repos[0].name = "nope".into());
    let error = fs.ready().await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound, "{error}");
    assert_eq!(error.path(), Some(Path::new("/acme/nope")));
    let error = fs.read("/acme/nope/f").await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound, "{error}");
    fs.close().await.unwrap();
}
