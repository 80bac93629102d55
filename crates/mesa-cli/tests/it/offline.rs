//! No server, no mount, no home.

use std::{os::unix::fs::PermissionsExt, path::Path};

use crate::harness::{Machine, free_port};

#[test]
fn commands_for_a_mount_say_there_is_none() {
    let machine = Machine::new();
    for args in [&["status"][..], &["sync"], &["stats"]] {
        machine
            .mesa(args)
            .code(3)
            .err("error: no mount is running\nhint: start one with `mesa mount -d`");
    }
    machine
        .mesa(&["unmount"])
        .code(3)
        .err("error: nothing is mounted at ~/home/.local/share/mesa/mnt");
    machine.mesa(&["logs"]).code(3).err(
        "error: there is no log at ~/home/.local/share/mesa/run/daemon.log\n\
         hint: mount first: `mesa mount -d`",
    );
    let pid = std::process::id().to_string();
    let done = machine.mesa(&["status", "--pid", &pid]).code(3);
    assert!(done.err.contains("is no mesa daemon"), "{}", done.err);
}

#[test]
fn versioning_needs_a_repo() {
    let machine = Machine::new();
    for args in [&["log"][..], &["new"], &["undo"], &["bookmark", "list"]] {
        machine.mesa(args).code(3).err(
            "error: this directory is in no mounted repo, and no mount is running\n\
             hint: change into a mounted repo, or name one of the server with --repo ORG/NAME",
        );
    }
    machine.mesa(&["log", "--repo", "acme/r"]).code(4).err(
        "error: no API key found in the secret store for organization 'acme'\n\
         hint: store one with `mesa auth set-key --org acme`, or set MESA_ORGS=acme:KEY",
    );
    let mut command = machine.command(&["log", "--repo", "acme/r"]);
    command
        .env("MESA_API_KEY", "mesa_x")
        .env("MESA_API_URL", format!("http://127.0.0.1:{}", free_port()));
    let done = machine.run(command).code(7);
    assert!(done.err.contains("cannot be reached"), "{}", done.err);
}

#[test]
fn mount_without_any_org() {
    let machine = Machine::new();
    machine
        .mesa(&["mount", "-d", "-y"])
        .code(2)
        .err("error: no organization is configured\nhint: MESA_ORGS=my-org:KEY mesa mount -d -y");
}

#[test]
fn mount_without_a_key() {
    let machine = Machine::new();
    machine.file(".config/mesa/config.toml", "[organizations.acme]\n");
    machine.mesa(&["mount", "-d"]).code(4).err(
        "error: no API key found in the secret store for organization 'acme'\n\
         hint: store one with `mesa auth set-key --org acme`, or set MESA_ORGS=acme:KEY",
    );
}

#[test]
fn an_unreachable_server_is_seven_and_leaves_nothing() {
    let machine = Machine::new();
    let mut command = machine.command(&["mount", "-d", "-y", "--timeout", "1s"]);
    command
        .env("MESA_ORGS", "my-org:mesa_x")
        .env("MESA_API_URL", format!("http://127.0.0.1:{}", free_port()));
    let done = machine.run(command).code(7);
    assert!(done.err.contains("cannot be reached"), "{}", done.err);
    assert!(
        done.err.contains("hint: is `mesa serve` running there?"),
        "{}",
        done.err
    );
    assert!(!machine.home().join(".local/share/mesa/mnt").exists());
    let mut command = machine.command(&["repo", "list", "--all", "--org", "my-org", "--json"]);
    command
        .env("MESA_API_KEY", "mesa_x")
        .env("MESA_API_URL", format!("http://127.0.0.1:{}", free_port()));
    let done = machine.run(command).code(7);
    let object: serde_json::Value = serde_json::from_str(&done.err).unwrap();
    assert_eq!(object["exit_code"], 7);
}

#[test]
fn bad_mesa_orgs_do_not_show_the_key() {
    let machine = Machine::new();
    let mut command = machine.command(&["mount", "-d", "-y"]);
    command.env("MESA_ORGS", "mesa_verysecret");
    machine.run(command).code(2).err(
        "error: the configuration is invalid\n\
         caused by: MESA_ORGS: entry 1 has no ':'; write org:key[,org2:key2]",
    );
}

