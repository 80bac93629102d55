//! Kills and what is left after them.

use std::io::Write;

use mesa_e2e::{Client, Server, eventually, sh};
use rustix::process::Signal;

fn mounted() -> (Server, Client, String) {
    let server = Server::start();
    server.create_repo("work");
    let (key, _) = server.create_key("{}");
    let client = server.client();
    client.mount(&key).ok();
    (server, client, key)
}

#[test]
fn fsynced_data_survives_the_loss_of_the_client() {
    let (server, client, key) = mounted();
    let repo = client.repo("work");
    sh(&repo, "mkdir d && echo precious > d/f && sync d/f d");
    client.kill_daemon();
    drop(client);
    let fresh = server.client();
    fresh.mount(&key).ok();
    assert_eq!(sh(&fresh.repo("work"), "cat d/f"), "precious");
}

#[test]
fn a_killed_daemon_loses_nothing_and_mount_recovers() {
    let (_server, client, _) = mounted();
    let repo = client.repo("work");
    sh(
        &repo,
        "for i in $(seq 300); do echo $i > f$i; done; mkdir d; mv f1 d/",
    );
    client.kill_daemon();
    client.mesa(&["mount", "-d", "-y"]).ok();
    assert_eq!(sh(&repo, "ls | wc -l; cat d/f1; cat f300"), "300\n1\n300");
}

#[test]
fn what_others_wrote_meanwhile_is_read_after_a_crash() {
    let (server, first, key) = mounted();
    let second = server.client();
    second.mount(&key).ok();
    let (here, there) = (first.repo("work"), second.repo("work"));
    sh(&here, "for i in 1 2 3 4; do echo written here > f$i; done");
    first.mesa(&["sync"]).ok();
    // Seen before the crash, and not.
    sh(&there, "echo there > f1; truncate -s 5 f2");
    second.mesa(&["sync"]).ok();
    eventually(10, "it is seen", || {
        sh(&here, "cat f1; cat f2") == "there\nwritt"
    });
    first.kill_daemon();
    sh(&there, "echo meanwhile > f3");
    second.mesa(&["sync"]).ok();
    first.mesa(&["mount", "-d", "-y"]).ok();
    let all = "cat f1; cat f2; echo; cat f3 f4";
    let expected = "there\nwritt\nmeanwhile\nwritten here";
    eventually(10, "the crashed mount reads what is there", || {
        sh(&here, all) == expected
    });
    first.mesa(&["sync"]).ok();
    sh(&here, "echo more >> f1");
    first.mesa(&["sync"]).ok();
    assert_eq!(sh(&here, all), expected.replace("there\n", "there\nmore\n"));
    eventually(10, "the other mount reads it", || {
        sh(&there, all) == expected.replace("there\n", "there\nmore\n")
    });
}

#[test]
fn a_restarted_server_has_everything_and_the_mount_goes_on() {
    let (mut server, client, _) = mounted();
    let repo = client.repo("work");
    sh(
        &repo,
        "for i in $(seq 100); do echo $i > f$i; done; sync f100",
    );
    server.kill();
    // Cached and journalled work goes on without the server.
    sh(&repo, "echo offline > g; cat g f50");
    server.restart();
    client.mesa(&["sync"]).ok();
    let path = Server::content_path("work", "g");
    eventually(5, "offline work arrived", || {
        server.get_raw(&path, &server.admin_key()) == (200, b"offline\n".to_vec())
    });
}

