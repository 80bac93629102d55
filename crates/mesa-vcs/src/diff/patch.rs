//! Patches in git's extended format, which `git apply` takes.

mod binary;

use std::fmt::Write as _;

use mesa_types::{GitOid, NodeKind};

use super::{ContentDiff, DiffEntry, Hunk, LineKind, Omitted, Status};
use crate::tree::{TreePath, TreeValue};

/// How to write a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PatchOptions {
    /// Whether binary contents are written, so that the patch applies; else a line says that they
    /// differ, as `git diff` does.
    pub binary: bool,
}

impl PatchOptions {
    /// With the contents of binary files.
    pub fn with_binary() -> Self {
        Self { binary: true }
    }
}

/// Appends one entry to a patch. Entries git cannot see (other types, attributes alone) add
/// nothing.
pub fn write_patch(
    out: &mut Vec<u8>,
    entry: &DiffEntry,
    content: &ContentDiff,
    options: &PatchOptions,
) {
    let before = entry.before.as_ref().and_then(Side::of);
    let after = entry.after.as_ref().and_then(Side::of);
    match (before, after) {
        (None, None) => {}
        // Git has no patches that change the type: the old thing goes, the new one comes.
        (Some(before), Some(after)) if before.kind() != after.kind() => {
            let gone = Part::whole(content.before.as_deref(), LineKind::Deleted);
            let come = Part::whole(content.after.as_deref(), LineKind::Added);
            Writer::new(out, options).entry(entry, Some(before), None, &gone.view(content));
            Writer::new(out, options).entry(entry, None, Some(after), &come.view(content));
        }
        (before, after) => {
            let view = View {
                hunks: &content.hunks,
                binary: content.omitted.is_some(),
                before: content.before.as_deref(),
                after: content.after.as_deref(),
                omitted: content.omitted,
            };
            Writer::new(out, options).entry(entry, before, after, &view);
        }
    }
}

/// One side of an entry as git sees it.
#[derive(Clone, Copy)]
struct Side {
    mode: &'static str,
    oid: GitOid,
}

impl Side {
    fn of(value: &TreeValue) -> Option<Self> {
        let mode = match value.kind() {
            NodeKind::File if value.is_executable() => "100755",
            NodeKind::File => "100644",
            NodeKind::Symlink => "120000",
            NodeKind::Gitlink => "160000",
            NodeKind::Dir | NodeKind::Fifo | NodeKind::Socket => return None,
        };
        let oid = value.node.git?;
        Some(Self { mode, oid })
    }

    fn kind(&self) -> &str {
        &self.mode[..3]
    }
}

/// A whole content as a hunk.
struct Part {
    hunks: Vec<Hunk>,
    text: Vec<u8>,
    kind: LineKind,
}

impl Part {
    fn whole(text: Option<&[u8]>, kind: LineKind) -> Self {
        let text = text.unwrap_or_default().to_vec();
        let hunks = match kind {
            LineKind::Deleted => super::diff_lines(&text, b"", 0),
            _ => super::diff_lines(b"", &text, 0),
        };
        Self { hunks, text, kind }
    }

    fn view(&self, content: &ContentDiff) -> View<'_> {
        let deleted = self.kind == LineKind::Deleted;
        View {
            hunks: &self.hunks,
            binary: content.omitted.is_some(),
            before: deleted.then_some(&self.text[..]).or(Some(b"")),
            after: (!deleted).then_some(&self.text[..]).or(Some(b"")),
            omitted: content.omitted,
        }
    }
}

/// What to write of an entry's content.
struct View<'a> {
    hunks: &'a [Hunk],
    binary: bool,
    before: Option<&'a [u8]>,
    after: Option<&'a [u8]>,
    omitted: Option<Omitted>,
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    options: &'a PatchOptions,
}

const NO_OID: GitOid = GitOid([0; 20]);

impl<'a> Writer<'a> {
    fn new(out: &'a mut Vec<u8>, options: &'a PatchOptions) -> Self {
        Self { out, options }
    }

