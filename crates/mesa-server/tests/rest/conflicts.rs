//! Changes in conflict over REST.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{harness::TestServer, writes::put};

const MERGE: &str = "/acme/demo/bookmarks/merge";

/// `main` and `side` with other versions of some files.
async fn two_sides(server: &TestServer, files: &[(&str, &str, &str, &str)]) {
    server.repo("demo").await;
    let all = |n: usize| -> Value {
        let of = |f: &(&str, &str, &str, &str)| put(f.0, [f.1, f.2, f.3][n]);
        files.iter().map(of).collect()
    };
    let base = server.amend("main", json!({"files": all(0)})).await.ok(200);
    let id = base["id"].as_str().unwrap();
    let side = server.make_change(id, all(2)).await;
    server.make_bookmark("side", &side["id"]).await;
    server.amend("main", json!({"files": all(1)})).await.ok(200);
}

async fn merge_allowing(server: &TestServer) -> Value {
    let wanted = json!({"target": "main", "source": "side", "allow_conflicted": true});
    server.post(&server.admin, MERGE, wanted).await.ok(200)
}

async fn diff(server: &TestServer, query: &str) -> Value {
    let root = "z".repeat(32);
    let path = format!("/acme/demo/diff?base_change_id={root}&head_change_id=main{query}");
    server.get(&server.admin, &path).await.ok(200)
}

async fn change(server: &TestServer, named: &str) -> Value {
    let path = format!("/acme/demo/changes/{named}");
    server.get(&server.admin, &path).await.ok(200)
}

