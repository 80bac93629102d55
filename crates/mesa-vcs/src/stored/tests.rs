use proptest::prelude::*;

use super::*;

fn oid(byte: u8) -> GitOid {
    GitOid([byte; 20])
}

fn labels(texts: &[&str]) -> Labels {
    let texts = texts.iter().map(|&text| text.to_owned()).collect();
    Labels::new(Merge::from_terms(texts).expect("odd"))
}

#[test]
fn headers_are_as_in_jujutsu() {
    let trees = Merge::three_way(oid(0x11), oid(0x22), oid(0x33));
    let lines = header_lines(&trees, &labels(&["main", "", "feature"]));
    let expected = "jj:conflict-labels main\n \n feature\n\
        jj:trees 1111111111111111111111111111111111111111 \
        2222222222222222222222222222222222222222 \
        3333333333333333333333333333333333333333\n";
    assert_eq!(String::from_utf8(lines).as_deref(), Ok(expected));
    assert!(header_lines(&Merge::resolved(oid(1)), &Labels::none()).is_empty());
}

#[test]
fn commits_read_back() {
    let trees = Merge::three_way(oid(1), oid(2), oid(3));
    let labels = labels(&["a", "", "c"]);
    let mut commit = b"tree 11\nauthor a\ncommitter c\n".to_vec();
    commit.extend(header_lines(&trees, &labels));
    commit.extend(b"change-id k\n\njj:trees no header\n");
    assert_eq!(read_commit(&commit), Ok(Some((trees, labels))));
    assert_eq!(read_commit(b"tree 1\n\njj:trees x\n"), Ok(None));
    assert!(read_commit(b"jj:trees x\n\n").is_err());
    let one = format!("jj:trees {}\n\n", oid(1));
    assert!(read_commit(one.as_bytes()).is_err());
    let two = format!("jj:trees {} {}\n\n", oid(1), oid(2));
    assert!(read_commit(two.as_bytes()).is_err());
}

#[test]
fn the_tree_keeps_all_terms() {
    let trees = Merge::three_way(oid(1), oid(2), oid(3));
    let line = |name, mode| TreeLine {
        name,
        mode,
        oid: oid(9),
    };
    let first = [
        line(b"a", Mode::File),
        line(b".jjconflict-side-9", Mode::Tree),
        line(b"JJ-CONFLICT-README", Mode::File),
        line(b"-", Mode::Executable),
    ];
    let (bytes, _) = conflict_tree(&trees, &first).expect("no collision");
    let mut names = Vec::new();
    let mut rest = &bytes[..];
    while let Some(nul) = rest.iter().position(|&b| b == 0) {
        names.push(String::from_utf8(rest[..nul].to_vec()).expect("text"));
        rest = &rest[nul + 21..];
    }
    let expected = [
        "100755 -",
        "40000 .jjconflict-base-0",
        "40000 .jjconflict-side-0",
        "40000 .jjconflict-side-1",
        "100644 JJ-CONFLICT-README",
        "100644 a",
    ];
    assert_eq!(names, expected);
}

proptest! {
    #[test]
    fn any_labels_read_back(texts in prop::collection::vec("[a ]{0,2}", 3..=3)) {
        let trees = Merge::three_way(oid(1), oid(2), oid(3));
        let labels = Labels::new(Merge::from_terms(texts).expect("odd"));
        let mut commit = b"tree 11\n".to_vec();
        commit.extend(header_lines(&trees, &labels));
        commit.extend(b"change-id k\n\n");
        prop_assert_eq!(read_commit(&commit), Ok(Some((trees, labels))));
    }

    #[test]
    fn any_bytes_read(commit in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_commit(&commit);
        let _ = parse_trees(&commit);
        let _ = parse_labels(&commit);
    }
}
