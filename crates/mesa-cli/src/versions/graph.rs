//! Drawing a history: one lane per open line of descent, newest change on top.

/// One change to draw.
#[derive(Debug, Clone)]
pub struct Node {
    /// What parents refer to.
    pub id: String,
    /// What it is made on; parents that are not drawn have their lanes left open.
    pub parents: Vec<String>,
    /// Its mark.
    pub mark: Mark,
    /// Text beside it, the first line beside the mark; at least one.
    pub text: Vec<String>,
}

/// How a change is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The working change.
    Working,
    /// Any other.
    Plain,
    /// One in conflict.
    Conflicted,
    /// The root.
    Root,
}

/// The characters of a drawing.
struct Ink {
    down: char,
    across: char,
    cross: char,
    /// A lane that goes on and opens or takes another on its right.
    tee: char,
    /// The end of a line that a new lane opens at.
    open: char,
    /// The end of a line that a lane closes at.
    close: char,
    /// A lane that goes on and is passed to the right of.
    open_on: char,
    /// A lane that closes, with more closing on its right.
    close_on: char,
    marks: [char; 4],
    more: char,
}

const ASCII: Ink = Ink {
    down: '|',
    across: '-',
    cross: '|',
    tee: '|',
    open: '\\',
    close: '/',
    open_on: '+',
    close_on: '+',
    marks: ['@', 'o', 'x', '+'],
    more: '~',
};

const UNICODE: Ink = Ink {
    down: '│',
    across: '─',
    cross: '┼',
    tee: '├',
    open: '╮',
    close: '╯',
    open_on: '┬',
    close_on: '┴',
    marks: ['@', '○', '×', '◆'],
    more: '~',
};

