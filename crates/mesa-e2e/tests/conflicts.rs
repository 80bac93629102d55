//! A merge with conflicts under a mount.

use mesa_e2e::{Server, eventually, sh};

#[test]
fn a_mount_shows_conflicts_and_resolves_them_by_writing() {
    let server = Server::start();
    server.create_repo("work");
    let (key, _) = server.create_key("{}");
    let client = server.client();
    client.mount(&key).ok();
    let dir = client.repo("work");
    sh(
        &dir,
        "printf '1\\n2\\n3\\n' > f; printf 'a\\0' > b; sync f b",
    );
    let post = |path: &str, body: &str| {
        let (status, answer) = server.post(&format!("/v1/my-org/work/{path}"), &key, body);
        assert!(matches!(status, 200 | 201), "{answer}");
        answer
    };
    // MQp0d28KMwo= is "1\ntwo\n3\n", YgA= is "b\0".
    let side = post(
        "changes",
        r#"{"base_change_id": "main", "files": [{"path": "f", "content": "MQp0d28KMwo="},
            {"path": "b", "content": "YgA="}]}"#,
    );
    let body = format!(r#"{{"name": "side", "change_id": {}}}"#, side["id"]);
    post("bookmarks", &body);
    sh(
        &dir,
        "printf '1\\nzwei\\n3\\n' > f; printf 'c\\0' > b; sync f b",
    );
    let merged = post(
        "bookmarks/merge",
        r#"{"target": "main", "source": "side", "allow_conflicted": true}"#,
    );
    assert_eq!(merged["is_conflicted"], true);
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
    eventually(10, "the mount shows the conflict", || {
        read("f").starts_with("1\n<<<<<<< conflict 1 of 1\n")
    });
    assert_eq!((read("b"), read("b.side-2")), ("c\0".into(), "b\0".into()));
    let conflicts = || {
        let (_, main) = server.get("/v1/my-org/work/changes/main", &key);
        main["conflicts"].to_string()
    };
    // An editor writes beside the file and renames over it.
    sh(&dir, "printf '1\\nboth\\n3\\n' > new; mv new f; sync f");
    eventually(10, "the text is resolved", || conflicts() == r#"["b"]"#);
    sh(&dir, "mv b.side-2 b; sync b");
    eventually(10, "the binary file is resolved", || conflicts() == "[]");
    eventually(10, "the side files go", || {
        let names = sh(&dir, "ls");
        names.split_whitespace().eq(["b", "f"])
    });
    assert_eq!(
        (read("f"), read("b")),
        ("1\nboth\n3\n".into(), "b\0".into())
    );
}