#[test]
fn a_home_that_cannot_be_written_is_a_warning() {
    // Root may write anywhere, so the way is blocked by a file instead of by permissions.
    let machine = Machine::new();
    for name in [".config", ".local", ".cache"] {
        machine.file(name, "a file where a directory is wanted");
    }
    let mut command = machine.command(&["mount", "-d", "-y", "--timeout", "1s"]);
    command
        .env("MESA_ORGS", "my-org:mesa_x")
        .env("TMPDIR", machine.dir.path())
        .env("MESA_API_URL", format!("http://127.0.0.1:{}", free_port()));
    let done = machine.run(command).code(7);
    assert!(
        done.err.contains("the keys were not stored"),
        "{}",
        done.err
    );
    assert!(done.err.contains("run cannot be used"), "{}", done.err);
    assert!(!done.err.contains("mesa_x"), "{}", done.err);
}

#[test]
fn without_home_there_is_a_private_place() {
    let machine = Machine::new();
    let nobody = machine.file("passwd", "");
    let mesa = machine.command(&[]);
    // In a mount namespace of its own, where nobody has a home directory.
    let mut command = std::process::Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-ec"])
        .arg("mount --bind \"$1\" /etc/passwd; shift; exec \"$@\"")
        .args(["sh".as_ref(), nobody.as_os_str(), mesa.get_program()])
        .args(["auth", "set-key", "--org", "acme", "mesa_x"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TMPDIR", machine.dir.path());
    let done = machine.run(command).code(0);
    assert!(
        done.err.contains("there is no home directory"),
        "{}",
        done.err
    );
}

#[test]
fn doctor_reports_every_check_and_fails() {
    let machine = Machine::new();
    let mut command = machine.command(&["doctor", "--json"]);
    command.env("MESA_API_URL", format!("http://127.0.0.1:{}", free_port()));
    let done = machine.run(command).code(1);
    let findings: Vec<serde_json::Value> = serde_json::from_str(&done.out).unwrap();
    let names: Vec<&str> = findings
        .iter()
        .map(|f| f["check"].as_str().unwrap())
        .collect();
    for name in [
        "/dev/fuse",
        "kernel",
        "config",
        "cache",
        "state",
        "mount",
        "server",
    ] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    let server = findings.iter().find(|f| f["check"] == "server").unwrap();
    assert_eq!(server["outcome"], "FAIL");
    assert!(!server["fix"].as_str().unwrap().is_empty());
}

#[test]
fn serve_refuses_what_it_cannot_use() {
    let machine = Machine::new();
    let done = machine.mesa(&["serve", "--listen", "nowhere"]).code(2);
    assert!(
        done.err.contains("'nowhere' is not an address"),
        "{}",
        done.err
    );
    let serve = |dir: &Path| {
        let dir = dir.to_str().unwrap();
        machine.mesa(&["serve", "--data-dir", dir, "--listen", "127.0.0.1:0"])
    };
    let writable = "hint: make it a directory this user can write, or choose another";
    let restore = "hint: restore the whole directory from one backup";
    let told = |dir: &Path, parts: &[&str]| {
        let done = serve(dir).code(1);
        for part in parts {
            assert!(done.err.contains(part), "{part}: {}", done.err);
        }
        assert!(!done.err.contains("stop the server"), "{}", done.err);
    };

    let file = machine.file("file", "");
    let cannot = "error: the data directory cannot be used";
    told(&file, &[cannot, "/file", "Not a directory", writable]);
    told(
        Path::new("/proc/nowhere"),
        &[cannot, "/proc/nowhere", "No such file", writable],
    );

    let data = machine.file("data/objects", "in the way");
    let data = data.parent().unwrap();
    told(data, &[cannot, "data/objects", "not a directory", writable]);

    let locked = machine.file("locked/meta.lock/x", "");
    let locked = locked.ancestors().nth(2).unwrap();
    told(locked, &["locked/meta.lock", "Is a directory", writable]);

    let damaged = machine.file("damaged/meta.db", &"no database at all ".repeat(90));
    let damaged = damaged.parent().unwrap();
    told(damaged, &["damaged/meta.db is damaged", restore]);
}

#[test]
fn secrets_are_private_files() {
    let machine = Machine::new();
    machine
        .mesa(&["auth", "set-key", "--org", "acme", "mesa_x"])
        .code(0);
    let store = machine
        .home()
        .join(".local/share/mesa/secrets.plaintext.toml");
    assert_eq!(
        std::fs::metadata(store).unwrap().permissions().mode() & 0o777,
        0o600
    );
}
