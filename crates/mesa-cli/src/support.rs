//! What packages hold beside the program: manual pages, completions, units of systemd, licence.

use clap::CommandFactory;
use clap_complete::Shell;
use mesa_package::Entry;

use crate::{
    cli::Cli,
    error::{CliError, CliResult},
};

const UNITS: [(&str, &str); 2] = [
    (
        "/usr/lib/systemd/system/mesa.service",
        include_str!("../../../packaging/systemd/mesa.service"),
    ),
    (
        "/usr/lib/systemd/user/mesa-mount.service",
        include_str!("../../../packaging/systemd/mesa-mount.service"),
    ),
];

const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "/usr/share/bash-completion/completions/mesa"),
    (Shell::Zsh, "/usr/share/zsh/site-functions/_mesa"),
    (
        Shell::Fish,
        "/usr/share/fish/vendor_completions.d/mesa.fish",
    ),
];

/// The files with the places they are installed to.
pub fn files() -> CliResult<Vec<Entry>> {
    let mut entries = Vec::new();
    for (name, text) in manual()? {
        entries.push(Entry::new(
            &format!("/usr/share/man/man1/{name}"),
            0o644,
            text,
        ));
    }
    for (shell, path) in COMPLETIONS {
        entries.push(Entry::new(path, 0o644, completions(shell)));
    }
    for (path, text) in UNITS {
        entries.push(Entry::new(path, 0o644, text));
    }
    let licence = include_str!("../../../LICENSE");
    entries.push(Entry::new("/usr/share/doc/mesa/copyright", 0o644, licence));
    Ok(entries)
}

/// A completion script.
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "mesa", &mut script);
    script
}

/// Every command's page with its file name, `mesa-repo-list.1`.
pub fn manual() -> CliResult<Vec<(String, Vec<u8>)>> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    add(&command, "mesa", &mut pages).map_err(|e| CliError::io("the manual cannot be made", &e))?;
    Ok(pages)
}

fn add(
    command: &clap::Command,
    name: &str,
    pages: &mut Vec<(String, Vec<u8>)>,
) -> std::io::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    pages.push((format!("{name}.1"), page));
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        add(sub, &format!("{name}-{}", sub.get_name()), pages)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let pages = manual().unwrap();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["mesa.1", "mesa-mount.1", "mesa-repo-create.1", "mesa-man.1"] {
            assert!(names.contains(&name), "{name} is missing: {names:?}");
        }
        assert!(
            !names
                .iter()
                .any(|name| name.contains("daemon") || name.contains("help"))
        );
        for (name, page) in &pages {
            let text = String::from_utf8(page.clone()).unwrap();
            assert!(
                text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"),
                "{name}"
            );
        }
    }

    #[test]
    fn units_start_what_exists() {
        use clap::Parser;
        for (path, text) in UNITS {
            for line in text.lines().filter_map(|line| {
                let (key, value) = line.split_once('=')?;
                key.starts_with("Exec").then(|| value.to_owned())
            }) {
                let words = line.replace("/usr/bin/mesa", "mesa").replace('%', "x");
                Cli::try_parse_from(words.split_whitespace())
                    .unwrap_or_else(|e| panic!("{path}: {e}"));
            }
        }
        assert!(
            files()
                .unwrap()
                .iter()
                .all(|entry| entry.path.starts_with("/usr/"))
        );
    }
}
