//! Reading stored contents.

use std::{collections::HashSet, ops::Range};

use bytes::{Bytes, BytesMut};
use mesa_object::manifest::RangePlan;
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

/// Whether a stored manifest really has the size a reference claims.
pub async fn size_fits(packs: &OrgPacks, content: &ContentRef) -> Result<bool> {
    let ContentRef::Manifest { id, .. } = content else {
        return Ok(true);
    };
    let bytes = packs.get(*id).await?;
    let mut plan = RangePlan::new(content, 0..content.size());
    Ok(plan.supply(*id, &bytes).is_ok())
}

/// Which of `ids` are not in packs, of those that `here` does not let through.
pub async fn missing(
    packs: &OrgPacks,
    here: impl Fn(&ObjectId) -> bool,
    ids: impl IntoIterator<Item = ObjectId>,
) -> Result<Vec<ObjectId>> {
    let unique: HashSet<ObjectId> = ids.into_iter().filter(|id| !here(id)).collect();
    let ids: Vec<_> = unique.into_iter().collect();
    if ids.is_empty() {
        return Ok(ids);
    }
    let has = packs.has(&ids).await?;
    Ok(ids
        .into_iter()
        .zip(has)
        .filter_map(|(id, has)| (!has).then_some(id))
        .collect())
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
