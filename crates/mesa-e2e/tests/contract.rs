//! The served OpenAPI document against the server that serves it.

use std::{path::Path, process::Command};

use mesa_e2e::{Output, Server};

#[test]
fn random_requests_find_no_server_failure_and_no_undocumented_answer() {
    let clients = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/clients"));
    Output::of(&mut Command::new(clients.join("install"))).ok();
    let server = Server::start_with(&["--rate-per-second", "0"]);
    for repo in ["demo", "doomed", "renamed"] {
        server.create_repo(repo);
    }
    let mut command = Command::new(clients.join("python/.venv-schemathesis/bin/schemathesis"));
    command
        .arg("--config-file")
        .arg(clients.join("schemathesis.toml"))
        .args(["run", &format!("{}/openapi.json", server.url())])
        .args(["--url", &format!("{}/v1", server.url())])
        .args([
            "-H",
            &format!("Authorization: Bearer {}", server.admin_key()),
        ])
        .args([
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            "15",
        ])
        .args([
            "--max-time",
            "20",
            "--seed",
            "1",
            "--generation-database",
            "none",
        ])
        .args([
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,\
             response_headers_conformance,response_schema_conformance",
        ])
        .args(["--warnings", "off", "--no-color", "--no-shrink"])
        .current_dir(server.data_dir());
    let output = Output::of(&mut command);
    let (_, log) = (server.get("/healthz", ""), server.log());
    assert_eq!(
        output.code, 0,
        "{}\n{}\n{log}",
        output.stdout, output.stderr
    );
    let clean = output.stdout.contains("No issues found");
    assert!(clean, "{}", output.stdout);
}
