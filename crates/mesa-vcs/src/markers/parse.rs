//! From text back to a conflict.

use super::{Marker, marker_len};
use crate::{
    Merge,
    text::{self, TextMerge, hunk::join},
};

/// What became of a conflict when its file was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// The file shows the conflict as it was.
    Unchanged,
    /// No complete conflict is left: the file is what was written.
    Resolved,
    /// The texts of the terms now; as many as before.
    Conflicted(Merge<Vec<u8>>),
}

/// Compares the `written` content of a file with the conflict between `texts` it showed.
pub fn update<T: AsRef<[u8]>>(texts: &Merge<T>, written: &[u8]) -> Update {
    let now = parse(written, texts.sides(), marker_len(texts));
    match (text::merge(texts), now) {
        (TextMerge::Conflicted(before), Some(now)) if before == now => Update::Unchanged,
        (_, Some(now)) => join(&now).map_or(Update::Resolved, Update::Conflicted),
        (TextMerge::Resolved(before), None) if before == written => Update::Unchanged,
        (_, None) => Update::Resolved,
    }
}

/// Reads a text with conflicts of `sides` sides and markers of at least `len` characters; `None`
/// if there is no complete one. Everything that is not part of a complete conflict is plain text.
/// Diffs, sides as they are, bases as they are and git's own style are understood.
pub fn parse(text: &[u8], sides: usize, len: usize) -> Option<Vec<Merge<Vec<u8>>>> {
    let mut hunks = Vec::new();
    let mut at = 0;
    let mut plain_from = 0;
    // Where the conflict that may be open begins, and where its body does.
    let mut open: Option<(usize, usize)> = None;
    for line in text::lines(text) {
        let line_from = at;
        at += line.len();
        match Marker::of_len(line, len) {
            Some(Marker::Start) => open = Some((line_from, at)),
            Some(Marker::End) => {
                let Some((from, body)) = open.take() else {
                    continue;
                };
                let Some(mut hunk) = hunk(&text[body..line_from], len) else {
                    continue;
                };
                if hunk.sides() != sides {
                    continue;
                }
                if !line.ends_with(b"\n") {
                    let crlf = text[..body].ends_with(b"\r\n");
                    hunk = hunk.into_map(|term| without_line_end(term, crlf));
                }
                if plain_from < from {
                    hunks.push(Merge::resolved(text[plain_from..from].to_vec()));
                }
                hunks.push(hunk);
                plain_from = at;
            }
            _ => {}
        }
    }
    if hunks.is_empty() {
        return None;
    }
    if plain_from < text.len() {
        hunks.push(Merge::resolved(text[plain_from..].to_vec()));
    }
    Some(hunks)
}

/// Takes off the line end that only parts a side from the next marker.
fn without_line_end(mut term: Vec<u8>, crlf: bool) -> Vec<u8> {
    if term.pop_if(|b| *b == b'\n').is_some() && crlf {
        term.pop_if(|b| *b == b'\r');
    }
    term
}

/// The terms of one conflict, from what is between its markers.
fn hunk(body: &[u8], len: usize) -> Option<Merge<Vec<u8>>> {
    let first = text::lines(body).next();
    match first.and_then(|line| Marker::of_len(line, len)) {
        Some(Marker::Diff | Marker::Remove | Marker::Add) => plain_hunk(body, len),
        None | Some(Marker::GitBase) => git_hunk(body, len),
        Some(_) => None,
    }
}

fn plain_hunk(body: &[u8], len: usize) -> Option<Merge<Vec<u8>>> {
    let mut removes: Vec<Vec<u8>> = Vec::new();
    let mut adds: Vec<Vec<u8>> = Vec::new();
    let mut part = None;
    for line in text::lines(body) {
        let marker = Marker::of_len(line, len);
        match marker {
            Some(Marker::Diff) => {
                removes.push(Vec::new());
                adds.push(Vec::new());
            }
            Some(Marker::Remove) => removes.push(Vec::new()),
            Some(Marker::Add) => adds.push(Vec::new()),
            Some(Marker::Note) => continue,
            _ => {
                let (remove, add) = (removes.last_mut(), adds.last_mut());
                let (to_remove, to_add, line) = match (part?, line) {
                    (Marker::Add, _) => (false, true, line),
                    (Marker::Remove, _) => (true, false, line),
                    (_, [b'-', line @ ..]) => (true, false, line),
                    (_, [b'+', line @ ..]) => (false, true, line),
                    (_, [b' ', line @ ..]) => (true, true, line),
                    // An editor may have taken the blank off an empty line.
                    (_, b"\n" | b"\r\n") => (true, true, line),
                    _ => return None,
                };
                if let (true, Some(remove)) = (to_remove, remove) {
                    remove.extend_from_slice(line);
                }
                if let (true, Some(add)) = (to_add, add) {
                    add.extend_from_slice(line);
                }
                continue;
            }
        }
        part = marker;
    }
    Merge::from_removes_adds(removes, adds)
}

fn git_hunk(body: &[u8], len: usize) -> Option<Merge<Vec<u8>>> {
    let mut terms = [Vec::new(), Vec::new(), Vec::new()];
    let mut at = 0;
    for line in text::lines(body) {
        match (Marker::of_len(line, len), at) {
            (Some(Marker::GitBase), 0) | (Some(Marker::GitSecond), 1) => at += 1,
            (Some(Marker::GitBase | Marker::GitSecond), _) => return None,
            _ => terms[at].extend_from_slice(line),
        }
    }
    let [first, base, second] = terms;
    (at == 2).then(|| Merge::three_way(first, base, second))
}
