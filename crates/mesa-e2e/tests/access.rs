//! What the server and a live mount refuse.

use std::{fs::File, io::Write, path::Path};

use mesa_e2e::{Client, Server, eventually, sh};
use rustix::io::Errno;

#[test]
fn a_wrong_key_mounts_nothing() {
    let server = Server::start();
    let client = server.client();
    let output = client.mount("mesa_wrong_key_wrong_key_wrong_key_wrong_key_xx");
    assert_eq!(output.code, 4, "{output:?}");
    assert!(
        output.stderr.contains("error:") && output.stderr.contains("hint:"),
        "{output:?}"
    );
    let mounts = std::fs::read_to_string("/proc/mounts").expect("mounts");
    assert!(!mounts.contains(&client.mount_point().display().to_string()));
}

#[test]
fn an_unreachable_server_is_exit_7() {
    let mut server = Server::start();
    let (key, _) = server.create_key("{}");
    server.kill();
    let client = server.client();
    let mut command = client.command(&["mount", "-d", "-y", "--timeout", "2"]);
    let output = mesa_e2e::Output::of(command.env("MESA_ORGS", format!("my-org:{key}")));
    assert_eq!(output.code, 7, "{output:?}");
}

#[test]
fn a_read_only_key_cannot_write() {
    let server = Server::start();
    server.create_repo("work");
    let (writer, _) = server.create_key("{}");
    let first = server.client();
    first.mount(&writer).ok();
    sh(&first.repo("work"), "mkdir d e; echo there > f; sync f");
    let (key, _) = server.create_key(r#"{"scopes":["read"]}"#);
    let client = server.client();
    client.mount(&key).ok();
    let repo = client.repo("work");
    assert_eq!(sh(&repo, "cat f"), "there");
    for (what, errno) in changes(&repo, None) {
        assert!(
            matches!(errno, Some(Errno::ROFS | Errno::ACCESS)),
            "{what}: {errno:?}"
        );
    }
    assert_eq!(sh(&repo, "ls; cat f"), "d\ne\nf\nthere");
    let (status, body) = server.post("/v1/my-org/repos", &key, "{}");
    assert_eq!(
        (status, body["error"]["code"].is_string()),
        (403, true),
        "{body}"
    );
}

#[test]
fn a_repo_out_of_scope_does_not_exist() {
    let server = Server::start();
    let id = server.create_repo("mine");
    server.create_repo("other");
    let (key, _) = server.create_key(&format!(r#"{{"repo_ids":["{id}"]}}"#));
    let client = server.client();
    client.mount(&key).ok();
    assert_eq!(sh(&client.mount_point().join("my-org"), "ls"), "mine");
    sh(
        &client.mount_point().join("my-org"),
        "! cat other/f 2>/dev/null && ! ls other 2>/dev/null",
    );
    assert_eq!(server.get("/v1/my-org/other", &key).0, 404);
}

/// What every kind of change of `f` and `e` ends with, and fsync of a file already open.
fn changes(repo: &Path, open: Option<&File>) -> Vec<(&'static str, Option<Errno>)> {
    use rustix::fs::{
        CWD, Mode, OFlags, chmod, mkdir, open as open_file, rename, rmdir, symlink, unlink,
    };
    let (f, new) = (repo.join("f"), repo.join("new"));
    let write = |flags| open_file(&f, flags, Mode::empty()).map(drop);
    let mut done = vec![
        (
            "create",
            open_file(&new, OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).map(drop),
        ),
        ("open for writing", write(OFlags::WRONLY)),
        ("open for appending", write(OFlags::WRONLY | OFlags::APPEND)),
        ("truncate", write(OFlags::RDWR | OFlags::TRUNC)),
        ("mkdir", mkdir(&new, Mode::RWXU)),
        ("symlink", symlink("f", &new)),
        ("link", rustix::fs::link(&f, &new)),
        ("rename", rename(&f, &new)),
        ("unlink", unlink(&f)),
        ("rmdir", rmdir(repo.join("e"))),
        ("chmod", chmod(&f, Mode::RWXU)),
        (
            "utimens",
            rustix::fs::utimensat(
                CWD,
                &f,
                &rustix::fs::Timestamps {
                    last_access: rustix::fs::Timespec {
                        tv_sec: 1,
                        tv_nsec: 1,
                    },
                    last_modification: rustix::fs::Timespec {
                        tv_sec: 1,
                        tv_nsec: 1,
                    },
                },
                rustix::fs::AtFlags::empty(),
            ),
        ),
        (
            "setxattr",
            rustix::fs::setxattr(&f, "user.a", b"x", rustix::fs::XattrFlags::empty()),
        ),
    ];
    if let Some(open) = open {
        done.push(("fsync", rustix::fs::fsync(open)));
    }
    done.into_iter()
        .map(|(what, result)| (what, result.err()))
        .collect()
}

/// Changes that may be made, one every 10 ms, before the mount has heard of the end.
const LATE_MAX: usize = 20;

/// A mount with a file open, whose credential has just ended: nothing changes any more, what is
/// cached goes on working, and nothing reaches the server.
fn nothing_goes_on(server: &Server, client: &Client, open: &mut File) {
    let repo = client.repo("work");
    let mut late = 0;
    eventually(30, "changes are refused", || {
        let name = repo.join(format!("late-{late}"));
        let refused = rustix::fs::mkdir(name, rustix::fs::Mode::RWXU) == Err(Errno::ACCESS);
        late += usize::from(!refused);
        refused
    });
    assert!(late <= LATE_MAX, "{late} changes after the end");
    let before = server
        .get("/v1/my-org/work/content?path=", &server.admin_key())
        .1;
    // A descriptor that is open goes on writing locally.
    open.write_all(b"after").expect("a local write");
    for (what, errno) in changes(&repo, Some(open)) {
        assert_eq!(errno, Some(Errno::ACCESS), "{what}");
    }
    assert_eq!(sh(&repo, "cat f; ls d"), "before\ninner"); // cached bytes stay readable
    let after = server
        .get("/v1/my-org/work/content?path=", &server.admin_key())
        .1;
    assert_eq!(before, after, "nothing arrived after the end");
}

fn with_an_open_file(client: &Client, key: &str) -> File {
    client.mount(key).ok();
    let repo = client.repo("work");
    sh(
        &repo,
        "echo before > f; mkdir d e; echo x > d/inner; sync f d e d/inner",
    );
    File::create(repo.join("open")).expect("a file to keep open")
}

#[test]
fn revocation_ends_a_live_mount_at_once() {
    let server = Server::start();
    server.create_repo("work");
    let (key, id) = server.create_key("{}");
    let client = server.client();
    let mut open = with_an_open_file(&client, &key);
    client.mesa(&["sync"]).ok();
    let revoke = format!("/v1/my-org/api-keys/{id}");
    assert_eq!(server.delete(&revoke, &server.admin_key()).0, 200);
    nothing_goes_on(&server, &client, &mut open);
    assert_eq!(server.get("/v1/my-org/work", &key).0, 401);
}

#[test]
fn expiry_ends_a_live_mount_and_a_new_key_sends_what_was_kept() {
    let server = Server::start();
    server.create_repo("work");
    let (key, id) = server.create_key("{}");
    let client = server.client();
    let token = mesa_e2e::token::short_lived(&key, &id, 20);
    let mut open = with_an_open_file(&client, &token);
    client.mesa(&["sync"]).ok();
    eventually(40, "the token has expired", || {
        server.get("/v1/my-org/work", &token).0 == 401
    });
    nothing_goes_on(&server, &client, &mut open);
    client.mount(&key).ok();
    drop(open);
    client.mesa(&["sync"]).ok();
    let path = Server::content_path("work", "open");
    assert_eq!(
        server.get_raw(&path, &server.admin_key()),
        (200, b"after".to_vec())
    );
}

#[test]
fn a_new_key_revives_a_mount_without_remount() {
    let server = Server::start();
    server.create_repo("work");
    let (key, id) = server.create_key("{}");
    let client = server.client();
    client.mount(&key).ok();
    let repo = client.repo("work");
    sh(&repo, "echo before > f; sync f");
    server.delete(&format!("/v1/my-org/api-keys/{id}"), &server.admin_key());
    eventually(5, "refused", || File::create(repo.join("late")).is_err());
    let (key, _) = server.create_key("{}");
    client.mount(&key).ok();
    eventually(10, "writing works again", || {
        std::fs::write(repo.join("again"), "x").is_ok()
    });
    client.mesa(&["sync"]).ok();
    let path = Server::content_path("work", "again");
    assert_eq!(
        server.get_raw(&path, &server.admin_key()),
        (200, b"x".to_vec())
    );
}
