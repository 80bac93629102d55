//! `mesa diff`, and how `mesa show` shows differences.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use mesa_client::rest::model::Diff;

use crate::{
    context::Context,
    error::CliResult,
    versions::{
        change::ROOT,
        paint::{Style, plain},
        patch::{is_below, only, painted, sections},
        place::Place,
        summary,
        work::{At, Work},
    },
};

/// How differences are shown.
#[derive(Debug, Clone, Copy, Default, ClapArgs)]
#[group(multiple = false)]
pub struct Form {
    /// A unified patch that `git apply` takes (the default, without colours)
    #[arg(long)]
    git: bool,
    /// Paths with the numbers of lines that differ
    #[arg(long)]
    stat: bool,
    /// A letter and the path: A added, M modified, D deleted, R renamed, C in conflict
    #[arg(short, long)]
    summary: bool,
    /// Paths alone
    #[arg(long)]
    name_only: bool,
}

impl Form {
    fn is_patch(self) -> bool {
        !(self.stat || self.summary || self.name_only)
    }
}

/// Show what differs between two changes
///
/// Without options: what the working change does to its first parent.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  mesa diff\n  mesa diff -r main --stat\n  mesa diff --from main --to @ src"
)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    form: Form,
    /// What this change does to its first parent [default: @]
    #[arg(short, long, value_name = "REV", conflicts_with_all = ["from", "to"])]
    rev: Option<String>,
    /// Compare with this one [default: @]
    #[arg(long, value_name = "REV")]
    from: Option<String>,
    /// The one compared [default: @]
    #[arg(long, value_name = "REV")]
    to: Option<String>,
    /// Only these files and directories
    paths: Vec<PathBuf>,
}

pub fn run(context: &Context, args: &Args) -> CliResult {
    let work = args.place.open(context)?;
    let paths = args.paths.iter().map(|path| work.path(path));
    let paths: Vec<String> = paths.collect::<CliResult<_>>()?;
    context.block_on(async {
        let side = async |rev: &Option<String>| work.at(rev.as_deref().unwrap_or("@")).await;
        let (sides, head) = if args.from.is_some() || args.to.is_some() {
            let (from, to) = (side(&args.from).await?, side(&args.to).await?);
            let sides = (from.readable().to_owned(), to.readable().to_owned());
            (sides, to)
        } else {
            let at = side(&args.rev).await?;
            (of_change(&at), at)
        };
        if context.printer.json {
            let diff = read(&work, &sides, &paths).await?;
            context.printer.value(&diff);
            return Ok(());
        }
        if let At::Written(details) = &head
            && !details.conflicts.is_empty()
            && args.form.is_patch()
        {
            let conflicts: Vec<String> = details.conflicts.iter().map(|p| plain(p)).collect();
            let text = format!("in conflict, not in the patch: {}", conflicts.join(" "));
            context.printer.warning(text);
        }
        print(&work, args.form, &sides, &paths).await
    })
}

/// A change and what it is compared with: base, head.
pub(super) fn of_change(at: &At) -> (String, String) {
    match at {
        At::Unwritten { parent, .. } => (parent.clone(), parent.clone()),
        At::Written(details) => {
            let parent = details.change.parents.first();
            let base = parent.map_or(ROOT, String::as_str);
            (base.to_owned(), details.change.id.clone())
        }
    }
}

/// The differences of some paths (of all when none are named).
pub(super) async fn read(
    work: &Work<'_>,
    (base, head): &(String, String),
    paths: &[String],
) -> CliResult<Diff> {
    let mut diff = work
        .call(async |client, org, repo| client.diff(org, repo, base, head).await)
        .await?;
    if !paths.is_empty() {
        let wanted = |path: &str| {
            let path = path.as_bytes();
            paths.iter().any(|dir| is_below(path, dir.as_bytes()))
        };
        diff.entries
            .retain(|entry| wanted(&entry.path) || entry.old_path.as_deref().is_some_and(wanted));
        diff.conflicted_entries.retain(|entry| wanted(&entry.path));
        // They count what is not here any more.
        diff.more.remove("stats");
    }
    Ok(diff)
}

/// Prints the differences.
pub(super) async fn print(
    work: &Work<'_>,
    form: Form,
    sides: &(String, String),
    paths: &[String],
) -> CliResult {
    let printer = work.context.printer;
    let style = Style::of_output(&work.context.global);
    if !form.is_patch() {
        let diff = read(work, sides, paths).await?;
        let lines = if form.stat {
            summary::stat(&diff, style)
        } else if form.summary {
            summary::summary(&diff, style)
        } else {
            summary::names(&diff)
        };
        for line in lines {
            printer.line(line);
        }
        if diff.truncated {
            printer.warning("some files are too many or too large to be compared line by line");
        }
        return Ok(());
    }
    let (base, head) = sides;
    let patch = work
        .call(async |client, org, repo| client.patch(org, repo, base, head).await)
        .await?;
    let style = Style {
        color: style.color && !form.git,
        ..style
    };
    for section in only(sections(&patch), paths) {
        printer.bytes(&painted(section.text, style));
    }
    Ok(())
}
