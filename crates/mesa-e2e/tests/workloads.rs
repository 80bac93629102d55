//! Real work in a mount with stock tools, and what a second machine sees of it.

use std::path::Path;

use mesa_e2e::{Client, Server, eventually, sh};

fn mounted() -> (Server, Client, String) {
    let server = Server::start();
    server.create_repo("work");
    let (key, _) = server.create_key(r#"{"name":"session","expires_in_seconds":3600}"#);
    let client = server.client();
    client.mount(&key).ok();
    (server, client, key)
}

/// Names, kinds, modes, sizes, mtimes, link targets and content hashes of a tree; without the
/// directories' mtimes, which say when it was extracted.
fn content_fingerprint(dir: &Path) -> String {
    let lines = fingerprint(dir);
    let cut = |line: &str| {
        let mut words: Vec<&str> = line.split(' ').collect();
        if words.get(1) == Some(&"d") {
            words.truncate(3);
        }
        words.join(" ")
    };
    lines.lines().map(cut).collect::<Vec<_>>().join("\n")
}

/// Names, kinds, modes, sizes, mtimes, link targets and content hashes of a tree.
fn fingerprint(dir: &Path) -> String {
    sh(
        dir,
        "find . -printf '%P %y %m %s %T@ %l\\n' | grep -v '^ ' | awk '$2==\"d\"{$4=\"\"}1' | LC_ALL=C sort; \
         find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum",
    )
}

fn fixture(dir: &Path, files: u32) {
    let generator = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/mkfixture.py");
    sh(
        dir,
        &format!("python3 {generator} fixture.tar {files} >/dev/null"),
    );
}

#[test]
fn a_tree_of_5000_files_is_the_same_on_a_second_machine() {
    let (server, client, key) = mounted();
    let repo = client.repo("work");
    let scratch = tempfile::tempdir().expect("a directory");
    fixture(scratch.path(), 5000);
    let tar = scratch.path().join("fixture.tar");
    sh(&repo, &format!("tar xpf {}", tar.display()));
    sh(
        scratch.path(),
        "mkdir native && tar xpf fixture.tar -C native",
    );
    let native = content_fingerprint(&scratch.path().join("native"));
    let mounted = content_fingerprint(&repo);
    let differing = native.lines().zip(mounted.lines()).find(|(a, b)| a != b);
    assert_eq!(
        differing, None,
        "the mount shows what tar extracted natively"
    );
    assert_eq!(native.len(), mounted.len());
    let native = fingerprint(&repo);

    client.mesa(&["sync"]).ok();
    let second = server.client();
    second.mount(&key).ok();
    assert!(
        native == fingerprint(&second.repo("work")),
        "a second machine shows the same"
    );

    client.mesa(&["unmount"]).ok();
    let third = server.client();
    third.mount(&key).ok();
    assert!(
        native == fingerprint(&third.repo("work")),
        "and one that came later"
    );
}

#[test]
fn git_works_in_the_mount() {
    let (_server, client, _) = mounted();
    let repo = client.repo("work");
    let scratch = tempfile::tempdir().expect("a directory");
    fixture(scratch.path(), 1500);
    let tar = scratch.path().join("fixture.tar").display().to_string();
    sh(
        &repo,
        &format!(
            "git init -q -b main . && tar xf {tar} && git add -A && git commit -qm one && git fsck --strict && \
             test -z \"$(git status --porcelain)\" && echo x >> p/new && git add -A && git commit -qm two && \
             git checkout -q HEAD~1 && test ! -e p/new && git checkout -q main && git gc -q && git fsck --strict && \
             git clone -q . ../work-clone 2>/dev/null && exit 1 || git clone -q . copy && \
             test \"$(git -C copy rev-parse HEAD)\" = \"$(git rev-parse HEAD)\""
        ),
    );
    // A remount shows the same inodes and times, so git does not read files again.
    let before = sh(&repo, "stat -c '%i %Y %Z' p .git/HEAD");
    client.mesa(&["unmount"]).ok();
    client.mesa(&["mount", "-d", "-y"]).ok();
    assert_eq!(sh(&repo, "stat -c '%i %Y %Z' p .git/HEAD"), before);
    sh(
        &repo,
        "test -z \"$(git status --porcelain | grep -v copy)\" && git fsck --strict",
    );
}

#[test]
fn sqlite_keeps_its_promises() {
    let (_server, client, _) = mounted();
    let repo = client.repo("work");
    let script = "import sqlite3\nfor mode in ('wal','delete'):\n c=sqlite3.connect(f't-{mode}.db',isolation_level=None)\n \
        c.execute(f'pragma journal_mode={mode}')\n c.execute('create table t(a integer primary key,b text)')\n \
        for i in range(200): c.execute('insert into t(b) values(?)',('x'*300,))\n \
        assert c.execute('pragma integrity_check').fetchone()[0]=='ok'\n \
        assert c.execute('select count(*) from t').fetchone()[0]==200\n";
    sh(&repo, &format!("python3 - <<'P'\n{script}P"));
    client.mesa(&["unmount"]).ok();
    client.mesa(&["mount", "-d", "-y"]).ok();
    sh(
        &repo,
        "python3 -c \"import sqlite3\nfor m in ('wal','delete'):\n c=sqlite3.connect(f't-{m}.db')\n \
         assert c.execute('pragma integrity_check').fetchone()[0]=='ok'\n \
         assert c.execute('select count(*) from t').fetchone()[0]==200\"",
    );
}

#[test]
fn editors_builds_and_packagers_work() {
    let (_server, client, _) = mounted();
    let repo = client.repo("work");
    sh(
        &repo,
        "for i in 1 2 3; do echo v$i > .f.swp; sync -d .f.swp; mv .f.swp f; done; test \"$(cat f)\" = v3",
    );
    sh(
        &repo,
        "mkdir -p crate/src && cd crate && printf '[package]\\nname=\"x\"\\nversion=\"0.1.0\"\\nedition=\"2021\"\\n[workspace]\\n' > Cargo.toml \
         && echo 'fn main(){println!(\"hi\")}' > src/main.rs && cargo build -q --offline && ./target/debug/x | grep -q hi \
         && touch src/main.rs && cargo build -q --offline",
    );
    sh(
        &repo,
        "mkdir t && cd t && mkdir -p a/b && echo 1 > a/b/f && ln -s b/f a/l && ln a/b/f a/h && chmod 751 a/b && touch -d 2001-02-03T04:05:06.789 a/b/f \
         && tar --xattrs -cpf ../t.tar . && mkdir ../u && tar --xattrs -xpf ../t.tar -C ../u && diff -r . ../u \
         && test \"$(stat -c %y a/b/f)\" = \"$(stat -c %y ../u/a/b/f)\" && test \"$(stat -c %h ../u/a/b/f)\" = 2",
    );
}

#[test]
fn npm_install_of_a_real_package_set() {
    let (_server, client, _) = mounted();
    let repo = client.repo("work");
    sh(
        &repo,
        "mkdir web && cd web && npm init -y >/dev/null && npm install --no-audit --no-fund --loglevel=error \
         express@4 typescript@5 eslint@8 && node -e \"require('express')\" && npx --no-install tsc --version \
         && npm ls >/dev/null && rm -rf node_modules && npm ci --no-audit --no-fund --loglevel=error && node -e \"require('express')\"",
    );
}

#[test]
fn edits_show_up_through_rest() {
    let (server, client, _) = mounted();
    let repo = client.repo("work");
    sh(
        &repo,
        "mkdir -p src && echo 'hello from the mount' > src/hello.txt && ln -s hello.txt src/l",
    );
    let path = Server::content_path("work", "src/hello.txt");
    // The name is there before the bytes that were written and closed.
    eventually(2, "the file is in REST", || {
        server.get_raw(&path, &server.admin_key()) == (200, b"hello from the mount\n".to_vec())
    });
    let (status, listing) = server.get(&Server::content_path("work", "src"), &server.admin_key());
    assert_eq!(status, 200);
    assert_eq!(listing["child_count"], 2);
    let (status, change) = server.get("/v1/my-org/work/changes?bookmark=main", &server.admin_key());
    assert_eq!(status, 200, "{change}");
}

#[test]
fn a_repo_created_after_the_mount_appears() {
    let (server, client, _) = mounted();
    let org = client.mount_point().join("my-org");
    assert_eq!(sh(&org, "ls"), "work");
    server.create_repo("later");
    eventually(10, "the new repo is listed", || {
        sh(&org, "ls") == "later\nwork"
    });
    sh(&org, "echo x > later/f && cat later/f");
    sh(
        &client.mount_point(),
        "! touch my-org/f 2>/dev/null && ! mkdir new-org 2>/dev/null",
    );
    sh(
        &org,
        "(ln later/f work/f 2>&1 || true) | grep -q 'cross-device' && mv later/f work/f && cat work/f",
    );
}
