//! Contents of server-side writes: small ones travel in the operations, others go to packs first.

use bytes::Bytes;
use mesa_object::{Object, content::of_slice};
use mesa_store::OrgPacks;
use mesa_types::{ContentRef, NodeKind, limits};

use super::{FileEdit, FileMode, Prepared};
use crate::error::{HeadError, Result};

/// Bytes that one write may bring in its operations; beyond, all contents go to packs.
const INLINE_BYTES_MAX: usize = 2 << 20;
/// Objects gathered before they are written.
const GATHER_MAX: usize = 32 << 20;

/// Stores what is too large to travel along.
pub(crate) async fn prepare(packs: &OrgPacks, edits: Vec<FileEdit>) -> Result<Vec<Prepared>> {
    let total: usize = edits
        .iter()
        .map(|edit| match edit {
            FileEdit::Put { content, .. } if content.len() <= limits::INLINE_MAX => content.len(),
            _ => 0,
        })
        .sum();
    let inline_max = if total <= INLINE_BYTES_MAX {
        limits::INLINE_MAX
    } else {
        0
    };
    let mut objects = Vec::new();
    let mut gathered = 0;
    let mut prepared = Vec::with_capacity(edits.len());
    for edit in edits {
        prepared.push(match edit {
            FileEdit::Delete { path } => Prepared::Delete { path },
            FileEdit::Move { from, to } => Prepared::Move { from, to },
            FileEdit::Put {
                path,
                content,
                mode: FileMode::Symlink,
            } => symlink(path, content)?,
            FileEdit::Put {
                path,
                content: bytes,
                mode,
            } => {
                let built = of_slice(packs.key(), &bytes);
                let mut inline = Bytes::new();
                if bytes.len() <= inline_max {
                    inline = bytes;
                } else {
                    gathered += bytes.len();
                    let mut at = 0;
                    for chunk in &built.chunks {
                        let end = at + chunk.len as usize;
                        objects.push(Object::chunk(packs.key(), bytes.slice(at..end)));
                        at = end;
                    }
                    objects.extend(built.manifests);
                }
                Prepared::Put {
                    path,
                    kind: NodeKind::File,
                    exec: match mode {
                        FileMode::Executable => Some(true),
                        FileMode::Regular => Some(false),
                        _ => None,
                    },
                    content: built.content,
                    inline,
                    target: Bytes::new(),
                }
            }
        });
        if gathered >= GATHER_MAX {
            packs.put(std::mem::take(&mut objects)).await?;
            gathered = 0;
        }
    }
    if !objects.is_empty() {
        packs.put(objects).await?;
    }
    Ok(prepared)
}

fn symlink(path: super::FilePath, target: Bytes) -> Result<Prepared> {
    if target.is_empty() || target.len() > limits::SYMLINK_MAX || target.contains(&0) {
        return Err(HeadError::new(
            crate::error::HeadErrorKind::Invalid,
            "BAD_SYMLINK",
            "a symlink's target is empty, too long, or has a NUL",
        ));
    }
    Ok(Prepared::Put {
        path,
        kind: NodeKind::Symlink,
        exec: None,
        content: ContentRef::Empty,
        inline: Bytes::new(),
        target,
    })
}
