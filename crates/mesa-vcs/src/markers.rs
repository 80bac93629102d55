//! Conflicts in the text of a file.
//!
//! The format is Jujutsu's default (`docs/conflicts.md` in <https://github.com/jj-vcs/jj>, style
//! "diff"): one side as it is, every other one as a diff from a base.
//!
//! ```text
//! <<<<<<< conflict 1 of 1
//! %%%%%%% diff from: base
//! \\\\\\\        to: side #1
//! -apple
//! +grapefruit
//! +++++++ side #2
//! orange
//! >>>>>>> conflict 1 of 1 ends
//! ```
//!
//! Markers are 7 characters long, or 4 longer than the longest line of any side that looks like
//! one, so a file's own text never reads as a marker. Markers end lines as all sides do, with CRLF
//! if all of them do. If a side of a conflict does not end in a line feed, every side gets one
//! more, and the end marker has none.

mod parse;
mod write;

pub use parse::{Update, parse, update};
pub use write::{marker_len, materialize, write_hunks};

/// Shortest markers.
pub const MARKER_LEN_MIN: usize = 7;

/// What a line of a conflict can begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marker {
    Start,
    End,
    Add,
    Remove,
    Diff,
    /// Goes on with the line before.
    Note,
    /// Git's base.
    GitBase,
    /// Between git's base and second side.
    GitSecond,
}

impl Marker {
    const ALL: [(Self, u8); 8] = [
        (Self::Start, b'<'),
        (Self::End, b'>'),
        (Self::Add, b'+'),
        (Self::Remove, b'-'),
        (Self::Diff, b'%'),
        (Self::Note, b'\\'),
        (Self::GitBase, b'|'),
        (Self::GitSecond, b'='),
    ];

    fn byte(self) -> u8 {
        Self::ALL
            .iter()
            .find(|(marker, _)| *marker == self)
            .map_or(b'?', |(_, byte)| *byte)
    }

    /// The marker a line is, with its length: one character repeated, then the line's end or
    /// white space.
    fn of_line(line: &[u8]) -> Option<(Self, usize)> {
        let first = *line.first()?;
        let (marker, _) = Self::ALL.iter().find(|(_, byte)| *byte == first)?;
        let len = line.iter().take_while(|&&b| b == first).count();
        let ends = line.get(len).is_none_or(u8::is_ascii_whitespace);
        ends.then_some((*marker, len))
    }

    /// The marker a line is, if it is at least `len` long.
    fn of_len(line: &[u8], len: usize) -> Option<Self> {
        Self::of_line(line)
            .filter(|(_, found)| *found >= len)
            .map(|(marker, _)| marker)
    }
}

#[cfg(test)]
mod tests;
