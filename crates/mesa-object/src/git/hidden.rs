//! What git must not see: everything `git fsck --strict` refuses in a tree, and names that could
//! hurt a checkout on some system. The rules are those of git's `fsck.c`, `path.c` and `utf8.c`,
//! or stricter.
//!
//! | name | kind | verdict |
//! |---|---|---|
//! | any | fifo, socket | hidden |
//! | `.git` in any case, also with code points HFS+ ignores inside or after | any | hidden |
//! | `.git`, `git~1` in any case followed by spaces, dots, or `:` or `\` and anything | any | hidden |
//! | the same after a `\` anywhere in the name | any | hidden |
//! | `.gitmodules`, `.gitattributes` and their HFS+ and NTFS aliases (`gitmod~1`, `gi7eba~1`, ...) | file | depends on the content |
//! | the same | directory, gitlink | hidden |
//! | `.gitmodules` and its aliases, also after a `\` | symlink | hidden |
//! | `.jjconflict-*` | any | hidden |

use mesa_types::NodeKind;

use super::gitmodules;

/// Contents longer than this many bytes are refused under names whose content is checked.
pub const SPECIAL_BYTES_MAX: usize = 1 << 20;

/// Why an entry is hidden from git.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hidden {
    /// Git has no such file type.
    Kind,
    /// `.git` or a name some filesystem takes for it.
    DotGit,
    /// A `.gitmodules` or `.gitattributes` that is not a regular file.
    SpecialNotFile,
    /// A name reserved for stored conflicts.
    Conflict,
}

/// What the name and kind alone say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Git sees it.
    Visible,
    /// Git does not see it.
    Hidden(Hidden),
    /// Git sees it unless [`content_refused`] says so of its content.
    CheckContent,
}

/// Files git itself reads from a tree.
struct Special {
    /// Without the dot.
    name: &'static [u8],
    /// What the 8.3 alias begins with when the plain ones are taken.
    short: &'static [u8],
}

const GITMODULES: Special = Special {
    name: b"gitmodules",
    short: b"gi7eba",
};
const GITATTRIBUTES: Special = Special {
    name: b"gitattributes",
    short: b"gi7d29",
};

/// Judges an entry by name and kind.
pub fn verdict(name: &[u8], kind: NodeKind) -> Verdict {
    use Verdict::{CheckContent, Hidden as No, Visible};
    // Nearly every name is none of the special ones.
    if matches!(kind, NodeKind::Fifo | NodeKind::Socket) {
        return No(Hidden::Kind);
    }
    let special = name
        .first()
        .is_some_and(|c| matches!(c, b'.' | b'g' | b'G' | b'~' | 0x80..));
    if !special && !name.contains(&b'\\') {
        return Visible;
    }
    if is_hfs(name, b"git") || backslash_parts(name).any(is_ntfs_git) {
        return No(Hidden::DotGit);
    }
    if name.starts_with(b".jjconflict-") {
        return No(Hidden::Conflict);
    }
    let modules = GITMODULES.is(name);
    match kind {
        NodeKind::Symlink if backslash_parts(name).any(|part| GITMODULES.is(part)) => {
            No(Hidden::SpecialNotFile)
        }
        NodeKind::File if modules || GITATTRIBUTES.is(name) => CheckContent,
        NodeKind::Dir | NodeKind::Gitlink if modules || GITATTRIBUTES.is(name) => {
            No(Hidden::SpecialNotFile)
        }
        _ => Visible,
    }
}

/// Judges the content of an entry whose verdict is [`Verdict::CheckContent`]; becomes
/// [`crate::tree::NodeRecord::git_refused`]. Contents over [`SPECIAL_BYTES_MAX`] need not be
/// read: they are refused.
pub fn content_refused(name: &[u8], content: &[u8]) -> bool {
    // Git refuses attribute files with longer lines.
    const LINE_BYTES_MAX: usize = 2047;
    if content.len() > SPECIAL_BYTES_MAX {
        return true;
    }
    if GITMODULES.is(name) && !gitmodules::is_harmless(content) {
        return true;
    }
    GITATTRIBUTES.is(name)
        && content
            .split(|&b| b == b'\n')
            .any(|l| l.len() > LINE_BYTES_MAX)
}

/// The name, and what follows each backslash: a path on Windows.
fn backslash_parts(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let after = |(at, &byte): (usize, &u8)| (byte == b'\\').then(|| &name[at + 1..]);
    std::iter::once(name).chain(name.iter().enumerate().filter_map(after))
}

/// Whether NTFS may take the name for `.git`.
fn is_ntfs_git(name: &[u8]) -> bool {
    let starts = |prefix: &[u8]| {
        name.get(..prefix.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(prefix))
    };
    let rest = if starts(b".git") {
        &name[4..]
    } else if starts(b"git~1") {
        &name[5..]
    } else {
        return false;
    };
    match rest.iter().find(|c| !matches!(c, b'.' | b' ')) {
        None => true,
        Some(c) => matches!(c, b'\\' | b'/' | b':'),
    }
}

/// Whether HFS+ may take the name for `.` and `wanted`: it folds case and ignores some code
/// points. Like git, this stops at bytes that are not UTF-8.
fn is_hfs(name: &[u8], wanted: &[u8]) -> bool {
    let valid = name.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let kept = valid
        .chars()
        .take_while(|c| !matches!(c, '\u{fffe}' | '\u{ffff}'))
        .filter(|c| {
            !matches!(c,
                '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}'
                | '\u{feff}')
        })
        .map(|c| c.to_ascii_lowercase());
    kept.eq(std::iter::once('.').chain(wanted.iter().map(|&b| char::from(b))))
}

impl Special {
    fn is(&self, name: &[u8]) -> bool {
        is_hfs(name, self.name) || self.is_ntfs(name)
    }

    /// Whether NTFS may take the name for this file: by its long name or an 8.3 alias.
    fn is_ntfs(&self, name: &[u8]) -> bool {
        let only_padding = |rest: &[u8]| match rest.iter().find(|c| !matches!(c, b'.' | b' ')) {
            None => true,
            Some(c) => *c == b':',
        };
        if let Some(tail) = name.strip_prefix(b".")
            && let Some((head, rest)) = tail.split_at_checked(self.name.len())
            && head.eq_ignore_ascii_case(self.name)
        {
            return only_padding(rest);
        }
        let Some((head, rest)) = name.split_at_checked(8) else {
            return false;
        };
        let plain = head[..6].eq_ignore_ascii_case(&self.name[..6])
            && head[6] == b'~'
            && matches!(head[7], b'1'..=b'4');
        (plain || self.is_fallback_alias(head)) && only_padding(rest)
    }

    /// `gi7eba~1`, `gi7eb~12`, `~1000000` and so on.
    fn is_fallback_alias(&self, head: &[u8]) -> bool {
        let Some(tilde) = head.iter().position(|&b| b == b'~') else {
            return false;
        };
        let Some((first, more)) = head[tilde + 1..].split_first() else {
            return false;
        };
        tilde <= 6
            && head[..tilde].eq_ignore_ascii_case(&self.short[..tilde.min(6)])
            && matches!(first, b'1'..=b'9')
            && more.iter().all(u8::is_ascii_digit)
    }
}
