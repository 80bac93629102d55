//! The providers' guides, command for command, in isolated roots (`guides/`).

use std::process::{Command, Stdio};

use mesa_e2e::{
    Fuse, Output, Sandbox, Server, eventually,
    sandbox::{self, ADDRESS},
};
use serde_json::Value;

/// Stands for the agent: leaves what it was asked and where.
const AGENT: &str = "#!/bin/sh\nprintf '%s in %s\\n' \"$1\" \"$PWD\" > agent.txt\n";

struct Guide {
    server: Server,
    sandbox: Sandbox,
    _dist: mesa_e2e::Place,
}

impl Guide {
    fn new(sandbox: Sandbox) -> Self {
        let dist = sandbox::dist();
        let server = Server::start_with(&["--dist-dir", &dist.path().display().to_string()]);
        let _forwarding = sandbox.reaches(&server);
        let claude = sandbox.path("/usr/local/bin/claude");
        std::fs::write(&claude, AGENT).expect("the agent");
        rustix::fs::chmod(&claude, rustix::fs::Mode::from(0o755)).expect("chmod");
        Self {
            server,
            sandbox,
            _dist: dist,
        }
    }

    /// Packages an image has before the guide begins.
    fn image_with(self, packages: &str) -> Self {
        let install = format!(
            "apt-get update -q && apt-get install -q -y --no-install-recommends {packages}"
        );
        self.sandbox.sh("root", &install).ok();
        self
    }

    /// Runs blocks of a guide; every command must succeed. Returns them with their outcomes.
    fn run(&self, guide: &str, blocks: &[&str]) -> Vec<Value> {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        Output::of(Command::new(format!("{root}/tests/clients/install")).stdin(Stdio::null())).ok();
        let enter = sandbox::script("enter").display().to_string();
        let mut node = Command::new("node");
        node.arg(format!("{}/guides/run.mjs", env!("CARGO_MANIFEST_DIR")))
            .arg(guide)
            .args(blocks)
            .env("MESA_API_KEY", self.server.admin_key())
            .env("MESA_API_URL", self.server.url())
            .env("MESA_TEST_URL", self.server.url())
            .env("MESA_TEST_INSIDE", format!("http://{ADDRESS}"))
            .env("MESA_TEST_ENTER", format!("{enter} {}", self.sandbox.pid()))
            .env("MESA_TEST_VERSION", env!("CARGO_PKG_VERSION"))
            .stdin(Stdio::null());
        let output = Output::of(&mut node);
        assert_eq!(output.code, 0, "{}\n{}", output.stdout, output.stderr);
        let last = output.stdout.lines().last().unwrap_or_default();
        let log: Value = serde_json::from_str(last).expect("the log of the commands");
        let log = log.as_array().expect("a list").clone();
        assert!(log.iter().all(|command| command["status"] == 0), "{log:?}");
        log
    }

    /// What the agent did is on the server.
    fn worked(&self, repo: &str, home: &str) {
        let path = Server::content_path(repo, "agent.txt");
        let place = format!("{home}/my-org/{repo}");
        let wanted = format!("Implement the feature described in TODO.md in {place}\n");
        // The name comes before the content.
        eventually(20, "the agent's file is on the server", || {
            let (status, text) = self.server.get_raw(&path, &self.server.admin_key());
            status == 200 && text == wanted.as_bytes()
        });
    }

