//! With a server: control plane, mount life, secrecy of keys.

use std::{fs, path::PathBuf, process::Stdio, time::Duration};

use crate::harness::{Done, Machine, eventually, found_in};

fn json(done: &Done) -> serde_json::Value {
    serde_json::from_str(&done.out).unwrap_or_else(|e| panic!("{e}: {}", done.out))
}

/// A machine with a repo `work` and a key for it.
fn ready() -> (Machine, String) {
    let machine = Machine::serving();
    let data = machine.data();
    admin(&machine, &["repo", "create", "work", "--org", "my-org"]).code(0);
    let made = admin(
        &machine,
        &[
            "key",
            "create",
            "--name",
            "t",
            "--repo",
            "work",
            "--expires",
            "1h",
            "--org",
            "my-org",
            "--json",
        ],
    )
    .code(0);
    assert!(data.exists());
    let key = json(&made)["key"].as_str().unwrap().to_owned();
    assert!(key.starts_with("mesa_"));
    (machine, key)
}

fn admin(machine: &Machine, args: &[&str]) -> Done {
    let mut command = machine.command(args);
    command.env("MESA_API_KEY", machine.server.as_ref().unwrap().admin_key());
    machine.run(command)
}

struct Unmount<'m>(&'m Machine);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = self.0.mesa(&["unmount", "--force", "--timeout", "5s"]);
    }
}

fn mount(machine: &Machine, key: &str) -> Done {
    let mut command = machine.command(&["mount", "-d", "-y"]);
    command.env("MESA_ORGS", format!("my-org:{key}"));
    machine.run(command)
}

fn tree(machine: &Machine) -> PathBuf {
    machine.home().join(".local/share/mesa/mnt/my-org/work")
}

#[test]
fn control_plane() {
    let machine = Machine::serving();
    let repo = admin(&machine, &["repo", "create", "a", "--json"]).code(0);
    assert_eq!(json(&repo)["name"], "a");
    let again = admin(&machine, &["repo", "create", "a"]).code(6);
    assert!(again.err.starts_with("error: "), "{}", again.err);
    let list = admin(&machine, &["repo", "list", "--all", "--org", "my-org"]).code(0);
    assert_eq!(list.out, "● my-org/a\n");
    let list = admin(&machine, &["repo", "list", "--org", "my-org"]).code(0);
    assert_eq!(
        list.out,
        "org 'my-org' mounts all repos (0 mounted)\n  (run `mesa repo list --all` to enumerate)\n"
    );
    let key = json(&admin(&machine, &["key", "create", "--scope", "read", "--json"]).code(0));
    let id = key["id"].as_str().unwrap();
    let mut command = machine.command(&["repo", "create", "b"]);
    command.env("MESA_API_KEY", key["key"].as_str().unwrap());
    machine.run(command).code(5);
    assert!(admin(&machine, &["key", "list"]).code(0).out.contains(id));
    admin(&machine, &["key", "revoke", id]).code(0);
    let mut command = machine.command(&["repo", "list", "--all"]);
    command.env("MESA_API_KEY", key["key"].as_str().unwrap());
    machine.run(command).code(4);
    let signing = json(&admin(&machine, &["key", "create", "--signing", "--json"]).code(0));
    let text = signing["private_key"].as_str().unwrap();
    assert!(text.starts_with("mesa_private_key_my-org_"), "{text}");
    let id = signing["id"].as_str().unwrap();
    let list = admin(&machine, &["key", "list"]).code(0).out;
    assert!(list.contains(id) && list.contains("signing"), "{list}");
    admin(&machine, &["key", "revoke", id]).code(0);
    let active = admin(&machine, &["key", "list", "--status", "active"]).code(0);
    assert!(!active.out.contains(id), "{}", active.out);
    admin(&machine, &["repo", "delete", "nothing"]).code(3);
    admin(&machine, &["repo", "delete", "a"]).code(0);
}

#[test]
fn the_admin_key_is_found_on_the_servers_host() {
    let machine = Machine::serving();
    let data = machine.data();
    machine.mesa(&["key", "create", "--name", "x"]).code(4);
    let dir = data.to_str().unwrap();
    machine
        .mesa(&["key", "create", "--name", "x", "--data-dir", dir])
        .code(0);
    // The default place needs no option.
    let place = machine.home().join(".local/share/mesa/server");
    fs::create_dir_all(&place).unwrap();
    fs::copy(data.join("admin.key"), place.join("admin.key")).unwrap();
    machine.mesa(&["repo", "create", "by-default"]).code(0);
}

