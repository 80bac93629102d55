//! Bytes: whole files, positions, streams, many at once.

#![allow(clippy::unwrap_used, clippy::op_ref, clippy::large_stack_arrays)]

mod support;

use std::sync::Arc;

use futures::StreamExt;
use mesa_fs::{Code, Durability, OpenOptions, ReadStreamOptions};
use support::Server;

#[tokio::test(flavor = "multi_thread")]
async fn whole_files() {
    let fs = Server::start().await.fs();
    let path = "/acme/demo/f";
    let error = fs.read(path).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "ENOENT: no such file or directory, open '/acme/demo/f'"
    );
    fs.write(path, b"hello").await.unwrap();
    fs.append(path, b", world").await.unwrap();
    assert_eq!(fs.read(path).await.unwrap(), &b"hello, world"[..]);
    fs.write(path, b"short").await.unwrap();
    assert_eq!(fs.read(path).await.unwrap(), &b"short"[..]);
    assert_eq!(fs.read_range(path, 1, 3).await.unwrap(), &b"hor"[..]);
    assert_eq!(fs.read_range(path, 3, 100).await.unwrap(), &b"rt"[..]);
    assert_eq!(fs.read_range(path, 100, 1).await.unwrap(), &b""[..]);
    fs.write(path, b"").await.unwrap();
    assert_eq!(fs.read(path).await.unwrap(), &b""[..]);
    let new = OpenOptions::from_flags("wx").unwrap();
    let error = fs.write_with(path, b"", &new).await.unwrap_err();
    assert_eq!(error.code(), Code::Exists);
    fs.close().await.unwrap();
    let closed = fs.read(path).await.unwrap_err();
    assert_eq!(closed.code(), Code::BadHandle);
    assert_eq!(fs.close().await.unwrap_err().code(), Code::BadHandle);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_files_have_no_position() {
    let fs = Server::start().await.fs();
    let path = "/acme/demo/f";
    let file = fs
        .open_file(path, &OpenOptions::from_flags("w+").unwrap())
        .await
        .unwrap();
    let writes = (0..100_u64).map(|n| {
        let file = file.clone();
        tokio::spawn(async move { file.write_at(n * 10, &[n as u8; 10]).await })
    });
    for write in futures::future::join_all(writes).await {
        write.unwrap().unwrap();
    }
    for n in 0..100_u64 {
        assert_eq!(file.read_at(n * 10, 10).await.unwrap(), &[n as u8; 10][..]);
    }
    assert_eq!(file.read_at(995, 10).await.unwrap().len(), 5);
    assert_eq!(file.stat().await.unwrap().size, 1000);
    file.set_size(15).await.unwrap();
    file.chmod(0o600).await.unwrap();
    // A file that has no name any more is still there for who has it open.
    fs.unlink(path).await.unwrap();
    assert_eq!(file.read_at(0, 100).await.unwrap().len(), 15);
    file.close().await.unwrap();
    assert_eq!(
        file.read_at(0, 1).await.unwrap_err().code(),
        Code::BadHandle
    );
    assert_eq!(file.close().await.unwrap_err().code(), Code::BadHandle);

    fs.write(path, b"x").await.unwrap();
    let reading = fs.open_file(path, &OpenOptions::reading()).await.unwrap();
    assert_eq!(
        reading.write_at(0, b"y").await.unwrap_err().code(),
        Code::BadHandle
    );
    let appending = fs.open_file(path, &OpenOptions::appending()).await.unwrap();
    appending.write_at(0, b"y").await.unwrap();
    drop(appending);
    assert_eq!(fs.read(path).await.unwrap(), &b"xy"[..]);
    fs.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_the_file_in_pieces() {
    let fs = Server::start().await.fs();
    let path = "/acme/demo/large";
    let bytes: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut writing = fs
        .write_stream(path, &OpenOptions::writing())
        .await
        .unwrap();
    for piece in bytes.chunks(333_333) {
        writing.write(piece).await.unwrap();
    }
    assert_eq!(writing.written(), bytes.len() as u64);
    writing.finish().await.unwrap();
    let whole = fs
        .read_stream(path, ReadStreamOptions::default())
        .await
        .unwrap();
    let pieces: Vec<_> = whole.map(Result::unwrap).collect().await;
    assert_eq!(pieces.len(), 5);
    assert_eq!(pieces.concat(), bytes);
    let part = ReadStreamOptions {
        start: 1_000,
        end: Some(11_000),
        piece: 4096,
    };
    let mut part = fs.read_stream(path, part).await.unwrap();
    assert_eq!(part.left(), 10_000);
    let mut read = Vec::new();
    while let Some(piece) = part.next_piece().await.unwrap() {
        read.extend_from_slice(&piece);
    }
    assert_eq!(read, bytes[1_000..11_000]);
    fs.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_there_for_the_next_mount() {
    let server = Server::start().await;
    for durability in [Durability::Fsync, Durability::Close, Durability::Write] {
        let fs = server.fs_with(|options| options.durability = durability);
        let path = format!("/acme/demo/{}", durability.as_str());
        let large = vec![7; 3_000_000];
        fs.write(&path, &large).await.unwrap();
        fs.append(&path, b"end").await.unwrap();
        fs.close().await.unwrap();
        let again = server.fs();
        let read = again.read(&path).await.unwrap();
        assert_eq!((read.len(), &read[3_000_000..]), (3_000_003, &b"end"[..]));
        again.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_durable_is_on_the_server_when_the_call_returns() {
    let server = Server::start().await;
    let lag = |fs: &mesa_fs::FileSystem| {
        let status = fs.status();
        let demo = status.orgs[0]
            .repos
            .iter()
            .find(|r| r.repo == "demo")
            .unwrap()
            .clone();
        demo.session.unwrap().lag_ops
    };
    let fs = server.fs();
    let durable = OpenOptions {
        durable: true,
        ..OpenOptions::writing()
    };
    for n in 0..20 {
        let path = format!("/acme/demo/{n}");
        fs.write_with(&path, b"kept", &durable).await.unwrap();
        assert_eq!(lag(&fs), 0, "{path}");
    }
    fs.close().await.unwrap();
    let fs = server.fs_with(|options| options.durability = Durability::Close);
    for n in 0..20 {
        fs.write(format!("/acme/demo/close-{n}"), b"kept")
            .await
            .unwrap();
        assert_eq!(lag(&fs), 0);
    }
    fs.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_small_files_at_once() {
    let server = Server::start().await;
    let fs = Arc::new(server.fs());
    fs.mkdir("/acme/demo/d", 0o755).await.unwrap();
    let tasks = (0..8).map(|task| {
        let fs = Arc::clone(&fs);
        tokio::spawn(async move {
            for n in 0..500 {
                let path = format!("/acme/demo/d/{task}-{n}");
                fs.write(&path, path.as_bytes()).await.unwrap();
                assert_eq!(fs.read(&path).await.unwrap(), path.as_bytes());
            }
        })
    });
    for task in futures::future::join_all(tasks).await {
        task.unwrap();
    }
    assert_eq!(fs.read_dir("/acme/demo/d").await.unwrap().len(), 4000);
    fs.close().await.unwrap();
    let again = server.fs();
    assert_eq!(again.read_dir("/acme/demo/d").await.unwrap().len(), 4000);
    assert_eq!(
        again.read("/acme/demo/d/7-499").await.unwrap(),
        &b"/acme/demo/d/7-499"[..]
    );
    again.close().await.unwrap();
}

/// Futures need no runtime around them.
#[test]
fn any_executor_will_do() {
    let server = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let started = server.block_on(Server::start());
    let link = {
        let _entered = server.enter();
        started.link()
    };
    let options = support::options();
    let fs = mesa_fs::FileSystem::open_over(options, Arc::new(link)).unwrap();
    futures::executor::block_on(async {
        fs.write("/acme/demo/f", b"x").await.unwrap();
        assert_eq!(fs.read("/acme/demo/f").await.unwrap(), &b"x"[..]);
        fs.sync().await.unwrap();
    });
    assert_eq!(fs.block_on(fs.read("/acme/demo/f")).unwrap(), &b"x"[..]);
    fs.block_on(fs.close()).unwrap();
}
