//! Taking back what programs did: `mesa op log`, `mesa undo`, `mesa restore`.

use std::{path::Path, time::Duration};

use mesa_e2e::{Client, Server, eventually, sh};
use serde_json::{Value, json};

/// Runs a script as a program started on its own is run: in a process group of its own.
#[track_caller]
fn apart(dir: &Path, script: &str) {
    let out = std::process::Command::new("setsid")
        .args(["-w", "bash", "-euo", "pipefail", "-c", script])
        .current_dir(dir)
        .output()
        .expect("setsid");
    assert!(out.status.success(), "{script}: {out:?}");
}

/// Names and modes below a directory, of files also sizes, times, links and contents.
fn listing(dir: &Path) -> String {
    sh(
        dir,
        "find . -type d -printf '%p %y %m\\n' -o -printf '%p %y %m %s %T@ %n %l\\n' | sort; \
         find . -type f -print0 | sort -z | xargs -0 sha256sum",
    )
}

fn rest_edit(server: &Server, files: &Value) {
    let author = json!({"name": "Rest", "email": "rest@example.test"});
    let body = json!({"files": files, "message": "by rest", "author": author});
    let (status, answer) = server.patch(
        "/v1/my-org/work/changes/main",
        &server.admin_key(),
        &body.to_string(),
    );
    assert_eq!(status, 200, "{answer}");
}

fn actions(client: &Client, repo: &Path, args: &[&str]) -> Vec<Value> {
    let args: Vec<&str> = ["op", "log"]
        .into_iter()
        .chain(args.iter().copied())
        .collect();
    let found = client.json_in(repo, &args);
    found.as_array().expect("actions").clone()
}

/// The newest action by a program.
#[track_caller]
fn by(actions: &[Value], program: &str) -> Value {
    let found = actions.iter().find(|action| {
        let exe = action["program"]["exe"].as_str().unwrap_or_default();
        Path::new(exe).ends_with(program)
    });
    found
        .unwrap_or_else(|| panic!("nothing by {program}: {actions:#?}"))
        .clone()
}

/// A server, a machine and its repo with a tree worth losing of this many files and a few more.
fn prepared_with(files: usize) -> (Server, Client, std::path::PathBuf) {
    let server = Server::start();
    server.create_repo("work");
    let (key, _) = server.create_key("{}");
    let client = server.client();
    client.mount(&key).ok();
    let repo = client.repo("work");
    let script = format!(
        "mkdir -p project/src/deep project/empty; \
         for i in $(seq {files}); do \
           d=project/src/$((i / 100)); [ -d $d ] || mkdir $d; echo \"file $i\" > $d/f$i; done; \
         head -c 300000 /dev/urandom > project/src/deep/big; \
         echo '#!/bin/sh' > project/run; chmod 750 project/run; ln -s src/0/f1 project/link; \
         ln project/src/0/f2 project/hard; echo shared > shared"
    );
    apart(&repo, &script);
    (server, client, repo)
}

fn prepared() -> (Server, Client, std::path::PathBuf) {
    prepared_with(40)
}

/// How many names there are below a directory, itself included.
fn names(dir: &Path) -> u64 {
    sh(dir, "find . | wc -l").parse().expect("a number")
}

