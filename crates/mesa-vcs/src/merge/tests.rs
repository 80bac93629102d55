use std::collections::BTreeMap;

use proptest::prelude::*;

use super::Merge;

fn merge(terms: &[u8]) -> Merge<u8> {
    Merge::from_terms(terms.to_vec()).expect("odd")
}

/// What a merge stands for: every value with its count.
fn sum(merge: &Merge<u8>) -> BTreeMap<u8, isize> {
    let mut sum = BTreeMap::new();
    for (at, term) in merge.iter().enumerate() {
        *sum.entry(*term).or_default() += if at % 2 == 0 { 1 } else { -1 };
    }
    sum.retain(|_, count| *count != 0);
    sum
}

fn any_merge(values: u8) -> impl Strategy<Value = Merge<u8>> {
    (0..4_usize).prop_flat_map(move |changes| {
        prop::collection::vec(0..values, changes * 2 + 1).prop_map(|terms| merge(&terms))
    })
}

#[test]
fn three_way_merges_resolve_as_expected() {
    assert_eq!(merge(&[1, 0, 0]).resolve_trivial(), Some(&1));
    assert_eq!(merge(&[0, 0, 2]).resolve_trivial(), Some(&2));
    assert_eq!(merge(&[1, 0, 1]).resolve_trivial(), Some(&1));
    assert_eq!(merge(&[1, 0, 2]).resolve_trivial(), None);
    assert_eq!(merge(&[0, 0, 0]).resolve_trivial(), Some(&0));
    assert_eq!(merge(&[7]).resolve_trivial(), Some(&7));
}

#[test]
fn five_way_merges_cancel() {
    assert_eq!(merge(&[1, 0, 2, 1, 0]).resolve_trivial(), Some(&2));
    assert_eq!(merge(&[1, 0, 1, 0, 1]).resolve_trivial(), Some(&1));
    assert_eq!(merge(&[1, 0, 2, 0, 0]).resolve_trivial(), None);
}

#[test]
fn simplified_sides_keep_their_places() {
    // Joining 0 -> 1 and 1 -> 2 puts 2 where 1 was.
    assert_eq!(merge(&[1, 0, 3, 1, 2]).simplify(), merge(&[2, 0, 3]));
    assert_eq!(merge(&[3, 0, 1, 1, 2]).simplify(), merge(&[3, 0, 2]));
    assert_eq!(merge(&[4, 5, 5, 0, 1]).simplify(), merge(&[4, 0, 1]));
    assert_eq!(merge(&[1, 1, 2]).simplify(), merge(&[2]));
}

#[test]
fn a_removed_merge_changes_signs() {
    let nested = Merge::three_way(merge(&[4, 3, 5]), merge(&[1, 0, 2]), merge(&[7, 6, 8]));
    assert_eq!(nested.flatten(), merge(&[4, 3, 5, 2, 0, 1, 7, 6, 8]));
}

#[test]
fn terms_are_odd() {
    assert_eq!(Merge::from_terms(vec![1, 2]), None);
    assert_eq!(Merge::<u8>::from_terms(vec![]), None);
    assert_eq!(Merge::from_removes_adds(vec![1], vec![1]), None);
    assert_eq!(
        Merge::from_removes_adds(vec![0], vec![1, 2]),
        Some(merge(&[1, 0, 2]))
    );
}

proptest! {
    #[test]
    fn simplifying_keeps_the_sum(merge in any_merge(4)) {
        let simple = merge.simplify();
        prop_assert_eq!(sum(&simple), sum(&merge));
        prop_assert_eq!(simple.simplify(), simple.clone());
        for add in simple.adds() {
            prop_assert!(!simple.removes().any(|remove| remove == add));
        }
    }

    #[test]
    fn a_trivial_value_is_one_of_the_sides(merge in any_merge(3)) {
        let simple = merge.simplify();
        let value = merge.resolve_trivial();
        prop_assert_eq!(simple.resolve_trivial(), value);
        if let Some(value) = value {
            prop_assert!(sum(&merge)[value] > 0);
            prop_assert!(sum(&merge).len() <= 2);
        } else {
            prop_assert!(sum(&merge).len() > 2);
        }
    }

    #[test]
    fn booleans_always_resolve(terms in prop::collection::vec(any::<bool>(), 9)) {
        prop_assert!(Merge::from_terms(terms).expect("odd").resolve_trivial().is_some());
    }

    #[test]
    fn flattening_keeps_the_sum(parts in prop::collection::vec(any_merge(4), 3)) {
        let mut expected: BTreeMap<u8, isize> = BTreeMap::new();
        for (at, part) in parts.iter().enumerate() {
            for (value, count) in sum(part) {
                *expected.entry(value).or_default() += if at % 2 == 0 { count } else { -count };
            }
        }
        expected.retain(|_, count| *count != 0);
        let flat = Merge::from_terms(parts).expect("odd").flatten();
        prop_assert_eq!(sum(&flat), expected);
    }

    #[test]
    fn updating_with_itself_changes_nothing(merge in any_merge(4)) {
        let simple = merge.simplify();
        prop_assert_eq!(merge.clone().update_from_simplified(simple), Some(merge));
    }

    #[test]
    fn a_change_applied_and_undone_is_gone(merge in any_merge(4), from in 0..4_u8, to in 0..4_u8) {
        let there = Merge::three_way(merge.clone(), Merge::resolved(from), Merge::resolved(to));
        let back = Merge::three_way(
            there.flatten(), Merge::resolved(to), Merge::resolved(from));
        prop_assert_eq!(sum(&back.flatten()), sum(&merge));
    }
}
