//! `mesa status`

use clap::Args as ClapArgs;
use serde_json::Value;

use crate::{
    cli::DaemonChoice,
    context::Context,
    daemon::{self, control::Command as Control},
    duration,
    error::CliResult,
    output::human_bytes,
};

/// Show the mount: repos, durability, what is not yet on the server
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  mesa status --json")]
pub struct Args {
    #[command(flatten)]
    daemon: DaemonChoice,
}

pub fn run(context: &Context, args: &Args) -> CliResult {
    let loaded = context.load()?;
    let runtime = daemon::client::chosen(&loaded.settings, &args.daemon)?;
    let status = daemon::client::ask_at(&runtime, &Control::Status, daemon::client::PATIENCE)?;
    if context.printer.json {
        context.printer.value(&status);
        return Ok(());
    }
    for line in describe(&status) {
        context.printer.line(line);
    }
    Ok(())
}

/// The status as lines for people.
fn describe(status: &Value) -> Vec<String> {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or("?").to_owned();
    let number = |value: &Value, key: &str| value[key].as_u64().unwrap_or(0);
    let mut lines = vec![
        format!("mounted at  {}", text(status, "mount_point")),
        format!("server      {}", text(status, "server")),
        format!(
            "mode        {}, durability {}",
            text(status, "mode"),
            text(status, "durability")
        ),
    ];
    for org in status["orgs"].as_array().into_iter().flatten() {
        let slug = text(org, "org");
        for repo in org["repos"].as_array().into_iter().flatten() {
            let name = text(repo, "repo");
            if let Some(failure) = repo["failure"].as_str() {
                lines.push(format!("{slug}/{name}  not usable: {failure}"));
                continue;
            }
            let session = &repo["session"];
            if session.is_null() {
                lines.push(format!("{slug}/{name}  not opened yet"));
                continue;
            }
            let at = match session["bookmark"].as_str() {
                Some(bookmark) if !bookmark.is_empty() => bookmark.to_owned(),
                _ => text(session, "change_id"),
            };
            let (lag, files) = (number(session, "lag_ops"), number(session, "unsent_files"));
            let synced = match (lag, files) {
                (0, 0) if session["kept"].as_array().is_none_or(Vec::is_empty) => {
                    "everything is on the server".to_owned()
                }
                (0, 0) => "not everything is on the server".to_owned(),
                (0, files) => format!("not synced: {files} files with changes"),
                (lag, files) => format!(
                    "not synced: {lag} operations, {}, oldest {} ms{}",
                    human_bytes(number(session, "lag_bytes")),
                    number(session, "lag_ms"),
                    match files {
                        0 => String::new(),
                        files => format!(", and {files} files with changes"),
                    },
                ),
            };
            lines.push(format!(
                "{slug}/{name}  {at}  {}  {synced}",
                text(session, "connection")
            ));
            lines.extend(lost(&format!("{slug}/{name}"), session));
            if let Some(error) = session["last_error"]["message"].as_str() {
                lines.push(format!("  last error: {error}"));
            }
        }
    }
    if let Some(seconds) = status["key_expires_in_s"].as_u64() {
        let left = duration::human(std::time::Duration::from_secs(seconds));
        lines.push(format!("key         expires in {left}"));
    }
    lines
}

/// What became of work that its session could not send.
fn lost(repo: &str, session: &Value) -> Vec<String> {
    let list = |key: &str| {
        let values = session[key].as_array().into_iter().flatten();
        let texts = values.filter_map(Value::as_str).map(ToOwned::to_owned);
        texts.collect::<Vec<_>>()
    };
    let mut lines = Vec::new();
    for path in list("kept") {
        lines.push(format!(
            "  kept, could not be sent: {path} (a README in it says why; remove it when you have \
             what you need)"
        ));
    }
    for bookmark in list("recovering") {
        lines.push(format!(
            "  work of a lost session is on its way to the bookmark {bookmark}"
        ));
    }
    for bookmark in list("recovered") {
        lines.push(format!(
            "  work of a lost session is in the bookmark {bookmark}"
        ));
        lines.push(format!(
            "    to see it:       mesa show {bookmark} --repo {repo}"
        ));
        lines.push(format!(
            "    to take it over: mesa merge {bookmark} --repo {repo}"
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsynced_work_is_never_called_synced() {
        let status = serde_json::json!({
            "mount_point": "/m", "server": "http://s", "mode": "passthrough", "durability": "fsync",
            "orgs": [{"org": "o", "repos": [
                {"repo": "a", "failure": null, "session": {"bookmark": "main", "connection": "attached",
                 "lag_ops": 3, "lag_bytes": 2048, "lag_ms": 12}},
                {"repo": "b", "failure": null, "session": null},
                {"repo": "c", "failure": "input/output error", "session": null},
                {"repo": "d", "failure": null, "session": {"bookmark": "main", "connection": "refused",
                 "lag_ops": 0, "unsent_files": 2}},
                {"repo": "e", "failure": null, "session": {"bookmark": "main", "connection": "attached",
                 "lag_ops": 0, "unsent_files": 0}},
            ]}],
        });
        let lines = describe(&status);
        assert_eq!(
            lines[3..],
            [
                "o/a  main  attached  not synced: 3 operations, 2.0 KB, oldest 12 ms",
                "o/b  not opened yet",
                "o/c  not usable: input/output error",
                "o/d  main  refused  not synced: 2 files with changes",
                "o/e  main  attached  everything is on the server",
            ]
        );
    }

    #[test]
    fn lost_work_is_named_with_the_way_to_it() {
        let session = serde_json::json!({
            "kept": ["/s/lost-1"], "recovering": ["recovered/ses_2-1"],
            "recovered": ["recovered/ses_1-1"],
        });
        assert_eq!(
            lost("o/r", &session),
            [
                "  kept, could not be sent: /s/lost-1 (a README in it says why; remove it when you \
                 have what you need)",
                "  work of a lost session is on its way to the bookmark recovered/ses_2-1",
                "  work of a lost session is in the bookmark recovered/ses_1-1",
                "    to see it:       mesa show recovered/ses_1-1 --repo o/r",
                "    to take it over: mesa merge recovered/ses_1-1 --repo o/r",
            ]
        );
        assert!(lost("o/r", &serde_json::json!({"kept": []})).is_empty());
    }
}
