//! Patches in git's form: their sections, and colours for a terminal.

use super::paint::{Ink, Style};

/// What begins the section of a file.
const BEGIN: &[u8] = b"diff --git ";

/// The part of a patch about one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section<'p> {
    /// Its names, before and after.
    pub paths: Vec<Vec<u8>>,
    /// The lines.
    pub text: &'p [u8],
}

/// The sections of a patch, in order. In a patch no other line can begin like the first line of a
/// section: lines of contents have a character before them, and encoded ones have no blanks.
pub fn sections(patch: &[u8]) -> Vec<Section<'_>> {
    let mut starts = Vec::new();
    let mut at = 0;
    for line in patch.split_inclusive(|&b| b == b'\n') {
        if line.starts_with(BEGIN) {
            starts.push(at);
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([patch.len()]);
    let sections = starts.iter().zip(ends);
    sections
        .map(|(&start, end)| {
            let text = &patch[start..end];
            Section {
                paths: paths(text),
                text,
            }
        })
        .collect()
}

/// Keeps the sections of `wanted` paths and of what is below them; all when there are none.
pub fn only<'p>(sections: Vec<Section<'p>>, wanted: &[String]) -> Vec<Section<'p>> {
    let keep = |section: &Section<'_>| {
        let is_wanted = |path: &Vec<u8>| wanted.iter().any(|w| is_below(path, w.as_bytes()));
        wanted.is_empty() || section.paths.iter().any(is_wanted)
    };
    sections.into_iter().filter(keep).collect()
}

/// Whether `path` is `dir` or something in it. The empty `dir` is the root.
pub fn is_below(path: &[u8], dir: &[u8]) -> bool {
    match path.strip_prefix(dir) {
        Some(rest) => dir.is_empty() || rest.is_empty() || rest[0] == b'/',
        None => false,
    }
}

fn paths(section: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut first: &[u8] = b"";
    for line in section.split(|&b| b == b'\n') {
        if let Some(names) = line.strip_prefix(BEGIN) {
            first = names;
        } else if line.starts_with(b"@@ ") || line.starts_with(b"GIT binary patch") {
            break;
        } else if let Some(name) = after(line, &[b"rename from ", b"rename to "]) {
            found.push(unquoted(name));
        } else if let Some(name) = after(line, &[b"--- ", b"+++ "]) {
            let name = unquoted(name);
            if let Some(path) = after(&name, &[b"a/", b"b/"]) {
                found.push(path.to_vec());
            }
        }
    }
    if found.is_empty() {
        found.extend(same_twice(first));
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn after<'l>(line: &'l [u8], prefixes: &[&[u8]]) -> Option<&'l [u8]> {
    prefixes
        .iter()
        .find_map(|prefix| line.strip_prefix(*prefix))
}

/// The path of `a/PATH b/PATH`, which is all that says it when only a mode or an empty or binary
/// file differs.
fn same_twice(names: &[u8]) -> Option<Vec<u8>> {
    if names.first() == Some(&b'"') {
        let name = unquoted(names);
        return name.strip_prefix(b"a/").map(<[u8]>::to_vec);
    }
    let half = names.len().checked_sub(1)? / 2;
    let (one, two) = (names.get(..half)?, names.get(half + 1..)?);
    let (one, two) = (one.strip_prefix(b"a/")?, two.strip_prefix(b"b/")?);
    (one == two).then(|| one.to_vec())
}

/// A name as git writes it: in double quotes with C escapes when it has unusual bytes. What comes
/// after the closing quote does not belong to it.
fn unquoted(name: &[u8]) -> Vec<u8> {
    let Some(quoted) = name.strip_prefix(b"\"") else {
        // git ends a name that contains blanks with a tab.
        return name.strip_suffix(b"\t").unwrap_or(name).to_vec();
    };
    let mut out = Vec::new();
    let mut bytes = quoted.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' => match bytes.next() {
                Some(digit @ b'0'..=b'3') => {
                    let mut value = digit - b'0';
                    for digit in bytes.by_ref().take(2) {
                        value = value.wrapping_mul(8) | (digit.wrapping_sub(b'0') & 7);
                    }
                    out.push(value);
                }
                Some(b'n') => out.push(b'\n'),
                Some(b't') => out.push(b'\t'),
                Some(b'r') => out.push(b'\r'),
                Some(b'a') => out.push(7),
                Some(b'b') => out.push(8),
                Some(b'v') => out.push(11),
                Some(b'f') => out.push(12),
                Some(other) => out.push(other),
                None => break,
            },
            byte => out.push(byte),
        }
    }
    out
}

