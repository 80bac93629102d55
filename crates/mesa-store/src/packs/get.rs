//! Reading objects: memory, then one index read, then few and large ranges.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use mesa_object::pack::{Location, decode_frame};
use mesa_types::ObjectId;

use super::{
    OrgPacks,
    inflight::{Turn, Wait},
    rows::PackId,
};
use crate::{StoreError, StoreErrorKind};

/// Ranges read at once, per call.
const READS_AT_ONCE: usize = 8;
/// Bytes between two frames that are cheaper to read than to ask for apart.
const GAP_BYTES_MAX: u64 = 64 << 10;
/// Largest range read at once.
const RANGE_BYTES_MAX: u64 = 8 << 20;

pub(super) async fn get_many(
    packs: &OrgPacks,
    ids: &[ObjectId],
) -> Result<Vec<Option<Bytes>>, StoreError> {
    let inner = &packs.store.inner;
    let mut found: HashMap<ObjectId, Option<Bytes>> = HashMap::with_capacity(ids.len());
    let mut open: Vec<ObjectId> = Vec::new();
    {
        let mut cache = inner.cache.lock();
        for id in ids {
            if found.contains_key(id) {
                continue;
            }
            let hit = cache.get(&(packs.slot, *id));
            if hit.is_none() {
                open.push(*id);
            }
            found.insert(*id, hit);
        }
    }
    inner
        .counters
        .looked_up(found.len() - open.len(), open.len());
    while !open.is_empty() {
        let mut turns: Vec<Turn> = Vec::new();
        let mut waits: Vec<(ObjectId, Wait)> = Vec::new();
        for id in open.drain(..) {
            match inner.inflight.join((packs.slot, id)) {
                Ok(turn) => turns.push(turn),
                Err(wait) => waits.push((id, wait)),
            }
        }
        for (id, object) in read(packs, turns).await? {
            found.insert(id, object);
        }
        for (id, wait) in waits {
            match wait.answer().await {
                Some(object @ Some(_)) => {
                    found.insert(id, object);
                }
                // The other reader failed, was given up, or looked before the object was stored:
                // read it here.
                None | Some(None) => open.push(id),
            }
        }
    }
    Ok(ids
        .iter()
        .map(|id| found.get(id).cloned().flatten())
        .collect())
}

/// Frames of one pack that are read together.
struct Stretch {
    pack: PackId,
    range: Range<u64>,
    frames: Vec<(Turn, Location)>,
}

async fn read(
    packs: &OrgPacks,
    turns: Vec<Turn>,
) -> Result<Vec<(ObjectId, Option<Bytes>)>, StoreError> {
    if turns.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<ObjectId> = turns.iter().map(|turn| turn.key().1).collect();
    let mut answers = Vec::with_capacity(ids.len());
    let mut by_pack: BTreeMap<PackId, Vec<(Turn, Location)>> = BTreeMap::new();
    for (turn, row) in turns.into_iter().zip(packs.index(&ids).await?) {
        if let Some(row) = row {
            by_pack.entry(row.pack).or_default().push((turn, row.at));
        } else {
            answers.push((turn.key().1, None));
            turn.finish(None);
        }
    }
    let stretches = by_pack
        .into_iter()
        .flat_map(|(pack, frames)| stretches(pack, frames));
    let read: Vec<Vec<(ObjectId, Option<Bytes>)>> = futures::stream::iter(stretches)
        .map(|stretch| read_stretch(packs, stretch))
        .buffer_unordered(READS_AT_ONCE)
        .try_collect()
        .await?;
    answers.extend(read.into_iter().flatten());
    Ok(answers)
}

fn stretches(pack: PackId, mut frames: Vec<(Turn, Location)>) -> Vec<Stretch> {
    frames.sort_by_key(|(_, at)| at.offset);
    let mut out: Vec<Stretch> = Vec::new();
    for (turn, at) in frames {
        let frame = at.frame();
        match out.last_mut() {
            Some(last)
                if frame.start <= last.range.end.saturating_add(GAP_BYTES_MAX)
                    && frame.end - last.range.start <= RANGE_BYTES_MAX =>
            {
                last.range.end = last.range.end.max(frame.end);
                last.frames.push((turn, at));
            }
            _ => out.push(Stretch {
                pack,
                range: frame,
                frames: vec![(turn, at)],
            }),
        }
    }
    out
}

async fn read_stretch(
    packs: &OrgPacks,
    stretch: Stretch,
) -> Result<Vec<(ObjectId, Option<Bytes>)>, StoreError> {
    let inner = &packs.store.inner;
    let name = packs.pack_name(stretch.pack)?;
    let start = stretch.range.start;
    inner.counters.range_read(stretch.range.end - start);
    let bytes = match inner.objects.get_range(&name, stretch.range).await {
        Ok(bytes) => bytes,
        // The index says the pack is there.
        Err(error) if error.kind == StoreErrorKind::NotFound => {
            let step = format!("read {name:?}, which the index names");
            return Err(StoreError::new(
                StoreErrorKind::Corrupt,
                step,
                Some(error.into()),
            ));
        }
        Err(error) => return Err(error),
    };
    let key = packs.key.clone();
    let decoded = tokio::task::spawn_blocking(move || {
        let mut decoded = Vec::with_capacity(stretch.frames.len());
        for (turn, at) in stretch.frames {
            let frame = at.frame();
            let (from, to) = ((frame.start - start) as usize, (frame.end - start) as usize);
            let id = turn.key().1;
            let object = decode_frame(&key, id, bytes.get(from..to).unwrap_or_default());
            let object = object.map_err(|error| {
                let step = format!("read object {id} in {name:?}");
                StoreError::new(StoreErrorKind::Corrupt, step, Some(error.into()))
            })?;
            decoded.push((turn, object.1));
        }
        Ok::<_, StoreError>(decoded)
    });
    let decoded = decoded.await.map_err(|join| {
        StoreError::new(
            StoreErrorKind::Unavailable,
            "decode objects",
            Some(join.into()),
        )
    })??;
    let mut cache = inner.cache.lock();
    let mut answers = Vec::with_capacity(decoded.len());
    for (turn, object) in decoded {
        cache.insert(turn.key(), object.clone());
        answers.push((turn.key().1, Some(object.clone())));
        turn.finish(Some(object));
    }
    Ok(answers)
}
