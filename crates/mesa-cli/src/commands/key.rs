//! `mesa key`

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use mesa_client::{PrivateKey, RestErrorKind, rest::KeyRequest};
use mesa_types::{OrgSlug, RepoName};
use serde_json::json;

use crate::{
    context::Context,
    credentials::ControlPlane,
    duration,
    error::{CliError, CliResult},
};

/// API keys and signing keys (needs a key with scope admin)
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a key; prints the secret, which is shown only once
    #[command(
        after_help = "Examples:\n  mesa key create --name sandbox --repo agent-workspace --expires 1h\n  \
                      mesa key create --signing --name backend --scope admin"
    )]
    Create(Create),
    /// List keys, without their secrets; signing keys come last
    #[command(after_help = "Example:\n  mesa key list --status active --json")]
    List(List),
    /// End a key at once
    #[command(after_help = "Example:\n  mesa key revoke key_01H...")]
    Revoke(Revoke),
}

#[derive(Debug, Clone, Args)]
struct Place {
    /// The org; needed only when there are several
    #[arg(long, env = "MESA_ORG", hide_env = true)]
    org: Option<OrgSlug>,
    /// On the server's host: its data directory, for the admin key
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scope {
    Read,
    Write,
    Admin,
}

#[derive(Debug, Args)]
pub struct Create {
    #[command(flatten)]
    place: Place,
    /// What the key is for
    #[arg(long)]
    name: Option<String>,
    /// What it may do, repeatable [default: read and write]
    #[arg(long, value_enum, value_delimiter = ',')]
    scope: Vec<Scope>,
    /// Restrict it to this repo, repeatable
    #[arg(long, value_delimiter = ',')]
    repo: Vec<RepoName>,
    /// Its life, 100 s to 365 d [default: for ever]
    #[arg(long, value_parser = duration::parse, value_name = "TIME")]
    expires: Option<Duration>,
    /// Make a private key that signs access tokens; only its public half goes to the server
    #[arg(long)]
    signing: bool,
}

#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    place: Place,
    /// active, revoked, expired or all
    #[arg(long, default_value = "all", value_parser = ["active", "revoked", "expired", "all"])]
    status: String,
}

#[derive(Debug, Args)]
pub struct Revoke {
    #[command(flatten)]
    place: Place,
    /// The key's id (not its secret)
    id: String,
}

pub fn run(context: &Context, command: Command) -> CliResult {
    let loaded = context.load()?;
    let open = |place: &Place| {
        ControlPlane::open(
            context,
            &loaded.settings,
            place.org.as_ref(),
            place.data_dir.clone(),
        )
    };
    match command {
        Command::Create(args) => context.block_on(create(context, &open(&args.place)?, &args)),
        Command::List(args) => context.block_on(list(context, &open(&args.place)?, &args)),
        Command::Revoke(args) => context.block_on(revoke(context, &open(&args.place)?, &args)),
    }
}

async fn create(context: &Context, plane: &ControlPlane, args: &Create) -> CliResult {
    let org = plane.org().await?;
    let mut repo_ids = Vec::new();
    for repo in &args.repo {
        let found = plane
            .call(async |client| client.get_repo(org.as_str(), repo.as_str()).await)
            .await?;
        repo_ids.push(found.id);
    }
    let scopes = args.scope.iter().map(|s| match s {
        Scope::Read => "read".to_owned(),
        Scope::Write => "write".to_owned(),
        Scope::Admin => "admin".to_owned(),
    });
    let request = KeyRequest {
        name: args.name.clone(),
        scopes: Some(scopes.collect::<Vec<_>>()).filter(|s| !s.is_empty()),
        repo_ids: Some(repo_ids).filter(|r| !r.is_empty()),
        expires_in_seconds: args.expires.map(|e| e.as_secs()),
    };
    let (id, secret, shown) = if args.signing {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|e| CliError::failure(format!("no randomness: {e}")))?;
        let private = PrivateKey::from_seed(org.clone(), &seed);
        let public = private.public_text();
        let made = plane
            .call(async |client| {
                client
                    .create_signing_key(org.as_str(), &public, &request)
                    .await
            })
            .await?;
        let mut shown = json!(made);
        shown["private_key"] = json!(private.text());
        (made.key.id, private.text(), shown)
    } else {
        let made = plane
            .call(async |client| client.create_key(org.as_str(), &request).await)
            .await?;
        let shown = json!(made);
        (made.id, made.key, shown)
    };
    if context.printer.json {
        context.printer.value(&shown);
    } else {
        let life = args.expires.map_or_else(
            || "it does not expire".to_owned(),
            |life| format!("it expires in {}", duration::human(life)),
        );
        context
            .printer
            .note(format!("made key {id} of org '{org}'; {life}"));
        context.printer.line(&secret);
    }
    Ok(())
}

async fn list(context: &Context, plane: &ControlPlane, args: &List) -> CliResult {
    let org = plane.org().await?;
    let mut keys = Vec::new();
    let mut cursor = None;
    loop {
        let page = plane
            .call(async |client| {
                client
                    .list_keys(org.as_str(), &args.status, cursor.clone())
                    .await
            })
            .await?;
        keys.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let mut signing = Vec::new();
    loop {
        let page = plane
            .call(async |client| {
                client
                    .list_signing_keys(org.as_str(), &args.status, cursor.clone())
                    .await
            })
            .await?;
        signing.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    if context.printer.json {
        let all = keys.iter().map(|key| json!(key));
        let all: Vec<_> = all.chain(signing.iter().map(|key| json!(key))).collect();
        context.printer.value(&all);
        return Ok(());
    }
    let signing = signing.iter().map(|signing| (&signing.key, "signing"));
    let rows: Vec<Vec<String>> = keys
        .iter()
        .map(|key| (key, "api"))
        .chain(signing)
        .map(|(key, kind)| {
            let state = match (&key.revoked_at, &key.expires_at) {
                (Some(at), _) => format!("revoked {at}"),
                (None, Some(at)) => format!("expires {at}"),
                (None, None) => "does not expire".to_owned(),
            };
            let repos = key.repo_ids.as_ref().map_or("all repos".to_owned(), |r| {
                format!("{} repo{}", r.len(), if r.len() == 1 { "" } else { "s" })
            });
            let name = key.name.clone().unwrap_or_else(|| "-".to_owned());
            let (kind, scopes) = (kind.to_owned(), key.scopes.join("+"));
            vec![key.id.clone(), kind, name, scopes, repos, state]
        })
        .collect();
    context.printer.table(&rows);
    Ok(())
}

async fn revoke(context: &Context, plane: &ControlPlane, args: &Revoke) -> CliResult {
    let org = plane.org().await?;
    let answer = plane
        .call(
            async |client| match client.revoke_key(org.as_str(), &args.id).await {
                Err(error) if error.kind == RestErrorKind::NotFound => {
                    client.revoke_signing_key(org.as_str(), &args.id).await
                }
                answer => answer,
            },
        )
        .await?;
    if context.printer.json {
        context.printer.value(&answer);
    } else {
        context.printer.note(format!("revoked key {}", args.id));
    }
    Ok(())
}