/// The patch for a terminal that shows colours: control characters of its contents are shown, not
/// obeyed. Without colours the bytes as they are.
pub fn painted(patch: &[u8], style: Style) -> Vec<u8> {
    if !style.color {
        return patch.to_vec();
    }
    let mut out = Vec::with_capacity(patch.len() * 2);
    let mut head = true;
    for line in patch.split_inclusive(|&b| b == b'\n') {
        let (text, end): (&[u8], &[u8]) = match line.strip_suffix(b"\n") {
            Some(text) => (text, b"\n"),
            None => (line, b""),
        };
        head |= text.starts_with(BEGIN);
        let ink = if text.starts_with(b"@@ ") {
            head = false;
            Some(Ink::Hunk)
        } else if head {
            Some(Ink::Heading)
        } else {
            match text.first() {
                Some(b'+') => Some(Ink::Added),
                Some(b'-') => Some(Ink::Deleted),
                _ => None,
            }
        };
        let text = tame(&String::from_utf8_lossy(text));
        let text = match ink {
            Some(ink) => style.paint(&text, ink),
            None => text,
        };
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(end);
    }
    out
}

fn tame(text: &str) -> String {
    let tame = |c: char| match c {
        '\t' => '\t',
        c if c.is_control() => '\u{FFFD}',
        c => c,
    };
    text.chars().map(tame).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "\
diff --git a/src/a.rs b/src/a.rs
index 1..2 100644
--- a/src/a.rs
+++ b/src/a.rs
@@ -1 +1 @@
--- a/not a header
+diff --git a/x b/x
diff --git a/old name b/new name
similarity index 100%
rename from old name
rename to new name
diff --git a/run me b/run me
old mode 100644
new mode 100755
diff --git \"a/sp\\303\\274r\\t\" \"b/sp\\303\\274r\\t\"
new file mode 100644
index 0..1
--- /dev/null
+++ \"b/sp\\303\\274r\\t\"
@@ -0,0 +1 @@
+x
";

    fn names(wanted: &[&str]) -> Vec<Vec<Vec<u8>>> {
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        let kept = only(sections(PATCH.as_bytes()), &wanted);
        kept.into_iter().map(|section| section.paths).collect()
    }

    #[test]
    fn sections_know_their_paths() {
        assert_eq!(
            names(&[]),
            [
                vec![b"src/a.rs".to_vec()],
                vec![b"new name".to_vec(), b"old name".to_vec()],
                vec![b"run me".to_vec()],
                vec!["spür\t".as_bytes().to_vec()],
            ]
        );
        let whole: Vec<u8> = sections(PATCH.as_bytes())
            .iter()
            .flat_map(|section| section.text.to_vec())
            .collect();
        assert_eq!(whole, PATCH.as_bytes());
    }

    #[test]
    fn paths_choose_sections() {
        assert_eq!(names(&["src"]).len(), 1);
        assert_eq!(names(&["sr"]).len(), 0);
        assert_eq!(names(&["old name", "src/a.rs"]).len(), 2);
        assert_eq!(names(&[""]).len(), 4);
    }

    #[test]
    fn colours_follow_the_lines() {
        let style = Style {
            color: true,
            unicode: false,
        };
        let patch = b"diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\x1b[2J\n+b\n c\n";
        let text = String::from_utf8(painted(patch, style)).unwrap();
        assert_eq!(
            text,
            "\x1b[1mdiff --git a/f b/f\x1b[0m\n\x1b[1m--- a/f\x1b[0m\n\x1b[1m+++ b/f\x1b[0m\n\
             \x1b[36m@@ -1 +1 @@\x1b[0m\n\x1b[31m-a\u{FFFD}[2J\x1b[0m\n\x1b[32m+b\x1b[0m\n c\n"
        );
        assert_eq!(painted(patch, Style::default()), patch);
    }
}
