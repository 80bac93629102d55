//! `install.sh` and packages in isolated roots.

use std::{io::Write, os::unix::fs::FileExt};

use mesa_e2e::{
    Fuse, Output, Place, Sandbox, Server,
    sandbox::{self, ADDRESS},
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn served() -> (Server, Place) {
    let dist = sandbox::dist();
    let server = Server::start_with(&["--dist-dir", &dist.path().display().to_string()]);
    (server, dist)
}

/// The installer's text by wget or curl, run with arguments.
fn install(sandbox: &Sandbox, user: &str, options: &str) -> Output {
    let text = format!("wget -q -O - http://{ADDRESS}/install.sh | sh -s -- {options}");
    sandbox.sh(user, &text)
}

fn wget(sandbox: &Sandbox) {
    let text = "apt-get update -q && apt-get install -q -y --no-install-recommends wget";
    sandbox.sh("root", text).ok();
}

/// The program answers by name and knows the server.
fn works(sandbox: &Sandbox, user: &str, server: &Server) {
    let version = sandbox.login(user, "mesa version").ok();
    assert!(version.contains(VERSION), "{version}");
    let (key, _) = server.create_key("{}");
    let variables = [("MESA_ORGS", format!("my-org:{key}"))];
    let variables = variables
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let words = [
        "/bin/bash",
        "-lc",
        "mesa mount -d -y && echo hello > ~/.local/share/mesa/mnt/my-org/work/f && mesa sync",
    ];
    sandbox.run(user, &variables, &words).ok();
    let (status, text) = server.get_raw(&Server::content_path("work", "f"), &server.admin_key());
    assert_eq!((status, text.as_slice()), (200, &b"hello\n"[..]));
}

#[test]
fn as_root_again_and_by_name() {
    let (server, _dist) = served();
    server.create_repo("work");
    let sandbox = Sandbox::debian(Fuse::Root);
    let _wire = sandbox.reaches(&server);
    wget(&sandbox);
    let first = install(&sandbox, "root", "--yes");
    assert_eq!(first.code, 0, "{first:?}");
    assert!(
        first.stdout.is_empty(),
        "messages go to standard error: {first:?}"
    );
    for said in [
        "installed mesa",
        "/usr/local/bin/mesa",
        "/etc/mesa/install.toml",
        "installed the package fuse3",
    ] {
        assert!(first.stderr.contains(said), "{said}: {first:?}");
    }
    let address = std::fs::read_to_string(sandbox.path("/etc/mesa/install.toml")).expect("it");
    assert!(
        address.contains(&format!("api-url = \"http://{ADDRESS}\"")),
        "{address}"
    );
    assert!(sandbox.path("/etc/fuse.conf").is_file());
    let again = install(&sandbox, "root", "");
    assert_eq!(again.code, 0, "{again:?}");
    assert!(
        again.stderr.contains("already") && !again.stderr.contains("installed"),
        "{again:?}"
    );
    let named = install(&sandbox, "root", &format!("--version {VERSION} -y"));
    assert_eq!(named.code, 0, "{named:?}");
    let other = install(&sandbox, "root", "--version 99.0.0");
    assert!(
        other.code == 1 && other.stderr.contains(&format!("{VERSION} for x86_64")),
        "{other:?}"
    );
    assert_eq!(install(&sandbox, "root", "--wrong").code, 1);
    assert_eq!(install(&sandbox, "root", "--help").code, 0);
    works(&sandbox, "root", &server);
}

#[test]
fn without_root() {
    let (server, _dist) = served();
    server.create_repo("work");
    let sandbox = Sandbox::debian(Fuse::Root);
    let _wire = sandbox.reaches(&server);
    wget(&sandbox);
    // A shell that reads no profile will not find it: that is said, with the way out.
    let lost = install(&sandbox, "user", "");
    assert_eq!(lost.code, 1, "{lost:?}");
    assert!(
        lost.stderr
            .contains("/home/user/.local/bin, which is not in PATH"),
        "{lost:?}"
    );
    sandbox.sh("user", "rm -r ~/.local").ok();
    let text = format!("wget -q -O - http://{ADDRESS}/install.sh | sh");
    sandbox.login("user", &text).ok();
    assert!(
        sandbox
            .path("/home/user/.local/share/mesa/install.toml")
            .is_file()
    );
    // Root's part, as an image would have done it.
    let denied = sandbox.login("user", "mesa mount -d -y --timeout 5s");
    assert_ne!(denied.code, 0);
    let doctor = sandbox.login("user", "mesa doctor");
    for said in ["FAIL  /dev/fuse", "FAIL  fusermount3", "WARN  allow_other"] {
        assert!(doctor.stdout.contains(said), "{said}: {}", doctor.stdout);
    }
    install(&sandbox, "root", "--setup-fuse").ok();
    assert_eq!(sandbox.sh("user", "stat -c %a /dev/fuse").ok(), "666");
    sandbox
        .sh("user", "grep -x user_allow_other /etc/fuse.conf")
        .ok();
    works(&sandbox, "user", &server);
}

#[test]
fn sudo_without_a_password_counts_as_root() {
    let (server, _dist) = served();
    let sandbox = Sandbox::debian(Fuse::Root);
    let _wire = sandbox.reaches(&server);
    let text = "apt-get update -q && apt-get install -q -y --no-install-recommends wget sudo; \
        echo 'user ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/user";
    sandbox.sh("root", text).ok();
    install(&sandbox, "user", "-y").ok();
    assert_eq!(
        sandbox.sh("user", "stat -c %u:%a /usr/local/bin/mesa").ok(),
        "0:755"
    );
    assert!(sandbox.path("/usr/bin/fusermount3").is_file());
    assert!(sandbox.path("/etc/mesa/install.toml").is_file());
}

#[test]
fn on_busybox_without_a_mirror() {
    let (server, _dist) = served();
    server.create_repo("work");
    let sandbox = Sandbox::busybox(Fuse::Root);
    let _wire = sandbox.reaches(&server);
    // Only what a root without a package manager has.
    std::fs::remove_file(sandbox.path("/sbin/apk")).expect("no package manager");
    std::fs::remove_file(sandbox.path("/usr/bin/curl")).expect("no curl");
    let output = install(&sandbox, "root", "-y");
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stderr.contains("only root can mount"), "{output:?}");
    let (key, _) = server.create_key("{}");
    let mount = sandbox.run(
        "root",
        &[("MESA_ORGS", &format!("my-org:{key}"))],
        &["mesa", "mount", "-d", "-y"],
    );
    mount.ok();
    sandbox
        .sh(
            "root",
            "echo hello > ~/.local/share/mesa/mnt/my-org/work/f && mesa sync && mesa unmount",
        )
        .ok();
}

