//! `mesa org`

use clap::{Args, Subcommand};
use mesa_types::OrgSlug;
use serde_json::Value;

use crate::{context::Context, credentials::ControlPlane, error::CliResult};

/// Orgs of a server (operator's key)
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an org; prints its first admin key
    #[command(after_help = "Example:\n  mesa org create acme --name 'Acme Inc.'")]
    Create(Create),
    /// List all orgs
    #[command(after_help = "Example:\n  mesa org list --json")]
    List,
}

#[derive(Debug, Args)]
pub struct Create {
    /// Name in addresses and mount paths
    slug: OrgSlug,
    /// Name for people
    #[arg(long)]
    name: Option<String>,
}

pub fn run(context: &Context, command: Command) -> CliResult {
    let loaded = context.load()?;
    let plane = ControlPlane::open(context, &loaded.settings, None, None)?;
    match command {
        Command::Create(args) => context.block_on(create(context, &plane, &args)),
        Command::List => context.block_on(list(context, &plane)),
    }
}

async fn create(context: &Context, plane: &ControlPlane, args: &Create) -> CliResult {
    let made = plane
        .call(async |client| {
            client
                .create_org(args.slug.as_str(), args.name.as_deref())
                .await
        })
        .await?;
    if context.printer.json {
        context.printer.value(&made);
        return Ok(());
    }
    context.printer.note(format!("made org '{}'", args.slug));
    let key = made.pointer("/admin_key/key");
    if let Some(key) = key.and_then(Value::as_str) {
        context.printer.note("its admin key, shown only now:");
        context.printer.line(key);
    }
    Ok(())
}

async fn list(context: &Context, plane: &ControlPlane) -> CliResult {
    let mut orgs = Vec::new();
    let mut cursor = None;
    loop {
        let page = plane
            .call(async |client| client.list_orgs(cursor.clone()).await)
            .await?;
        orgs.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    if context.printer.json {
        context.printer.value(&orgs);
    } else {
        let rows: Vec<_> = orgs
            .iter()
            .map(|o| vec![o.slug.clone(), o.name.clone()])
            .collect();
        context.printer.table(&rows);
    }
    Ok(())
}
