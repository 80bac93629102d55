//! The bytes of a content, read piece by piece.

use std::ops::Range;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use mesa_object::manifest::{ChunkSlice, RangePlan};
use mesa_store::OrgPacks;
use mesa_types::ContentRef;

use super::SnapshotError;

/// Chunks read ahead of a slow reader.
const AHEAD: usize = 4;

/// Bytes whose chunks are looked up at a time, so that a huge content needs little memory.
const WINDOW: u64 = 64 << 20;

/// A range of a content, chunk by chunk. The first manifests are read before this returns, so that
/// a missing one is an error and not a broken stream.
pub async fn stream(
    packs: OrgPacks,
    content: &ContentRef,
    range: Range<u64>,
) -> Result<impl Stream<Item = Result<Bytes, SnapshotError>> + Send + use<>, SnapshotError> {
    let content = *content;
    let end = range.end.min(content.size());
    let first = slices(&packs, &content, window(range.start, end)).await?;
    let from = range.start.saturating_add(WINDOW);
    let lookup = packs.clone();
    let later = stream::try_unfold(from, move |at| {
        let packs = lookup.clone();
        async move {
            if at >= end {
                return Ok::<_, SnapshotError>(None);
            }
            let next = slices(&packs, &content, window(at, end)).await?;
            Ok(Some((next, at + WINDOW)))
        }
    });
    Ok(stream::iter([Ok::<_, SnapshotError>(first)])
        .chain(later)
        .map_ok(|slices| stream::iter(slices.into_iter().map(Ok::<_, SnapshotError>)))
        .try_flatten()
        .map_ok(move |slice| one(packs.clone(), slice))
        .try_buffered(AHEAD))
}

fn window(start: u64, end: u64) -> Range<u64> {
    start..end.min(start.saturating_add(WINDOW))
}

async fn slices(
    packs: &OrgPacks,
    content: &ContentRef,
    range: Range<u64>,
) -> Result<Vec<ChunkSlice>, SnapshotError> {
    let mut plan = RangePlan::new(content, range);
    loop {
        let missing = plan.missing();
        if missing.is_empty() {
            return Ok(plan.into_slices());
        }
        for (id, bytes) in missing.iter().zip(packs.get_many(&missing).await?) {
            plan.supply(*id, &bytes.ok_or(SnapshotError::Missing(*id))?)?;
        }
    }
}

async fn one(packs: OrgPacks, slice: ChunkSlice) -> Result<Bytes, SnapshotError> {
    let bytes = packs.get(slice.id).await?;
    let within = slice.within.start as usize..slice.within.end as usize;
    if within.start > within.end || within.end > bytes.len() {
        return Err(SnapshotError::Damaged(
            "a chunk is shorter than its manifest says",
        ));
    }
    Ok(bytes.slice(within))
}

/// A whole content. The caller bounds its size.
pub async fn whole(packs: OrgPacks, content: &ContentRef) -> Result<Vec<u8>, SnapshotError> {
    let size = content.size();
    let out = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    stream(packs, content, 0..size)
        .await?
        .try_fold(out, |mut out, piece| async move {
            out.extend_from_slice(&piece);
            Ok(out)
        })
        .await
}