#[test]
fn a_removed_tree_of_5000_files_comes_back_and_later_edits_stay() {
    let (server, client, repo) = prepared_with(5000);
    let project = repo.join("project");
    // Shell and REST edits before.
    rest_edit(
        &server,
        &json!([{"path": "project/src/rest", "content": "cmVzdAo="}]),
    );
    apart(
        &repo,
        "echo edited >> project/src/0/f7; chmod 600 project/src/0/f8",
    );
    client.mesa(&["sync"]).ok();
    let (before, count) = (listing(&project), names(&project));
    assert!(count >= 5060, "{count}");
    std::thread::sleep(Duration::from_millis(2100));

    // While it is removed others go on.
    std::thread::scope(|scope| {
        scope.spawn(|| apart(&repo, "exec rm -rf project"));
        scope.spawn(|| {
            apart(
                &repo,
                "for i in $(seq 20); do echo $i > meanwhile$i; sleep 0.02; done",
            );
        });
        for n in 0..5 {
            let path = format!("rest-meanwhile{n}");
            rest_edit(&server, &json!([{"path": path, "content": "bGF0ZXIK"}]));
        }
    });
    assert!(!project.exists());
    // And after.
    apart(&repo, "echo later > later; echo more >> shared");
    rest_edit(
        &server,
        &json!([{"path": "by-rest", "content": "bGF0ZXIK"}]),
    );
    apart(&repo, "mkdir other; echo x > other/x");

    let log = actions(&client, &repo, &[]);
    let removal = by(&log, "rm");
    assert_eq!(removal["counts"]["delete"], count, "{removal}");
    assert_eq!(removal["operation_count"], count, "{removal}");
    assert!(
        removal["key_id"]
            .as_str()
            .is_some_and(|k| k.starts_with("key_"))
    );
    assert!(
        removal["host"].as_str().is_some_and(|h| !h.is_empty()),
        "{removal}"
    );
    let rest = log.iter().filter(|a| a["origin"] == "rest").count();
    assert_eq!(rest, 7, "{log:#?}");
    let drawn = client.mesa_in(&repo, &["op", "log"]).ok();
    assert!(drawn.contains(" rm["), "{drawn}");
    let of_path = actions(&client, &repo, &["other"]);
    assert_eq!(of_path.len(), 1, "{of_path:#?}");

    let action = removal["id"].as_str().expect("an id");
    let details = client.json_in(&repo, &["op", "show", action]);
    let operations = details["operations"].as_array().expect("operations");
    assert_eq!(operations.len() as u64, count);

    let others = "for f in later shared by-rest other/x meanwhile{1,20} rest-meanwhile{0,4}; do \
                  cat $f; done; ls | wc -l";
    let kept = sh(&repo, others);
    let done = client.json_in(&repo, &["undo", action]);
    assert_eq!(done["outcome"], "applied", "{done}");
    // Each name and, for directories, their times.
    assert!(done["operation_count"].as_u64() >= Some(count), "{done}");
    assert!(listing(&project) == before, "{}", listing(&project));
    // Nothing else changed: one more name beside those that were there.
    let names_before: usize = kept.lines().last().map_or(0, |n| n.parse().unwrap_or(0));
    let expected = kept.lines().count() - 1;
    let now = sh(&repo, others);
    assert!(kept.lines().take(expected).eq(now.lines().take(expected)));
    assert!(now.ends_with(&format!("\n{}", names_before + 1)), "{now}");
    // Hard links are one file again.
    assert_eq!(
        sh(&repo, "echo both >> project/hard; tail -1 project/src/0/f2"),
        "both"
    );

    // Again, and by `restore` from a time before it; what came later stays again.
    client.mesa(&["sync"]).ok();
    let before = listing(&project.join("src"));
    std::thread::sleep(Duration::from_millis(1100));
    let time = sh(&repo, "date -u +%Y-%m-%dT%H:%M:%SZ");
    std::thread::sleep(Duration::from_millis(1100));
    apart(&repo, "exec rm -rf project/src");
    apart(&repo, "echo last > last; echo last >> project/run");
    let args = ["restore", "src", "--at", &time];
    let done = client.json_in(&project, &args);
    assert_eq!(done["outcome"], "applied", "{done}");
    assert!(listing(&project.join("src")) == before);
    assert_eq!(sh(&repo, "cat last; tail -1 project/run"), "last\nlast");
    assert_eq!(
        client.json_in(&project, &args)["outcome"],
        "no_op",
        "twice is once"
    );
    // And from before the operation, of a part of it.
    std::thread::sleep(Duration::from_millis(2100));
    apart(&repo, "exec rm -rf project/src/0 project/src/1");
    let removal = by(&actions(&client, &repo, &[]), "rm");
    let action = removal["id"].as_str().expect("an id");
    let args = ["restore", "src/0", "--before", action];
    assert_eq!(client.json_in(&project, &args)["outcome"], "applied");
    assert!(project.join("src/0/f7").exists() && !project.join("src/1").exists());
}

