//! What the server and a live mount refuse.

use mesa_e2e::{Server, eventually, sh};

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
    let (key, _) = server.create_key(r#"{"scopes":["read"]}"#);
    let client = server.client();
    client.mount(&key).ok();
    let repo = client.repo("work");
    sh(&repo, "ls; ! touch f 2>/dev/null && ! mkdir d 2>/dev/null");
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

#[test]
fn revocation_ends_a_live_mount_at_once() {
    let server = Server::start();
    server.create_repo("work");
    let (key, id) = server.create_key("{}");
    let client = server.client();
    client.mount(&key).ok();
    let repo = client.repo("work");
    sh(&repo, "echo before > f; sync f");
    assert_eq!(
        server
            .delete(&format!("/v1/my-org/api-keys/{id}"), &server.admin_key())
            .0,
        200
    );
    eventually(5, "new files are refused", || {
        std::fs::File::create(repo.join("late")).is_err()
    });
    assert_eq!(sh(&repo, "cat f"), "before"); // cached bytes stay readable
    assert_eq!(server.get("/v1/my-org/work", &key).0, 401);
    let (_, listing) = server.get("/v1/my-org/work/content?path=", &server.admin_key());
    assert_eq!(
        listing["child_count"], 1,
        "nothing written after the revocation arrived"
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
    eventually(5, "refused", || {
        std::fs::File::create(repo.join("late")).is_err()
    });
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
