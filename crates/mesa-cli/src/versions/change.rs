//! Changes as lines.

use mesa_client::rest::model::{Change, ChangeDetails};

use super::{
    graph::{Mark, Node},
    paint::{Ink, Style, plain},
};

/// The virtual root change.
pub const ROOT: &str = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz";
/// Letters of a short id.
const SHORT: usize = 8;
/// What stands for an empty description.
const UNDESCRIBED: &str = "(no description set)";

/// Letters that ids need to differ from each other: at least eight.
pub fn short_len<'a>(ids: impl IntoIterator<Item = &'a str>) -> usize {
    let mut ids: Vec<&str> = ids.into_iter().collect();
    ids.sort_unstable();
    ids.dedup();
    let shared = |pair: &[&str]| {
        let both = pair[0].bytes().zip(pair[1].bytes());
        both.take_while(|(a, b)| a == b).count()
    };
    let longest = ids.windows(2).map(shared).max().unwrap_or(0);
    SHORT.max(longest + 1).min(32)
}

/// An id as messages show it.
pub fn short(id: &str) -> &str {
    cut(id, SHORT)
}

/// The first `len` letters of an id.
pub fn cut(id: &str, len: usize) -> &str {
    id.get(..len).unwrap_or(id)
}

/// The first line of a description.
pub fn title(message: &str) -> String {
    match message.lines().find(|line| !line.trim().is_empty()) {
        Some(line) => plain(line.trim_end()),
        None => UNDESCRIBED.to_owned(),
    }
}

/// A time of the server's as `2026-01-31 12:00:00`, in UTC; text of another form as it is.
pub fn clock(time: &str) -> String {
    let utc = time.ends_with("+00:00") || time.ends_with('Z');
    match time.get(..19) {
        Some(start) if utc => start.replacen('T', " ", 1),
        _ => plain(time),
    }
}

/// A change in a listing.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    pub change: &'a Change,
    /// Bookmarks that name it.
    pub bookmarks: &'a [String],
    /// It is what the mount works on.
    pub is_working: bool,
}

impl Listed<'_> {
    /// Where and how it is drawn.
    pub fn node(&self, style: Style, len: usize) -> Node {
        let mark = match (self.is_working, self.change.is_conflicted) {
            (true, _) => Mark::Working,
            (false, true) => Mark::Conflicted,
            (false, false) => Mark::Plain,
        };
        Node {
            id: self.change.id.clone(),
            parents: self.change.parents.clone(),
            mark,
            text: self.lines(style, len),
        }
    }

    /// Two lines: who, when and where; what.
    pub fn lines(&self, style: Style, len: usize) -> Vec<String> {
        let change = self.change;
        let mut words = vec![
            style.paint(cut(&change.id, len), Ink::Id),
            plain(who(change)),
            style.paint(&clock(&change.updated_at), Ink::Faint),
        ];
        for name in self.bookmarks {
            words.push(style.paint(&plain(name), Ink::Bookmark));
        }
        words.push(style.paint(cut(&change.current_commit_oid, SHORT), Ink::Faint));
        if change.is_conflicted {
            words.push(style.paint("conflict", Ink::Conflict));
        }
        if change.more.get("state").and_then(|s| s.as_str()) == Some("abandoned") {
            words.push(style.paint("abandoned", Ink::Faint));
        }
        words.retain(|word| !word.is_empty());
        let title = title(&change.message);
        let title = match title.as_str() {
            UNDESCRIBED => style.paint(&title, Ink::Faint),
            _ => title,
        };
        vec![words.join(" "), title]
    }
}

/// The line of a working change that does not exist yet.
pub fn unwritten(style: Style, id: &str, len: usize) -> Vec<String> {
    vec![
        format!(
            "{} {}",
            style.paint(cut(id, len), Ink::Id),
            style.paint("(nothing written yet)", Ink::Faint)
        ),
        style.paint(UNDESCRIBED, Ink::Faint),
    ]
}

/// The root as it is drawn.
pub fn root(style: Style, len: usize) -> Node {
    Node {
        id: ROOT.to_owned(),
        parents: Vec::new(),
        mark: Mark::Root,
        text: vec![format!("{} root()", style.paint(cut(ROOT, len), Ink::Id))],
    }
}

