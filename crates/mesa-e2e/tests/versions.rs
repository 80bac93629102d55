//! The versioning commands, run as a user runs them.

use std::{io::Write, path::PathBuf};

use mesa_e2e::{Client, Output, Server, eventually, sh};
use serde_json::Value;

/// A server, a machine with the repo `work` mounted, its directory and the key.
fn mounted() -> (Server, Client, PathBuf, String) {
    let server = Server::start();
    server.create_repo("work");
    let (key, _) = server.create_key("{}");
    let client = server.client();
    client.mount(&key).ok();
    let repo = client.repo("work");
    (server, client, repo, key)
}

#[track_caller]
fn fails(output: &Output, code: i32, message: &str) {
    assert_eq!(output.code, code, "{output:?}");
    assert!(
        output.stderr.starts_with("error: ") && output.stderr.contains(message),
        "{output:?}"
    );
    assert!(output.stdout.is_empty(), "{output:?}");
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Id of the change a revision names.
#[track_caller]
fn id(client: &Client, repo: &std::path::Path, rev: &str) -> String {
    let shown = client.json_in(repo, &["show", rev, "--no-patch"]);
    text(&shown["change"]["id"]).to_owned()
}

#[test]
fn what_was_done_is_shown() {
    let (_server, client, repo, _) = mounted();
    // Nothing is written yet.
    let log = client.json_in(&repo, &["log"]);
    assert_eq!(log["changes"][0]["is_written"], false);
    assert_eq!(client.mesa_in(&repo, &["diff"]).ok(), "");
    sh(&repo, "mkdir src; echo one > src/a; echo b > b; chmod +x b");
    // Seen at once: the mount is flushed first.
    assert_eq!(
        client.mesa_in(&repo, &["diff", "--summary"]).ok(),
        "A b\nA src/a"
    );
    client.mesa_in(&repo, &["describe", "-m", "first"]).ok();
    let first = id(&client, &repo, "@");
    let done = client.mesa_in(&repo, &["checkpoint", "-m", "the first"]);
    assert!(done.stderr.contains("checkpoint"), "{done:?}");
    done.ok();
    let again = client.mesa_in(&repo, &["checkpoint"]);
    assert!(again.stderr.contains("nothing was written"), "{again:?}");
    again.ok();

    sh(&repo, "echo two >> src/a; rm b");
    let log = client.json_in(&repo, &["log"]);
    let changes = log["changes"].as_array().expect("changes");
    assert_eq!(changes.len(), 2, "{log}");
    assert_eq!(changes[0]["is_working"], true);
    assert_eq!(changes[0]["bookmarks"], serde_json::json!(["main"]));
    assert_eq!(changes[1]["id"], *first);
    assert_eq!(changes[1]["message"], "the first");
    let drawn = client.mesa_in(&repo, &["log"]).ok();
    let lines: Vec<&str> = drawn.lines().collect();
    assert!(
        lines[0].starts_with("@  ") && lines[0].contains(" main "),
        "{drawn}"
    );
    assert_eq!(lines[3], "|  the first");
    assert!(lines[4].ends_with(" root()"), "{drawn}");
    assert_eq!(
        client
            .mesa_in(&repo, &["log", "--oneline", "--no-graph"])
            .ok()
            .lines()
            .count(),
        3
    );

    // In a directory paths are relative to it.
    let src = repo.join("src");
    assert_eq!(
        client.mesa_in(&src, &["diff", "--name-only", "."]).ok(),
        "src/a"
    );
    assert_eq!(
        client.mesa_in(&src, &["diff", "--stat", "../b"]).ok(),
        "b | 1 -\n 1 file changed, 1 deletion(-)"
    );
    // git takes the patch.
    let other = tempfile::tempdir().expect("a directory");
    sh(
        other.path(),
        "git init -q; mkdir src; echo one > src/a; echo b > b; chmod +x b; git add .",
    );
    let patch = client.mesa_in(&repo, &["diff", "--git"]);
    assert_eq!(patch.code, 0, "{patch:?}");
    std::fs::write(other.path().join("p"), &patch.stdout).expect("the patch");
    sh(
        other.path(),
        "git apply --index p; test \"$(cat src/a)\" = \"$(printf 'one\\ntwo')\"; ! test -e b",
    );

    // By a prefix, by steps, by bookmark.
    assert_eq!(id(&client, &repo, &first[..8]), first);
    assert_eq!(id(&client, &repo, "@-"), first);
    assert_eq!(id(&client, &repo, "main-"), first);
    let shown = client.mesa_in(&repo, &["show", "@-", "--name-only"]).ok();
    assert!(
        shown.contains(&format!("Change ID: {first}")) && shown.ends_with("b\nsrc/a"),
        "{shown}"
    );
    let between = client.json_in(&repo, &["diff", "--from", "@-", "--to", "@"]);
    assert_eq!(between["entries"].as_array().expect("entries").len(), 2);
}

#[test]
fn wrong_input_is_refused_without_effect() {
    let (_server, client, repo, _) = mounted();
    sh(&repo, "echo 1 > f");
    let before = client.json_in(&repo, &["log"]);
    let run = |args: &[&str]| client.mesa_in(&repo, args);
    fails(&run(&["show", "nope"]), 3, "no change or bookmark 'nope'");
    fails(&run(&["show", "@+"]), 3, "no change or bookmark");
    fails(&run(&["show", "@--------"]), 3, "beyond the root");
    fails(&run(&["diff", "../../x"]), 2, "outside the repo");
    fails(
        &run(&["diff", "-r", "@", "--from", "@"]),
        2,
        "cannot be used",
    );
    fails(&run(&["describe"]), 2, "--message");
    fails(&run(&["log", "-n", "0"]), 2, "0");
    fails(&run(&["bookmark", "create", "a..b"]), 2, "name");
    fails(&run(&["bookmark", "create", "main"]), 6, "main");
    fails(&run(&["bookmark", "move", "none"]), 3, "bookmark");
    fails(&run(&["bookmark", "delete", "main"]), 6, "default");
    fails(&run(&["merge", "none"]), 3, "bookmark");
    fails(&run(&["resolve", "f"]), 2, "say how");
    fails(&run(&["resolve", "f", "--ours"]), 3, "not in conflict");
    fails(&run(&["edit", "none"]), 3, "no change or bookmark");
    let json = run(&["show", "nope", "--json"]);
    let object: Value = serde_json::from_str(&json.stderr).expect("an object");
    assert_eq!(object["exit_code"], 3);
    assert_eq!(client.json_in(&repo, &["log"]), before);
}

#[test]
fn outside_a_repo_and_without_a_server() {
    let (mut server, client, repo, key) = mounted();
    sh(&repo, "echo 1 > f");
    client.mesa(&["sync"]).ok();
    let home = client.home().to_owned();
    fails(
        &client.mesa_in(&home, &["log"]),
        3,
        "this directory is in no mounted repo",
    );
    let above = client.mount_point().join("my-org");
    fails(
        &client.mesa_in(&above, &["log"]),
        3,
        "above the mounted repos",
    );
    let named = ["--repo", "my-org/work"];
    let log = |extra: &[&str]| {
        let args: Vec<&str> = ["log"]
            .into_iter()
            .chain(named)
            .chain(extra.iter().copied())
            .collect();
        client.mesa_in(&home, &args)
    };
    assert!(log(&[]).ok().contains("main"));
    log(&["--bookmark", "main"]).ok();
    log(&["--change", "main"]).ok();
    fails(&log(&["--bookmark", "none"]), 3, "none");
    fails(
        &client.mesa_in(&home, &["log", "--repo", "my-org/none"]),
        3,
        "repo",
    );
    fails(
        &client.mesa_in(&home, &["log", "--repo", "a/b/c"]),
        2,
        "--repo",
    );
    fails(
        &client.mesa_in(&home, &["edit", "main", "--repo", "my-org/work"]),
        2,
        "moves a mount",
    );
    // A machine without any mount and any key.
    let bare = server.client();
    let output = bare.mesa_in(&home, &["log", "--repo", "my-org/work"]);
    fails(&output, 4, "no API key");
    let mut command = bare.command(&["log", "--repo", "my-org/work"]);
    let shown = Output::of(command.current_dir(&home).env("MESA_API_KEY", &key));
    assert!(shown.ok().contains("main"));
    // What is done outside is done to the bookmark, and the mount goes along.
    let checkpoint = ["checkpoint", "--repo", "my-org/work", "-m", "outside"];
    client.mesa_in(&home, &checkpoint).ok();
    sh(&repo, "echo 2 >> f");
    let shown = client.json_in(&repo, &["show", "@-", "--no-patch"]);
    assert_eq!(shown["change"]["message"], "outside");

    server.kill();
    fails(&log(&[]), 7, "cannot be reached");
    let inside = client.mesa_in(&repo, &["log"]);
    assert_eq!(inside.code, 7, "{inside:?}");
}

#[test]
fn a_key_for_reading_reads() {
    let (server, client, repo, _) = mounted();
    sh(&repo, "echo 1 > f");
    client.mesa_in(&repo, &["checkpoint", "-m", "made"]).ok();
    let (key, _) = server.create_key(r#"{"scopes":["read"]}"#);
    let reader = server.client();
    reader.mount(&key).ok();
    let repo = reader.repo("work");
    assert!(reader.mesa_in(&repo, &["log"]).ok().contains("made"));
    assert_eq!(
        reader
            .mesa_in(&repo, &["diff", "-r", "main", "--summary"])
            .ok(),
        "A f"
    );
    for args in [
        &["new"][..],
        &["new", "main"],
        &["describe", "-m", "x"],
        &["checkpoint"],
        &["bookmark", "create", "x"],
        &["bookmark", "move", "main", "--to", "main"],
        &["merge", "main", "--into", "main"],
        &["undo"],
        &["restore", "f"],
    ] {
        let output = reader.mesa_in(&repo, args);
        assert_eq!(output.code, 5, "{args:?}: {output:?}");
        assert!(output.stderr.contains("hint:"), "{output:?}");
    }
    let args = ["describe", "-m", "x", "--repo", "my-org/work"];
    assert_eq!(reader.mesa_in(reader.home(), &args).code, 5);
}

#[test]
fn a_new_change_begins_with_its_description() {
    let (server, client, repo, _) = mounted();
    sh(&repo, "echo 1 > f");
    let first = id(&client, &repo, "@");
    client.mesa_in(&repo, &["new", "-m", "the next"]).ok();
    let second = id(&client, &repo, "@");
    assert_ne!(second, first);
    assert_eq!(id(&client, &repo, "main"), second);
    assert_eq!(id(&client, &repo, "@-"), first);
    sh(&repo, "echo 2 > f");
    let shown = client.json_in(&repo, &["show"]);
    assert_eq!(shown["change"]["id"], *second);
    assert_eq!(shown["change"]["message"], "the next");
    // Without a description it exists from its first write on.
    let new = client.json_in(&repo, &["new"]);
    assert_eq!(new["closed"]["id"], *second);
    let log = client.json_in(&repo, &["log"]);
    assert_eq!(log["changes"][0]["is_written"], false);
    assert_eq!(log["changes"][0]["id"], new["change_id"]);
    sh(&repo, "echo 3 > f");
    assert_eq!(id(&client, &repo, "@"), text(&new["change_id"]));
    // A closed change keeps its description.
    let output = client.mesa_in(&repo, &["describe", "-m", "late", &first]);
    fails(&output, 6, "so its description stays");
    // Mounts of their own describe and number their changes too.
    let (key, _) = server.create_key("{}");
    let apart = server.client();
    let mut command = apart.command(&["mount", "-d", "-y", "--isolate"]);
    Output::of(command.env("MESA_ORGS", format!("my-org:{key}"))).ok();
    let own = apart.repo("work");
    assert_eq!(sh(&own, "cat f"), "3");
    apart.mesa_in(&own, &["new", "-m", "apart"]).ok();
    sh(&own, "echo apart > f");
    let shown = apart.json_in(&own, &["show"]);
    assert_eq!(shown["change"]["message"], "apart");
    assert_eq!(shown["bookmarks"], serde_json::json!([]));
    assert_eq!(sh(&repo, "cat f"), "3");
}

#[test]
fn a_mount_goes_to_other_changes_while_it_is_in_use() {
    let (server, client, repo, key) = mounted();
    sh(&repo, "mkdir -p d/e; echo old > d/e/f; echo keep > g");
    let old = id(&client, &repo, "@");
    client.mesa_in(&repo, &["checkpoint", "-m", "old"]).ok();
    sh(&repo, "echo new > d/e/f; echo more > d/e/h");
    let new = id(&client, &repo, "@");
    let deep = repo.join("d/e");
    // A shell that stays in a directory.
    let script = format!(
        "\"$MESA\" new {} -m side; cat f; ls; echo side > s; \"$MESA\" edit main; cat f; ls",
        &old[..10]
    );
    let shown = client.sh_in(&deep, &script);
    assert_eq!(shown, "old\nf\nnew\nf\nh");
    assert_eq!(id(&client, &repo, "@"), new);
    // What was written there is in a change that no bookmark names.
    let all = client.json_in(&repo, &["bookmark", "list"]);
    assert_eq!(all.as_array().expect("bookmarks").len(), 1);

    // An open change is edited as it is; others keep writing to theirs.
    client.mesa_in(&repo, &["bookmark", "create", "here"]).ok();
    let other = server.client();
    other.mount(&key).ok();
    client.mesa_in(&repo, &["new", &old, "-m", "mine"]).ok();
    let mine = id(&client, &repo, "@");
    sh(&repo, "echo mine > g");
    sh(&other.repo("work"), "echo theirs > t");
    assert!(!repo.join("t").exists());
    client.mesa_in(&repo, &["edit", "main"]).ok();
    assert_eq!(sh(&repo, "cat t g"), "theirs\nkeep");
    client.mesa_in(&repo, &["edit", &mine[..12]]).ok();
    assert_eq!(id(&client, &repo, "@"), mine);
    assert_eq!(sh(&repo, "cat g; ls"), "mine\nd\ng");
    let writes = client.mesa_in(&repo, &["describe", "-m", "renamed"]);
    writes.ok();
    assert_eq!(
        client.json_in(&repo, &["show"])["change"]["message"],
        "renamed"
    );

    // A closed one gets a new one on top.
    let output = client.mesa_in(&repo, &["edit", &old]);
    assert!(output.stderr.contains("takes no writes"), "{output:?}");
    output.ok();
    assert_eq!(sh(&repo, "cat g"), "keep");
    let log = client.json_in(&repo, &["log"]);
    assert_eq!(log["changes"][0]["parents"], serde_json::json!([old]));
}

#[test]
fn a_file_open_for_writing_keeps_the_mount_where_it_is() {
    let (_server, client, repo, _) = mounted();
    sh(&repo, "echo 1 > f");
    let first = id(&client, &repo, "@");
    client.mesa_in(&repo, &["checkpoint"]).ok();
    let mut open = std::fs::File::create(repo.join("open")).expect("create");
    let output = client.mesa_in(&repo, &["edit", &first]);
    fails(&output, 6, "open for writing");
    assert!(
        output.stderr.contains("caused by: open is open"),
        "{output:?}"
    );
    open.write_all(b"text").expect("write");
    open.sync_all().expect("sync");
    drop(open);
    assert_eq!(sh(&repo, "cat open"), "text");
    client.mesa_in(&repo, &["edit", &first]).ok();
    assert!(!repo.join("open").exists());
    client.mesa_in(&repo, &["edit", "main"]).ok();
    assert_eq!(sh(&repo, "cat open"), "text");
}

#[test]
fn a_killed_daemon_comes_back_to_the_change_it_worked_on() {
    let (_server, client, repo, _) = mounted();
    sh(&repo, "echo 1 > f");
    let first = id(&client, &repo, "@");
    client.mesa_in(&repo, &["new"]).ok();
    sh(&repo, "echo 2 > f");
    client.mesa_in(&repo, &["new", &first, "-m", "side"]).ok();
    let side = id(&client, &repo, "@");
    sh(&repo, "echo side > f; echo more > more");
    let before = client.daemon_pids();
    client.kill_daemon();
    eventually(10, "the daemon is gone", || client.daemon_pids().is_empty());
    assert!(!before.is_empty());
    client.mesa(&["mount", "-d", "-y"]).ok();
    assert_eq!(sh(&repo, "cat f more"), "side\nmore");
    assert_eq!(id(&client, &repo, "@"), side);
    // A mount that ended in good order begins where the configuration says.
    client.mesa(&["unmount"]).ok();
    client.mesa(&["mount", "-d", "-y"]).ok();
    assert_eq!(sh(&repo, "cat f"), "2");
}

#[test]
fn a_daemon_that_restarts_without_the_server_knows_where_its_mount_is() {
    let (mut server, client, repo, _) = mounted();
    sh(&repo, "echo 1 > f");
    let first = id(&client, &repo, "@");
    client.mesa_in(&repo, &["new", "-m", "main"]).ok();
    sh(&repo, "echo 2 > f");
    client.mesa_in(&repo, &["new", &first, "-m", "side"]).ok();
    sh(&repo, "echo side > onside; sync onside");
    let side = id(&client, &repo, "@");
    server.kill();
    eventually(10, "the connection is known to be lost", || {
        sh(client.home(), "find . -xdev -name away.bin | wc -l") == "1"
    });
    let worker = client.daemon_pids()[1];
    rustix::process::kill_process(worker, rustix::process::Signal::KILL).expect("it runs");
    assert_eq!(sh(&repo, "cat onside"), "side");
    assert_ne!(client.daemon_pids()[1], worker);
    server.restart();
    client.mesa(&["sync"]).ok();
    assert_eq!(id(&client, &repo, "@"), side);
    sh(&repo, "echo later >> onside");
    let undone = client.json_in(&repo, &["undo"]);
    assert_eq!(undone["change_id"], side.as_str());
    assert_eq!(sh(&repo, "cat f"), "1");
    let output = client.mesa_in(&repo, &["show", "main", "--name-only"]);
    assert!(!output.ok().contains("onside"));
}

#[test]
fn bookmarks_merge_and_conflicts_are_resolved() {
    let (_server, client, repo, _) = mounted();
    let run = |args: &[&str]| client.mesa_in(&repo, args);
    sh(&repo, "printf 'a\\nb\\nc\\n' > f; echo g > g");
    run(&["bookmark", "create", "feature"]).ok();
    run(&["checkpoint", "-m", "base"]).ok();
    run(&["edit", "feature"]).ok();
    sh(&repo, "printf 'a\\nB\\nc\\n' > f; echo new > n");
    run(&["checkpoint", "-m", "feature"]).ok();
    run(&["edit", "main"]).ok();
    // Nothing of main's own: it only moves.
    let ff = client.json_in(&repo, &["merge", "feature", "--ff"]);
    assert_eq!(ff["merge_type"], "fast_forward");
    assert_eq!(sh(&repo, "cat f n"), "a\nB\nc\nnew");
    let nothing = client.json_in(&repo, &["merge", "feature"]);
    assert_eq!(nothing["merge_type"], "no_op");
    let back = run(&["bookmark", "move", "main", "--to", "feature-"]);
    fails(&back, 6, "does not descend");
    assert!(back.stderr.contains("--allow-backwards"), "{back:?}");
    run(&[
        "bookmark",
        "move",
        "main",
        "--to",
        "feature-",
        "--allow-backwards",
    ])
    .ok();
    eventually(5, "the mount went along", || {
        sh(&repo, "cat f") == "a\nb\nc"
    });

    sh(&repo, "printf 'a\\nbee\\nc\\n' > f");
    let output = run(&["merge", "feature"]);
    fails(&output, 6, "1 path is in conflict");
    assert!(
        output.stderr.contains("caused by: conflict in f")
            && output.stderr.contains("hint: choose sides"),
        "{output:?}"
    );
    let output = run(&["merge", "feature", "--json"]);
    let object: Value = serde_json::from_str(&output.stderr).expect("an object");
    assert_eq!(
        object["error"]["details"]["conflict_paths"],
        serde_json::json!(["f"])
    );
    assert_eq!(sh(&repo, "cat f"), "a\nbee\nc");
    let args = ["merge", "feature", "--allow-conflicts", "-m", "both"];
    let merged = client.json_in(&repo, &args);
    assert_eq!(merged["is_conflicted"], true);
    assert!(sh(&repo, "cat f").contains("<<<<<<<"));
    assert_eq!(run(&["resolve", "--list"]).ok(), "f");
    assert!(run(&["log"]).ok().contains("conflict"));
    run(&["resolve", "f", "--theirs"]).ok();
    assert_eq!(sh(&repo, "cat f"), "a\nB\nc");
    assert_eq!(run(&["resolve", "--list"]).ok(), "");
    run(&["bookmark", "delete", "feature"]).ok();
    let log = client.json_in(&repo, &["log", "--all"]);
    let merge = log["changes"].as_array().expect("changes").iter();
    let parents = merge.map(|c| c["parents"].as_array().map_or(0, Vec::len));
    assert_eq!(parents.max(), Some(2), "{log}");
}

#[test]
fn a_change_is_abandoned_under_its_mount_and_comes_back() {
    let (_server, client, repo, _) = mounted();
    for name in ["a", "b", "c"] {
        sh(&repo, &format!("echo {name} > {name}"));
        client.mesa_in(&repo, &["checkpoint", "-m", name]).ok();
    }
    sh(&repo, "echo d > d");
    let middle = id(&client, &repo, "@--");
    let done = client.mesa_in(&repo, &["abandon", &middle[..8]]);
    assert!(done.stderr.contains("2 changes on top"), "{done:?}");
    done.ok();
    // The mount works on what lies on top of it.
    eventually(30, "the files of the abandoned change go", || {
        !repo.join("b").exists() && repo.join("c").exists() && repo.join("d").exists()
    });
    let log = client.json_in(&repo, &["log"]);
    let shown: Vec<&str> = log["changes"]
        .as_array()
        .expect("changes")
        .iter()
        .map(|c| text(&c["message"]))
        .collect();
    assert_eq!(shown, ["", "c", "a"]);
    let given_up = client.json_in(&repo, &["log", "--abandoned"]);
    assert_eq!(given_up["changes"][0]["id"], *middle);
    let drawn = client.mesa_in(&repo, &["log", "--abandoned"]).ok();
    assert!(
        drawn
            .lines()
            .next()
            .is_some_and(|line| line.ends_with(" abandoned")),
        "{drawn}"
    );
    fails(
        &client.mesa_in(&repo, &["new", &middle]),
        6,
        "was abandoned",
    );
    client.mesa_in(&repo, &["abandon", "--undo", &middle]).ok();
    eventually(30, "they come back", || {
        repo.join("b").exists() && repo.join("d").exists()
    });

    // The working change itself: its content is kept with it, the mount goes on below.
    sh(&repo, "echo mine > mine");
    let working = id(&client, &repo, "@");
    client.mesa_in(&repo, &["abandon"]).ok();
    sh(
        &repo,
        "! test -e mine; ! test -e d; test -e c; echo next > next",
    );
    assert_ne!(id(&client, &repo, "@"), working);
    let kept = client.json_in(&repo, &["show", &working]);
    assert_eq!(kept["change"]["state"], "abandoned");
    client
        .mesa_in(&repo, &["restore", "mine", "--at", &working])
        .ok();
    sh(&repo, "test \"$(cat mine)\" = mine");
}

#[test]
fn changes_are_merged_by_their_ids() {
    let (_server, client, repo, _) = mounted();
    sh(&repo, "echo base > base");
    client.mesa_in(&repo, &["checkpoint", "-m", "base"]).ok();
    let base = id(&client, &repo, "@-");
    client.mesa_in(&repo, &["new", "-m", "one", &base]).ok();
    sh(&repo, "echo one > one");
    let one = id(&client, &repo, "@");
    client.mesa_in(&repo, &["new", "-m", "two", &base]).ok();
    sh(&repo, "echo two > two");
    let two = id(&client, &repo, "@");
    // Into the working change: the mount goes to the merge.
    let merged = client.json_in(&repo, &["merge", &one[..8]]);
    assert_eq!(merged["merge_type"], "merge_commit");
    sh(&repo, "test -e one; test -e two; echo after > after");
    let log = client.json_in(&repo, &["show", text(&merged["change_id"]), "--no-patch"]);
    assert_eq!(log["change"]["parents"], serde_json::json!([two, one]));
    assert_eq!(id(&client, &repo, "@-"), text(&merged["change_id"]));
    assert_eq!(id(&client, &repo, "main"), base);
    // Into a bookmark by an id.
    let merged = client.json_in(&repo, &["merge", "@", "--into", "main"]);
    assert_eq!(id(&client, &repo, "main"), text(&merged["change_id"]));
}