/// The lines of the drawing. `nodes` are in an order in which no change comes before one that is
/// made on it.
pub fn draw(nodes: &[Node], unicode: bool) -> Vec<String> {
    let ink = if unicode { &UNICODE } else { &ASCII };
    let mut lanes: Vec<Option<String>> = Vec::new();
    let mut lines = Vec::new();
    for node in nodes {
        let waiting: Vec<usize> = positions(&lanes, &node.id);
        let lane = match waiting.first() {
            Some(&first) => first,
            None => free(&mut lanes, 0),
        };
        if waiting.len() > 1 {
            lines.push(bent(ink, &lanes, lane, &waiting[1..], Bend::Close));
        }
        for &other in waiting.iter().skip(1) {
            lanes[other] = None;
        }
        lanes[lane] = Some(node.id.clone());
        trim(&mut lanes);
        let mut row = straight(ink, &lanes);
        row[lane * 2] = ink.marks[node.mark as usize];
        let mut text = node.text.iter();
        lines.push(beside(&row, text.next().map_or("", String::as_str)));

        // What comes next in each lane.
        let mut parents = Vec::new();
        for parent in &node.parents {
            if !parents.contains(parent) {
                parents.push(parent.clone());
            }
        }
        let mut parents = parents.into_iter();
        lanes[lane] = parents.next();
        let mut opened = Vec::new();
        for parent in parents {
            let new = free(&mut lanes, lane + 1);
            lanes[new] = Some(parent);
            opened.push(new);
        }
        opened.sort_unstable();
        if !opened.is_empty() {
            let row = bent(ink, &lanes, lane, &opened, Bend::Open);
            lines.push(beside_text(&row, text.next()));
        }
        trim(&mut lanes);
        let row = straight(ink, &lanes);
        for line in text {
            lines.push(beside(&row, line));
        }
    }
    if lanes.iter().any(Option::is_some) {
        let marks = lanes.iter().map(|lane| match lane {
            Some(_) => [ink.more, ' '],
            None => [' ', ' '],
        });
        let row: String = marks.flatten().collect();
        lines.push(row.trim_end().to_owned());
    }
    lines
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bend {
    Open,
    Close,
}

/// A row in which `lane` is joined with the lanes `others` on its right.
fn bent(ink: &Ink, lanes: &[Option<String>], lane: usize, others: &[usize], bend: Bend) -> String {
    let mut row = straight(ink, lanes);
    let end = others.last().copied().unwrap_or(lane);
    row[lane * 2] = ink.tee;
    let between = row.iter_mut().enumerate().take(end * 2);
    for (at, mark) in between.skip(lane * 2 + 1) {
        let here = at / 2;
        *mark = match (at % 2, bend) {
            (1, _) => ink.across,
            (_, Bend::Open) if others.contains(&here) => ink.open_on,
            (_, Bend::Close) if others.contains(&here) => ink.close_on,
            _ if lanes[here].is_some() => ink.cross,
            _ => ink.across,
        };
    }
    row[end * 2] = match bend {
        Bend::Open => ink.open,
        Bend::Close => ink.close,
    };
    let row: String = row.into_iter().collect();
    row.trim_end().to_owned()
}

fn straight(ink: &Ink, lanes: &[Option<String>]) -> Vec<char> {
    let cells = lanes.iter().flat_map(|lane| match lane {
        Some(_) => [ink.down, ' '],
        None => [' ', ' '],
    });
    cells.collect()
}

fn beside(row: &[char], text: &str) -> String {
    let row: String = row.iter().collect();
    beside_text(row.trim_end(), Some(&text.to_owned()))
}

fn beside_text(row: &str, text: Option<&String>) -> String {
    match text {
        Some(text) if !text.is_empty() => format!("{row}  {text}"),
        _ => row.to_owned(),
    }
}

fn positions(lanes: &[Option<String>], id: &str) -> Vec<usize> {
    let found = lanes.iter().enumerate();
    let found = found.filter(|(_, lane)| lane.as_deref() == Some(id));
    found.map(|(at, _)| at).collect()
}

/// The first free lane from `from` on.
fn free(lanes: &mut Vec<Option<String>>, from: usize) -> usize {
    let found = lanes.iter().skip(from).position(Option::is_none);
    if let Some(found) = found {
        return from + found;
    }
    lanes.push(None);
    lanes.len() - 1
}

fn trim(lanes: &mut Vec<Option<String>>) {
    while matches!(lanes.last(), Some(None)) {
        lanes.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, parents: &str, text: &[&str]) -> Node {
        Node {
            id: id.to_owned(),
            parents: parents.split_whitespace().map(str::to_owned).collect(),
            mark: match id {
                "w" => Mark::Working,
                "z" => Mark::Root,
                _ => Mark::Plain,
            },
            text: text.iter().map(ToString::to_string).collect(),
        }
    }

    fn drawn(nodes: &[Node], unicode: bool) -> String {
        draw(nodes, unicode).join("\n")
    }

    #[test]
    fn a_line() {
        let nodes = [
            node("w", "a", &["w", "text"]),
            node("a", "z", &["a", "text"]),
            node("z", "", &["root()"]),
        ];
        assert_eq!(
            drawn(&nodes, true),
            "@  w\n│  text\n○  a\n│  text\n◆  root()"
        );
        assert_eq!(
            drawn(&nodes, false),
            "@  w\n|  text\no  a\n|  text\n+  root()"
        );
    }

    #[test]
    fn a_merge_opens_a_lane_and_the_fork_closes_it() {
        let nodes = [
            node("w", "a b", &["merge", "text"]),
            node("b", "c", &["b", "text"]),
            node("a", "c", &["a", "text"]),
            node("c", "z", &["c", "text"]),
            node("z", "", &["root()"]),
        ];
        assert_eq!(
            drawn(&nodes, true),
            "@  merge\n├─╮  text\n│ ○  b\n│ │  text\n○ │  a\n│ │  text\n├─╯\n○  c\n│  text\n◆  root()"
        );
        assert_eq!(
            drawn(&nodes, false),
            "@  merge\n|-\\  text\n| o  b\n| |  text\no |  a\n| |  text\n|-/\no  c\n|  text\n+  root()"
        );
    }

    #[test]
    fn two_heads() {
        let nodes = [
            node("b", "a", &["b"]),
            node("w", "a", &["w"]),
            node("a", "z", &["a"]),
            node("z", "", &["z"]),
        ];
        assert_eq!(drawn(&nodes, true), "○  b\n│ @  w\n├─╯\n○  a\n◆  z");
    }

    #[test]
    fn crossing_lanes_and_three_parents() {
        let nodes = [
            node("m", "a b c", &["m", "x"]),
            node("c", "z", &["c"]),
            node("b", "z", &["b"]),
            node("n", "z", &["n"]),
            node("a", "z", &["a"]),
            node("z", "", &["z"]),
        ];
        assert_eq!(
            drawn(&nodes, true),
            "○  m\n├─┬─╮  x\n│ │ ○  c\n│ ○ │  b\n│ │ │ ○  n\n○ │ │ │  a\n├─┴─┴─╯\n◆  z"
        );
        // A lane that goes on is crossed.
        let nodes = [
            node("a", "c", &["a"]),
            node("b", "d", &["b"]),
            node("e", "c", &["e"]),
            node("c", "d", &["c"]),
            node("d", "", &["d"]),
        ];
        assert_eq!(
            drawn(&nodes, true),
            "○  a\n│ ○  b\n│ │ ○  e\n├─┼─╯\n○ │  c\n├─╯\n○  d"
        );
    }

    #[test]
    fn what_is_left_out_is_marked() {
        let nodes = [node("w", "a b", &["w"]), node("b", "y", &["b"])];
        assert_eq!(drawn(&nodes, true), "@  w\n├─╮\n│ ○  b\n~ ~");
        assert!(draw(&[], true).is_empty());
    }

    #[test]
    fn every_change_is_drawn_once_whatever_the_shape() {
        // A history made by rule: each change is made on one or two of the next three.
        for seed in 0..200_u64 {
            let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            let mut next = |max: usize| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state % max as u64) as usize
            };
            let count = 12;
            let nodes: Vec<Node> = (0..count)
                .map(|n| {
                    let parents: Vec<String> = (0..=next(2))
                        .map(|_| n + 1 + next(3))
                        .filter(|p| *p < count)
                        .map(|p| p.to_string())
                        .collect();
                    node(&n.to_string(), &parents.join(" "), &[&format!("<{n}>")])
                })
                .collect();
            let lines = draw(&nodes, true);
            for n in 0..count {
                let text = format!("  <{n}>");
                let with: Vec<_> = lines.iter().filter(|l| l.contains(&text)).collect();
                assert_eq!(with.len(), 1, "seed {seed}: {lines:#?}");
                assert_eq!(with[0].matches('○').count(), 1, "seed {seed}");
            }
        }
    }
}