#[test]
fn undo_goes_back_step_by_step_and_can_be_undone() {
    let (_server, client, repo) = prepared();
    client.mesa_in(&repo, &["checkpoint", "-m", "base"]).ok();
    let step = |script: &str| {
        apart(&repo, script);
        client.mesa(&["sync"]).ok();
        std::thread::sleep(Duration::from_millis(2100));
    };
    step("echo one > a");
    step("echo two > b");
    step("mv project/run moved");
    let run = |args: &[&str]| client.mesa_in(&repo, args);
    run(&["undo"]).ok();
    assert!(repo.join("project/run").exists() && !repo.join("moved").exists());
    run(&["undo"]).ok();
    assert!(!repo.join("b").exists() && repo.join("a").exists());
    let log = actions(&client, &repo, &[]);
    let undo = log.iter().find(|a| a["origin"] == "undo").expect("an undo");
    run(&["undo", undo["id"].as_str().expect("an id")]).ok();
    assert_eq!(sh(&repo, "cat b"), "two");

    // Later edits of the same lines are a conflict.
    step("printf '1\\n2\\n3\\n' > c");
    step("printf '1\\ntwo\\n3\\n' > c");
    let first = by(&actions(&client, &repo, &["c"]), "bash");
    step("printf '1\\nzwei\\n3\\n' > c");
    let output = run(&["undo", first["id"].as_str().expect("an id")]);
    assert_eq!(output.code, 6, "{output:?}");
    assert!(output.stderr.contains("conflict in c"), "{output:?}");
    assert_eq!(sh(&repo, "cat c"), "1\nzwei\n3");

    // Of the change before, too.
    let output = run(&["undo", "999999"]);
    assert_eq!(output.code, 3, "{output:?}");
    assert!(output.stderr.contains("mesa op log"), "{output:?}");
    assert_eq!(run(&["undo", "nonsense"]).code, 2);
}

#[test]
fn states_are_restored_by_time_change_and_bookmark() {
    let (_server, client, repo) = prepared();
    client.mesa_in(&repo, &["bookmark", "create", "good"]).ok();
    client.mesa_in(&repo, &["checkpoint", "-m", "good"]).ok();
    apart(
        &repo,
        "echo bad > shared; rm project/run; echo new > project/new",
    );
    client.mesa(&["sync"]).ok();
    std::thread::sleep(Duration::from_millis(1100));
    let time = sh(&repo, "date -u +%Y-%m-%dT%H:%M:%SZ");
    std::thread::sleep(Duration::from_millis(1100));
    apart(&repo, "echo worse > shared");
    let run = |args: &[&str]| client.mesa_in(&repo, args);
    run(&["restore", "shared", "--at", &time]).ok();
    assert_eq!(sh(&repo, "cat shared"), "bad");
    run(&["restore", "shared"]).ok();
    assert_eq!(sh(&repo, "cat shared"), "shared");
    run(&["restore", "project", "--at", "good"]).ok();
    assert!(repo.join("project/run").exists() && !repo.join("project/new").exists());
    // What did not exist then.
    apart(&repo, "echo x > never");
    let output = run(&["restore", "never", "--at", "good"]);
    assert_eq!(output.code, 3, "{output:?}");
    assert!(output.stderr.contains("--allow-remove"), "{output:?}");
    assert!(repo.join("never").exists());
    run(&["restore", "never", "--at", "good", "--allow-remove"]).ok();
    eventually(5, "it is gone", || !repo.join("never").exists());
    assert_eq!(run(&["restore", "f", "--at", "nope"]).code, 3);
    assert_eq!(run(&["restore"]).code, 2);
}
