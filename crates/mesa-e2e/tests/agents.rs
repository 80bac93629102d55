//! Twenty agents on one repo: on changes of their own that are merged at the same time, and all on
//! one change.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    os::unix::fs::FileExt,
    sync::Barrier,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use mesa_e2e::{Client, Output, Server, eventually, sh};
use serde_json::{Value, json};

const AGENTS: usize = 20;
/// Agents with a mount; the others use REST.
const MOUNTS: usize = 4;
const REPO: &str = "/v1/my-org/work";

fn put(path: &str, content: &str) -> Value {
    json!({"path": path, "content": STANDARD.encode(content)})
}

fn decoded(content: &Value) -> String {
    let bytes = STANDARD.decode(content.as_str().expect("base64"));
    String::from_utf8(bytes.expect("base64")).expect("text")
}

#[track_caller]
fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no text: {value}"))
        .to_owned()
}

/// What a request answers that must succeed.
#[track_caller]
fn ok((status, answer): (u16, Value)) -> Value {
    assert!(matches!(status, 200 | 201), "{status}: {answer}");
    answer
}

/// A file of `main`.
fn read(server: &Server, path: &str) -> String {
    let (status, bytes) = server.get_raw(&Server::content_path("work", path), &server.admin_key());
    assert_eq!(status, 200, "{path}");
    String::from_utf8(bytes).expect("text")
}

