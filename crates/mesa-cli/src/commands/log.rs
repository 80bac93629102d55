//! `mesa log`

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use clap::Args as ClapArgs;
use mesa_client::rest::model::Change;
use serde_json::{Value, json};

use crate::{
    context::Context,
    error::CliResult,
    versions::{
        change::{self, Listed, ROOT},
        graph::{Mark, Node, draw},
        paint::Style,
        place::Place,
        work::{At, Work},
    },
};

/// Show changes, newest first
///
/// Those that the working change is made of; with --all those of every bookmark too. Abandoned ones
/// are hidden; --abandoned shows them.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  mesa log\n  mesa log main -n 5 --no-graph\n  mesa log --all --json"
)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Begin at this change or bookmark
    #[arg(default_value = "@")]
    rev: String,
    /// Every bookmark's changes
    #[arg(long, conflicts_with = "rev")]
    all: bool,
    /// The abandoned changes of the repo instead, and nothing else
    #[arg(long, conflicts_with_all = ["rev", "all"])]
    abandoned: bool,
    /// At most this many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// One line each instead of two
    #[arg(long)]
    oneline: bool,
    /// No graph
    #[arg(long)]
    no_graph: bool,
}

/// What is shown.
struct History {
    changes: Vec<Change>,
    /// Names of changes.
    bookmarks: BTreeMap<String, Vec<String>>,
    /// The working change of the mount.
    working: Option<At>,
    /// Whether older ones are left out.
    more: bool,
}

pub fn run(context: &Context, args: &Args) -> CliResult {
    let work = args.place.open(context)?;
    let history = context.block_on(read(&work, args))?;
    let printer = context.printer;
    if printer.json {
        printer.value(&document(&history));
        return Ok(());
    }
    let style = Style::of_output(&context.global);
    for line in lines(&history, args, style) {
        printer.line(line);
    }
    if history.more {
        let limit = args.limit;
        printer.note(format!(
            "only the newest {limit} are shown; -n N shows more"
        ));
    }
    Ok(())
}

