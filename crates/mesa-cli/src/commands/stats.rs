//! `mesa stats`

use clap::{Args as ClapArgs, ValueEnum};
use serde_json::Value;

use crate::{
    cli::DaemonChoice,
    context::Context,
    daemon::{self, control::Command as Control},
    error::CliResult,
};

/// Counters of the running daemon
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  mesa stats --format json")]
pub struct Args {
    #[command(flatten)]
    daemon: DaemonChoice,
    /// How to print
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub fn run(context: &Context, args: &Args) -> CliResult {
    let loaded = context.load()?;
    let runtime = daemon::client::chosen(&loaded.settings, &args.daemon)?;
    let stats = daemon::client::ask_at(&runtime, &Control::Stats, daemon::client::PATIENCE)?;
    if context.printer.json || args.format == Format::Json {
        context.printer.value(&stats);
    } else {
        let mut rows = Vec::new();
        flatten("", &stats, &mut rows);
        context.printer.table(&rows);
    }
    Ok(())
}

/// `a.b.c  value` rows.
fn flatten(prefix: &str, value: &Value, rows: &mut Vec<Vec<String>>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = if prefix.is_empty() {
                    key.clone()
                } else {
                    format!("{prefix}.{key}")
                };
                flatten(&path, value, rows);
            }
        }
        Value::String(text) => rows.push(vec![prefix.to_owned(), text.clone()]),
        other => rows.push(vec![prefix.to_owned(), other.to_string()]),
    }
}
