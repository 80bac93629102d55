//! Finding lines two texts have in common.
//!
//! This is what Jujutsu does (`core/src/diff.rs` in <https://github.com/jj-vcs/jj>), so that both
//! see the same conflicts: take the lines that are rarest in the first text among those that occur
//! as often in the second one, keep the longest sequence of them that is in order in both, and do
//! the same in every gap. A gap without such lines keeps what its two versions begin and end with
//! in common.

use std::collections::HashMap;

/// Lines that occur more often are counted as if they occurred this often.
const OCCURRENCES_MAX: usize = 101;

/// Lines looked at before the rest is taken as different, for each line given. Texts made to be
/// slow reach it, others need a few.
const WORK_FACTOR: usize = 256;

/// Pairs of positions at which `left` and `right` have the same line, ascending in both.
pub fn matches(left: &[u32], right: &[u32]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut work = (left.len() + right.len())
        .saturating_mul(WORK_FACTOR)
        .saturating_add(1 << 16);
    let mut gaps = vec![(0, left.len(), 0, right.len())];
    while let Some((left_from, left_to, right_from, right_to)) = gaps.pop() {
        let (a, b) = (&left[left_from..left_to], &right[right_from..right_to]);
        if a.is_empty() || b.is_empty() {
            continue;
        }
        let Some(left_work) = work.checked_sub(a.len() + b.len()) else {
            continue;
        };
        work = left_work;
        let anchors = anchors(a, b);
        if anchors.is_empty() {
            ends(a, b, |l, r| found.push((left_from + l, right_from + r)));
            continue;
        }
        let mut previous = (left_from, right_from);
        for (l, r) in anchors {
            let here = (left_from + l, right_from + r);
            gaps.push((previous.0, here.0, previous.1, here.1));
            found.push(here);
            previous = (here.0 + 1, here.1 + 1);
        }
        gaps.push((previous.0, left_to, previous.1, right_to));
    }
    found.sort_unstable();
    found
}

/// Reports what both begin and end with.
fn ends(a: &[u32], b: &[u32], mut report: impl FnMut(usize, usize)) {
    let leading = a.iter().zip(b).take_while(|(l, r)| l == r).count();
    let (rest_a, rest_b) = (&a[leading..], &b[leading..]);
    let trailing = rest_a
        .iter()
        .rev()
        .zip(rest_b.iter().rev())
        .take_while(|(l, r)| l == r)
        .count();
    (0..leading).for_each(|at| report(at, at));
    (1..=trailing).for_each(|back| report(a.len() - back, b.len() - back));
}

/// The longest common sequence of the rarest lines both have equally often.
fn anchors(a: &[u32], b: &[u32]) -> Vec<(usize, usize)> {
    let (in_a, in_b) = (positions(a), positions(b));
    let rarest = in_a.values().map(Vec::len).min();
    if rarest.is_none_or(|count| count >= OCCURRENCES_MAX) {
        return Vec::new();
    }
    let shared = || {
        in_a.iter().filter_map(|(line, at_a)| {
            let at_b = in_b.get(line)?;
            (at_a.len() == at_b.len()).then_some((at_a, at_b))
        })
    };
    let Some(rarest) = shared().map(|(at_a, _)| at_a.len()).min() else {
        return Vec::new();
    };
    // The n-th occurrence of a line in one text goes with the n-th in the other.
    let mut pairs: Vec<(usize, usize)> = shared()
        .filter(|(at_a, _)| at_a.len() == rarest)
        .flat_map(|(at_a, at_b)| at_a.iter().copied().zip(at_b.iter().copied()))
        .collect();
    pairs.sort_unstable_by_key(|(_, r)| *r);
    increasing(&pairs)
}

fn positions(lines: &[u32]) -> HashMap<u32, Vec<usize>> {
    let mut found: HashMap<u32, Vec<usize>> = HashMap::new();
    for (at, line) in lines.iter().enumerate() {
        let places = found.entry(*line).or_default();
        if places.len() < OCCURRENCES_MAX {
            places.push(at);
        }
    }
    found
}

/// The longest subsequence of `pairs`, sorted by their second part, whose first parts ascend:
/// of several, the one that ends first and whose every element comes as late as possible.
/// Patience sorting: `tops[n]` ends the best sequence of n + 1 elements.
fn increasing(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut tops: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    let mut last = 0;
    for (at, (l, _)) in pairs.iter().enumerate() {
        let len = tops.partition_point(|&top| pairs[top].0 < *l);
        before.push(len.checked_sub(1).map(|shorter| tops[shorter]));
        if len == tops.len() {
            tops.push(at);
            last = at;
        } else {
            tops[len] = at;
        }
    }
    let mut longest = Vec::with_capacity(tops.len());
    let mut at = (!pairs.is_empty()).then_some(last);
    while let Some(here) = at {
        longest.push(pairs[here]);
        at = before[here];
    }
    longest.reverse();
    longest
}
