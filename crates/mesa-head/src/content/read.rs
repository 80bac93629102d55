//! Reading stored contents.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use mesa_object::{
    Domain,
    manifest::{Manifest, RangePlan},
};
use mesa_store::OrgPacks;
use mesa_types::{ChunkId, ContentRef, ObjectId};

use crate::error::{HeadError, Result};

/// Chunks read in one call.
const READ_MAX: usize = 64;

/// The bytes of a range of a content, cut to its length. `unsealed` finds chunks that are in no
/// pack. The caller bounds the range.
pub async fn read(
    packs: &OrgPacks,
    unsealed: impl Fn(&ChunkId) -> Option<Bytes>,
    content: &ContentRef,
    range: Range<u64>,
) -> Result<Bytes> {
    let range = range.start.min(content.size())..range.end.min(content.size());
    if range.is_empty() {
        return Ok(Bytes::new());
    }
    if let ContentRef::Chunk { id, .. } = content
        && let Some(bytes) = unsealed(id)
    {
        return within(&bytes, range.start as usize..range.end as usize);
    }
    let slices = plan(packs, content, range.clone()).await?.into_slices();
    if let [only] = slices.as_slice() {
        let bytes = packs.get(only.id).await?;
        return within(&bytes, only.within.start as usize..only.within.end as usize);
    }
    let mut out = BytesMut::with_capacity((range.end - range.start) as usize);
    for part in slices.chunks(READ_MAX) {
        let ids: Vec<_> = part.iter().map(|slice| slice.id).collect();
        for (slice, bytes) in part.iter().zip(packs.get_many(&ids).await?) {
            let bytes = bytes.ok_or_else(|| HeadError::corrupt("a stored chunk is missing"))?;
            let span = slice.within.start as usize..slice.within.end as usize;
            out.extend_from_slice(&within(&bytes, span)?);
        }
    }
    Ok(out.freeze())
}

/// What the packs hold of a content an operation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It is there, as long as the reference says.
    Fits,
    /// It is not there.
    Missing,
    /// It is there, but is something else or of another length.
    Differs,
}

/// Whether contents are in packs, in the order asked.
pub async fn stored(packs: &OrgPacks, contents: &[ContentRef]) -> Result<Vec<Stored>> {
    let ids: Vec<ObjectId> = contents.iter().filter_map(ContentRef::id).collect();
    let mut described = packs.describe(&ids).await?.into_iter();
    let mut answer = Vec::with_capacity(contents.len());
    for content in contents {
        let found = match content {
            ContentRef::Empty => {
                answer.push(Stored::Fits);
                continue;
            }
            _ => described.next().flatten(),
        };
        answer.push(match (content, found) {
            (_, None) => Stored::Missing,
            (ContentRef::Chunk { size, .. }, Some((Domain::Chunk, len)))
                if u64::from(len) == *size =>
            {
                Stored::Fits
            }
            (ContentRef::Manifest { id, size }, Some((Domain::Manifest, _)))
                if manifest_size(packs, *id).await?.1 == *size =>
            {
                Stored::Fits
            }
            _ => Stored::Differs,
        });
    }
    Ok(answer)
}

/// Level and length of a stored manifest.
pub async fn manifest_size(packs: &OrgPacks, id: ObjectId) -> Result<(u8, u64)> {
    let manifest = Manifest::decode(&packs.get(id).await?)?;
    Ok((manifest.level, manifest.size()))
}

async fn plan(packs: &OrgPacks, content: &ContentRef, range: Range<u64>) -> Result<RangePlan> {
    let mut plan = RangePlan::new(content, range);
    loop {
        let missing = plan.missing();
        if missing.is_empty() {
            return Ok(plan);
        }
        for (id, bytes) in missing.iter().zip(packs.get_many(&missing).await?) {
            let bytes = bytes.ok_or_else(|| HeadError::corrupt("a stored manifest is missing"))?;
            plan.supply(*id, &bytes)?;
        }
    }
}

fn within(bytes: &Bytes, range: Range<usize>) -> Result<Bytes> {
    if range.start <= range.end && range.end <= bytes.len() {
        Ok(bytes.slice(range))
    } else {
        Err(HeadError::corrupt(
            "a stored chunk is shorter than its manifest says",
        ))
    }
}
