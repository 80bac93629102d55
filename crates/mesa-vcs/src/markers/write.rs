//! From a conflict to text.

use super::{MARKER_LEN_MIN, Marker};
use crate::{
    Labels, Merge,
    text::{self, TextMerge},
};

/// How much longer markers are than what looks like one.
const LONGER: usize = 4;

/// The length of the markers of a conflict between these texts. It depends on nothing else, so
/// that it need not be stored.
pub fn marker_len<T: AsRef<[u8]>>(texts: &Merge<T>) -> usize {
    let lines = texts.iter().flat_map(|text| text::lines(text.as_ref()));
    let longest = lines.filter_map(Marker::of_line).map(|(_, len)| len).max();
    (longest.unwrap_or(0) + LONGER).max(MARKER_LEN_MIN)
}

/// Merges texts and writes what is in conflict with markers. Absent files count as empty.
pub fn materialize<T: AsRef<[u8]>>(texts: &Merge<T>, labels: &Labels) -> Vec<u8> {
    match text::merge(texts) {
        TextMerge::Resolved(text) => text,
        TextMerge::Conflicted(hunks) => {
            write_hunks(&hunks, labels, marker_len(texts), ends_in_crlf(texts))
        }
    }
}

/// Whether the first line of every text that has one ends in CRLF.
pub(super) fn ends_in_crlf<T: AsRef<[u8]>>(texts: &Merge<T>) -> bool {
    let mut ends = texts.iter().filter_map(|text| {
        let first = text::lines(text.as_ref()).next()?;
        first.ends_with(b"\n").then(|| first.ends_with(b"\r\n"))
    });
    ends.next().is_some_and(|crlf| crlf) && ends.all(|crlf| crlf)
}

/// Writes hunks ([`TextMerge::Conflicted`]), those in conflict with markers of length `len`.
pub fn write_hunks(hunks: &[Merge<Vec<u8>>], labels: &Labels, len: usize, crlf: bool) -> Vec<u8> {
    let total = hunks.iter().filter(|hunk| !hunk.is_resolved()).count();
    let eol: &[u8] = if crlf { b"\r\n" } else { b"\n" };
    let mut writer = Writer {
        out: Vec::new(),
        len,
        eol,
    };
    let mut number = 0;
    for hunk in hunks {
        if let Some(text) = hunk.as_resolved() {
            writer.out.extend_from_slice(text);
            continue;
        }
        number += 1;
        writer.conflict(hunk, labels, &format!("conflict {number} of {total}"));
    }
    writer.out
}

struct Writer<'a> {
    out: Vec<u8>,
    len: usize,
    eol: &'a [u8],
}

/// A term of a conflict as it will be shown.
struct Term {
    text: Vec<u8>,
    label: String,
}

/// Regions of a base and a side, in turn the same and different.
type Regions<'a> = Vec<Vec<&'a [u8]>>;

impl Writer<'_> {
    fn conflict(&mut self, hunk: &Merge<Vec<u8>>, labels: &Labels, title: &str) {
        let complete = hunk
            .iter()
            .all(|text| text.last().is_none_or(|&b| b == b'\n'));
        let terms = terms(hunk, labels, if complete { b"" } else { self.eol });
        self.marker(Marker::Start, title);
        self.line_end();
        // One side is shown as it is, the others as diffs from a base: the first side that the
        // next one is not closer to the same base than.
        let mut as_is = false;
        for (at, base) in terms.removes().enumerate() {
            let (Some(here), Some(next)) = (terms.add(at), terms.add(at + 1)) else {
                continue;
            };
            if as_is {
                self.diff(base, next, &regions(base, next));
                continue;
            }
            let (to_here, to_next) = (regions(base, here), regions(base, next));
            if different_bytes(&to_next) < different_bytes(&to_here) {
                self.side(here);
                self.diff(base, next, &to_next);
                as_is = true;
            } else {
                self.diff(base, here, &to_here);
            }
        }
        if let (false, Some(last)) = (as_is, terms.adds().last()) {
            self.side(last);
        }
        self.marker(Marker::End, &format!("{title} ends"));
        if complete {
            self.line_end();
        }
    }

    fn marker(&mut self, marker: Marker, text: &str) {
        let line = std::iter::repeat_n(marker.byte(), self.len);
        self.out.extend(line);
        self.out.push(b' ');
        self.out.extend_from_slice(text.as_bytes());
    }

    fn line_end(&mut self) {
        self.out.extend_from_slice(self.eol);
    }

    fn side(&mut self, side: &Term) {
        self.marker(Marker::Add, &side.label);
        self.line_end();
        self.out.extend_from_slice(&side.text);
    }

    fn diff(&mut self, base: &Term, side: &Term, regions: &Regions<'_>) {
        self.marker(Marker::Diff, &format!("diff from: {}", base.label));
        self.line_end();
        self.marker(Marker::Note, &format!("       to: {}", side.label));
        self.line_end();
        for region in regions {
            let [from, to] = region[..] else { continue };
            if from == to {
                self.lines(b' ', from);
            } else {
                self.lines(b'-', from);
                self.lines(b'+', to);
            }
        }
    }

    fn lines(&mut self, sign: u8, text: &[u8]) {
        for line in text::lines(text) {
            self.out.push(sign);
            self.out.extend_from_slice(line);
        }
    }
}

fn regions<'a>(base: &'a Term, side: &'a Term) -> Regions<'a> {
    text::regions(&[&base.text, &side.text])
}

fn different_bytes(regions: &Regions<'_>) -> usize {
    let different = regions.iter().filter(|region| region[0] != region[1]);
    different.flatten().map(|text| text.len()).sum()
}

/// Gives every term its label, and the line end it may need.
fn terms(hunk: &Merge<Vec<u8>>, labels: &Labels, end: &[u8]) -> Merge<Term> {
    let bases = hunk.removes().len();
    let mut at = 0;
    hunk.map(|text| {
        let (is_side, number) = (at % 2 == 0, at / 2);
        at += 1;
        let given = if is_side {
            labels.add(number)
        } else {
            labels.remove(number)
        };
        let mut label = given.map_or_else(
            || match (is_side, bases) {
                (true, _) => format!("side #{}", number + 1),
                (false, 1) => "base".to_owned(),
                (false, _) => format!("base #{}", number + 1),
            },
            str::to_owned,
        );
        if text.last().is_some_and(|&b| b != b'\n') {
            label.push_str(" (no terminating newline)");
        }
        let text = [text, end].concat();
        Term { text, label }
    })
}
