use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::text::hunk::join;

fn texts(terms: &[&str]) -> Merge<Vec<u8>> {
    let terms = terms.iter().map(|term| term.as_bytes().to_vec()).collect();
    Merge::from_terms(terms).expect("odd")
}

fn resolved(text: &str) -> TextMerge {
    TextMerge::Resolved(text.as_bytes().to_vec())
}

#[test]
fn changes_of_different_lines_merge() {
    let merged = merge(&texts(&["a\nb\nc\nD\n", "a\nb\nc\nd\n", "A\nb\nc\nd\n"]));
    assert_eq!(merged, resolved("A\nb\nc\nD\n"));
}

#[test]
fn the_same_change_on_both_sides_merges() {
    assert_eq!(
        merge(&texts(&["a\nX\n", "a\nb\n", "a\nX\n"])),
        resolved("a\nX\n")
    );
}

#[test]
fn neighbouring_changes_conflict() {
    let merged = merge(&texts(&["a\nX\nc\n", "a\nb\nc\n", "a\nb\nY\n"]));
    let expected = vec![texts(&["a\n"]), texts(&["X\nc\n", "b\nc\n", "b\nY\n"])];
    assert_eq!(merged, TextMerge::Conflicted(expected));
}

#[test]
fn bytes_need_no_encoding() {
    let merged = merge(&Merge::three_way(
        b"\xff\nb\n\xfe".to_vec(),
        b"a\nb\n\xfe".to_vec(),
        b"a\nb\n\xfd".to_vec(),
    ));
    assert_eq!(merged, TextMerge::Resolved(b"\xff\nb\n\xfd".to_vec()));
}

#[test]
fn a_nul_near_the_beginning_is_binary() {
    assert!(is_binary(b"a\0"));
    let mut late = vec![b'x'; BINARY_PROBE_BYTES];
    late.push(0);
    assert!(!is_binary(&late));
    assert!(!is_binary(b"\xff\xfe"));
}

#[test]
fn hunks_have_names_of_their_own_that_stay() {
    let TextMerge::Conflicted(hunks) = merge(&texts(&[
        "A\n=\nA\n=\nx\n",
        "a\n=\na\n=\ny\n",
        "B\n=\nB\n=\nz\n",
    ])) else {
        panic!("a conflict");
    };
    let ids = hunk_ids(&hunks);
    assert_eq!(ids.len(), 3);
    assert_ne!(ids[0], ids[1]);
    let one = BTreeMap::from([(ids[2], Resolution::Side(1))]);
    let TextMerge::Conflicted(left) = resolve_hunks(&hunks, &one).expect("fits") else {
        panic!("two hunks are left");
    };
    assert_eq!(hunk_ids(&left), ids[..2]);
    let all = BTreeMap::from([
        (ids[0], Resolution::Side(0)),
        (ids[1], Resolution::Content(b"new\n".to_vec())),
        (ids[2], Resolution::Side(1)),
    ]);
    assert_eq!(
        resolve_hunks(&hunks, &all),
        Ok(resolved("A\n=\nnew\n=\nz\n"))
    );
    let other = BTreeMap::from([(ids[2], Resolution::Side(0))]);
    assert_eq!(
        resolve_hunks(&left, &other),
        Err(ResolveError::UnknownHunk(ids[2]))
    );
    assert_eq!(ids[0].to_string().parse(), Ok(ids[0]));
}

#[test]
fn texts_made_to_be_slow_end() {
    // Every pair of neighbours is swapped, and every line occurs often.
    let left: Vec<u32> = (0..40_000).map(|n| n * 7919 % 500).collect();
    let right: Vec<u32> = (0..40_000).map(|n| (n ^ 1) * 7919 % 500).collect();
    let pairs = align::matches(&left, &right);
    assert!(pairs.windows(2).all(|p| p[0].0 < p[1].0 && p[0].1 < p[1].1));
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(
        prop::sample::select(vec!["a\n", "b\n", "c\n", "\n", "d"]),
        0..12,
    )
    .prop_map(|lines| lines.concat().into_bytes())
}

proptest! {
    #[test]
    fn matches_are_common_and_in_order(
        left in prop::collection::vec(0..6_u32, 0..40),
        right in prop::collection::vec(0..6_u32, 0..40),
    ) {
        let pairs = align::matches(&left, &right);
        prop_assert!(pairs.windows(2).all(|p| p[0].0 < p[1].0 && p[0].1 < p[1].1));
        prop_assert!(pairs.iter().all(|(l, r)| left[*l] == right[*r]));
        if left == right {
            prop_assert_eq!(pairs.len(), left.len());
        }
    }

    #[test]
    fn one_sided_changes_win(base in any_text(), side in any_text()) {
        let there = merge(&Merge::three_way(side.clone(), base.clone(), base.clone()));
        prop_assert_eq!(there, TextMerge::Resolved(side.clone()));
        let here = merge(&Merge::three_way(base.clone(), base, side.clone()));
        prop_assert_eq!(here, TextMerge::Resolved(side));
    }

    #[test]
    fn conflicts_are_not_trivial_and_resolve_by_side(
        terms in prop::collection::vec(any_text(), 3..=3)
    ) {
        let all = Merge::from_terms(terms).expect("odd");
        if let TextMerge::Conflicted(hunks) = merge(&all) {
            let open = hunks.iter().filter(|hunk| !hunk.is_resolved());
            prop_assert!(open.clone().all(|hunk| hunk.resolve_trivial().is_none()));
            prop_assert!(open.count() > 0);
            let names = hunk_ids(&hunks);
            let by_side = names.into_iter().map(|id| (id, Resolution::Side(1))).collect();
            let TextMerge::Resolved(text) = resolve_hunks(&hunks, &by_side).expect("fits") else {
                return Err(TestCaseError::fail("a hunk is left"));
            };
            let sides = hunks.iter().map(|hunk| hunk.add(1).unwrap_or(hunk.first()));
            prop_assert_eq!(sides.flatten().copied().collect::<Vec<u8>>(), text);
            prop_assert_eq!(join(&hunks).expect("terms").terms().len(), 3);
        }
    }
}
