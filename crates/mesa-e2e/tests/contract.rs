//! The served OpenAPI document against the server that serves it.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    process::Command,
};

use mesa_e2e::{Output, Server};
use serde_json::{Value, json};

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,ignored_auth";

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients")
}

/// How long requests are made up: `MESA_CONTRACT_SECONDS`, or short.
fn seconds() -> u64 {
    let given = std::env::var("MESA_CONTRACT_SECONDS");
    given.map_or(40, |text| text.parse().expect("a number of seconds"))
}

/// A server with repos, history, a merge to come, a target and a key, and the configuration that
/// names them.
fn furnished() -> (Server, String) {
    let server = Server::start_with(&["--rate-per-second", "0"]);
    let key = server.admin_key();
    for repo in ["demo", "doomed", "renamed"] {
        server.create_repo(repo);
    }
    let made = |(status, answer): (u16, Value)| {
        assert!(matches!(status, 200 | 201), "{answer}");
        answer["id"].as_str().unwrap_or_default().to_owned()
    };
    let demo = "/v1/my-org/demo";
    let files = |paths: [&str; 2]| paths.map(|p| json!({"path": p, "content": "MQo="}));
    let author = json!({"name": "Ada", "email": "ada@example.com"});
    let main = format!("{demo}/changes/main");
    let body = json!({"files": files(["d/f", "g"])});
    let base = made(server.patch(&main, &key, &body.to_string()));
    let side = json!({"base_change_id": base, "message": "side", "author": author,
        "files": [{"path": "d/f", "content": "Mgo="}]});
    let side = made(server.post(&format!("{demo}/changes"), &key, &side.to_string()));
    let body = json!({"name": "side", "change_id": side});
    made(server.post(&format!("{demo}/bookmarks"), &key, &body.to_string()));
    let body = json!({"files": [{"path": "d/f", "content": "Mwo="}]});
    made(server.patch(&main, &key, &body.to_string()));
    let body = json!({"url": "https://hooks.example/"}).to_string();
    let target = made(server.post("/v1/my-org/webhook-targets", &key, &body));
    let (_, spare) = server.create_key("{}");
    let mut config = std::fs::read_to_string(clients().join("schemathesis.toml")).expect("a file");
    for (name, word) in [("targets", target), ("keys", spare)] {
        write!(config, "\n[dictionaries.{name}]\nvalues = [\"{word}\"]\n").expect("text");
    }
    (server, config)
}

#[track_caller]
fn found_nothing(server: &Server, config: &str) {
    let seconds = seconds();
    let file = server.data_dir().join("../schemathesis.toml");
    std::fs::write(&file, config).expect("a file");
    let examples = (seconds / 2).max(10).to_string();
    let mut command = Command::new(clients().join("python/.venv-schemathesis/bin/python"));
    command
        .args(["-m", "schemathesis.cli"])
        .arg("--config-file")
        .arg(file)
        .args(["run", &format!("{}/openapi.json", server.url())])
        .args(["--url", &format!("{}/v1", server.url())])
        .args([
            "-H",
            &format!("Authorization: Bearer {}", server.admin_key()),
        ])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args(["--max-examples", &examples])
        .args(["--max-time", &seconds.to_string(), "--seed", "1"])
        .args(["--generation-database", "none"])
        .args(["--checks", CHECKS])
        .args(["--warnings", "off", "--no-color", "--no-shrink"])
        .current_dir(server.data_dir());
    let output = Output::of(&mut command);
    let mut shown = format!("{}\n{}\n", output.stdout, output.stderr);
    let log = server.log();
    for line in log.lines().filter(|line| line.contains("ERROR")) {
        writeln!(shown, "{line}").expect("text");
    }
    assert_eq!(output.code, 0, "{shown}");
    assert!(output.stdout.contains("No issues found"), "{shown}");
    assert!(!log.contains("panicked"), "{shown}");
}

#[test]
fn random_requests_find_no_server_failure_and_no_undocumented_answer() {
    Output::of(&mut Command::new(clients().join("install"))).ok();
    let (server, config) = furnished();
    found_nothing(&server, &config);
    assert_eq!(server.get("/readyz", "").0, 200);
}
