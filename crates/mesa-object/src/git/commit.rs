//! Commits.

use std::fmt::Write;

use mesa_types::{ChangeId, CommitOid, GitOid, Nanos};

use super::{Collision, blob::object_oid};

/// Who and when, as git writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Name; characters git refuses are dropped when encoding.
    pub name: String,
    /// Address, the same.
    pub email: String,
    /// Time; git keeps whole seconds from 1970 on.
    pub time: Nanos,
    /// Offset from UTC in minutes.
    pub offset_minutes: i16,
}

impl Signature {
    fn write(&self, out: &mut String) {
        let clean = |text: &str| -> String {
            let kept = |c: &char| !c.is_control() && !matches!(c, '<' | '>');
            text.chars()
                .filter(kept)
                .collect::<String>()
                .trim()
                .to_owned()
        };
        let name = clean(&self.name);
        let name = if name.is_empty() { "unknown" } else { &name };
        let email = clean(&self.email);
        let seconds = self.time.parts().0.max(0);
        let offset = self.offset_minutes.clamp(-1439, 1439);
        let sign = if offset < 0 { '-' } else { '+' };
        let (hours, minutes) = (offset.abs() / 60, offset.abs() % 60);
        // Writing to a string does not fail.
        let _ = write!(
            out,
            "{name} <{email}> {seconds} {sign}{hours:02}{minutes:02}"
        );
    }
}

/// A commit to be encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitText {
    /// The root tree, [`GitOid::EMPTY_TREE`] when nothing is visible.
    pub tree: GitOid,
    /// Parents in order.
    pub parents: Vec<CommitOid>,
    /// Author.
    pub author: Signature,
    /// Committer.
    pub committer: Signature,
    /// Whole header lines that describe conflicts, written before `change-id`.
    pub conflict: Vec<u8>,
    /// The change, written as the `change-id` header.
    pub change: ChangeId,
    /// [`crate::tree::Root::snapshot_header`], written as the `mesa-snapshot` header.
    pub snapshot: Option<[u8; 32]>,
    /// Message; NUL bytes are dropped.
    pub message: String,
}

impl CommitText {
    /// The commit object's bytes (without git's type header) and its oid.
    pub fn encode(&self) -> Result<(Vec<u8>, CommitOid), Collision> {
        let mut out = format!("tree {}\n", self.tree);
        for parent in &self.parents {
            let _ = writeln!(out, "parent {parent}");
        }
        out.push_str("author ");
        self.author.write(&mut out);
        out.push_str("\ncommitter ");
        self.committer.write(&mut out);
        out.push('\n');
        out.push_str(&String::from_utf8_lossy(&self.conflict));
        let _ = writeln!(out, "change-id {}", self.change);
        if let Some(snap) = &self.snapshot {
            let _ = writeln!(out, "mesa-snapshot {}", hex::encode(snap));
        }
        out.push('\n');
        out.extend(self.message.chars().filter(|&c| c != '\0'));
        let bytes = out.into_bytes();
        let oid = object_oid("commit", &bytes)?;
        Ok((bytes, oid))
    }
}