    fn entry(
        &mut self,
        entry: &DiffEntry,
        before: Option<Side>,
        after: Option<Side>,
        content: &View<'_>,
    ) {
        let (old, new) = (entry.old_path(), &entry.path);
        let header_from = self.out.len();
        self.out.extend_from_slice(b"diff --git ");
        self.out.extend(quoted("a/", old));
        self.out.push(b' ');
        self.out.extend(quoted("b/", new));
        self.out.push(b'\n');
        let lines_from = self.out.len();
        match (before, after) {
            (None, Some(after)) => self.line(&format!("new file mode {}", after.mode)),
            (Some(before), None) => self.line(&format!("deleted file mode {}", before.mode)),
            (Some(before), Some(after)) if before.mode != after.mode => {
                self.line(&format!("old mode {}", before.mode));
                self.line(&format!("new mode {}", after.mode));
            }
            _ => {}
        }
        if let Status::Renamed { from, similarity } = &entry.status {
            self.line(&format!("similarity index {similarity}%"));
            self.path_line("rename from ", "", from);
            self.path_line("rename to ", "", new);
        }
        let oid = |side: Option<Side>| side.map_or(NO_OID, |side| side.oid);
        let (a, b) = (oid(before), oid(after));
        if a != b {
            let mode = match (before, after) {
                (Some(before), Some(after)) if before.mode == after.mode => {
                    format!(" {}", before.mode)
                }
                _ => String::new(),
            };
            self.line(&format!("index {a}..{b}{mode}"));
            self.content(content, before.map(|_| old), after.map(|_| new));
        } else if self.out.len() == lines_from {
            // Nothing git sees.
            self.out.truncate(header_from);
        }
    }

    fn content(&mut self, content: &View<'_>, old: Option<&TreePath>, new: Option<&TreePath>) {
        if content.binary {
            if let (true, Some(Omitted::Binary), Some(before), Some(after)) = (
                self.options.binary,
                content.omitted,
                content.before,
                content.after,
            ) {
                self.line("GIT binary patch");
                binary::write_literal(self.out, after);
                binary::write_literal(self.out, before);
                return;
            }
            self.out.extend_from_slice(b"Binary files ");
            self.name("a/", old);
            self.out.extend_from_slice(b" and ");
            self.name("b/", new);
            self.out.extend_from_slice(b" differ\n");
            return;
        }
        if content.hunks.is_empty() {
            return;
        }
        for (sign, prefix, path) in [("--- ", "a/", old), ("+++ ", "b/", new)] {
            self.out.extend_from_slice(sign.as_bytes());
            self.name(prefix, path);
            // What follows a tab is no part of a name with blanks.
            if path.is_some_and(|path| path.as_bytes().contains(&b' ')) {
                self.out.push(b'\t');
            }
            self.out.push(b'\n');
        }
        for hunk in content.hunks {
            self.hunk(hunk);
        }
    }

    fn hunk(&mut self, hunk: &Hunk) {
        let range = |start: usize, lines: usize| {
            if lines == 1 {
                start.to_string()
            } else {
                format!("{start},{lines}")
            }
        };
        let old = range(hunk.old_start, hunk.old_lines);
        let new = range(hunk.new_start, hunk.new_lines);
        self.line(&format!("@@ -{old} +{new} @@"));
        for line in &hunk.lines {
            self.out.push(match line.kind {
                LineKind::Context => b' ',
                LineKind::Added => b'+',
                LineKind::Deleted => b'-',
            });
            self.out.extend_from_slice(&line.text);
            if line.is_unterminated() {
                self.out
                    .extend_from_slice(b"\n\\ No newline at end of file\n");
            }
        }
    }

    fn name(&mut self, prefix: &str, path: Option<&TreePath>) {
        match path {
            Some(path) => self.out.extend(quoted(prefix, path)),
            None => self.out.extend_from_slice(b"/dev/null"),
        }
    }

    fn path_line(&mut self, label: &str, prefix: &str, path: &TreePath) {
        self.out.extend_from_slice(label.as_bytes());
        self.out.extend(quoted(prefix, path));
        self.out.push(b'\n');
    }

    fn line(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'\n');
    }
}

/// A path as git writes it (`quote.c`): in quotes and with escapes if it has control characters,
/// quotes, backslashes, or bytes outside ASCII.
fn quoted(prefix: &str, path: &TreePath) -> Vec<u8> {
    let bytes = path.as_bytes();
    let plain = |b: &u8| matches!(b, 0x20..=0x7e) && !matches!(b, b'"' | b'\\');
    if bytes.iter().all(plain) {
        return [prefix.as_bytes(), bytes].concat();
    }
    let mut text = format!("\"{prefix}");
    for &byte in bytes {
        // Writing to a string does not fail.
        let _ = match byte {
            b'"' => write!(text, "\\\""),
            b'\\' => write!(text, "\\\\"),
            b'\n' => write!(text, "\\n"),
            b'\t' => write!(text, "\\t"),
            b'\r' => write!(text, "\\r"),
            0x20..=0x7e => write!(text, "{}", char::from(byte)),
            _ => write!(text, "\\{byte:03o}"),
        };
    }
    text.push('"');
    text.into_bytes()
}
