//! The official MCP clients, unmodified, over HTTP and over `mesa mcp` (`tests/clients/mcp`).

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Command, Stdio},
};

use mesa_e2e::{Output, Server};
use serde_json::{Value, json};

fn clients() -> PathBuf {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/clients");
    std::fs::canonicalize(path).expect("tests/clients")
}

/// A client's program with the server, three keys, and the program for stdio.
fn drive(server: &Server, program: PathBuf, args: &[&str]) {
    Output::of(Command::new(clients().join("install")).stdin(Stdio::null())).ok();
    let repo = server.create_repo("mine");
    let (reader, _) = server.create_key(r#"{"scopes": ["read"]}"#);
    let wanted = json!({"scopes": ["read", "write"], "repo_ids": [repo]});
    let (restricted, _) = server.create_key(&wanted.to_string());
    let home = server.client();
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(clients().join("mcp"))
        .env("MESA_BIN", mesa_e2e::mesa_binary())
        .env("MESA_TEST_HOME", home.home())
        .env("MESA_TEST_URL", server.url())
        .env("MESA_TEST_KEY", server.admin_key())
        .env("MESA_TEST_READER", reader)
        .env("MESA_TEST_RESTRICTED", restricted)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null());
    let output = Output::of(&mut command);
    assert_eq!(output.code, 0, "{}\n{}", output.stdout, output.stderr);
}

#[test]
fn the_typescript_clients_drive_every_tool() {
    drive(&Server::start(), "node".into(), &["--test", "run.mjs"]);
}

#[test]
fn the_python_client_drives_every_tool() {
    let python = clients().join("mcp/.venv-2.3.0/bin/python");
    drive(&Server::start(), python, &["-m", "unittest", "-q", "run"]);
}

/// `mesa mcp` as an agent starts it, with its lines.
struct Bridge {
    _home: mesa_e2e::Client,
    child: std::process::Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Bridge {
    fn start(server: &Server) -> Self {
        let home = server.client();
        let mut command = home.command(&["mcp"]);
        command
            .env("MESA_API_KEY", server.admin_key())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("mesa mcp");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        Self {
            _home: home,
            child,
            lines,
        }
    }

    fn send(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("its input");
        writeln!(stdin, "{line}").expect("a line is taken");
    }

    fn answer(&mut self) -> Value {
        let line = self.lines.next().expect("an answer").expect("a line");
        serde_json::from_str(&line).expect("JSON")
    }
}

#[test]
fn the_bridge_goes_on_whatever_comes() {
    let mut server = Server::start();
    let mut bridge = Bridge::start(&server);
    bridge.send("{");
    assert_eq!(bridge.answer()["error"]["code"], -32700);
    bridge.send(r#"{"jsonrpc": "2.0", "method": "notifications/initialized"}"#);
    bridge.send(r#"{"jsonrpc": "2.0", "id": 1, "method": "ping"}"#);
    assert_eq!(
        bridge.answer(),
        json!({"jsonrpc": "2.0", "id": 1, "result": {}})
    );
    // The server goes away and comes back.
    server.kill();
    let call =
        r#"{"jsonrpc": "2.0", "id": "c", "method": "tools/call", "params": {"name": "whoami"}}"#;
    bridge.send(call);
    let lost = bridge.answer();
    assert_eq!(
        (&lost["id"], &lost["result"]["isError"]),
        (&json!("c"), &json!(true))
    );
    let text = lost["result"]["content"][0]["text"].as_str().expect("text");
    assert!(text.contains("cannot be reached"), "{text}");
    bridge.send(r#"{"jsonrpc": "2.0", "id": 2, "method": "ping"}"#);
    assert_eq!(bridge.answer()["error"]["code"], -32603);
    server.restart();
    bridge.send(call);
    let back = bridge.answer();
    assert_eq!(back["result"]["structuredContent"]["org"]["slug"], "my-org");
    // What is far too large is refused under its id.
    let huge = "x".repeat(33 << 20);
    let call = json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": huge}});
    bridge.send(&call.to_string());
    let refused = bridge.answer();
    assert_eq!(refused["id"], 3);
    let text = refused["result"]["content"][0]["text"].as_str();
    assert!(
        text.is_some_and(|text| text.contains("PAYLOAD_TOO_LARGE")),
        "{refused}"
    );
    // The end of the input is the end of the program.
    drop(bridge.child.stdin.take());
    assert!(bridge.child.wait().expect("its end").success());
}

#[test]
fn the_bridge_needs_a_credential() {
    let server = Server::start();
    let home = server.client();
    let refused = home.with_env("MESA_API_KEY", "mesa_wrong").mesa(&["mcp"]);
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    assert!(refused.stdout.is_empty());
    let help = server.client().mesa(&["mcp", "--help"]);
    assert!(help.ok().contains("mcpServers"));
}
