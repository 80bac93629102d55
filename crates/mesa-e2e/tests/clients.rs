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
}

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
        Self {
            // The clients' own receivers are on this machine.
            whole: Server::start_with(&["--webhooks-allow-private"]),
            limited: Server::start_with(&["--rate-burst", "10", "--rate-per-second", "1"]),
            damaged,
            damaged_repo,
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
            .env("MESA_TEST_PRIVATE_KEY", private_key(&self.whole))
            .env("MESA_TEST_LIMITED_PRIVATE_KEY", private_key(&self.limited))
            .env("MESA_TEST_DAMAGED_PRIVATE_KEY", private_key(&self.damaged))
            .stdin(Stdio::null());
        command
    }
}

/// A private key of the server's org that may do everything.
fn private_key(server: &Server) -> String {
    let args = [
        "key",
        "create",
        "--signing",
        "--scope",
        "admin",
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
            .args(["-m", "unittest", "-q"])
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