#[test]
fn the_key_is_printed_on_terminals_only() {
    let machine = Machine::new();
    let data = machine.dir.path().join("server");
    let mut child = machine
        .command(&[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
            data.to_str().unwrap(),
        ])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    eventually(Duration::from_mins(1), "the key is written", || {
        data.join("admin.key").exists()
    });
    let key = fs::read_to_string(data.join("admin.key")).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    // Signals are handled before the store is opened.
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = child.wait().unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut text).unwrap();
    assert!(status.success(), "{status}: {text}");
    assert!(!text.contains(key.trim()), "{text}");
}

#[test]
fn mount_work_unmount() {
    let (machine, key) = ready();
    let _unmount = Unmount(&machine);
    let done = mount(&machine, &key).code(0);
    assert!(
        done.err.contains("mounted at ~/home/.local/share/mesa/mnt"),
        "{}",
        done.err
    );
    assert!(done.err.contains("the key expires in"), "{}", done.err);
    let file = tree(&machine).join("hello.txt");
    fs::write(&file, "hello").unwrap();
    machine
        .mesa(&["sync"])
        .code(0)
        .err("everything is on the server");
    let status = json(&machine.mesa(&["status", "--json"]).code(0));
    assert_eq!(status["synced"], true);
    assert_eq!(status["orgs"][0]["repos"][0]["session"]["bookmark"], "main");
    let stats = json(&machine.mesa(&["stats", "--format", "json"]).code(0));
    assert!(stats["kernel"]["requests"].is_object());

    // Again over the live mount, also without the key.
    let done = machine.mesa(&["mount", "-d", "-y"]).code(0);
    assert!(done.err.contains("already mounted at"), "{}", done.err);

    machine.mesa(&["unmount"]).code(0).err("unmounted");
    assert!(!file.exists());
    machine.mesa(&["status"]).code(3);
    machine.mesa(&["mount", "-d"]).code(0);
    assert_eq!(fs::read_to_string(&file).unwrap(), "hello");
}

#[test]
fn a_mount_with_a_bad_key() {
    let (machine, _key) = ready();
    let _unmount = Unmount(&machine);
    let done = mount(&machine, "mesa_wrong").code(4);
    assert!(
        done.err.contains("org 'my-org' cannot be mounted"),
        "{}",
        done.err
    );
    assert!(!done.err.contains("mesa_wrong"), "{}", done.err);
    machine.mesa(&["status"]).code(3);
}

#[test]
fn a_busy_mount_is_not_torn_away() {
    let (machine, key) = ready();
    let _unmount = Unmount(&machine);
    mount(&machine, &key).code(0);
    let open = fs::File::create(tree(&machine).join("open")).unwrap();
    let done = machine.mesa(&["unmount"]).code(6);
    assert!(done.err.contains("is in use"), "{}", done.err);
    machine.mesa(&["status"]).code(0);
    drop(open);
    machine.mesa(&["unmount"]).code(0);
}

#[test]
fn killed_daemons_come_back() {
    let (machine, key) = ready();
    let _unmount = Unmount(&machine);
    mount(&machine, &key).code(0);
    let file = tree(&machine).join("kept");
    fs::write(&file, "kept").unwrap();
    let run = machine.home().join(".local/share/mesa/run");
    let pid = |name: &str| -> i32 {
        fs::read_to_string(run.join(name))
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    };
    let kill = |pid: i32| {
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    };
    // The worker alone: the supervisor replaces it under the same mount.
    let worker = pid("worker.pid");
    kill(worker);
    eventually(Duration::from_secs(20), "another worker", || {
        machine.mesa(&["status"]).code == 0 && pid("worker.pid") != worker
    });
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    // Both: the mount is dead, and the next mount cleans up.
    kill(pid("supervisor.pid"));
    kill(pid("worker.pid"));
    eventually(Duration::from_secs(10), "the mount is dead", || {
        fs::read(&file).is_err()
    });
    machine.mesa(&["mount", "-d"]).code(0);
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
}

#[test]
fn the_key_is_in_no_process_list_environment_or_log() {
    let (machine, key) = ready();
    let _unmount = Unmount(&machine);
    mount(&machine, &key).code(0);
    fs::write(tree(&machine).join("f"), "x").unwrap();
    machine.mesa(&["sync"]).code(0);
    let run = machine.home().join(".local/share/mesa/run");
    for name in ["supervisor.pid", "worker.pid"] {
        let pid = fs::read_to_string(run.join(name)).unwrap();
        for what in ["cmdline", "environ"] {
            let bytes = fs::read(format!("/proc/{}/{what}", pid.trim())).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(&key), "{what} of {name}");
        }
    }
    let found = found_in(machine.dir.path(), &key);
    assert!(
        found.iter().all(|f| f.ends_with("secrets.plaintext.toml")) && found.len() == 1,
        "{found:?}"
    );
}