/// All pages of a listing.
fn all(server: &Server, path: &str, field: &str) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = format!("{path}limit=100{cursor}");
        let page = ok(server.get(&page, &server.admin_key()));
        found.extend(page[field].as_array().expect("a list").iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// Every agent has a line of its own, three lines apart.
fn shared(edited: impl Fn(usize) -> bool) -> String {
    let line = |n: usize| match n % 3 {
        1 if edited(n / 3) => format!("agent {}\n", n / 3),
        _ => format!("line {n}\n"),
    };
    (0..AGENTS * 3).map(line).collect()
}

/// Two agents have a line in common, again three lines apart.
fn pairs(lines: impl Fn(usize) -> Option<String>) -> String {
    let line = |n: usize| match n % 3 {
        1 => lines(n / 3).unwrap_or_else(|| format!("pair {}\n", n / 3)),
        _ => format!("line {n}\n"),
    };
    (0..AGENTS / 2 * 3).map(line).collect()
}

/// What an agent does to the files.
fn work(agent: usize) -> [(String, String); 3] {
    let mine = |pair: usize| (pair == agent / 2).then(|| format!("agent {agent}\n"));
    [
        (format!("own/{agent}"), format!("by {agent}\n")),
        ("shared".to_owned(), shared(|n| n == agent)),
        ("pairs".to_owned(), pairs(mine)),
    ]
}

/// Names the change of an agent that works over REST.
fn by_rest(server: &Server, agent: usize, key: &str, base: &str) -> String {
    let [own, others @ ..] = work(agent);
    let author = json!({"name": format!("Agent {agent}"), "email": ""});
    let body = json!({"base_change_id": base, "message": format!("work of {agent}"),
        "author": author, "files": [put(&own.0, &own.1)]});
    let made = ok(server.post(&format!("{REPO}/changes"), key, &body.to_string()));
    let id = text(&made["id"]);
    let files = others.map(|(path, content)| put(&path, &content));
    let body = json!({"files": files, "base_commit_oid": made["current_commit_oid"]});
    let change = format!("{REPO}/changes/{id}");
    ok(server.patch(&change, key, &body.to_string()));
    let body = json!({"name": format!("agent-{agent}"), "change_id": id});
    ok(server.post(&format!("{REPO}/bookmarks"), key, &body.to_string()));
    id
}

/// The same by one that works in a mount.
fn by_mount(client: &Client, agent: usize) -> String {
    let dir = client.repo("work");
    std::fs::create_dir(dir.join("own")).expect("a directory");
    for (path, content) in work(agent) {
        std::fs::write(dir.join(path), content).expect("a write");
    }
    let args = ["bookmark", "create", &format!("agent-{agent}")];
    client.mesa_in(&dir, &args).ok();
    let shown = client.json_in(&dir, &["show", "--no-patch"]);
    text(&shown["change"]["id"])
}

/// Merges an agent's change into `main`, keeping both lines where there is a conflict. Answers the
/// merge and whether there was one.
fn merge(server: &Server, agent: usize, key: &str) -> (String, bool) {
    let mut body = json!({"target": "main", "source": format!("agent-{agent}")});
    let mut conflicts = 0;
    loop {
        let path = format!("{REPO}/bookmarks/merge");
        let (status, answer) = server.post(&path, key, &body.to_string());
        let code = answer["error"]["code"].as_str();
        match (status, code) {
            (200, _) => {
                assert_eq!(answer["merge_type"], "merge_commit", "{answer}");
                assert_eq!(answer["is_conflicted"], false, "{answer}");
                return (text(&answer["change_id"]), conflicts > 0);
            }
            // Somebody was faster.
            (409, Some("LOCK_CONFLICT")) => {}
            (409, Some("MERGE_CONFLICT")) => {
                conflicts += 1;
                assert_eq!(conflicts, 1, "agent {agent}: {answer}");
                let details = &answer["error"]["details"];
                assert_eq!(details["conflict_paths"], json!(["pairs"]));
                let hunks = details["conflicts"][0]["hunks"].as_array().expect("hunks");
                assert_eq!(hunks.len(), 1, "{answer}");
                let side = |name: &str| decoded(&hunks[0][name]["content"]);
                let other = agent ^ 1;
                assert_eq!(side("source"), format!("agent {agent}\n"));
                assert_eq!(side("target"), format!("agent {other}\n"));
                assert_eq!(side("base"), format!("pair {}\n", agent / 2));
                let both = format!("agent {other} and {agent}\n");
                let hunk =
                    json!({"hunk_id": hunks[0]["hunk_id"], "content": STANDARD.encode(both)});
                body["resolutions"] = json!([{"path": "pairs", "hunks": [hunk]}]);
            }
            _ => panic!("agent {agent}: {status} {answer}"),
        }
    }
}

#[test]
fn isolated_changes_are_merged_at_once_and_nothing_is_lost() {
    let server = Server::start();
    server.create_repo("work");
    let files = json!([
        put("shared", &shared(|_| false)),
        put("pairs", &pairs(|_| None))
    ]);
    let body = json!({"files": files, "message": "the base"});
    let main = format!("{REPO}/changes/main");
    let base = text(&ok(server.patch(&main, &server.admin_key(), &body.to_string()))["id"]);
    let keys: Vec<(String, String)> = (0..AGENTS).map(|_| server.create_key("{}")).collect();
    let reader = server.client();
    reader.mount(&keys[0].0).ok();
    let mounts: Vec<Client> = (0..MOUNTS)
        .map(|agent| {
            let client = server.client();
            let mut command = client.command(&["mount", "-d", "-y", "--isolate"]);
            Output::of(command.env("MESA_ORGS", format!("my-org:{}", keys[agent].0))).ok();
            client
        })
        .collect();

    let start = Barrier::new(AGENTS);
    let done: Vec<(String, (String, bool))> = std::thread::scope(|scope| {
        let agents: Vec<_> = (0..AGENTS)
            .map(|agent| {
                let (server, start, mounts, key) = (&server, &start, &mounts, &keys[agent].0);
                let base = &base;
                scope.spawn(move || {
                    let change = match mounts.get(agent) {
                        Some(client) => by_mount(client, agent),
                        None => by_rest(server, agent, key, base),
                    };
                    start.wait();
                    (change, merge(server, agent, key))
                })
            })
            .collect();
        let joined = agents.into_iter();
        joined
            .map(|agent| agent.join().expect("an agent's work"))
            .collect()
    });

    // Nothing is lost, and of each pair only the later one met a conflict.
    assert_eq!(read(&server, "shared"), shared(|_| true));
    let late = |pair: usize| {
        let (one, two) = (done[2 * pair].1.1, done[2 * pair + 1].1.1);
        assert!(one != two, "pair {pair}: conflicts {one} {two}");
        2 * pair + usize::from(two)
    };
    let both = |pair: usize| {
        let late = late(pair);
        Some(format!("agent {} and {late}\n", late ^ 1))
    };
    assert_eq!(read(&server, "pairs"), pairs(both));
    for agent in 0..AGENTS {
        let own = read(&server, &format!("own/{agent}"));
        assert_eq!(own, format!("by {agent}\n"));
    }
    let dir = reader.repo("work");
    eventually(20, "a mount shows all of it", || {
        std::fs::read_to_string(dir.join("shared")).is_ok_and(|f| f == shared(|_| true))
            && std::fs::read_dir(dir.join("own")).is_ok_and(|own| own.count() == AGENTS)
    });

    // The log: one move of `main` for each merge, by the agent's key, from where the last one led.
    let records = all(&server, "/v1/my-org/audit?", "records");
    let mut moves: BTreeMap<String, (String, String)> = records
        .iter()
        .filter(|r| r["action"] == "bookmark.move" && r["target"] == "main")
        .map(|r| {
            let detail = &r["detail"];
            let (from, to) = (text(&detail["from"]), text(&detail["to"]));
            assert_eq!(r["source"], "127.0.0.1", "{r}");
            (from, (to, text(&r["key_id"])))
        })
        .collect();
    let mut at = base;
    let mut merged = BTreeSet::new();
    while let Some((to, key)) = moves.remove(&at) {
        let made = ok(server.get(&format!("{REPO}/changes/{to}"), &server.admin_key()));
        let agent = done.iter().position(|(_, (merge, _))| *merge == to);
        let agent = agent.unwrap_or_else(|| panic!("nobody made {made}"));
        assert_eq!(made["parents"], json!([at, done[agent].0]), "{agent}");
        assert_eq!(
            made["message"],
            format!("Merge 'agent-{agent}' into 'main'")
        );
        assert_eq!(key, keys[agent].1, "{agent}");
        merged.insert(agent);
        at = to;
    }
    assert_eq!(merged.len(), AGENTS, "{merged:?}");
    // What is left is the first write's move from the root.
    assert!(moves.len() <= 1, "{moves:?}");
    // And in the graph.
    let log = reader.json_in(&dir, &["log", "main", "-n", "100"]);
    let changes = log["changes"].as_array().expect("changes").len();
    assert!(changes > 2 * AGENTS, "{changes}");
}

const BLOCK: usize = 4096;
/// Files that the agents of all mounts overwrite in the same place.
const CLASHES: usize = AGENTS / MOUNTS;

#[test]
fn on_one_change_disjoint_work_survives_and_what_is_overwritten_is_in_the_log() {
    let server = Server::start();
    server.create_repo("work");
    let (key, _) = server.create_key("{}");
    let mounts: Vec<Client> = (0..MOUNTS).map(|_| server.client()).collect();
    for client in &mounts {
        client.mount(&key).ok();
    }
    let first = mounts[0].repo("work");
    std::fs::write(first.join("ranges"), ".".repeat(AGENTS * BLOCK)).expect("a write");
    for clash in 0..CLASHES {
        std::fs::write(first.join(format!("clash-{clash}")), "........").expect("a write");
    }
    sh(&first, "sync ranges clash-*");
    for client in &mounts {
        eventually(10, "every mount has the files", || {
            let ready = |name: &str| client.repo("work").join(name).exists();
            ready("ranges") && ready(&format!("clash-{}", CLASHES - 1))
        });
    }

    // All are open before the first is written, and written before the first is closed.
    let (opened, written) = (Barrier::new(AGENTS), Barrier::new(AGENTS));
    let mark = |agent: usize| format!("agent {agent:02}");
    std::thread::scope(|scope| {
        for agent in 0..AGENTS {
            let dir = mounts[agent % MOUNTS].repo("work");
            let (server, opened, written) = (&server, &opened, &written);
            scope.spawn(move || {
                let open = |name: &str| File::options().write(true).open(dir.join(name));
                let ranges = open("ranges").expect("a file");
                let clash = open(&format!("clash-{}", agent / MOUNTS)).expect("a file");
                opened.wait();
                let block = [b'a' + agent as u8; BLOCK];
                let at = (agent * BLOCK) as u64;
                ranges.write_all_at(&block, at).expect("a write");
                clash
                    .write_all_at(mark(agent).as_bytes(), 0)
                    .expect("a write");
                written.wait();
                drop((ranges, clash));
                std::fs::write(dir.join(format!("own-{agent}")), mark(agent)).expect("a write");
                let body = json!({"files": [put(&format!("rest/{agent}"), &mark(agent))]});
                let change = format!("{REPO}/changes/main");
                ok(server.patch(&change, &server.admin_key(), &body.to_string()));
            });
        }
    });
    for client in &mounts {
        client.mesa(&["sync"]).ok();
    }

    let expected: String = (0..AGENTS)
        .map(|agent| char::from(b'a' + agent as u8).to_string().repeat(BLOCK))
        .collect();
    assert!(read(&server, "ranges") == expected, "a range is lost");
    for agent in 0..AGENTS {
        for path in [format!("own-{agent}"), format!("rest/{agent}")] {
            assert_eq!(read(&server, &path), mark(agent), "{path}");
        }
    }
    for client in &mounts {
        let dir = client.repo("work");
        eventually(20, "every mount shows all of it", || {
            std::fs::read_to_string(dir.join("ranges")).is_ok_and(|found| found == expected)
                && (0..AGENTS).all(|agent| dir.join(format!("rest/{agent}")).exists())
        });
    }

    // Each clash has a last writer; what the others wrote is in the log, once each.
    for clash in 0..CLASHES {
        let path = format!("clash-{clash}");
        let log = format!("{REPO}/changes/main/operations");
        let mut lost = vec![read(&server, &path)];
        for action in all(&server, &format!("{log}?path={path}&"), "actions") {
            let id = text(&action["id"]);
            for operation in all(&server, &format!("{log}/{id}?"), "operations") {
                if operation["path"] == *path && !operation["overwrote"].is_null() {
                    lost.push(decoded(&operation["overwrote"]["content"]));
                }
            }
        }
        lost.sort();
        let writers: Vec<_> = (0..MOUNTS).map(|m| mark(clash * MOUNTS + m)).collect();
        assert_eq!(lost, writers, "{path}");
    }
}
