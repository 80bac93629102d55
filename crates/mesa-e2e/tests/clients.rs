//! The published clients, unmodified, against real servers (`tests/clients`).

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use mesa_e2e::{Output, Server, sh};

fn clients() -> PathBuf {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/clients");
    std::fs::canonicalize(path).expect("tests/clients")
}

/// The servers the clients are driven against.
struct Servers {
    whole: Server,
    /// Allows a key ten requests.
    limited: Server,
    /// One repo's record is damaged, so that reading it is a failure of the server.
    damaged: Server,
    damaged_repo: &'static str,
    /// Fails every request.
    failing: Server,
    failing_private_key: String,
}

/// A repo of the first server with a file larger than JSON may carry.
const LARGE: &str = "large";

impl Servers {
    fn start() -> Self {
        let damaged_repo = "damaged";
        let mut damaged = Server::start();
        let id = damaged.create_repo(damaged_repo);
        assert_eq!(damaged.terminate(), 0);
        let statement =
            format!("UPDATE repos SET value = x'ff' WHERE instr(key, CAST('{id}' AS BLOB)) > 0");
        let rows = sh(
            &damaged.data_dir(),
            &format!("sqlite3 -batch meta.db \"{statement}; SELECT changes()\""),
        );
        assert_ne!(rows, "0", "no record was damaged");
        damaged.restart();
        let mut failing = Server::start();
        let failing_private_key = private_key(&failing, "admin");
        failing.restart_failing();
        // The clients' own receivers are on this machine.
        let whole = Server::start_with(&["--webhooks-allow-private"]);
        whole.create_repo(LARGE);
        let client = whole.client();
        client.mount(&whole.admin_key()).ok();
        sh(
            &client.repo(LARGE),
            "head -c 17M /dev/zero > zeros; sync zeros",
        );
        client.mesa(&["sync"]).ok();
        drop(client);
        Self {
            whole,
            limited: Server::start_with(&["--rate-burst", "10", "--rate-per-second", "1"]),
            damaged,
            damaged_repo,
            failing,
            failing_private_key,
        }
    }

    /// A test program with what it needs to know about the servers.
    fn command(&self, program: PathBuf) -> Command {
        let mut command = Command::new(program);
        command
            .env_remove("MESA_API_KEY")
            .env("MESA_TEST_URL", self.whole.url())
            .env("MESA_TEST_KEY", self.whole.admin_key())
            .env("MESA_TEST_LIMITED_URL", self.limited.url())
            .env("MESA_TEST_LIMITED_KEY", self.limited.admin_key())
            .env("MESA_TEST_DAMAGED_URL", self.damaged.url())
            .env("MESA_TEST_DAMAGED_KEY", self.damaged.admin_key())
            .env("MESA_TEST_DAMAGED_REPO", self.damaged_repo)
            .env("MESA_TEST_FAILING_URL", self.failing.url())
            .env("MESA_TEST_FAILING_KEY", self.failing.admin_key())
            .env("MESA_TEST_FAILING_PRIVATE_KEY", &self.failing_private_key)
            .env("MESA_TEST_LARGE_REPO", LARGE)
            .env("MESA_TEST_PRIVATE_KEY", private_key(&self.whole, "admin"))
            .env(
                "MESA_TEST_READ_PRIVATE_KEY",
                private_key(&self.whole, "read"),
            )
            .env(
                "MESA_TEST_LIMITED_PRIVATE_KEY",
                private_key(&self.limited, "admin"),
            )
            .env(
                "MESA_TEST_DAMAGED_PRIVATE_KEY",
                private_key(&self.damaged, "admin"),
            )
            .stdin(Stdio::null());
        command
    }
}

/// A private key of the server's org with this scope.
fn private_key(server: &Server, scope: &str) -> String {
    let args = [
        "key",
        "create",
        "--signing",
        "--scope",
        scope,
        "--org",
        "my-org",
    ];
    server.mesa(&args).ok()
}

/// Installs the clients, which `./test` has done already.
fn install() {
    Output::of(Command::new(clients().join("install")).stdin(Stdio::null())).ok();
}

fn python(version: &str) {
    install();
    let servers = Servers::start();
    let directory = clients().join("python");
    let mut command = servers.command(directory.join(format!(".venv-{version}/bin/python")));
    let output = Output::of(
        command
            .arg("run.py")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(directory),
    );
    assert_eq!(output.code, 0, "{}\n{}", output.stdout, output.stderr);
}

#[test]
fn the_typescript_clients_work_unmodified() {
    install();
    let servers = Servers::start();
    let mut command = servers.command("node".into());
    let output = Output::of(command.arg(clients().join("node/run.mjs")));
    assert_eq!(output.code, 0, "{}\n{}", output.stdout, output.stderr);
    assert!(output.stdout.contains("# fail 0"), "{}", output.stdout);
}

#[test]
fn the_python_client_0_38_works_unmodified() {
    python("0.38.0");
}

#[test]
fn the_python_client_0_49_works_unmodified() {
    python("0.49.1");
}