#[test]
fn a_worker_that_starts_while_the_server_is_away_goes_on() {
    let (mut server, client, _) = mounted();
    let repo = client.repo("work");
    sh(
        &repo,
        "mkdir d; for i in $(seq 50); do echo $i > d/f$i; done; sync d/f50",
    );
    client.mesa(&["sync"]).ok();
    server.kill();
    sh(&repo, "echo one > d/one; mv d/f1 d/moved");
    eventually(10, "the connection is known to be lost", || {
        sh(client.home(), "find . -xdev -name away.bin | wc -l") == "1"
    });
    let worker = client.daemon_pids()[1];
    rustix::process::kill_process(worker, Signal::KILL).expect("it runs");
    assert_eq!(
        sh(
            &repo,
            "cat d/one d/moved d/f7; echo two > d/two; cat d/two; ls d | wc -l"
        ),
        "one\n1\n7\ntwo\n52"
    );
    assert_ne!(client.daemon_pids()[1], worker);
    server.restart();
    client.mesa(&["sync"]).ok();
    for (path, bytes) in [("d/one", "one\n"), ("d/moved", "1\n"), ("d/two", "two\n")] {
        let path = Server::content_path("work", path);
        let found = server.get_raw(&path, &server.admin_key());
        assert_eq!(found, (200, bytes.as_bytes().to_vec()), "{path}");
    }
}

#[test]
fn a_killed_supervisor_is_replaced_by_mount() {
    use rustix::process::{Signal, kill_process};
    let (_server, client, _) = mounted();
    let repo = client.repo("work");
    sh(&repo, "echo x > f");
    let before = client.daemon_pids();
    kill_process(before[0], Signal::KILL).expect("it runs");
    eventually(5, "it is gone", || client.daemon_pids() == before[1..]);
    client.mesa(&["mount", "-d", "-y"]).ok();
    let now = client.daemon_pids();
    assert_eq!((now.len(), now[1]), (2, before[1]), "the worker goes on");
    kill_process(now[1], Signal::KILL).expect("it runs");
    assert_eq!(sh(&repo, "cat f; echo y > g; cat g"), "x\ny");
    assert_eq!(client.daemon_pids()[0], now[0]);
    client.mesa(&["unmount"]).ok();
    eventually(5, "both are gone", || client.daemon_pids().is_empty());
}

#[test]
fn a_worker_that_dies_again_and_again_is_told_of() {
    use rustix::process::{Signal, kill_process};
    let (_server, client, key) = mounted();
    let repo = client.repo("work");
    sh(&repo, "echo kept > f");
    let mut deaths = Vec::new();
    eventually(60, "the daemon gives up", || {
        match client.daemon_pids()[..] {
            [_, worker] if !deaths.contains(&worker) => {
                kill_process(worker, Signal::KILL).expect("it runs");
                deaths.push(worker);
            }
            _ => {}
        }
        client.daemon_pids().is_empty()
    });
    assert_eq!(deaths.len(), 11);
    let status = client.mesa(&["status"]);
    assert_eq!(status.code, 3, "{}", status.stderr);
    let why = "the mount was ended because its worker died more than 10 times within a minute";
    for part in [
        why,
        "signal: 9",
        "hint: `mesa logs` tells more; `mesa mount -d`",
    ] {
        assert!(status.stderr.contains(part), "{}", status.stderr);
    }
    let log = client.mesa(&["logs"]).ok();
    assert_eq!(
        log.matches("the worker died (signal: 9").count(),
        10,
        "{log}"
    );
    assert!(log.contains(why), "{log}");
    client.mount(&key).ok();
    assert_eq!(sh(&repo, "cat f"), "kept");
    client.mesa(&["unmount"]).ok();
    eventually(5, "it is gone", || client.daemon_pids().is_empty());
    let status = client.mesa(&["status"]);
    assert!(!status.stderr.contains("died"), "{}", status.stderr);
}

/// Whoever has it keeps a copy of every mount there is.
struct OtherNamespace(std::process::Child);

impl OtherNamespace {
    fn new() -> Self {
        let mut holder = std::process::Command::new("unshare");
        holder.args(["--mount", "--propagation", "private", "sleep", "600"]);
        let holder = Self(holder.spawn().expect("unshare"));
        let own = std::fs::read_link("/proc/self/ns/mnt").expect("/proc");
        let place = format!("/proc/{}/ns/mnt", holder.0.id());
        eventually(10, "it has a namespace of its own", || {
            std::fs::read_link(&place).is_ok_and(|other| other != own)
        });
        holder
    }
}

