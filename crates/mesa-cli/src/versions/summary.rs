//! Which paths differ, and by how much.

use mesa_client::rest::model::{Diff, DiffEntry};

use super::paint::{Ink, Style, plain};

/// Widest bar of a `--stat` line.
const BAR: usize = 40;

/// Lines added and deleted in an entry.
fn counts(entry: &DiffEntry) -> (usize, usize) {
    let lines = entry.hunks.iter().flatten().flat_map(|hunk| &hunk.lines);
    let (mut added, mut deleted) = (0, 0);
    for line in lines {
        match line.kind.as_str() {
            "added" => added += 1,
            "deleted" => deleted += 1,
            _ => {}
        }
    }
    (added, deleted)
}

fn name(entry: &DiffEntry) -> String {
    match &entry.old_path {
        Some(old) => format!("{} => {}", plain(old), plain(&entry.path)),
        None => plain(&entry.path),
    }
}

/// `M path`, one line each; `C` stands for a path in conflict.
pub fn summary(diff: &Diff, style: Style) -> Vec<String> {
    let mut lines: Vec<(&str, String)> = Vec::new();
    for entry in &diff.entries {
        let (letter, ink) = match entry.status.as_str() {
            "added" => ("A", Ink::Added),
            "deleted" => ("D", Ink::Deleted),
            "renamed" => ("R", Ink::Hunk),
            _ => ("M", Ink::Hunk),
        };
        let text = style.paint(&format!("{letter} {}", name(entry)), ink);
        lines.push((&entry.path, text));
    }
    for entry in &diff.conflicted_entries {
        let text = style.paint(&format!("C {}", plain(&entry.path)), Ink::Conflict);
        lines.push((&entry.path, text));
    }
    lines.sort_by(|a, b| a.0.cmp(b.0));
    lines.into_iter().map(|(_, text)| text).collect()
}

/// Paths alone, as they are now.
pub fn names(diff: &Diff) -> Vec<String> {
    let entries = diff.entries.iter().map(|entry| entry.path.clone());
    let conflicted = diff
        .conflicted_entries
        .iter()
        .map(|entry| entry.path.clone());
    let mut names: Vec<String> = entries.chain(conflicted).collect();
    names.sort_unstable();
    names
}

/// As `git diff --stat` says it.
pub fn stat(diff: &Diff, style: Style) -> Vec<String> {
    let rows: Vec<(String, &DiffEntry, (usize, usize))> = diff
        .entries
        .iter()
        .map(|entry| (name(entry), entry, counts(entry)))
        .collect();
    let conflicted: Vec<String> = diff
        .conflicted_entries
        .iter()
        .map(|entry| plain(&entry.path))
        .collect();
    let named = rows.iter().map(|row| &row.0).chain(&conflicted);
    let wide = named
        .map(|name| name.chars().count())
        .max()
        .unwrap_or_default();
    let most = rows.iter().map(|row| row.2.0 + row.2.1).max().unwrap_or(0);
    let digits = most.to_string().len();
    let mut lines = Vec::new();
    for (name, entry, (added, deleted)) in &rows {
        let changes = match entry.omitted_reason.as_deref() {
            Some("binary") => "Bin".to_owned(),
            Some(_) => "not shown".to_owned(),
            None => {
                let (plus, minus) = bar(*added, *deleted, most);
                let plus = style.paint(&"+".repeat(plus), Ink::Added);
                let minus = style.paint(&"-".repeat(minus), Ink::Deleted);
                format!("{:>digits$} {plus}{minus}", added + deleted)
            }
        };
        let pad = wide - name.chars().count();
        let line = format!(" {name}{:pad$} | {changes}", "");
        lines.push(line.trim_end().to_owned());
    }
    for name in &conflicted {
        let pad = wide - name.chars().count();
        let what = style.paint("conflict", Ink::Conflict);
        lines.push(format!(" {name}{:pad$} | {what}", ""));
    }
    let added: usize = rows.iter().map(|row| row.2.0).sum();
    let deleted: usize = rows.iter().map(|row| row.2.1).sum();
    let files = rows.len() + conflicted.len();
    let mut total = vec![format!(" {} changed", many(files, "file"))];
    if added > 0 || deleted == 0 {
        total.push(format!("{}(+)", many(added, "insertion")));
    }
    if deleted > 0 || added == 0 {
        total.push(format!("{}(-)", many(deleted, "deletion")));
    }
    if files > 0 {
        lines.push(total.join(", "));
    }
    lines
}

/// Lengths of the two halves of a bar: at least one where there is anything.
fn bar(added: usize, deleted: usize, most: usize) -> (usize, usize) {
    if most <= BAR {
        return (added, deleted);
    }
    let part = |count: usize| match count {
        0 => 0,
        count => (count * BAR / most).max(1),
    };
    (part(added), part(deleted))
}

/// `1 file`, `2 files`.
pub fn many(count: usize, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}

#[cfg(test)]
mod tests {
    use mesa_client::rest::model::{ConflictedEntry, DiffHunk, DiffLine};

    use super::*;

    fn entry(path: &str, status: &str, added: usize, deleted: usize) -> DiffEntry {
        let line = |kind: &str| DiffLine {
            kind: kind.to_owned(),
            text: "x".to_owned(),
        };
        let mut lines = vec![line("context"); 3];
        lines.extend(vec![line("added"); added]);
        lines.extend(vec![line("deleted"); deleted]);
        lines.push(line("annotation"));
        DiffEntry {
            path: path.to_owned(),
            status: status.to_owned(),
            hunks: Some(vec![DiffHunk {
                lines,
                ..DiffHunk::default()
            }]),
            ..DiffEntry::default()
        }
    }

    fn diff() -> Diff {
        let mut renamed = entry("new", "renamed", 0, 1);
        renamed.old_path = Some("old".to_owned());
        let mut binary = entry("blob", "modified", 0, 0);
        binary.hunks = None;
        binary.omitted_reason = Some("binary".to_owned());
        Diff {
            entries: vec![
                entry("a", "added", 100, 0),
                binary,
                entry("gone", "deleted", 0, 1),
                renamed,
            ],
            conflicted_entries: vec![ConflictedEntry {
                path: "c".to_owned(),
                ..ConflictedEntry::default()
            }],
            ..Diff::default()
        }
    }

    #[test]
    fn letters() {
        let lines = summary(&diff(), Style::default());
        assert_eq!(lines, ["A a", "M blob", "C c", "D gone", "R old => new"]);
        assert_eq!(names(&diff()), ["a", "blob", "c", "gone", "new"]);
    }

    #[test]
    fn stats() {
        assert_eq!(
            stat(&diff(), Style::default()),
            [
                format!(" a          | 100 {}", "+".repeat(40)),
                " blob       | Bin".to_owned(),
                " gone       |   1 -".to_owned(),
                " old => new |   1 -".to_owned(),
                " c          | conflict".to_owned(),
                " 5 files changed, 100 insertions(+), 2 deletions(-)".to_owned(),
            ]
        );
        assert!(stat(&Diff::default(), Style::default()).is_empty());
        let one = Diff {
            entries: vec![entry("a", "added", 1, 0)],
            ..Diff::default()
        };
        assert_eq!(
            stat(&one, Style::default()),
            [" a | 1 +", " 1 file changed, 1 insertion(+)"]
        );
    }
}