/// The abandoned changes.
async fn given_up(work: &Work<'_>, limit: usize) -> CliResult<History> {
    let (mut found, mut cursor) = (HashMap::new(), None);
    loop {
        let page = work
            .call(async |client, org, repo| client.list_abandoned(org, repo, cursor.clone()).await)
            .await?;
        found.extend(page.items.into_iter().map(|c| (c.id.clone(), c)));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let mut changes = in_order(found);
    let more = changes.len() > limit;
    changes.truncate(limit);
    Ok(History {
        changes,
        bookmarks: BTreeMap::new(),
        working: None,
        more,
    })
}

async fn read(work: &Work<'_>, args: &Args) -> CliResult<History> {
    let limit = args.limit as usize;
    if args.abandoned {
        return given_up(work, limit).await;
    }
    let all = work.bookmarks().await?;
    let mut bookmarks: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut tips = BTreeSet::new();
    for bookmark in all {
        tips.insert(bookmark.change_id.clone());
        let names = bookmarks.entry(bookmark.change_id).or_default();
        names.push(bookmark.name);
    }
    let begin = work.at(&args.rev).await?;
    let working = match &work.mounted {
        Some(_) if args.rev == "@" => Some(begin.clone()),
        Some(_) => Some(work.working().await?),
        None => None,
    };
    let mut starts = vec![begin.readable().to_owned()];
    if args.all {
        starts.extend(tips);
    }
    let (mut found, mut more) = (HashMap::new(), false);
    for start in starts.iter().filter(|id| *id != ROOT) {
        if found.contains_key(start) && !more {
            continue;
        }
        let (changes, rest) = from(work, start, limit).await?;
        more |= rest;
        found.extend(
            changes
                .into_iter()
                .map(|change| (change.id.clone(), change)),
        );
    }
    let mut changes = in_order(found);
    more |= changes.len() > limit;
    changes.truncate(limit);
    Ok(History {
        changes,
        bookmarks,
        // The line of one that does not exist is shown where it would be.
        working: working.filter(|at| match at {
            At::Written(_) => true,
            At::Unwritten { .. } => args.rev == "@",
        }),
        more,
    })
}

/// Up to `limit` ancestors, and whether there are more.
async fn from(work: &Work<'_>, start: &str, limit: usize) -> CliResult<(Vec<Change>, bool)> {
    let mut changes = Vec::new();
    let mut cursor = None;
    loop {
        let page = work
            .call(async |client, org, repo| {
                let cursor = cursor.clone();
                client.list_changes(org, repo, Some(start), cursor).await
            })
            .await?;
        changes.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() || changes.len() >= limit {
            let more = cursor.is_some() || changes.len() > limit;
            changes.truncate(limit);
            return Ok((changes, more));
        }
    }
}

/// Newest first, and none before one that is made on it.
fn in_order(mut changes: HashMap<String, Change>) -> Vec<Change> {
    let mut children: HashMap<String, usize> = HashMap::new();
    for change in changes.values() {
        for parent in &change.parents {
            *children.entry(parent.clone()).or_default() += 1;
        }
    }
    let created = |change: &Change| {
        let at = change.more.get("created_at").and_then(Value::as_str);
        at.unwrap_or(&change.updated_at).to_owned()
    };
    let mut ready: BinaryHeap<(String, String)> = changes
        .values()
        .filter(|change| !children.contains_key(&change.id))
        .map(|change| (created(change), change.id.clone()))
        .collect();
    let mut ordered = Vec::with_capacity(changes.len());
    while let Some((_, id)) = ready.pop() {
        let Some(change) = changes.remove(&id) else {
            continue;
        };
        for parent in &change.parents {
            let Some(left) = children.get_mut(parent) else {
                continue;
            };
            *left -= 1;
            if *left == 0
                && let Some(parent) = changes.get(parent)
            {
                ready.push((created(parent), parent.id.clone()));
            }
        }
        ordered.push(change);
    }
    ordered
}

fn lines(history: &History, args: &Args, style: Style) -> Vec<String> {
    let mut ids: Vec<&str> = history.changes.iter().map(|c| c.id.as_str()).collect();
    ids.extend(history.working.as_ref().map(At::id));
    ids.push(ROOT);
    let len = change::short_len(ids);
    let working = match &history.working {
        Some(At::Written(details)) => Some(details.change.id.as_str()),
        _ => None,
    };
    let mut nodes = Vec::new();
    if let Some(At::Unwritten { id, parent }) = &history.working {
        nodes.push(Node {
            id: id.clone(),
            parents: vec![parent.clone()],
            mark: Mark::Working,
            text: change::unwritten(style, id, len),
        });
    }
    for change in &history.changes {
        let none = Vec::new();
        let listed = Listed {
            change,
            bookmarks: history.bookmarks.get(&change.id).unwrap_or(&none),
            is_working: working == Some(change.id.as_str()),
        };
        nodes.push(listed.node(style, len));
    }
    if !history.more && !args.abandoned {
        let mut root = change::root(style, len);
        if let Some(names) = history.bookmarks.get(ROOT) {
            root.text[0] = format!("{} {}", root.text[0], names.join(" "));
        }
        nodes.push(root);
    }
    if args.oneline {
        for node in &mut nodes {
            node.text = vec![node.text.join("  ")];
        }
    }
    if args.no_graph {
        return nodes.into_iter().flat_map(|node| node.text).collect();
    }
    draw(&nodes, style.unicode)
}

fn document(history: &History) -> Value {
    let working = history.working.as_ref().map(At::id);
    let mut changes = Vec::new();
    if let Some(At::Unwritten { id, parent }) = &history.working {
        changes.push(json!({
            "id": id, "parents": [parent], "is_working": true, "is_written": false,
            "bookmarks": [],
        }));
    }
    for change in &history.changes {
        let mut shown = json!(change);
        let names = history.bookmarks.get(&change.id);
        shown["bookmarks"] = json!(names.cloned().unwrap_or_default());
        shown["is_working"] = json!(working == Some(change.id.as_str()));
        shown["is_written"] = json!(true);
        changes.push(shown);
    }
    json!({ "changes": changes, "has_more": history.more })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(id: &str, at: &str, parents: &str) -> Change {
        let more = [("created_at".to_owned(), json!(at))];
        Change {
            id: id.to_owned(),
            parents: parents.split_whitespace().map(str::to_owned).collect(),
            more: more.into_iter().collect(),
            ..Change::default()
        }
    }

    fn args(words: &[&str]) -> Args {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        let line = ["log"].into_iter().chain(words.iter().copied());
        <Line as clap::Parser>::try_parse_from(line).unwrap().args
    }

    #[test]
    fn children_come_first_whatever_the_clocks_say() {
        let changes = [
            made("a", "2", &"z".repeat(32)),
            made("b", "1", "a"),
            made("c", "3", "a"),
            made("m", "0", "b c"),
        ];
        let changes = changes.into_iter().map(|c| (c.id.clone(), c)).collect();
        let ids: Vec<_> = in_order(changes).into_iter().map(|c| c.id).collect();
        assert_eq!(ids, ["m", "c", "b", "a"]);
    }

    #[test]
    fn a_working_change_that_does_not_exist_is_on_top() {
        let id = "k".repeat(32);
        let mut first = made(&"l".repeat(32), "1", ROOT);
        first.message = "first".to_owned();
        first.updated_at = "2026-02-03T08:05:08.000+00:00".to_owned();
        first.current_commit_oid = "1".repeat(40);
        first.author.name = "me".to_owned();
        let history = History {
            bookmarks: [(first.id.clone(), vec!["main".to_owned()])].into(),
            working: Some(At::Unwritten {
                id,
                parent: first.id.clone(),
            }),
            changes: vec![first],
            more: false,
        };
        let shown = lines(&history, &args(&[]), Style::default());
        assert_eq!(
            shown.join("\n"),
            "@  kkkkkkkk (nothing written yet)\n|  (no description set)\n\
             o  llllllll me 2026-02-03 08:05:08 main 11111111\n|  first\n+  zzzzzzzz root()"
        );
        let shown = lines(
            &history,
            &args(&["--oneline", "--no-graph"]),
            Style::default(),
        );
        assert_eq!(shown.len(), 3);
        assert!(shown[1].ends_with("11111111  first"), "{shown:?}");
        let document = document(&history);
        assert_eq!(document["changes"][0]["is_written"], false);
        assert_eq!(document["changes"][1]["bookmarks"], json!(["main"]));
    }
}
