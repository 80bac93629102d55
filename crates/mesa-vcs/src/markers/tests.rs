use proptest::prelude::*;

use super::*;
use crate::{
    Labels, Merge,
    text::{self, TextMerge},
};

fn texts(terms: &[&str]) -> Merge<Vec<u8>> {
    let terms = terms.iter().map(|term| term.as_bytes().to_vec()).collect();
    Merge::from_terms(terms).expect("odd")
}

fn shown(terms: &[&str], labels: &Labels) -> String {
    String::from_utf8(materialize(&texts(terms), labels)).expect("text")
}

#[test]
fn the_closer_side_is_a_diff() {
    let terms = [
        "apple\ngrapefruit\norange\n",
        "apple\ngrape\norange\n",
        "APPLE\nGRAPE\nORANGE\n",
    ];
    let expected = "\
<<<<<<< conflict 1 of 1
%%%%%%% diff from: base
\\\\\\\\\\\\\\        to: side #1
 apple
-grape
+grapefruit
 orange
+++++++ side #2
APPLE
GRAPE
ORANGE
>>>>>>> conflict 1 of 1 ends
";
    assert_eq!(shown(&terms, &Labels::none()), expected);
    let [first, base, second] = terms;
    let other = "\
<<<<<<< conflict 1 of 1
+++++++ ours
APPLE
GRAPE
ORANGE
%%%%%%% diff from: before
\\\\\\\\\\\\\\        to: theirs
 apple
-grape
+grapefruit
 orange
>>>>>>> conflict 1 of 1 ends
";
    let labels = ["ours", "before", "theirs"].map(str::to_owned).to_vec();
    let labels = Labels::new(Merge::from_terms(labels).expect("odd"));
    assert_eq!(shown(&[second, base, first], &labels), other);
}

#[test]
fn missing_line_ends_are_kept() {
    let terms = texts(&["same\nfirst", "same\nbase\n", "same\nsecond"]);
    let written = materialize(&terms, &Labels::none());
    let expected = "\
same
<<<<<<< conflict 1 of 1
%%%%%%% diff from: base
\\\\\\\\\\\\\\        to: side #1 (no terminating newline)
-base
-
+first
+++++++ side #2 (no terminating newline)
second
>>>>>>> conflict 1 of 1 ends";
    assert_eq!(String::from_utf8(written.clone()).as_deref(), Ok(expected));
    assert_eq!(update(&terms, &written), Update::Unchanged);
}

#[test]
fn markers_outgrow_the_text() {
    let terms = texts(&["<<<<<<<<< x\n1\n", "<<<<<<<<< x\n2\n", "<<<<<<<<< x\n3\n"]);
    assert_eq!(marker_len(&terms), 13);
    let written = materialize(&terms, &Labels::none());
    assert!(written.windows(14).any(|w| w == b"\n<<<<<<<<<<<<<"));
    assert_eq!(update(&terms, &written), Update::Unchanged);
    // What the text itself has is no conflict.
    assert_eq!(
        update(&terms, b"<<<<<<<<< x\n>>>>>>>>> y\n"),
        Update::Resolved
    );
}

#[test]
fn a_conflict_is_over_when_no_complete_one_is_left() {
    let terms = texts(&["a\n1\nb\n1\nc\n", "a\n0\nb\n0\nc\n", "a\n2\nb\n2\nc\n"]);
    let written = materialize(&terms, &Labels::none());
    let TextMerge::Conflicted(hunks) = text::merge(&terms) else {
        panic!("a conflict")
    };
    assert_eq!(parse(&written, 2, 7), Some(hunks));
    let written = String::from_utf8(written).expect("text");

    assert_eq!(update(&terms, b"all mine\n"), Update::Resolved);
    assert_eq!(update(&terms, b""), Update::Resolved);
    let without_ends: String = written
        .split_inclusive('\n')
        .filter(|line| !line.starts_with(">>>>>>>"))
        .collect();
    assert_eq!(update(&terms, without_ends.as_bytes()), Update::Resolved);

    // One of two resolved: its text is in every term.
    let start = written.find("<<<<<<<").expect("a marker");
    let end = written.find("1 of 2 ends\n").expect("a marker") + "1 of 2 ends\n".len();
    let edited = format!("{}mine\n{}", &written[..start], &written[end..]);
    let left = texts(&[
        "a\nmine\nb\n1\nc\n",
        "a\nmine\nb\n0\nc\n",
        "a\nmine\nb\n2\nc\n",
    ]);
    assert_eq!(update(&terms, edited.as_bytes()), Update::Conflicted(left));
}

#[test]
fn git_style_conflicts_are_read() {
    let text = b"x\n<<<<<<< ours\n1\n||||||| base\n0\n=======\n2\n>>>>>>> theirs\ny\n";
    let expected = vec![
        texts(&["x\n"]),
        texts(&["1\n", "0\n", "2\n"]),
        texts(&["y\n"]),
    ];
    assert_eq!(parse(text, 2, 7), Some(expected));
    assert_eq!(parse(text, 3, 7), None);
    assert_eq!(
        parse(b"<<<<<<< ours\n1\n=======\n2\n>>>>>>> theirs\n", 2, 7),
        None
    );
}

#[test]
fn crlf_files_have_crlf_markers() {
    let terms = ["a\r\n1\r\n", "a\r\n0\r\n", "a\r\n2\r\n"];
    let text = shown(&terms, &Labels::none());
    assert!(text.lines().count() > 5);
    assert!(
        text.split_inclusive('\n')
            .all(|line| line.ends_with("\r\n"))
    );
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec![
        "a\n",
        "b\n",
        "\n",
        "c\r\n",
        "-d\n",
        "+e\n",
        " f\n",
        "<<<<<<<\n",
        "%%%%%%%% x\n",
        "z",
    ]);
    prop::collection::vec(line, 0..8).prop_map(|lines| lines.concat().into_bytes())
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        terms in (0..3_usize).prop_flat_map(|n| prop::collection::vec(any_text(), n * 2 + 1))
    ) {
        let texts = Merge::from_terms(terms).expect("odd");
        let written = materialize(&texts, &Labels::none());
        prop_assert_eq!(update(&texts, &written), Update::Unchanged);
        if let TextMerge::Conflicted(hunks) = text::merge(&texts) {
            prop_assert_eq!(parse(&written, texts.sides(), marker_len(&texts)), Some(hunks));
        }
    }

    #[test]
    fn any_bytes_parse(text in prop::collection::vec(prop::sample::select(b"<>%+-\\|= \nx".to_vec()), 0..300)) {
        if let Some(hunks) = parse(&text, 2, 2) {
            prop_assert!(hunks.iter().any(|hunk| hunk.sides() == 2));
        }
    }
}
