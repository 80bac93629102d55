//! What git must not see.

use mesa_types::NodeKind;

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
    /// A `.gitmodules` or `.gitattributes` whose content fsck refuses.
    SpecialContent,
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

/// Judges an entry by name and kind.
pub fn verdict(name: &[u8], kind: NodeKind) -> Verdict {
    let _ = (name, kind);
    todo!()
}

/// Judges the content of an entry whose verdict is [`Verdict::CheckContent`]; becomes
/// [`crate::tree::NodeRecord::git_refused`].
pub fn content_refused(name: &[u8], content: &[u8]) -> bool {
    let _ = (name, content);
    todo!()
}
