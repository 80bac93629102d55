//! Searching by name and by content.

use std::{fmt::Write as _, time::Duration};

use futures::StreamExt;
use globset::{GlobBuilder, GlobMatcher};
use mesa_api::ErrorCode;
use mesa_repo::Scope;
use mesa_types::NodeKind;
use regex::bytes::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, time::Instant};

use super::{
    RepoArg, Rev, bounded,
    read::kind_name,
    rev,
    walk::{Step, Walk},
};
use crate::{
    error::ApiError,
    mcp::{
        call::{About, Answer, Context, Effect, Tool},
        seen::{Opened, text},
    },
    routes::content::{path::RepoPath, sha, shown},
    snapshot::bytes::whole,
};

const PATTERN_BYTES_MAX: usize = 1_000;
const NAMES_DEFAULT: usize = 200;
const NAMES_MAX: usize = 5_000;
const MATCHES_DEFAULT: usize = 100;
const MATCHES_MAX: usize = 1_000;
/// Larger files are not searched.
const FILE_BYTES_MAX: u64 = 2 << 20;
/// Bytes searched in one call.
const CALL_BYTES_MAX: u64 = 128 << 20;
/// How long one call searches.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Files read ahead.
const AHEAD: usize = 16;
/// Characters of a line that are shown.
const LINE_CHARS_MAX: usize = 300;
const CONTEXT_LINES_MAX: usize = 5;
/// Memory of a compiled pattern.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// Searches at the same time: each may keep a core busy for a while.
static SEARCHES: Semaphore = Semaphore::const_new(4);

pub fn tools() -> Vec<Tool> {
    vec![
        Tool::new(
            About {
                name: "file_search",
                title: "Find files by name",
                description: "Finds files, directories and symlinks by a glob: * and ? stay \
                              within a name, ** crosses directories, {a,b} and [a-z] are \
                              alternatives. A pattern without a slash is compared with names at \
                              any depth (*.rs), one with a slash with the path below the \
                              directory searched (src/**/mod.rs). Up to 200,000 entries are looked \
                              at; truncated tells that there may be more.",
                effect: Effect::Reads,
            },
            names,
        ),
        Tool::new(
            About {
                name: "content_search",
                title: "Search in files",
                description: "Finds lines by a regular expression (Rust syntax, no look-around), \
                              or by plain text with literal. Files that are larger than 2 MiB or \
                              have NUL bytes are skipped. Up to 128 MiB and 10 seconds are spent; \
                              truncated tells that there may be more, and narrowing path or glob \
                              helps then.",
                effect: Effect::Reads,
            },
            contents,
        ),
    ]
}

/// A glob over paths or, without a slash, over names.
struct Pattern {
    glob: GlobMatcher,
    by_name: bool,
}

impl Pattern {
    fn new(text: &str) -> Result<Self, ApiError> {
        let wrong = |why: String| {
            ApiError::bad_request(format!("the glob is wrong: {why}")).narrowed("INVALID_PATTERN")
        };
        if text.is_empty() || text.len() > PATTERN_BYTES_MAX {
            return Err(wrong(format!(
                "it must have 1 to {PATTERN_BYTES_MAX} bytes"
            )));
        }
        let glob = GlobBuilder::new(text)
            .literal_separator(true)
            .build()
            .map_err(|e| wrong(e.kind().to_string()))?;
        Ok(Self {
            glob: glob.compile_matcher(),
            by_name: !text.contains('/'),
        })
    }

    /// Whether it means a path, given from the directory searched.
    fn fits(&self, path: &[u8]) -> bool {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let start = match path.iter().rposition(|&b| b == b'/') {
            Some(slash) if self.by_name => slash + 1,
            _ => 0,
        };
        self.glob.is_match(OsStr::from_bytes(&path[start..]))
    }
}

/// The directory a search begins in, and where paths in it begin.
async fn start<'a>(opened: &'a Opened, path: Option<&str>) -> Result<(Walk<'a>, usize), ApiError> {
    let path = RepoPath::parse(path.unwrap_or("").as_bytes())?;
    let node = opened.existing(&path).await?;
    if node.kind != NodeKind::Dir {
        return Err(ApiError::bad_request(format!(
            "'{}' is a {}, not a directory",
            text(&path).escape_debug(),
            kind_name(node.kind)
        ))
        .narrowed("NOT_A_DIRECTORY"));
    }
    let top = path.joined();
    let below = if top.is_empty() { 0 } else { top.len() + 1 };
    let walk = Walk::new(&opened.snapshot, top, node.record.as_deref());
    Ok((walk, below))
}

