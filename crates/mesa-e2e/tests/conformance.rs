//! The POSIX conformance cases on a real mount.

use mesa_e2e::Server;

/// Cases that differ on purpose; each has its reason in `docs/semantics.md`.
const DELIBERATE: &[&str] = &[
    "attributes/write_clears_setuid",
    "permissions/stat_below_an_unsearchable_directory",
];

#[test]
fn posix_cases_hold_on_a_mount() {
    let server = Server::start();
    server.create_repo("work");
    let (key, _) = server.create_key("{}");
    let client = server.client();
    client.let_others_in();
    client.mount(&key).ok();
    let report = mesa_conformance::run(&client.repo("work"), "").expect("the cases run");
    let failed: Vec<_> = report
        .failed()
        .filter(|o| !DELIBERATE.contains(&o.name))
        .map(|o| (o.name, &o.failure))
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {} failed: {failed:#?}",
        failed.len(),
        report.outcomes.len()
    );
}

#[test]
fn posix_cases_hold_natively() {
    let dir = tempfile::tempdir().expect("a directory");
    rustix::fs::chmod(dir.path(), rustix::fs::Mode::from(0o755)).expect("chmod");
    let report = mesa_conformance::run(dir.path(), "").expect("the cases run");
    assert_eq!(report.failed().count(), 0, "{report}");
}
