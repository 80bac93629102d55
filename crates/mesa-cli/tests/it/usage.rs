//! Wrong input.

use crate::harness::Machine;

#[test]
fn wrong_words_are_usage_errors() {
    let machine = Machine::new();
    for args in [
        &["moutn"][..],
        &["mount", "--durability", "never"],
        &["mount", "--timeout", "soon"],
        &["repo", "create"],
        &["repo", "create", "a/b"],
        &["repo", "create", "ok", "--org", "Not An Org"],
        &["key", "create", "--scope", "god"],
        &["key", "create", "--expires", "1x"],
        &["auth", "set-key", "k", "--repo", "r"],
        &["serve", "--tls-cert", "c.pem"],
        &["serve", "--bootstrap-org", "admin"],
        &["status", "--pid", "x"],
        &["completions", "tcsh-ng"],
        &["describe"],
        &["restore"],
        &["restore", "f", "--before", "x"],
        &["undo", "--repo", "a/b", "x1"],
        &["op", "log", "--since", "soon"],
        &["log", "-n", "0"],
        &["log", "main", "--all"],
        &["log", "--bookmark", "main"],
        &["log", "--repo", "o/r", "--bookmark", "a", "--change", "b"],
        &["diff", "--git", "--stat"],
        &["diff", "-r", "@", "--to", "@"],
        &["resolve", "f", "--ours", "--theirs"],
        &["resolve", "--ours"],
        &["resolve", "f"],
    ] {
        let done = machine.mesa(args).code(2);
        assert!(done.err.starts_with("error: "), "{args:?}: {}", done.err);
        assert!(done.out.is_empty(), "{args:?}");
    }
}

#[test]
fn usage_errors_are_json_when_asked() {
    let machine = Machine::new();
    let done = machine
        .mesa(&["--json", "mount", "--durability", "never"])
        .code(2);
    let object: serde_json::Value = serde_json::from_str(&done.err).unwrap();
    assert_eq!(object["exit_code"], 2);
    assert_eq!(object["error"]["exit"], "usage");
    assert!(
        object["error"]["message"]
            .as_str()
            .unwrap()
            .contains("never")
    );
}

#[test]
fn a_bare_command_shows_help_and_fails() {
    let machine = Machine::new();
    let done = machine.mesa(&[]).code(2);
    assert!(done.err.contains("Usage: mesa"), "{}", done.err);
    assert!(
        machine
            .mesa(&["--help"])
            .code(0)
            .out
            .contains("Usage: mesa")
    );
    assert!(
        machine
            .mesa(&["help", "mount"])
            .code(0)
            .out
            .contains("Example:")
    );
}

#[test]
fn version_in_every_form() {
    let machine = Machine::new();
    let text = format!("mesa {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(machine.mesa(&["--version"]).code(0).out, text);
    assert_eq!(machine.mesa(&["version"]).code(0).out, text);
    let json = machine.mesa(&["version", "--json"]).code(0).out;
    let object: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(object["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn data_commands_need_nothing() {
    let machine = Machine::new();
    let ignore = machine.mesa(&["dump-default-mesaignore"]).code(0).out;
    assert!(ignore.ends_with("!.mesaignore\n"));
    assert!(
        machine
            .mesa(&["completions", "bash"])
            .code(0)
            .out
            .contains("_mesa")
    );
}

#[test]
fn configuration_problems_come_together_with_lines() {
    let machine = Machine::new();
    machine.file(
        ".config/mesa/config.toml",
        "uid = \"me\"\n\n[cache]\nmax-size = \"lots\"\n",
    );
    let mut command = machine.command(&["status"]);
    command.env("MESA_GID", "x");
    machine.run(command).code(2).err(
        "error: the configuration is invalid\n\
         caused by: MESA_GID: must be a number, not 'x'\n\
         caused by: ~/home/.config/mesa/config.toml:1: uid must be a number, not a string\n\
         caused by: ~/home/.config/mesa/config.toml:4: cache.max-size has a bad value: 'lots' is not a size such as 512MB or 10GB",
    );
}

#[test]
fn unknown_keys_warn() {
    let machine = Machine::new();
    machine.file(".config/mesa/config.toml", "mount_point = \"/x\"\n");
    machine.mesa(&["status"]).code(3).err(
        "warning: ~/home/.config/mesa/config.toml:1: unknown key mount_point\n\
         error: no mount is running\n\
         hint: start one with `mesa mount -d`",
    );
}

#[test]
fn a_named_configuration_must_exist() {
    let machine = Machine::new();
    machine
        .mesa(&["status", "-c", "/nonexistent/c.toml"])
        .code(3)
        .err("error: the configuration file /nonexistent/c.toml does not exist");
}