/// A turn to search.
async fn turn() -> Result<tokio::sync::SemaphorePermit<'static>, ApiError> {
    match tokio::time::timeout(TIME_MAX, SEARCHES.acquire()).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(ApiError::new(
            ErrorCode::Unavailable,
            "too many searches at the same time",
        )),
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Names {
    repo: RepoArg,
    rev: Option<Rev>,
    /// The glob, such as `*.rs` or `src/**/mod.rs`.
    pattern: String,
    /// The directory to search; the repo's root when absent.
    path: Option<String>,
    /// Paths in the answer, 1 to 5,000; 200 when absent.
    limit: Option<u64>,
}

#[derive(Serialize, JsonSchema)]
struct FoundPath {
    path: String,
    /// `file`, `directory` or `symlink`.
    #[serde(rename = "type")]
    kind: &'static str,
    size: u64,
    /// To be passed as expected_version.
    version: String,
}

#[derive(Serialize, JsonSchema)]
struct FoundPaths {
    change_id: String,
    commit_oid: String,
    /// The nearest to the directory first.
    paths: Vec<FoundPath>,
    /// Whether there may be more.
    truncated: bool,
}

async fn names(context: Context, wanted: Names) -> Result<Answer<FoundPaths>, ApiError> {
    let pattern = Pattern::new(&wanted.pattern)?;
    let limit = bounded("limit", wanted.limit, NAMES_DEFAULT, NAMES_MAX)?;
    let opened = context
        .open(&wanted.repo.0, rev(wanted.rev.as_ref()), Scope::Read)
        .await?;
    let _turn = turn().await?;
    let (mut walk, below) = start(&opened, wanted.path.as_deref()).await?;
    let mut paths = Vec::new();
    let mut truncated = false;
    'walk: while let Some(steps) = walk.step().await? {
        for step in steps {
            if !pattern.fits(&step.path[below..]) {
                continue;
            }
            if paths.len() == limit {
                truncated = true;
                break 'walk;
            }
            paths.push(FoundPath {
                path: shown(&step.path).0,
                kind: kind_name(step.record.attr.kind),
                size: step.record.attr.content.size(),
                version: sha(&step.record),
            });
        }
    }
    Ok(FoundPaths {
        change_id: opened.change.to_string(),
        commit_oid: opened.commit_oid(),
        paths,
        truncated: truncated || walk.is_cut(),
    }
    .into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Contents {
    repo: RepoArg,
    rev: Option<Rev>,
    /// The regular expression, or the text with literal.
    query: String,
    /// Take the query as plain text.
    #[serde(default)]
    literal: bool,
    /// Ignore case.
    #[serde(default)]
    ignore_case: bool,
    /// The directory to search; the repo's root when absent.
    path: Option<String>,
    /// Only files that fit this glob, such as `*.rs`.
    glob: Option<String>,
    /// Lines around each match, 0 to 5; none when absent.
    context_lines: Option<u64>,
    /// Matching lines in the answer, 1 to 1,000; 100 when absent.
    limit: Option<u64>,
}

/// A line that matches.
#[derive(Debug, Serialize, JsonSchema)]
struct Match {
    path: String,
    /// Counted from 1.
    line: u64,
    /// The line, up to 300 characters of it.
    text: String,
    /// Lines before it.
    before: Vec<String>,
    /// Lines after it.
    after: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
#[allow(clippy::struct_field_names, reason = "names of the wire")]
struct Matches {
    change_id: String,
    commit_oid: String,
    matches: Vec<Match>,
    files_searched: u64,
    /// Files that were too large or not text.
    files_skipped: u64,
    /// Whether there may be more.
    truncated: bool,
}

fn regex(wanted: &Contents) -> Result<Regex, ApiError> {
    let wrong = |why: String| ApiError::bad_request(why).narrowed("INVALID_PATTERN");
    if wanted.query.is_empty() || wanted.query.len() > PATTERN_BYTES_MAX {
        let why = format!("query must have 1 to {PATTERN_BYTES_MAX} bytes");
        return Err(wrong(why));
    }
    let source = if wanted.literal {
        regex::escape(&wanted.query)
    } else {
        wanted.query.clone()
    };
    RegexBuilder::new(&source)
        .case_insensitive(wanted.ignore_case)
        .size_limit(REGEX_BYTES_MAX)
        .build()
        .map_err(|e| wrong(format!("the regular expression is wrong: {e}")))
}

async fn contents(context: Context, wanted: Contents) -> Result<Answer<Matches>, ApiError> {
    let regex = regex(&wanted)?;
    let glob = wanted.glob.as_deref().map(Pattern::new).transpose()?;
    let limit = bounded("limit", wanted.limit, MATCHES_DEFAULT, MATCHES_MAX)?;
    let around = usize::try_from(wanted.context_lines.unwrap_or(0))
        .unwrap_or(usize::MAX)
        .min(CONTEXT_LINES_MAX);
    let opened = context
        .open(&wanted.repo.0, rev(wanted.rev.as_ref()), Scope::Read)
        .await?;
    let _turn = turn().await?;
    let (mut walk, below) = start(&opened, wanted.path.as_deref()).await?;
    let mut search = Search {
        opened: &opened,
        regex,
        around,
        limit,
        until: Instant::now() + TIME_MAX,
        bytes: 0,
        found: Matches {
            change_id: opened.change.to_string(),
            commit_oid: opened.commit_oid(),
            matches: Vec::new(),
            files_searched: 0,
            files_skipped: 0,
            truncated: false,
        },
    };
    while let Some(steps) = walk.step().await? {
        let files = steps.into_iter().filter(|step| {
            let fits = glob
                .as_ref()
                .is_none_or(|glob| glob.fits(&step.path[below..]));
            step.record.attr.kind == NodeKind::File && fits
        });
        if !search.files(files).await? {
            break;
        }
    }
    let mut found = search.found;
    found.truncated |= walk.is_cut();
    let text = listed(&found);
    Ok(Answer::with_text(found, text))
}

struct Search<'a> {
    opened: &'a Opened,
    regex: Regex,
    around: usize,
    limit: usize,
    until: Instant,
    bytes: u64,
    found: Matches,
}

impl Search<'_> {
    /// Searches files; answers whether to go on.
    async fn files(&mut self, files: impl Iterator<Item = Step> + Send) -> Result<bool, ApiError> {
        let (mut small, mut skipped) = (Vec::new(), 0);
        for step in files {
            if step.record.attr.content.size() > FILE_BYTES_MAX {
                skipped += 1;
            } else {
                small.push(step);
            }
        }
        self.found.files_skipped += skipped;
        let packs = self.opened.snapshot.packs();
        let mut contents = futures::stream::iter(small)
            .map(|step| {
                let packs = packs.clone();
                async move {
                    let bytes = whole(packs, &step.record.attr.content).await;
                    (step.path, bytes)
                }
            })
            .buffered(AHEAD);
        while let Some((path, bytes)) = contents.next().await {
            let bytes = bytes?;
            self.bytes += bytes.len() as u64;
            let left = self.limit - self.found.matches.len();
            let (regex, around) = (self.regex.clone(), self.around);
            // Off the threads that serve everybody.
            let looked = tokio::task::spawn_blocking(move || {
                look(&regex, &shown(&path).0, &bytes, around, left)
            });
            match looked.await.map_err(ApiError::internal)? {
                None => self.found.files_skipped += 1,
                Some(matches) => {
                    self.found.files_searched += 1;
                    // One more than wanted was looked for.
                    self.found.truncated |= matches.len() > left;
                    self.found.matches.extend(matches.into_iter().take(left));
                }
            }
            if self.bytes > CALL_BYTES_MAX || Instant::now() > self.until {
                self.found.truncated = true;
            }
            if self.found.truncated {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Matching lines of a text, up to one more than `left`; nothing for what is no text.
fn look(regex: &Regex, path: &str, bytes: &[u8], around: usize, left: usize) -> Option<Vec<Match>> {
    if bytes.contains(&0) {
        return None;
    }
    // Most files have no match, and need no lines.
    if !regex.is_match(bytes) && !regex.as_str().contains(['^', '$', '\\']) {
        return Some(Vec::new());
    }
    let lines: Vec<&[u8]> = bytes
        .split_inclusive(|&b| b == b'\n')
        .map(|line| {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            line.strip_suffix(b"\r").unwrap_or(line)
        })
        .collect();
    let mut matches = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        if !regex.is_match(line) {
            continue;
        }
        let text = |line: &&[u8]| cut(&String::from_utf8_lossy(line));
        let after = (n + 1 + around).min(lines.len());
        matches.push(Match {
            path: path.to_owned(),
            line: n as u64 + 1,
            text: text(line),
            before: lines[n.saturating_sub(around)..n]
                .iter()
                .map(text)
                .collect(),
            after: lines[n + 1..after].iter().map(text).collect(),
        });
        if matches.len() > left {
            break;
        }
    }
    Some(matches)
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(LINE_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

/// As grep prints it.
fn listed(found: &Matches) -> String {
    let mut text = String::new();
    for hit in &found.matches {
        let path = hit.path.escape_debug();
        let first = hit.line - hit.before.len() as u64;
        for (line, before) in (first..).zip(&hit.before) {
            let _ = writeln!(text, "{path}-{line}-{before}");
        }
        let _ = writeln!(text, "{path}:{}:{}", hit.line, hit.text);
        for (line, after) in (hit.line + 1..).zip(&hit.after) {
            let _ = writeln!(text, "{path}-{line}-{after}");
        }
        if !hit.before.is_empty() || !hit.after.is_empty() {
            text.push_str("--\n");
        }
    }
    let _ = write!(
        text,
        "[{} matching lines in {} files searched{}]",
        found.matches.len(),
        found.files_searched,
        if found.truncated {
            "; there may be more"
        } else {
            ""
        }
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_mean_names_or_paths() {
        for (glob, good, bad) in [
            (
                "*.rs",
                &["a.rs", "x/y/a.rs"][..],
                &["a.rsx", "a/b.rs/c"][..],
            ),
            ("src/*.rs", &["src/a.rs"], &["src/b/a.rs", "x/src/a.rs"]),
            ("src/**/*.rs", &["src/a.rs", "src/b/a.rs"], &["a.rs"]),
            ("{a,b}?", &["a1", "x/b2"], &["c1", "a"]),
        ] {
            let pattern = Pattern::new(glob).unwrap();
            assert!(
                good.iter().all(|path| pattern.fits(path.as_bytes())),
                "{glob}"
            );
            assert!(
                !bad.iter().any(|path| pattern.fits(path.as_bytes())),
                "{glob}"
            );
        }
        for wrong in ["", "[", "{a", &"x".repeat(PATTERN_BYTES_MAX + 1)] {
            assert!(Pattern::new(wrong).is_err());
        }
    }

    #[test]
    fn lines_are_found_with_what_is_around_them() {
        let regex = Regex::new("^t").unwrap();
        let text = b"one\r\ntwo\r\nthree\nfour";
        let found = look(&regex, "p", text, 1, 10).unwrap();
        let seen: Vec<_> = found.iter().map(|m| (m.line, m.text.as_str())).collect();
        assert_eq!(seen, [(2, "two"), (3, "three")]);
        assert_eq!(
            (&found[0].before[..], &found[1].after[..]),
            (&["one".to_owned()][..], &["four".to_owned()][..])
        );
        assert_eq!(look(&regex, "p", text, 0, 1).unwrap().len(), 2);
        assert!(look(&regex, "p", b"t\0", 0, 1).is_none());
        assert!(look(&regex, "p", b"", 0, 1).unwrap().is_empty());
        assert_eq!(
            cut(&"ä".repeat(LINE_CHARS_MAX + 1)).chars().count(),
            LINE_CHARS_MAX + 3
        );
    }

    #[test]
    fn patterns_that_are_too_much_are_refused() {
        let wanted = |query: &str| {
            let json = serde_json::json!({"repo": "r", "query": query});
            regex(&serde_json::from_value(json).unwrap())
        };
        assert!(wanted("a+").is_ok());
        for bad in ["", "(", "(a{1000}){1000}", "(?=a)"] {
            assert_eq!(wanted(bad).unwrap_err().wire_code(), "INVALID_PATTERN");
        }
    }
}
