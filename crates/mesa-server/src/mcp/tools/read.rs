//! Reading files, and what is at a path.

use std::fmt::Write as _;

use base64::{Engine, engine::general_purpose::STANDARD};
use futures::TryStreamExt;
use mesa_api::ErrorCode;
use mesa_repo::Scope;
use mesa_types::{ContentRef, NodeKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PathArg, RepoArg, Rev, bounded, rev};
use crate::{
    error::ApiError,
    mcp::{
        call::{About, Answer, Context, Effect, Tool},
        seen::{Node, Opened, text},
    },
    routes::content::path::RepoPath,
    snapshot::bytes::stream,
};

/// Bytes in one answer.
const BYTES_MAX: usize = 256 << 10;
const LINES_DEFAULT: usize = 2_000;
const LINES_MAX: usize = 100_000;
/// Files up to this size are read to their end, to count the lines.
const COUNTED_MAX: u64 = 16 << 20;
/// Bytes looked through for a line.
const SCANNED_MAX: u64 = 256 << 20;

pub fn tools() -> Vec<Tool> {
    vec![
        Tool::new(
            About {
                name: "file_read",
                title: "Read a file",
                description: "Reads a file: lines from start_line on (2,000 when line_count is \
                              absent), or with offset and length bytes. An answer holds up to \
                              256 KiB; if there is more, truncated is true and next_line or \
                              next_offset says where to go on. What is not UTF-8 comes in base64. \
                              `version` is what file_write, file_edit, file_delete and file_move \
                              want as expected_version. Symlinks are not followed: their target \
                              is the content.",
                effect: Effect::Reads,
            },
            read,
        ),
        Tool::new(
            About {
                name: "path_stat",
                title: "Look at a path",
                description: "Tells what is at a path (file, directory or symlink) without its \
                              content: version, size, whether it is executable or in conflict.",
                effect: Effect::Reads,
            },
            stat,
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Read {
    repo: RepoArg,
    rev: Option<Rev>,
    path: PathArg,
    /// First line wanted, counted from 1.
    start_line: Option<u64>,
    /// How many lines, 1 to 100,000; 2,000 when absent.
    line_count: Option<u64>,
    /// First byte wanted, counted from 0: reads bytes instead of lines.
    offset: Option<u64>,
    /// How many bytes from offset on, 1 to 262,144.
    length: Option<u64>,
}

/// What is at a path.
#[derive(Serialize, JsonSchema)]
struct Stat {
    path: String,
    change_id: String,
    commit_oid: String,
    /// To be passed as expected_version.
    version: String,
    /// `file`, `directory`, `symlink` or `other`.
    #[serde(rename = "type")]
    kind: &'static str,
    size: u64,
    executable: bool,
    is_conflicted: bool,
}

#[derive(Serialize, JsonSchema)]
struct FileContent {
    #[serde(flatten)]
    stat: Stat,
    /// `utf-8` or `base64`.
    encoding: &'static str,
    content: String,
    /// The first line in content, if lines were read.
    start_line: Option<u64>,
    /// The last line in content.
    end_line: Option<u64>,
    /// Lines in the whole file, if they were counted.
    total_lines: Option<u64>,
    /// The first byte in content.
    offset: u64,
    /// Whether what was asked for goes on, or the file does.
    truncated: bool,
    /// Where to go on, if lines were read.
    next_line: Option<u64>,
    /// Where to go on.
    next_offset: Option<u64>,
}

/// The name of a kind.
pub fn kind_name(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::File => "file",
        NodeKind::Dir => "directory",
        NodeKind::Symlink => "symlink",
        _ => "other",
    }
}

async fn stat_of(opened: &Opened, path: &RepoPath, node: &Node) -> Result<Stat, ApiError> {
    let attr = node.record.as_ref().map(|record| &record.attr);
    Ok(Stat {
        path: text(path),
        change_id: opened.change.to_string(),
        commit_oid: opened.commit_oid(),
        version: node.version.clone(),
        kind: kind_name(node.kind),
        size: attr.map_or(0, |attr| attr.content.size()),
        executable: node.kind == NodeKind::File && attr.is_some_and(|attr| attr.mode & 0o100 != 0),
        is_conflicted: opened.snapshot.is_conflicted(&path.joined()).await?,
    })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StatArgs {
    repo: RepoArg,
    rev: Option<Rev>,
    path: PathArg,
}

async fn stat(context: Context, wanted: StatArgs) -> Result<Answer<Stat>, ApiError> {
    let path = RepoPath::parse(wanted.path.0.as_bytes())?;
    let opened = context
        .open(&wanted.repo.0, rev(wanted.rev.as_ref()), Scope::Read)
        .await?;
    let node = opened.existing(&path).await?;
    Ok(stat_of(&opened, &path, &node).await?.into())
}

/// A part of a file.
struct Part {
    bytes: Vec<u8>,
    offset: u64,
    lines: Option<Lines>,
    /// There is more.
    next_offset: Option<u64>,
}

struct Lines {
    start: u64,
    end: u64,
    total: Option<u64>,
    next: Option<u64>,
}

async fn read(context: Context, wanted: Read) -> Result<Answer<FileContent>, ApiError> {
    let path = RepoPath::parse(wanted.path.0.as_bytes())?;
    let by_line = wanted.start_line.is_some() || wanted.line_count.is_some();
    let by_byte = wanted.offset.is_some() || wanted.length.is_some();
    if by_line && by_byte {
        return Err(ApiError::bad_request(
            "start_line and line_count exclude offset and length",
        ));
    }
    let count = bounded("line_count", wanted.line_count, LINES_DEFAULT, LINES_MAX)? as u64;
    let length = bounded("length", wanted.length, BYTES_MAX, BYTES_MAX)? as u64;
    let opened = context
        .open(&wanted.repo.0, rev(wanted.rev.as_ref()), Scope::Read)
        .await?;
    let node = opened.existing(&path).await?;
    let stat = stat_of(&opened, &path, &node).await?;
    let record = node.record.as_ref();
    let part = match (node.kind, record) {
        (NodeKind::Symlink, Some(record)) => Part {
            bytes: record.target.to_vec(),
            offset: 0,
            lines: None,
            next_offset: None,
        },
        (NodeKind::File, Some(record)) if by_byte => {
            let offset = wanted.offset.unwrap_or(0);
            bytes(&opened, &record.attr.content, offset, length).await?
        }
        (NodeKind::File, Some(record)) => {
            let start = wanted.start_line.unwrap_or(1);
            lines(&opened, &record.attr.content, start, count).await?
        }
        _ => {
            let what = kind_name(node.kind);
            return Err(ApiError::bad_request(format!(
                "'{}' is a {what}; dir_list shows directories",
                stat.path.escape_debug()
            ))
            .narrowed("NOT_A_FILE"));
        }
    };
    Ok(answer(stat, part))
}

fn answer(stat: Stat, part: Part) -> Answer<FileContent> {
    let (encoding, content) = match String::from_utf8(part.bytes) {
        Ok(text) => ("utf-8", text),
        Err(other) => ("base64", STANDARD.encode(other.as_bytes())),
    };
    let lines = part.lines.as_ref();
    let content = FileContent {
        encoding,
        content,
        start_line: lines.map(|lines| lines.start),
        end_line: lines.map(|lines| lines.end),
        total_lines: lines.and_then(|lines| lines.total),
        offset: part.offset,
        truncated: part.next_offset.is_some(),
        next_line: lines.and_then(|lines| lines.next),
        next_offset: part.next_offset,
        stat,
    };
    let mut text = format!(
        "[{} version={} size={} encoding={encoding}",
        content.stat.path.escape_debug(),
        content.stat.version,
        content.stat.size
    );
    if let (Some(start), Some(end)) = (content.start_line, content.end_line) {
        let _ = write!(text, " lines={start}-{end}");
    }
    if let Some(total) = content.total_lines {
        let _ = write!(text, " of {total}");
    }
    match (content.next_line, content.next_offset) {
        (Some(line), _) => {
            let _ = write!(text, "; more: start_line={line}");
        }
        (None, Some(offset)) => {
            let _ = write!(text, "; more: offset={offset}");
        }
        (None, None) => {}
    }
    text.push_str("]\n");
    text.push_str(&content.content);
    Answer::with_text(content, text)
}

async fn bytes(
    opened: &Opened,
    content: &ContentRef,
    offset: u64,
    length: u64,
) -> Result<Part, ApiError> {
    let size = content.size();
    if offset > size || (offset == size && size > 0) {
        return Err(outside(format!("the file has {size} bytes")));
    }
    let end = offset.saturating_add(length).min(size);
    let packs = opened.snapshot.packs().clone();
    let pieces = stream(packs, content, offset..end).await?;
    let bytes = pieces
        .try_fold(Vec::new(), |mut out, piece| async move {
            out.extend_from_slice(&piece);
            Ok(out)
        })
        .await?;
    Ok(Part {
        bytes,
        offset,
        lines: None,
        next_offset: (end < size).then_some(end),
    })
}

fn outside(message: String) -> ApiError {
    ApiError::new(ErrorCode::BadRequest, message).narrowed("RANGE_OUTSIDE")
}

async fn lines(
    opened: &Opened,
    content: &ContentRef,
    start: u64,
    count: u64,
) -> Result<Part, ApiError> {
    if start == 0 {
        return Err(ApiError::bad_request("lines are counted from 1"));
    }
    let size = content.size();
    let packs = opened.snapshot.packs().clone();
    let mut pieces = std::pin::pin!(stream(packs, content, 0..size).await?);
    let mut taken = Taken::new(start, start.saturating_add(count));
    while let Some(piece) = pieces.try_next().await? {
        taken.feed(&piece);
        if taken.is_full() && size > COUNTED_MAX {
            break;
        }
        if taken.at >= SCANNED_MAX {
            return Err(outside(
                "the line is too far into the file to look for it; use offset".to_owned(),
            ));
        }
    }
    taken.finish(size)
}

/// Lines picked from bytes that come in pieces.
struct Taken {
    from: u64,
    to: u64,
    /// The line that the next byte belongs to.
    line: u64,
    /// Bytes seen.
    at: u64,
    ends_with_feed: bool,
    offset: u64,
    out: Vec<u8>,
    /// More was wanted than an answer holds.
    cut: bool,
}

impl Taken {
    fn new(from: u64, to: u64) -> Self {
        Self {
            from,
            to,
            line: 1,
            at: 0,
            ends_with_feed: true,
            offset: 0,
            out: Vec::new(),
            cut: false,
        }
    }

    fn is_full(&self) -> bool {
        self.cut || self.line >= self.to
    }

    fn feed(&mut self, piece: &[u8]) {
        for part in piece.split_inclusive(|&b| b == b'\n') {
            if (self.from..self.to).contains(&self.line) && !self.cut {
                if self.out.is_empty() {
                    self.offset = self.at;
                }
                let room = (BYTES_MAX - self.out.len()).min(part.len());
                self.out.extend_from_slice(&part[..room]);
                self.cut = room < part.len();
            }
            self.at += part.len() as u64;
            self.ends_with_feed = part.ends_with(b"\n");
            self.line += u64::from(self.ends_with_feed);
        }
    }

    fn finish(mut self, size: u64) -> Result<Part, ApiError> {
        let all = self.at == size;
        let total = all.then(|| self.line - u64::from(self.ends_with_feed));
        if let Some(total) = total
            && self.from > total.max(1)
        {
            return Err(outside(format!("the file has {total} lines")));
        }
        if self.cut {
            // Whole lines, if there is one; whole characters in any case.
            let whole = match self.out.iter().rposition(|&b| b == b'\n') {
                Some(feed) => feed + 1,
                None => whole_characters(&self.out),
            };
            self.out.truncate(whole);
        }
        let feeds = self.out.split(|&b| b == b'\n').count() as u64 - 1;
        let open = u64::from(!self.out.is_empty() && !self.out.ends_with(b"\n"));
        let end = self.offset + self.out.len() as u64;
        let more = end < size;
        Ok(Part {
            offset: self.offset,
            lines: Some(Lines {
                start: self.from,
                end: (self.from + feeds + open).saturating_sub(1),
                total,
                next: (more && open == 0).then_some(self.from + feeds),
            }),
            next_offset: more.then_some(end),
            bytes: self.out,
        })
    }
}

/// The length without a character that is cut off at the end.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(text: &[u8], from: u64, count: u64, step: usize) -> Result<Part, ApiError> {
        let mut taken = Taken::new(from, from + count);
        for piece in text.chunks(step) {
            taken.feed(piece);
        }
        taken.finish(text.len() as u64)
    }

    #[test]
    fn lines_are_picked_however_the_pieces_fall() {
        for step in 1..8 {
            let part = take(b"one\ntwo\nthree\nfour", 2, 2, step).unwrap();
            assert_eq!(part.bytes, b"two\nthree\n");
            assert_eq!((part.offset, part.next_offset), (4, Some(14)));
            let lines = part.lines.unwrap();
            let seen = (lines.start, lines.end, lines.total, lines.next);
            assert_eq!(seen, (2, 3, Some(4), Some(4)));

            let part = take(b"one\ntwo\nthree\nfour", 4, 9, step).unwrap();
            assert_eq!(
                (part.bytes.as_slice(), part.next_offset),
                (&b"four"[..], None)
            );
            assert_eq!(part.lines.unwrap().end, 4);
        }
        assert!(take(b"one\n", 2, 1, 2).is_err());
        let empty = take(b"", 1, 10, 1).unwrap();
        assert!(empty.bytes.is_empty() && empty.next_offset.is_none());
        assert_eq!(empty.lines.unwrap().total, Some(0));
    }

    #[test]
    fn long_answers_end_with_a_line_or_character() {
        let line = "x".repeat(99) + "\n";
        let text = line.repeat(5_000);
        let part = take(text.as_bytes(), 1, 100_000, 1000).unwrap();
        assert_eq!(part.bytes.len(), BYTES_MAX / 100 * 100);
        assert_eq!(part.lines.unwrap().next, Some(BYTES_MAX as u64 / 100 + 1));
        let text = "x".to_owned() + &"ä".repeat(BYTES_MAX);
        let part = take(text.as_bytes(), 1, 1, 4096).unwrap();
        assert_eq!(part.bytes.len(), BYTES_MAX - 1);
        assert_eq!(part.next_offset, Some(BYTES_MAX as u64 - 1));
        assert_eq!(part.lines.unwrap().next, None);
    }
}
