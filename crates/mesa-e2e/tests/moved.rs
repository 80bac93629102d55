//! A mount whose bookmark is moved to something else under it: what it wrote is in its change, in
//! a recovery change, or its fsync failed.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::Write,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use mesa_e2e::{Server, eventually, sh};
use serde_json::Value;

/// The change before every other.
const ROOT: &str = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz";

/// A change on top of nothing, with one file.
fn another(server: &Server, key: &str, name: &str) -> String {
    let body = format!(
        r#"{{"base_change_id": "{ROOT}", "message": "{name}",
            "author": {{"name": "a", "email": "a@b"}},
            "files": [{{"path": "{name}", "content": "eA=="}}]}}"#
    );
    let (status, made) = server.post("/v1/my-org/work/changes", key, &body);
    assert_eq!(status, 201, "{made}");
    made["id"].as_str().expect("an id").to_owned()
}

fn move_main(server: &Server, key: &str, to: &str) -> Value {
    let body = format!(r#"{{"change_id": "{to}", "allow_backwards": true}}"#);
    let (status, moved) = server.patch("/v1/my-org/work/bookmarks/main", key, &body);
    assert_eq!(status, 200, "{moved}");
    moved
}

fn bookmarks(server: &Server, key: &str) -> Vec<(String, String)> {
    let (_, list) = server.get("/v1/my-org/work/bookmarks?limit=100", key);
    let all = list["bookmarks"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.iter()
        .map(|b| (text(&b["name"]), text(&b["change_id"])))
        .collect()
}

fn recovered(server: &Server, key: &str) -> Vec<String> {
    let all = bookmarks(server, key).into_iter();
    all.filter(|(name, _)| name.starts_with("recovered/"))
        .map(|(_, change)| change)
        .collect()
}

fn content(server: &Server, key: &str, change: &str, path: &str) -> String {
    let at = format!("/v1/my-org/work/content?change_id={change}&path={path}");
    let (status, bytes) = server.get_raw(&at, key);
    format!("{status} {}", String::from_utf8_lossy(&bytes))
}

#[test]
fn work_of_an_offline_mount_is_recovered_on_what_it_saw() {
    let server = Server::start();
    server.create_repo("work");
    let (key, _) = server.create_key("{}");
    let other = another(&server, &key, "other");
    let wire = server.wire();
    let client = server.client_over(&wire);
    client.mount(&key).ok();
    let repo = client.repo("work");
    sh(&repo, "mkdir d; echo one > d/old; echo top > top");
    client.mesa(&["sync"]).ok();

    wire.cut();
    sh(
        &repo,
        "echo second >> d/old; echo third > d/new; echo fourth > fresh",
    );
    move_main(&server, &key, &other);
    wire.mend();
    eventually(60, "the work is in a recovery change", || {
        recovered(&server, &key)
            .first()
            .is_some_and(|change| content(&server, &key, change, "fresh") == "200 fourth\n")
    });
    let change = &recovered(&server, &key)[0];
    assert_eq!(content(&server, &key, change, "d/old"), "200 one\nsecond\n");
    assert_eq!(content(&server, &key, change, "d/new"), "200 third\n");
    assert_eq!(content(&server, &key, change, "top"), "200 top\n");
    // The mount goes on where its bookmark is.
    eventually(30, "the mount shows the other change", || {
        repo.join("other").exists() && !repo.join("d").exists()
    });
}

/// Changes in which some content may be: every one there is.
fn changes(server: &Server, key: &str, mut known: HashSet<String>) -> HashSet<String> {
    known.extend(bookmarks(server, key).into_iter().map(|(_, change)| change));
    let mut cursor = String::new();
    loop {
        let at = format!("/v1/my-org/work/changes?limit=100{cursor}");
        let (status, page) = server.get(&at, key);
        assert_eq!(status, 200, "{page}");
        for change in page["changes"].as_array().into_iter().flatten() {
            known.insert(change["id"].as_str().unwrap_or_default().to_owned());
        }
        match page["next_cursor"].as_str() {
            Some(next) if !next.is_empty() => cursor = format!("&cursor={next}"),
            _ => return known,
        }
    }
}

/// Sizes of the files in the roots of changes, by name.
fn sizes(server: &Server, key: &str, changes: &HashSet<String>) -> HashMap<String, HashSet<u64>> {
    let mut found: HashMap<String, HashSet<u64>> = HashMap::new();
    for change in changes {
        let at = format!("/v1/my-org/work/content?change_id={change}&depth=1");
        let (_, listing) = server.get(&at, key);
        for entry in listing["entries"].as_array().into_iter().flatten() {
            let name = entry["name"].as_str().unwrap_or_default().to_owned();
            let size = entry["size"].as_u64().unwrap_or(0);
            found.entry(name).or_default().insert(size);
        }
    }
    found
}

#[test]
fn what_was_synced_while_the_bookmark_was_moved_is_somewhere() {
    const MOVES: usize = 40;
    let server = Server::start();
    server.create_repo("work");
    let (key, _) = server.create_key("{}");
    let others = ["a", "b"].map(|name| another(&server, &key, name));
    let client = server.client();
    client.mount(&key).ok();
    let repo = client.repo("work");
    sh(&repo, "echo 0 > seed");
    let stop = AtomicBool::new(false);
    let mut named = HashSet::new();
    let synced = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut synced = Vec::new();
            for n in 0.. {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let name = format!("file-{n}");
                let write = || {
                    let mut file = File::create_new(repo.join(&name))?;
                    file.write_all(name.as_bytes())?;
                    file.sync_all()
                };
                // A file that did not survive says so.
                if write().is_ok() {
                    synced.push(name);
                }
                std::thread::sleep(Duration::from_millis(3));
            }
            synced
        });
        for n in 0..MOVES {
            std::thread::sleep(Duration::from_millis(80));
            let moved = move_main(&server, &key, &others[n % 2]);
            named.insert(moved["from_change_id"].as_str().unwrap_or("").to_owned());
        }
        stop.store(true, Ordering::SeqCst);
        writer.join().expect("the writer ends")
    });
    client.mesa(&["sync"]).ok();
    eventually(60, "recoveries are done", || {
        let status = client.mesa(&["status", "--json"]).stdout;
        let status: Value = serde_json::from_str(&status).unwrap_or(Value::Null);
        !status.is_null() && !status.to_string().contains(r#""recovering":[""#)
    });
    assert!(synced.len() > MOVES, "only {} files", synced.len());
    let changes = changes(&server, &key, named);
    let found = sizes(&server, &key, &changes);
    let lost: Vec<_> = synced
        .iter()
        .filter(|name| {
            let size = name.len() as u64;
            !found.get(*name).is_some_and(|sizes| sizes.contains(&size))
        })
        .collect();
    assert!(lost.is_empty(), "{lost:?} of {}", synced.len());
}
