//! What a content operation results in.

use bytes::Bytes;
use mesa_object::{Object, content::of_slice};
use mesa_types::{ChunkId, ContentRef, NodeKind, limits};

use super::turn::Turn;
use crate::{
    content::{self, layer, replaces},
    error::Result,
    op::{Op, OpKind, SetContent},
};

/// The outcome for one operation.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The content to store.
    pub content: ContentRef,
    /// Its bytes, if they are in no pack.
    pub bytes: Bytes,
    /// Set if it differs from what was asked for.
    pub merged: Option<ContentRef>,
    /// Its bytes, if small.
    pub merged_inline: Bytes,
    /// Content of others that was overwritten, with its bytes if small.
    pub overwrote: Option<(ContentRef, Bytes)>,
}

impl Outcome {
    fn plain(content: ContentRef, bytes: Bytes) -> Self {
        Self {
            content,
            bytes,
            merged: None,
            merged_inline: Bytes::new(),
            overwrote: None,
        }
    }
}

impl Turn<'_> {
    /// Decides the content an operation leaves; its node is in memory.
    pub async fn resolve_content(&self, op: &Op) -> Result<Outcome> {
        match &op.kind {
            OpKind::Create(create) if !create.target.is_empty() => {
                let id = self.head.packs.key().chunk_id(&create.target);
                let size = create.target.len() as u64;
                Ok(Outcome::plain(ContentRef::Chunk { id, size }, Bytes::new()))
            }
            OpKind::Create(create) => Ok(Outcome::plain(create.content, create.inline.clone())),
            OpKind::SetContent(set) => {
                // What is no regular file is refused when the operation is applied.
                let node = self.state.tree.node(set.id);
                let file = node.filter(|node| node.attr.kind == NodeKind::File);
                let current = file.map(|node| node.attr.content);
                match current {
                    Some(current) if current != set.base => self.layered(set, current).await,
                    _ => Ok(Outcome::plain(set.content, set.inline.clone())),
                }
            }
            _ => Ok(Outcome::plain(ContentRef::Empty, Bytes::new())),
        }
    }

    /// The writer's ranges over somebody else's newer content.
    async fn layered(&self, set: &SetContent, current: ContentRef) -> Result<Outcome> {
        let plain = Outcome::plain(set.content, set.inline.clone());
        if set.content == current {
            return Ok(plain);
        }
        if set.resized && set.extents.is_empty() && set.content == set.base {
            // The writer has nothing to say about it (see SetContent).
            let bytes = self.small(&current).await?;
            return Ok(Outcome {
                merged: Some(current),
                merged_inline: bytes,
                ..Outcome::plain(current, Bytes::new())
            });
        }
        let largest = current.size().max(set.content.size()).max(set.base.size());
        if replaces(set, &current) || largest > self.head.config.layer_bytes_max {
            let loser = (current, self.small(&current).await?);
            return Ok(Outcome {
                overwrote: Some(loser),
                ..plain
            });
        }
        // The base may be gone: contents superseded before a seal are not kept.
        let base = self.whole(&set.base).await.ok();
        let now = self.whole(&current).await?;
        let new = if set.inline.is_empty() {
            self.whole(&set.content).await?
        } else {
            set.inline.clone()
        };
        let layered = layer(set, base.as_deref(), &now, &new);
        let mut overwrote = None;
        if layered.overwrote {
            overwrote = Some((current, self.small(&current).await?));
        }
        let bytes = Bytes::from(layered.bytes);
        let built = of_slice(self.head.packs.key(), &bytes);
        let inline = bytes.len() <= limits::INLINE_MAX;
        if !inline {
            let mut objects = Vec::new();
            let mut at = 0;
            for chunk in &built.chunks {
                let end = at + chunk.len as usize;
                objects.push(Object::chunk(self.head.packs.key(), bytes.slice(at..end)));
                at = end;
            }
            objects.extend(built.manifests);
            self.head.packs.put(objects).await?;
        }
        let bytes = if inline { bytes } else { Bytes::new() };
        Ok(Outcome {
            content: built.content,
            merged: (built.content != set.content).then_some(built.content),
            merged_inline: bytes.clone(),
            bytes,
            overwrote,
        })
    }

    async fn whole(&self, content: &ContentRef) -> Result<Bytes> {
        let unsealed = |id: &ChunkId| self.state.unsealed.get(id).cloned();
        content::read(&self.head.packs, unsealed, content, 0..content.size()).await
    }

    /// The bytes of a content that fits an operation, empty for larger ones.
    async fn small(&self, content: &ContentRef) -> Result<Bytes> {
        if content.size() <= limits::INLINE_MAX as u64 {
            self.whole(content).await
        } else {
            Ok(Bytes::new())
        }
    }
}