#[test]
fn a_pipe_of_an_exec_service_is_let_go() {
    let (machine, key) = ready();
    let _unmount = Unmount(&machine);
    let mut command = machine.command(&["mount", "-d", "-y"]);
    command.env("MESA_ORGS", format!("my-org:{key}"));
    // `output` returns when every holder of the pipes has closed them.
    let output = command.stdin(Stdio::piped()).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_foreground_mount_ends_on_a_signal() {
    let (machine, key) = ready();
    let _unmount = Unmount(&machine);
    let mut command = machine.command(&["mount", "-y"]);
    command
        .env("MESA_ORGS", format!("my-org:{key}"))
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    eventually(Duration::from_secs(30), "the mount answers", || {
        tree(&machine).is_dir()
    });
    fs::write(tree(&machine).join("f"), "x").unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(!tree(&machine).exists());
    mount(&machine, &key).code(0);
    assert_eq!(fs::read_to_string(tree(&machine).join("f")).unwrap(), "x");
}

#[test]
fn explicit_mode_opens_and_closes_repos_live() {
    let (machine, key) = ready();
    let _unmount = Unmount(&machine);
    admin(&machine, &["repo", "create", "other", "--org", "my-org"]).code(0);
    machine.file(
        ".config/mesa/config.toml",
        "[organizations.my-org]\nmount = \"explicit\"\n[organizations.my-org.repos.work]\n",
    );
    // A key for every repo of the org.
    let made = admin(&machine, &["key", "create", "--org", "my-org", "--json"]).code(0);
    let wide = json(&made)["key"].as_str().unwrap().to_owned();
    assert_ne!(wide, key);
    mount(&machine, &wide).code(0);
    let other = tree(&machine).with_file_name("other");
    assert!(tree(&machine).is_dir() && !other.exists());
    machine
        .mesa(&["repo", "open", "other", "--org", "my-org"])
        .code(0)
        .err("opened my-org/other");
    eventually(Duration::from_secs(5), "the repo appears", || {
        other.is_dir()
    });
    assert_eq!(
        machine.mesa(&["repo", "list"]).code(0).out,
        "my-org/other\nmy-org/work\n"
    );
    fs::write(other.join("f"), "x").unwrap();
    machine
        .mesa(&["repo", "close", "other", "--org", "my-org"])
        .code(0);
    eventually(Duration::from_secs(5), "the repo is gone", || {
        !other.exists()
    });
    assert!(
        machine
            .read(".config/mesa/config.toml")
            .contains("repos.work")
    );
    machine.mesa(&["repo", "close", "other"]).code(3);
}

#[test]
fn all_mode_has_nothing_to_open() {
    let machine = Machine::new();
    machine.file(".config/mesa/config.toml", "[organizations.acme]\n");
    machine.mesa(&["repo", "open", "r"]).code(2).err(
        "error: org 'acme' mounts all repos; there is nothing to open or close\n\
         hint: set mount = \"explicit\" in [organizations.acme] and mount again",
    );
}

#[test]
fn new_orgs_reach_the_running_mount() {
    let (machine, key) = ready();
    let _unmount = Unmount(&machine);
    mount(&machine, &key).code(0);
    let made = admin(&machine, &["org", "create", "second", "--json"]).code(0);
    let made = json(&made);
    let admin_key = made["admin_key"]["key"]
        .as_str()
        .unwrap_or_else(|| panic!("{made}"))
        .to_owned();
    let mut command = machine.command(&["mount", "-d", "-y"]);
    command.env("MESA_ORGS", format!("second:{admin_key}"));
    machine.run(command).code(0);
    let root = machine.home().join(".local/share/mesa/mnt");
    eventually(Duration::from_secs(5), "the org appears", || {
        root.join("second").is_dir()
    });
    // A refused key is not kept, and what is mounted stays usable.
    let mut command = machine.command(&["mount", "-d", "-y"]);
    command.env("MESA_ORGS", "third:mesa_wrong");
    machine.run(command).code(4);
    assert!(!machine.read(".config/mesa/config.toml").contains("third"));
    machine.mesa(&["mount", "-d", "-y"]).code(0);
}