/// Everything known of a change, before its differences.
pub fn header(style: Style, details: &ChangeDetails, bookmarks: &[String]) -> Vec<String> {
    let change = &details.change;
    let mut lines = vec![
        format!("Change ID: {}", style.paint(&change.id, Ink::Id)),
        format!("Commit ID: {}", change.current_commit_oid),
    ];
    if !bookmarks.is_empty() {
        let names: Vec<String> = bookmarks.iter().map(|name| plain(name)).collect();
        let names = style.paint(&names.join(" "), Ink::Bookmark);
        lines.push(format!("Bookmarks: {names}"));
    }
    let address = match change.author.email.as_str() {
        "" => String::new(),
        email => format!(" <{}>", plain(email)),
    };
    lines.push(format!(
        "Author   : {}{address} ({})",
        plain(&change.author.name),
        clock(&change.updated_at)
    ));
    lines.push(format!("Parents  : {}", change.parents.join(" ")));
    for path in &details.conflicts {
        let path = style.paint(&plain(path), Ink::Conflict);
        lines.push(format!("Conflict : {path}"));
    }
    lines.push(String::new());
    if change.message.trim().is_empty() {
        lines.push(format!("    {}", style.paint(UNDESCRIBED, Ink::Faint)));
    } else {
        let message = change.message.trim_end().lines();
        lines.extend(message.map(|line| format!("    {}", plain(line)).trim_end().to_owned()));
    }
    lines.push(String::new());
    lines
}

fn who(change: &Change) -> &str {
    match change.author.email.as_str() {
        "" => &change.author.name,
        email => email,
    }
}

#[cfg(test)]
mod tests {
    use mesa_client::rest::model::Signature;

    use super::*;

    fn change() -> Change {
        Change {
            id: "kxqpvuntsmwlqrtyzzzzkkkkllllmmmm".to_owned(),
            current_commit_oid: "230dd059e1b059aefc0da06a2e5a7dbf22362f22".to_owned(),
            message: "first line\nmore".to_owned(),
            author: Signature {
                name: "Agent".to_owned(),
                email: "a@example.test".to_owned(),
                ..Signature::default()
            },
            parents: vec![ROOT.to_owned()],
            updated_at: "2026-02-03T08:05:08.000+00:00".to_owned(),
            ..Change::default()
        }
    }

    #[test]
    fn lines_of_a_listing() {
        let mut change = change();
        let bookmarks = ["main".to_owned()];
        let listed = Listed {
            change: &change,
            bookmarks: &bookmarks,
            is_working: true,
        };
        assert_eq!(
            listed.lines(Style::default(), 8),
            [
                "kxqpvunt a@example.test 2026-02-03 08:05:08 main 230dd059",
                "first line"
            ]
        );
        assert_eq!(listed.node(Style::default(), 8).mark, Mark::Working);
        change.message = String::new();
        change.author.email = String::new();
        change.is_conflicted = true;
        let listed = Listed {
            change: &change,
            bookmarks: &[],
            is_working: false,
        };
        assert_eq!(
            listed.lines(Style::default(), 10),
            [
                "kxqpvuntsm Agent 2026-02-03 08:05:08 230dd059 conflict",
                "(no description set)"
            ]
        );
        assert_eq!(listed.node(Style::default(), 8).mark, Mark::Conflicted);
        let given_up = serde_json::json!("abandoned");
        change.more.insert("state".to_owned(), given_up);
        let listed = Listed {
            change: &change,
            bookmarks: &[],
            is_working: false,
        };
        assert!(listed.lines(Style::default(), 8)[0].ends_with(" conflict abandoned"));
    }

    #[test]
    fn header_of_a_change() {
        let details = ChangeDetails {
            change: change(),
            files: vec!["f".to_owned()],
            conflicts: vec!["a/f".to_owned()],
        };
        let lines = header(Style::default(), &details, &["main".to_owned()]);
        assert_eq!(
            lines.join("\n"),
            "Change ID: kxqpvuntsmwlqrtyzzzzkkkkllllmmmm\n\
             Commit ID: 230dd059e1b059aefc0da06a2e5a7dbf22362f22\n\
             Bookmarks: main\n\
             Author   : Agent <a@example.test> (2026-02-03 08:05:08)\n\
             Parents  : zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\n\
             Conflict : a/f\n\n    first line\n    more\n"
        );
    }

    #[test]
    fn short_ids_stay_apart() {
        assert_eq!(short_len(["kkkk", "llll"]), 8);
        assert_eq!(short_len(["kkkkkkkkkkk", "kkkkkkkkkkl", "k"]), 11);
        assert_eq!(short_len([ROOT, ROOT]), 8);
        assert_eq!(short("kxqpvuntsm"), "kxqpvunt");
    }

    #[test]
    fn times_and_titles() {
        assert_eq!(clock("2026-02-03T08:05:08Z"), "2026-02-03 08:05:08");
        assert_eq!(clock("yesterday"), "yesterday");
        assert_eq!(
            clock("2026-02-03T08:05:08+02:00"),
            "2026-02-03T08:05:08+02:00"
        );
        assert_eq!(title("\n\n  \nreal\n"), "real");
        assert_eq!(title("a\x1b[1m"), "a\\u{1b}[1m");
    }
}