/// Without an archive of packages the helper for users comes from the server, too.
#[test]
fn a_user_on_busybox() {
    let dist = sandbox::dist();
    sandbox::add_fusermount(dist.path());
    let server = Server::start_with(&["--dist-dir", &dist.path().display().to_string()]);
    server.create_repo("work");
    let sandbox = Sandbox::busybox(Fuse::Root);
    let _wire = sandbox.reaches(&server);
    std::fs::remove_file(sandbox.path("/sbin/apk")).expect("no package manager");
    let output = install(&sandbox, "root", "-y --setup-fuse");
    assert_eq!(output.code, 0, "{output:?}");
    assert!(
        output.stderr.contains("installed the server's fusermount3"),
        "{output:?}"
    );
    assert_eq!(
        sandbox
            .sh("root", "stat -c %u:%a /usr/local/bin/fusermount3")
            .ok(),
        "0:4755"
    );
    let (key, _) = server.create_key("{}");
    let orgs = format!("my-org:{key}");
    let mount = sandbox.run(
        "user",
        &[("MESA_ORGS", &orgs)],
        &["mesa", "mount", "-d", "-y"],
    );
    assert_eq!(mount.code, 0, "{mount:?}");
    sandbox
        .sh(
            "user",
            "echo hello > ~/.local/share/mesa/mnt/my-org/work/f && mesa sync",
        )
        .ok();
    sandbox
        .sh("root", "cat ~user/.local/share/mesa/mnt/my-org/work/f")
        .ok();
    sandbox.sh("user", "mesa unmount").ok();
}

#[test]
fn what_was_changed_on_its_way_is_refused() {
    let (server, dist) = served();
    let sandbox = Sandbox::busybox(Fuse::Root);
    let _wire = sandbox.reaches(&server);
    let (status, _) = server.get_raw("/download/SHA256SUMS", "");
    assert_eq!(status, 200, "the sums are known now");
    let program = dist.path().join(format!("mesa_{VERSION}_linux_x86_64"));
    let file = std::fs::File::options()
        .write(true)
        .open(program)
        .expect("the program");
    file.write_all_at(b"changed", 4096).expect("a change");
    let refused = install(&sandbox, "root", "-y");
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("checksum") && refused.stderr.contains("nothing was installed"),
        "{refused:?}"
    );
    assert!(!sandbox.path("/usr/local/bin/mesa").exists());
    assert_eq!(sandbox.sh("root", "ls -A /tmp").ok(), "", "nothing is left");
}

/// `dpkg -i` as well as unpacking alone, on a root with nothing else, and no script of the package.
#[test]
fn the_debian_package() {
    let (server, _dist) = served();
    server.create_repo("work");
    let sandbox = Sandbox::debian(Fuse::Root);
    let _wire = sandbox.reaches(&server);
    let (status, package) =
        server.get_raw(&format!("/download/generic/mesa_{VERSION}_amd64.deb"), "");
    assert_eq!(status, 200);
    let mut file = std::fs::File::create(sandbox.path("/tmp/mesa.deb")).expect("a file");
    file.write_all(&package).expect("a package");
    sandbox.sh("root", "dpkg -i /tmp/mesa.deb").ok();
    let list = sandbox.sh("root", "dpkg -L mesa; dpkg -s mesa").ok();
    for path in [
        "/usr/bin/mesa",
        "/usr/lib/systemd/system/mesa.service",
        "/usr/lib/systemd/user/mesa-mount.service",
        "/usr/share/bash-completion/completions/mesa",
    ] {
        assert!(list.contains(path), "{path}\n{list}");
    }
    assert!(
        !sandbox.path("/etc/mesa").exists(),
        "the generic one names no server"
    );
    let version = sandbox.sh("root", "mesa version && dpkg -r mesa").ok();
    assert!(version.contains(VERSION));
    assert!(!sandbox.path("/usr/bin/mesa").exists());
}
