//! Two machines that began as copies of one, as when a virtual machine is cloned while it runs.

use mesa_e2e::{Client, Server, eventually, sh};
use rustix::process::Signal;

/// Names in the root of a bookmark or change.
fn names(server: &Server, at: &str) -> Vec<String> {
    let path = format!("/v1/my-org/work/content?path=&change_id={at}");
    let (status, listing) = server.get(&path, &server.admin_key());
    assert_eq!(status, 200, "{at}: {listing}");
    let entries = listing["entries"].as_array().expect("entries");
    let names = entries.iter().filter_map(|e| e["name"].as_str());
    names.map(str::to_owned).collect()
}

fn recovered(server: &Server) -> Vec<String> {
    let (status, list) = server.get("/v1/my-org/work/bookmarks", &server.admin_key());
    assert_eq!(status, 200, "{list}");
    let list = list["bookmarks"].as_array().expect("bookmarks");
    let names = list.iter().filter_map(|b| b["name"].as_str());
    names
        .filter(|name| name.starts_with("recovered/"))
        .map(str::to_owned)
        .collect()
}

fn work(client: &Client, who: &str) {
    let repo = client.repo("work");
    let script = format!(
        "for i in $(seq 50); do echo {who} $i > {who}-$i; done; echo {who} > both; \
         grep -q {who} edited || echo {who} >> edited"
    );
    eventually(60, "the mount takes work", || {
        let mut command = std::process::Command::new("bash");
        command.args(["-ec", &script]).current_dir(&repo);
        command.status().is_ok_and(|status| status.success())
    });
}

#[test]
fn both_copies_keep_their_work() {
    let server = Server::start();
    server.create_repo("work");
    let (key, _) = server.create_key("{}");
    let first = server.client();
    first.mount(&key).ok();
    let repo = first.repo("work");
    sh(
        &repo,
        "echo one > before; echo one > edited; mkdir d; sync before edited d",
    );
    // Not waited for: some of it is in the journal only when the machine is copied.
    sh(&repo, "for i in $(seq 300); do echo $i > d/f$i; done");
    first.signal_daemon(Signal::STOP);
    let second = first.cloned();
    first.signal_daemon(Signal::CONT);
    second.mesa(&["mount", "-d", "-y"]).ok();

    work(&first, "first");
    work(&second, "second");
    for client in [&first, &second] {
        eventually(60, "everything is on the server", || {
            client.mesa(&["sync"]).code == 0
        });
    }
    let recovered = recovered(&server);
    assert_eq!(recovered.len(), 1, "{recovered:?}");
    let (main, other) = (names(&server, "main"), names(&server, &recovered[0]));
    for who in ["first", "second"] {
        let of = |names: &[String]| {
            names
                .iter()
                .filter(|n| n.starts_with(&format!("{who}-")))
                .count()
        };
        let (on_main, aside) = (of(&main), of(&other));
        assert!(
            on_main == 50 || aside == 50,
            "{who}: {on_main} on main, {aside} aside"
        );
    }
    // An edit of what was there is the whole file, wherever it went.
    let edited = |at: &str| {
        let path = format!("/v1/my-org/work/content?path=edited&change_id={at}");
        let (status, bytes) = server.get_raw(&path, &server.admin_key());
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(
            status == 404 || text.starts_with("one\n") && !text.contains('\0'),
            "{at}: {text:?}"
        );
        text
    };
    let edited = [edited("main"), edited(&recovered[0])].concat();
    assert!(
        edited.contains("\nfirst\n") && edited.contains("\nsecond\n"),
        "{edited:?}"
    );
    // What was there before the copy is there once.
    let third = server.client();
    third.mount(&key).ok();
    assert_eq!(
        sh(&third.repo("work"), "cat before; ls d | wc -l; cat d/f300"),
        "one\n300\n300"
    );
    // Both go on, and see each other.
    for (client, name) in [(&first, "later-1"), (&second, "later-2")] {
        let path = client.repo("work").join(name);
        eventually(60, "the mount goes on", || {
            std::fs::write(&path, "x").is_ok()
        });
    }
    eventually(30, "all machines see all", || {
        [&first, &second, &third].iter().all(|client| {
            ["later-1", "later-2"]
                .iter()
                .all(|name| client.repo("work").join(name).exists())
        })
    });
}