fn text(side: &Value) -> String {
    let bytes = STANDARD.decode(side["content"].as_str().unwrap()).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_conflicted_merge_is_made_shown_and_resolved_by_hunks() {
    let server = TestServer::start().await;
    let files = [
        (
            "f",
            "a\nb\nc\nd\ne\n",
            "a\nB\nc\nD\ne\n",
            "a\nbee\nc\ndee\ne\n",
        ),
        ("clean", "1", "1", "2"),
    ];
    two_sides(&server, &files).await;
    let merged = merge_allowing(&server).await;
    assert_eq!(merged["merge_type"], "merge_commit");
    assert_eq!(merged["is_conflicted"], true);
    let id = merged["change_id"].as_str().unwrap();
    let found = change(&server, id).await;
    assert_eq!(found["is_conflicted"], true);
    assert_eq!(found["conflicts"], json!(["f"]));
    assert_eq!(found["current_commit_oid"], merged["commit_oid"]);

    let path = "/acme/demo/content?change_id=main&path=f";
    let file = server.get(&server.admin, path).await.ok(200);
    assert_eq!(file["is_conflicted"], true);
    assert!(
        text(&file).contains("<<<<<<< conflict 1 of 2"),
        "{}",
        text(&file)
    );
    let path = "/acme/demo/content?change_id=main&path=clean";
    let file = server.get(&server.admin, path).await.ok(200);
    assert_eq!(
        (&file["is_conflicted"], &*text(&file)),
        (&json!(false), "2")
    );

    let found = diff(&server, "").await;
    assert_eq!(found["stats"]["conflicted_entries"], 1);
    assert_eq!(found["stats"]["conflicted_hunks"], 2);
    assert_eq!(found["entries"].as_array().unwrap().len(), 1);
    assert_eq!(found["entries"][0]["path"], "clean");
    let entry = &found["conflicted_entries"][0];
    assert_eq!(entry["path"], "f");
    assert_eq!(entry["omitted_reason"], Value::Null);
    let hunks = entry["hunks"].as_array().unwrap();
    let first = &hunks[0];
    assert_eq!(
        (
            &first["old_start"],
            &first["old_lines"],
            &first["new_start"]
        ),
        (&json!(2), &json!(1), &json!(2))
    );
    let sides = ["target", "base", "source"].map(|side| text(&first[side]));
    assert_eq!(sides, ["B\n", "b\n", "bee\n"]);
    let only = diff(&server, "&conflicts=only").await;
    assert_eq!(only["entries"], json!([]));
    assert_eq!(only["conflicted_entries"], found["conflicted_entries"]);
    let without = diff(&server, "&conflicts=exclude").await;
    assert_eq!(without["entries"], found["entries"]);
    assert_eq!(without["conflicted_entries"], json!([]));

    let by = |n: usize, how: Value| {
        let mut by = how;
        by["hunk_id"] = hunks[n]["hunk_id"].clone();
        by
    };
    let lines = json!({"content": STANDARD.encode("mine\n"), "encoding": "base64"});
    let all = json!([by(0, json!({"take": "source"})), by(1, lines)]);
    let body = json!({"resolutions": [{"path": "f", "hunks": all}], "message": "done"});
    let done = server.amend("main", body).await.ok(200);
    assert_eq!(done["is_conflicted"], false);
    assert_eq!(done["message"], "done");
    assert_eq!(server.text_at("main", "f").await, "a\nbee\nc\nmine\ne\n");
    assert_eq!(change(&server, "main").await["conflicts"], json!([]));
    let found = diff(&server, "").await;
    assert_eq!(found["conflicted_entries"], json!([]));
    assert_eq!(found["stats"]["entries"], 2);
}

#[tokio::test]
async fn whole_files_are_resolved_one_after_the_other() {
    let server = TestServer::start().await;
    let files = [
        ("a", "1\n", "2\n", "3\n"),
        ("b", "1\n", "2\n", "3\n"),
        ("c", "\0", "\0ours", "\0theirs"),
    ];
    two_sides(&server, &files).await;
    merge_allowing(&server).await;
    let found = diff(&server, "&conflicts=only").await;
    let entries = found["conflicted_entries"].as_array().unwrap();
    assert_eq!(entries[2]["omitted_reason"], "binary");
    assert_eq!(entries[2]["hunks"], json!([]));
    assert_eq!(entries[2]["size_bytes"], 7);
    // Side files are in the tree, and no part of what the change did.
    assert_eq!(server.text_at("main", "c.side-2").await, "\0theirs");
    assert_eq!(
        change(&server, "main").await["conflicts"],
        json!(["a", "b", "c"])
    );

    let part = json!([{"path": "a", "take": "source"}]);
    let part = server
        .amend("main", json!({"resolutions": part}))
        .await
        .ok(200);
    assert_eq!(part["is_conflicted"], true);
    assert_eq!(
        change(&server, "main").await["conflicts"],
        json!(["b", "c"])
    );
    let commit = &part["current_commit_oid"];
    let rest = json!([
        {"path": "b", "content": STANDARD.encode("b\n"), "encoding": "base64"},
        {"path": "c", "take": "target"},
    ]);
    let body = json!({"resolutions": rest, "base_commit_oid": commit});
    let done = server.amend("main", body).await.ok(200);
    assert_eq!(done["is_conflicted"], false);
    assert_eq!(done["id"], part["id"]);
    for (path, expected) in [("a", "3\n"), ("b", "b\n"), ("c", "\0ours")] {
        assert_eq!(server.text_at("main", path).await, expected, "{path}");
    }
    let path = "/acme/demo/content?change_id=main&path=c.side-2";
    let gone = server.get(&server.admin, path).await;
    gone.refused(404, "PATH_NOT_FOUND");
}

#[tokio::test]
async fn what_is_refused_of_a_conflicted_change() {
    let server = TestServer::start().await;
    let files = [(
        "f",
        "a\nb\nc\nd\ne\n",
        "a\nB\nc\nD\ne\n",
        "a\nbee\nc\ndee\ne\n",
    )];
    two_sides(&server, &files).await;
    let wanted = json!({"target": "main", "source": "side"});
    let refused = server.post(&server.admin, MERGE, wanted).await;
    let of_merge = refused.refused(409, "MERGE_CONFLICT")["error"]["details"].clone();
    let hunk = of_merge["conflicts"][0]["hunks"][0]["hunk_id"].clone();
    let short = json!([{"path": "f", "hunks": [{"hunk_id": hunk, "take": "source"}]}]);
    let wanted = json!({"target": "main", "source": "side", "resolutions": short});
    let refused = server.post(&server.admin, MERGE, wanted).await;
    refused.refused(409, "MERGE_CONFLICT");

    merge_allowing(&server).await;
    let amend = |body: Value| server.amend("main", body);
    let refused = amend(json!({"files": [put("g", "1")]})).await;
    let details = refused.refused(409, "MERGE_CONFLICT")["error"]["details"].clone();
    assert_eq!(details["conflict_paths"], json!(["f"]));
    assert_eq!(details["conflicts"], of_merge["conflicts"]);
    let both = json!({"files": [put("g", "1")], "resolutions": [{"path": "f", "take": "source"}]});
    amend(both).await.refused(400, "BAD_REQUEST");
    let by = |resolution: Value| amend(json!({"resolutions": [resolution]}));
    let other = by(json!({"path": "g", "take": "source"})).await;
    other.refused(400, "NOT_IN_CONFLICT");
    let none = by(json!({"path": "f"})).await;
    none.refused(400, "BAD_REQUEST");
    let two = by(json!({"path": "f", "take": "source", "content": ""})).await;
    two.refused(400, "BAD_REQUEST");
    let side = by(json!({"path": "f", "take": "both"})).await;
    side.refused(400, "BAD_REQUEST");
    let base64 = by(json!({"path": "f", "content": "%"})).await;
    base64.refused(400, "BAD_REQUEST");
    let some = by(json!({"path": "f", "hunks": [{"hunk_id": hunk, "take": "source"}]})).await;
    some.refused(400, "HUNKS_MISSING");
    let id = "0".repeat(32);
    let wrong = by(json!({"path": "f", "hunks": [{"hunk_id": id, "take": "source"}]})).await;
    wrong.refused(400, "UNKNOWN_HUNK");
    let wrong = by(json!({"path": "f", "hunks": [{"hunk_id": "?", "take": "source"}]})).await;
    wrong.refused(400, "UNKNOWN_HUNK");
    let take = json!([{"path": "f", "take": "source"}]);
    let stale = json!({"resolutions": take, "base_commit_oid": "1".repeat(40)});
    amend(stale).await.refused(409, "STALE_COMMIT");
    // What it says about itself can change all the same.
    let said = amend(json!({"message": "half done"})).await.ok(200);
    assert_eq!(
        (&said["message"], &said["is_conflicted"]),
        (&json!("half done"), &json!(true))
    );
    let done = amend(json!({"resolutions": take})).await.ok(200);
    assert_eq!(done["is_conflicted"], false);
    let again = amend(json!({"resolutions": take})).await;
    again.refused(400, "NOT_IN_CONFLICT");
}
