//! Storing credentials.

use crate::harness::{Machine, found_in};

#[test]
fn the_guides_sequence() {
    let machine = Machine::new();
    machine.file(
        ".config/mesa/config.toml",
        "mount-point = \"/tmp/never\"\n\n[secrets]\nbackend = \"plaintext-file\"\n\n[organizations.my-org]",
    );
    machine
        .mesa(&["auth", "set-key", "--org", "my-org", "mesa_abc"])
        .code(0)
        .err("stored orgs/my-org (plaintext-file)");
    assert!(
        machine
            .read(".local/share/mesa/secrets.plaintext.toml")
            .contains("mesa_abc")
    );
    assert!(
        !machine
            .read(".config/mesa/config.toml")
            .contains("mesa_abc")
    );
}

#[test]
fn from_standard_input_and_file() {
    let machine = Machine::new();
    machine
        .with_input(&["auth", "set-key", "--org", "a"], "mesa_in\n")
        .code(0);
    let file = machine.file("key.txt", "mesa_file\n");
    machine
        .mesa(&["auth", "set-key", "--key-file", file.to_str().unwrap()])
        .code(0);
    let store = machine.read(".local/share/mesa/secrets.plaintext.toml");
    assert!(
        store.contains("mesa_in") && store.contains("mesa_file"),
        "{store}"
    );
}

#[test]
fn empty_and_impossible_keys() {
    let machine = Machine::new();
    let done = machine.with_input(&["auth", "set-key"], "\n").code(2);
    assert!(
        done.err.starts_with("error: the key is empty"),
        "{}",
        done.err
    );
    let done = machine.mesa(&["auth", "set-key", "two words"]).code(2);
    assert!(!done.err.contains("two words"), "{}", done.err);
    machine
        .mesa(&["auth", "set-key", "--key-file", "/nonexistent"])
        .code(3);
}

#[test]
fn the_vault() {
    let machine = Machine::new();
    let with = |args: &[&str], passphrase: &str| {
        let mut command = machine.command(args);
        command.env("MESA_VAULT_PASSPHRASE", passphrase);
        machine.run(command)
    };
    with(
        &["auth", "set-key", "--org", "acme", "mesa_hidden"],
        "open sesame",
    )
    .code(0);
    assert!(found_in(machine.dir.path(), "mesa_hidden").is_empty());
    assert!(
        machine
            .read(".config/mesa/config.toml")
            .contains("encrypted-file")
    );
    machine.mesa(&["auth", "set-key", "mesa_y"]).code(4).err(
        "error: the secret vault ~/home/.local/share/mesa/secrets.vault.age needs a passphrase\n\
         hint: set MESA_VAULT_PASSPHRASE, or use a terminal",
    );
    with(&["auth", "set-key", "mesa_y"], "wrong").code(4).err(
        "error: the passphrase does not open the secret vault ~/home/.local/share/mesa/secrets.vault.age\n\
         hint: check MESA_VAULT_PASSPHRASE",
    );
}

#[test]
fn the_first_choice_of_a_backend_stays() {
    let machine = Machine::new();
    machine.mesa(&["auth", "set-key", "mesa_x"]).code(0);
    assert!(
        machine
            .read(".config/mesa/config.toml")
            .contains("backend = \"plaintext-file\"")
    );
    let mut command = machine.command(&["auth", "set-key", "mesa_z"]);
    command.env("MESA_VAULT_PASSPHRASE", "p");
    machine.run(command).code(0);
    assert!(
        !machine
            .home()
            .join(".local/share/mesa/secrets.vault.age")
            .exists()
    );
}