    /// Runs the example of a kit; its agent's file must be on the server.
    fn kit(&self, name: &str) {
        let kits = kits();
        let programs = mesa_e2e::Place::fresh();
        let out = programs.path().display().to_string();
        let mut compile = Command::new(kits.join("node_modules/.bin/tsc"));
        compile.args(["--outDir", &out]).current_dir(&kits);
        Output::of(&mut compile).ok();
        std::fs::write(programs.path().join("package.json"), r#"{"type":"module"}"#)
            .expect("a file");
        self.run(&format!("{out}/{name}/example.js"), &[]);
        let (_, repos) = self
            .server
            .get("/v1/my-org/repos", &self.server.admin_key());
        let repo = repos["repos"][0]["name"]
            .as_str()
            .unwrap_or_else(|| panic!("{repos}"));
        let path = Server::content_path(repo, "agent.txt");
        let (status, text) = self.server.get_raw(&path, &self.server.admin_key());
        assert_eq!(
            (status, text.as_slice()),
            (200, &b"written by an agent\n"[..])
        );
    }
}

/// `kits`, with the providers' packages installed.
fn kits() -> std::path::PathBuf {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../kits");
    let path = std::fs::canonicalize(path).expect("kits");
    Output::of(Command::new(path.join("install")).stdin(Stdio::null())).ok();
    path
}

const MOUNT: &str = ".local/share/mesa/mnt";

#[test]
fn e2b() {
    let guide = Guide::new(Sandbox::debian(Fuse::Root));
    guide.run("e2b", &["0"]);
    guide.worked("agent-workspace", &format!("/home/user/{MOUNT}"));
    // Others are let in, as the guide's line for fuse.conf wants it.
    let seen = format!("cat /home/user/{MOUNT}/my-org/agent-workspace/agent.txt");
    guide.sandbox.sh("root", &seen).ok();
}

#[test]
fn e2b_template() {
    let guide = Guide::new(Sandbox::debian(Fuse::All));
    // The template is built first; what the guide installs then is there.
    guide.run("e2b", &["1", "0"]);
    guide.worked("agent-workspace", &format!("/home/user/{MOUNT}"));
}

#[test]
fn daytona() {
    let guide = Guide::new(Sandbox::debian(Fuse::All));
    guide.run("daytona", &["0", "1"]);
    guide.worked("agent-workspace", "/home/daytona/mesa/mnt");
    let secret = guide
        .sandbox
        .path("/home/daytona/.local/share/mesa/secrets.plaintext.toml");
    assert!(secret.is_file());
}

#[test]
fn blaxel_alpine() {
    let guide = Guide::new(Sandbox::busybox(Fuse::Root));
    guide.server.create_repo("my-repo");
    guide.run("blaxel", &["0", "3"]);
    guide.worked("my-repo", &format!("/root/{MOUNT}"));
}

#[test]
fn blaxel_debian() {
    let guide = Guide::new(Sandbox::debian(Fuse::Root));
    guide.server.create_repo("my-repo");
    guide.run("blaxel", &["1", "2", "3"]);
    guide.worked("my-repo", &format!("/root/{MOUNT}"));
}

#[test]
fn superserve() {
    let guide = Guide::new(Sandbox::debian(Fuse::Root)).image_with("ca-certificates curl");
    let log = guide.run("superserve", &["0"]);
    let said = log[0]["stderr"].as_str().unwrap_or_default();
    assert!(said.contains("installed the package fuse3"), "{said}");
    guide.worked("agent-workspace", &format!("/home/user/{MOUNT}"));
    // "on first boot it writes them, so you don't need to repeat them"
    let again = [("HOME", "/home/user")];
    let mount = ["mesa", "mount", "-d", "-y"];
    guide.sandbox.run("root", &again, &["mesa", "unmount"]).ok();
    guide.sandbox.run("root", &again, &mount).ok();
}

#[test]
fn superserve_template() {
    let guide = Guide::new(Sandbox::debian(Fuse::Root));
    // The key of the third block comes from the first one, which installs once more.
    guide.run("superserve", &["1", "0"]);
    guide.worked("agent-workspace", &format!("/home/user/{MOUNT}"));
}

/// "You can stop and resume a sprite without losing the mount: just re-run `mesa mount
/// --daemonize` after resuming."
#[test]
fn sprites_and_a_resume() {
    let guide = Guide::new(Sandbox::debian(Fuse::Root)).image_with("ca-certificates curl");
    guide.run("sprites", &["0"]);
    guide.worked("agent-workspace", &format!("/root/{MOUNT}"));
    let sandbox = &guide.sandbox;
    let repo = format!("{MOUNT}/my-org/agent-workspace");
    // Stopping a sprite ends its processes; the disk and, here, the dead mount stay.
    sandbox
        .sh("root", "kill -9 $(cat /root/.local/share/mesa/run/*.pid)")
        .ok();
    eventually(10, "the mount is dead", || {
        sandbox.sh("root", &format!("ls ~/{MOUNT}")).code != 0
    });
    let told = sandbox.run("root", &[], &["mesa", "doctor"]);
    assert!(told.stdout.contains("FAIL  mount"), "{told:?}");
    sandbox
        .run("root", &[], &["mesa", "mount", "--daemonize"])
        .ok();
    sandbox
        .sh(
            "root",
            &format!("cd ~/{repo} && cat agent.txt && echo resumed > after"),
        )
        .ok();
    sandbox.sh("root", "mesa sync").ok();
    let path = Server::content_path("agent-workspace", "after");
    let (status, text) = guide.server.get_raw(&path, &guide.server.admin_key());
    assert_eq!((status, text.as_slice()), (200, &b"resumed\n"[..]));
}

/// The examples of the kits fit the providers' own packages: every file, also those that no test
/// runs.
#[test]
fn kits_have_the_providers_types() {
    let kits = kits();
    let mut check = Command::new(kits.join("node_modules/.bin/tsc"));
    Output::of(check.arg("--noEmit").current_dir(&kits)).ok();
}

#[test]
fn kit_of_e2b() {
    Guide::new(Sandbox::debian(Fuse::Root))
        .image_with("ca-certificates curl")
        .kit("e2b");
}

#[test]
fn kit_of_daytona() {
    Guide::new(Sandbox::debian(Fuse::Root)).kit("daytona");
}

#[test]
fn kit_of_blaxel() {
    Guide::new(Sandbox::busybox(Fuse::Root)).kit("blaxel");
}

#[test]
fn kit_of_superserve() {
    Guide::new(Sandbox::debian(Fuse::Root))
        .image_with("ca-certificates curl")
        .kit("superserve");
}

#[test]
fn kit_of_sprites() {
    Guide::new(Sandbox::debian(Fuse::Root))
        .image_with("ca-certificates curl")
        .kit("sprites");
}
