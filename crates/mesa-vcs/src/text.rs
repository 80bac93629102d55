//! Merging texts by lines.
//!
//! Lines of all terms are aligned with those of the first base ([`align`]). Where all terms have
//! the same lines they stay; everything between is a hunk of its own, which resolves if it is
//! trivial and is a conflict otherwise. Lines end in `\n` and are bytes, in whatever encoding.

pub mod align;
pub mod hunk;

use std::collections::HashMap;

pub use hunk::{HunkId, Resolution, ResolveError, hunk_ids, resolve_hunks};

use crate::Merge;

/// How far into a content a NUL byte makes it binary.
pub const BINARY_PROBE_BYTES: usize = 8 << 10;

/// The outcome of merging texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextMerge {
    /// No conflict.
    Resolved(Vec<u8>),
    /// Hunks in order; at least one is in conflict, and those have as many terms as were merged.
    Conflicted(Vec<Merge<Vec<u8>>>),
}

/// Whether a content is no text: there is a NUL among its first 8 KiB.
pub fn is_binary(content: &[u8]) -> bool {
    content[..content.len().min(BINARY_PROBE_BYTES)].contains(&0)
}

/// Splits after every line feed; the last line may be without one.
pub fn lines(text: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    text.split_inclusive(|&b| b == b'\n')
}

/// Merges texts.
///
/// ```
/// use mesa_vcs::{Merge, text::{TextMerge, merge}};
///
/// let texts = Merge::three_way("a\nb\nC\n", "a\nb\nc\n", "A\nb\nc\n");
/// assert_eq!(merge(&texts), TextMerge::Resolved(b"A\nb\nC\n".to_vec()));
/// ```
pub fn merge<T: AsRef<[u8]>>(texts: &Merge<T>) -> TextMerge {
    if let Some(text) = texts.as_resolved() {
        return TextMerge::Resolved(text.as_ref().to_vec());
    }
    let removes = texts.removes().len();
    let inputs: Vec<&[u8]> = texts
        .removes()
        .chain(texts.adds())
        .map(AsRef::as_ref)
        .collect();
    let mut hunks: Vec<Merge<Vec<u8>>> = Vec::new();
    let mut resolved = Vec::new();
    for region in regions(&inputs) {
        let (bases, sides) = region.split_at(removes);
        let hunk = Merge::from_removes_adds(bases.to_vec(), sides.to_vec());
        let Some(hunk) = hunk else { continue };
        if let Some(text) = hunk.resolve_trivial() {
            resolved.extend_from_slice(text);
            continue;
        }
        if !resolved.is_empty() {
            hunks.push(Merge::resolved(std::mem::take(&mut resolved)));
        }
        hunks.push(hunk.map(|text| text.to_vec()));
    }
    if hunks.is_empty() {
        return TextMerge::Resolved(resolved);
    }
    if !resolved.is_empty() {
        hunks.push(Merge::resolved(resolved));
    }
    TextMerge::Conflicted(hunks)
}

/// Cuts texts into regions that are the same in all of them and regions that are not, in turn.
pub(crate) fn regions<'a>(inputs: &[&'a [u8]]) -> Vec<Vec<&'a [u8]>> {
    let mut numbers: HashMap<&[u8], u32> = HashMap::new();
    let tokens: Vec<Vec<u32>> = inputs
        .iter()
        .map(|text| {
            lines(text)
                .map(|line| {
                    let next = numbers.len() as u32;
                    *numbers.entry(line).or_insert(next)
                })
                .collect()
        })
        .collect();
    // Byte offset of each line, and of the end.
    let starts: Vec<Vec<usize>> = inputs
        .iter()
        .map(|text| {
            let ends = lines(text).scan(0, |at, line| {
                *at += line.len();
                Some(*at)
            });
            std::iter::once(0).chain(ends).collect()
        })
        .collect();

    let mut common: Vec<Vec<usize>> = (0..tokens[0].len()).map(|line| vec![line]).collect();
    for other in &tokens[1..] {
        let mut pairs = align::matches(&tokens[0], other).into_iter().peekable();
        common.retain_mut(|lines| {
            while pairs.next_if(|(base, _)| *base < lines[0]).is_some() {}
            match pairs.next_if(|(base, _)| *base == lines[0]) {
                Some((_, line)) => {
                    lines.push(line);
                    true
                }
                None => false,
            }
        });
    }

    let slice = |input: usize, from: usize, to: usize| {
        &inputs[input][starts[input][from]..starts[input][to]]
    };
    let all = 0..inputs.len();
    let mut regions: Vec<Vec<&[u8]>> = Vec::new();
    // Where in each input the regions so far end.
    let mut at = vec![0; inputs.len()];
    let mut matched = common.into_iter().peekable();
    loop {
        let next = matched
            .peek()
            .cloned()
            .unwrap_or_else(|| tokens.iter().map(Vec::len).collect());
        if next != at {
            regions.push(all.clone().map(|i| slice(i, at[i], next[i])).collect());
            at = next;
        }
        let start = at.clone();
        while matched.next_if_eq(&at).is_some() {
            for line in &mut at {
                *line += 1;
            }
        }
        if start != at {
            regions.push(all.clone().map(|i| slice(i, start[i], at[i])).collect());
        } else if matched.peek().is_none() {
            return regions;
        }
    }
}

#[cfg(test)]
mod tests;