impl Drop for OtherNamespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_mount_that_another_namespace_holds_ends_and_comes_back() {
    let (_server, client, _) = mounted();
    let repo = client.repo("work");
    sh(&repo, "echo x > f");
    let _first = OtherNamespace::new();
    client.mesa(&["unmount"]).ok();
    eventually(5, "the daemon is gone", || client.daemon_pids().is_empty());
    client.mesa(&["mount", "-d", "-y"]).ok();
    assert_eq!(sh(&repo, "cat f; echo y > g; cat g"), "x\ny");
    let before = client.daemon_pids();
    let _second = OtherNamespace::new();
    // The name goes here, and the daemon does not learn of it.
    client.detach();
    client.mesa(&["mount", "-d", "-y"]).ok();
    assert_eq!(sh(&repo, "cat f g; echo z > h; cat h"), "x\ny\nz");
    let now = client.daemon_pids();
    assert!(now.len() == 2 && now.iter().all(|pid| !before.contains(pid)));
}

#[test]
fn a_terminated_server_exits_cleanly() {
    let (mut server, client, _) = mounted();
    sh(&client.repo("work"), "echo x > f; sync f");
    assert_eq!(server.terminate(), 0);
    server.restart();
    client.mesa(&["sync"]).ok();
    assert_eq!(sh(&client.repo("work"), "cat f"), "x");
}

#[test]
fn a_terminated_daemon_flushes() {
    let (server, client, _) = mounted();
    sh(
        &client.repo("work"),
        "for i in $(seq 200); do echo $i > f$i; done",
    );
    for pid in client.daemon_pids() {
        let _ = rustix::process::kill_process(pid, Signal::TERM);
    }
    eventually(10, "the daemon is gone", || {
        !sh(client.home(), "cat /proc/mounts").contains(&client.mount_point().display().to_string())
    });
    let (_, listing) = server.get("/v1/my-org/work/content?path=", &server.admin_key());
    assert_eq!(listing["child_count"], 200);
}

#[test]
fn torture_short() {
    torture(12, 1, &[]);
}

#[test]
fn torture_losing_the_client() {
    torture(6, 2, &["--lose-client"]);
}

#[test]
fn torture_cutting_the_power() {
    torture(6, 3, &["--power-cut"]);
}

fn torture(rounds: u32, seed: u32, options: &[&str]) {
    let dir = tempfile::tempdir().expect("a directory");
    let mesa = mesa_e2e::mesa_binary();
    let binary = mesa.with_file_name("mesa-torture");
    assert!(
        binary.is_file(),
        "build it first: cargo build -p mesa-torture"
    );
    let mut command = std::process::Command::new(binary);
    command.env("MESA_BIN", &mesa).arg("--dir").arg(dir.path());
    command.args(["--rounds", &rounds.to_string(), "--seed", &seed.to_string()]);
    mesa_e2e::Output::of(command.args(options)).ok();
}

#[test]
fn a_write_that_is_to_be_synced_waits_for_the_server() {
    let (server, client, key) = mounted();
    let repo = client.repo("work");
    sh(&repo, "echo first > old");
    client.mesa(&["sync"]).ok();
    let writes = |file: &str, flags: &str| {
        let dd = format!("timeout -s KILL 3 dd of={file} conv=notrunc {flags} 2>&1");
        sh(
            &repo,
            &format!("if printf precious | {dd}; then echo done; fi"),
        )
        .ends_with("done")
    };
    server.pause();
    assert!(writes("plain", ""));
    for file in ["new", "old"] {
        assert!(!writes(file, "oflag=dsync"), "{file}");
    }
    server.resume();
    client.mesa(&["sync"]).ok();
    for file in ["another", "old"] {
        assert!(writes(file, "oflag=dsync"), "{file}");
    }
    client.kill_daemon();
    drop(client);
    let fresh = server.client();
    fresh.mount(&key).ok();
    assert_eq!(
        sh(&fresh.repo("work"), "cat another old"),
        "preciousprecious"
    );
}

