//! Differences between two texts.

use crate::text;

/// Lines of context that are usual.
pub const CONTEXT_LINES: usize = 3;

/// A run of changes with lines of context around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hunk {
    /// Number of the first old line, from 1; if there is none, of the line before.
    pub old_start: usize,
    /// Number of old lines.
    pub old_lines: usize,
    /// Number of the first new line, from 1; if there is none, of the line before.
    pub new_start: usize,
    /// Number of new lines.
    pub new_lines: usize,
    /// The lines in order.
    pub lines: Vec<Line>,
}

/// A line of a hunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it is.
    pub kind: LineKind,
    /// Its text with its line feed, if it has one.
    pub text: Vec<u8>,
}

/// What a line of a hunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LineKind {
    /// In both texts.
    Context,
    /// In the new text only.
    Added,
    /// In the old text only.
    Deleted,
}

impl Line {
    /// Whether this is the last line of a text that does not end in a line feed.
    pub fn is_unterminated(&self) -> bool {
        self.text.last() != Some(&b'\n')
    }
}

impl Hunk {
    /// Lines of a kind.
    pub fn count(&self, kind: LineKind) -> usize {
        self.lines.iter().filter(|line| line.kind == kind).count()
    }
}

/// Compares two texts; hunks nearer than twice `context` lines are one.
pub fn diff_lines(old: &[u8], new: &[u8], context: usize) -> Vec<Hunk> {
    let mut hunks = Vec::new();
    let mut builder = Builder::default();
    let regions = text::regions(&[old, new]);
    let last = regions.len().saturating_sub(1);
    for (number, region) in regions.into_iter().enumerate() {
        let [from, to] = region[..] else { continue };
        if from != to {
            builder.add(LineKind::Deleted, from);
            builder.add(LineKind::Added, to);
            continue;
        }
        let lines: Vec<&[u8]> = text::lines(from).collect();
        let before = context.min(lines.len());
        let is_gap = number == 0 || number == last || lines.len() > 2 * context;
        if builder.hunk.is_some() {
            let shown = if is_gap { before } else { lines.len() };
            builder.add_lines(LineKind::Context, &lines[..shown]);
            if !is_gap {
                continue;
            }
            hunks.extend(builder.finish());
            builder.skip(lines.len() - shown);
        } else {
            builder.skip(lines.len());
        }
        if number != last {
            let after = &lines[lines.len() - before..];
            builder.back(after.len());
            builder.add_lines(LineKind::Context, after);
        }
    }
    hunks.extend(builder.finish());
    hunks
}

#[derive(Default)]
struct Builder {
    hunk: Option<Hunk>,
    /// Lines of each text that are behind.
    old: usize,
    new: usize,
}

impl Builder {
    fn skip(&mut self, lines: usize) {
        self.old += lines;
        self.new += lines;
    }

    fn back(&mut self, lines: usize) {
        self.old -= lines;
        self.new -= lines;
    }

    fn add(&mut self, kind: LineKind, text: &[u8]) {
        let lines: Vec<&[u8]> = text::lines(text).collect();
        self.add_lines(kind, &lines);
    }

    fn add_lines(&mut self, kind: LineKind, lines: &[&[u8]]) {
        let hunk = self.hunk.get_or_insert(Hunk {
            old_start: self.old,
            old_lines: 0,
            new_start: self.new,
            new_lines: 0,
            lines: Vec::new(),
        });
        let count = lines.len();
        if kind != LineKind::Added {
            hunk.old_lines += count;
            self.old += count;
        }
        if kind != LineKind::Deleted {
            hunk.new_lines += count;
            self.new += count;
        }
        hunk.lines.extend(lines.iter().map(|line| Line {
            kind,
            text: line.to_vec(),
        }));
    }

    fn finish(&mut self) -> Option<Hunk> {
        let mut hunk = self.hunk.take()?;
        // Numbers are of the first line, or of the line before where there is none.
        hunk.old_start += usize::from(hunk.old_lines > 0);
        hunk.new_start += usize::from(hunk.new_lines > 0);
        let changed = hunk.lines.iter().any(|line| line.kind != LineKind::Context);
        changed.then_some(hunk)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn summary(old: &str, new: &str) -> Vec<(usize, usize, usize, usize, String)> {
        let hunks = diff_lines(old.as_bytes(), new.as_bytes(), 1);
        let signs = |hunk: &Hunk| {
            let sign = |line: &Line| match line.kind {
                LineKind::Context => ' ',
                LineKind::Added => '+',
                LineKind::Deleted => '-',
            };
            hunk.lines.iter().map(sign).collect()
        };
        let all = hunks.iter();
        all.map(|h| (h.old_start, h.old_lines, h.new_start, h.new_lines, signs(h)))
            .collect()
    }

    #[test]
    fn hunks_have_context_and_numbers() {
        assert_eq!(
            summary("a\nb\nc\nd\n", "a\nX\nc\nd\n"),
            [(1, 3, 1, 3, " -+ ".into())]
        );
        assert_eq!(summary("", "a\n"), [(0, 0, 1, 1, "+".into())]);
        assert_eq!(summary("a\n", ""), [(1, 1, 0, 0, "-".into())]);
        assert_eq!(summary("a\n", "a\n"), []);
        assert_eq!(summary("", ""), []);
        assert_eq!(summary("a\n", "a"), [(1, 1, 1, 1, "-+".into())]);
        // Two lines between changes join them, three part them.
        assert_eq!(
            summary("1\nb\nc\n2\n", "3\nb\nc\n4\n"),
            [(1, 4, 1, 4, "-+  -+".into())]
        );
        assert_eq!(
            summary("1\nb\nc\nd\n2\n", "3\nb\nc\nd\n4\n"),
            [(1, 2, 1, 2, "-+ ".into()), (4, 2, 4, 2, " -+".into())]
        );
    }

    fn any_text() -> impl Strategy<Value = Vec<u8>> {
        let line = prop::sample::select(vec!["a\n", "b\n", "c\n", "\n", "d"]);
        prop::collection::vec(line, 0..20).prop_map(|lines| lines.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn hunks_lead_from_old_to_new(old in any_text(), new in any_text(), context in 0..4_usize) {
            let hunks = diff_lines(&old, &new, context);
            let lines: Vec<&[u8]> = text::lines(&old).collect();
            let mut result: Vec<u8> = Vec::new();
            let mut at = 0;
            for hunk in &hunks {
                let start = hunk.old_start - usize::from(hunk.old_lines > 0);
                prop_assert!(start >= at);
                result.extend(lines[at..start].concat());
                at = start;
                for line in &hunk.lines {
                    if line.kind != LineKind::Added {
                        prop_assert_eq!(&line.text[..], lines[at]);
                        at += 1;
                    }
                    if line.kind != LineKind::Deleted {
                        result.extend(&line.text);
                    }
                }
            }
            result.extend(lines[at..].concat());
            prop_assert_eq!(result, new);
        }
    }
}
