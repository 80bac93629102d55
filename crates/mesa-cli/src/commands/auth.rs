//! `mesa auth`

use std::{
    io::{IsTerminal, Read},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use mesa_config::{ConfigEdit, Loaded, SecretName};
use mesa_types::{OrgSlug, RepoName, Secret};

use crate::{
    context::Context,
    credentials,
    daemon::{self, control::Command as Control},
    error::{CliError, CliResult, Exit},
    terminal,
};

/// Credentials on this machine
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Store an API key or token; a running mount uses it at once
    ///
    /// Without --org it is used wherever nothing more specific is stored. The key may also come
    /// from standard input, which keeps it out of process lists.
    #[command(
        after_help = "Example:\n  mesa auth set-key --org my-org < key.txt\n  mesa auth set-key --org my-org mesa_..."
    )]
    SetKey(SetKey),
}

#[derive(Args)]
pub struct SetKey {
    /// The key; absent: read from standard input
    key: Option<String>,
    /// Use it for this org
    #[arg(long)]
    org: Option<OrgSlug>,
    /// Use it for this repo of the org only
    #[arg(long, requires = "org")]
    repo: Option<RepoName>,
    /// Read it from this file
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    key_file: Option<PathBuf>,
}

impl std::fmt::Debug for SetKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetKey")
            .field("org", &self.org)
            .finish_non_exhaustive()
    }
}

/// Longest key read, in bytes.
const KEY_BYTES_MAX: u64 = 64 * 1024;

pub fn run(context: &Context, command: Command) -> CliResult {
    let Command::SetKey(args) = command;
    let loaded = context.load_with(mesa_config::Layer::default(), true)?;
    let secret = read_key(context, &args)?;
    let name = match (&args.org, &args.repo) {
        (None, _) => SecretName::Global,
        (Some(org), None) => SecretName::Org(org.clone()),
        (Some(org), Some(repo)) => SecretName::Repo(org.clone(), repo.clone()),
    };
    let store = credentials::unlocked(context, &loaded.settings)?;
    store.update(|secrets| secrets.set(name.clone(), secret.clone()))?;
    remember(context, &loaded, store.backend(), args.org.as_ref());
    let command = Control::SetKey {
        org: args.org.as_ref().map(ToString::to_string),
        repo: args.repo.as_ref().map(ToString::to_string),
        token: secret.expose().to_owned(),
    };
    let live = match daemon::client::ask(&loaded.settings, &command) {
        Ok(_) => true,
        Err(error) if error.exit == Exit::NotFound => false,
        Err(error) => {
            context.printer.warning(format!(
                "the running mount did not take it: {}",
                error.message
            ));
            false
        }
    };
    if context.printer.json {
        context.printer.value(&serde_json::json!({
            "stored": name.to_string(),
            "backend": store.backend().as_str(),
            "live": live,
        }));
    } else {
        let at_once = if live {
            "; the running mount uses it"
        } else {
            ""
        };
        context
            .printer
            .note(format!("stored {name} ({}){at_once}", store.backend()));
    }
    Ok(())
}

/// Writes the chosen backend and the org into the user's configuration; failing is a warning.
pub(super) fn remember(
    context: &Context,
    loaded: &Loaded,
    backend: mesa_config::Backend,
    org: Option<&OrgSlug>,
) {
    let edited = (|| {
        let mut edit = ConfigEdit::open(&loaded.config_file)?;
        if loaded.settings.secrets_backend.is_none() {
            edit.choose_backend(backend)?;
        }
        if let Some(org) = org
            && !loaded.settings.orgs.contains_key(org)
        {
            edit.add_org(org)?;
        }
        edit.save()
    })();
    if let Err(error) = edited {
        context
            .printer
            .warning(format!("the configuration was not written: {error}"));
    }
}

fn read_key(context: &Context, args: &SetKey) -> CliResult<Secret> {
    let secret = if let Some(key) = &args.key {
        Secret::new(key)
    } else if let Some(path) = &args.key_file {
        Secret::new(&read_limited(path)?)
    } else if context.interactive() {
        terminal::ask_secret("API key:")?
    } else if std::io::stdin().is_terminal() {
        return Err(CliError::usage(
            "give the key as an argument, by --key-file or on standard input",
        ));
    } else {
        let mut text = String::new();
        std::io::stdin()
            .take(KEY_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(|e| CliError::io("cannot read the key from standard input", &e))?;
        Secret::new(&text)
    };
    if secret.is_plausible() {
        Ok(secret)
    } else if secret.expose().is_empty() {
        Err(CliError::usage("the key is empty")
            .hint("give it as an argument, by --key-file or on standard input"))
    } else {
        Err(CliError::usage(
            "the key has characters no key or token can have",
        ))
    }
}

fn read_limited(path: &Path) -> CliResult<String> {
    let failed = |e| CliError::io(format!("cannot read the key file {}", path.display()), &e);
    let mut text = String::new();
    std::fs::File::open(path)
        .map_err(failed)?
        .take(KEY_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(text)
}