#[test]
fn what_is_written_after_a_forced_unmount_comes_with_the_next_mount() {
    let (server, client, key) = mounted();
    let log = client.repo("work").join("log");
    let append = || {
        std::fs::File::options()
            .append(true)
            .create(true)
            .open(&log)
    };
    let mut file = append().expect("opened");
    file.write_all(b"before\n").expect("written");
    client.mesa(&["unmount", "--force"]).ok();
    file.write_all(b"after\n")
        .expect("the kernel takes it without the daemon");
    drop(file);
    client.mesa(&["mount", "-d", "-y"]).ok();
    eventually(20, "the mount shows it", || {
        std::fs::read(&log).is_ok_and(|bytes| bytes == b"before\nafter\n")
    });
    client.mesa(&["sync"]).ok();
    let (status, bytes) = server.get_raw(&Server::content_path("work", "log"), &key);
    assert_eq!((status, &bytes[..]), (200, &b"before\nafter\n"[..]));
}

#[test]
fn a_daemon_that_stands_still_can_be_ended() {
    let (_server, client, _) = mounted();
    let repo = client.repo("work");
    sh(&repo, "echo kept > f");
    client.signal_daemon(Signal::STOP);
    // It ends, whatever it finds.
    client.mesa(&["doctor"]);
    client.mesa(&["unmount", "--force", "--timeout", "1s"]).ok();
    assert!(client.daemon_pids().is_empty());
    client.mesa(&["mount", "-d", "-y"]).ok();
    assert_eq!(sh(&repo, "cat f"), "kept");
}

/// Deletes the repo while its mount has work that was not sent.
fn deleted_with_unsent_work() -> (Server, Client, mesa_e2e::Wire, String) {
    let server = Server::start();
    server.create_repo("work");
    let (key, _) = server.create_key("{}");
    let wire = server.wire();
    let client = server.client_over(&wire);
    client.mount(&key).ok();
    sh(&client.repo("work"), "echo sent > f");
    client.mesa(&["sync"]).ok();
    wire.cut();
    sh(&client.repo("work"), "echo unsent > g; echo more >> f");
    let (status, _) = server.delete("/v1/my-org/work", &server.admin_key());
    assert_eq!(status, 200);
    wire.mend();
    (server, client, wire, key)
}

fn is_told(client: &Client) -> bool {
    let sync = client.mesa(&["sync", "--timeout", "5s"]);
    let status = client.mesa(&["status"]);
    sync.code == 10 && status.stdout.contains("work") && status.stdout.contains("deleted")
}

#[test]
fn unsent_work_of_a_repo_that_is_gone_is_never_called_synced() {
    let (_server, client, _wire, _) = deleted_with_unsent_work();
    eventually(60, "it is told", || {
        let _ = std::fs::read_dir(client.mount_point().join("my-org"));
        is_told(&client)
    });
    assert_eq!(client.mesa(&["unmount"]).code, 10);
    client.mesa(&["unmount", "--force", "--timeout", "2s"]).ok();
    client.mesa(&["mount", "-d", "-y"]).ok();
    eventually(60, "the next daemon tells it", || is_told(&client));
}

#[test]
fn a_repo_made_anew_under_its_name_is_mounted_and_the_former_work_kept() {
    let (server, client, _wire, _) = deleted_with_unsent_work();
    server.create_repo("work");
    let repo = client.repo("work");
    eventually(60, "the new repo is shown", || {
        // Listing the org is what finds it.
        let _ = std::fs::read_dir(client.mount_point().join("my-org"));
        repo.read_dir()
            .is_ok_and(|mut names| names.next().is_none())
    });
    sh(&repo, "echo new > new");
    let names = sh(&repo, "ls");
    assert_eq!(names, "new");
    let sync = client.mesa(&["sync"]);
    assert_eq!(sync.code, 10, "{}", sync.stderr);
    assert!(sync.stderr.contains("lost-"), "{}", sync.stderr);
    let (status, bytes) = server.get_raw(&Server::content_path("work", "new"), &server.admin_key());
    assert_eq!((status, &bytes[..]), (200, &b"new\n"[..]));
    let kept = sh(
        client.home(),
        "grep -rl unsent .local/share/mesa/state | grep -c lost-",
    );
    assert_ne!(kept, "0");
}
