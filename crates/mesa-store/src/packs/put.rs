//! Writing objects.

use std::collections::HashSet;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use mesa_meta::Table;
use mesa_object::{
    Object,
    pack::{Location, PackError, PackKind, PackWriter},
};
use mesa_types::ObjectId;

use super::{
    IndexRows, OrgPacks,
    rows::{ChunkRow, PackId, chunk_key, pack_key, pack_value},
};
use crate::{StoreError, StoreErrorKind};

/// Packs built or being put at once, per call.
const PACKS_AT_ONCE: usize = 2;
/// Most objects in a pack: their rows travel in one batch.
const OBJECTS_PER_PACK: usize = 20_000;

/// A finished pack.
struct Built {
    kind: PackKind,
    bytes: Bytes,
    size: u64,
    objects: Vec<(ObjectId, Location)>,
}

pub(super) async fn write(packs: &OrgPacks, objects: Vec<Object>) -> Result<IndexRows, StoreError> {
    let inner = &packs.store.inner;
    let given = objects.len();
    let mut seen = HashSet::with_capacity(given);
    let objects: Vec<Object> = objects.into_iter().filter(|o| seen.insert(o.id)).collect();
    let ids: Vec<ObjectId> = objects.iter().map(|o| o.id).collect();
    let present = packs.has(&ids).await?;
    let fresh = objects.into_iter().zip(present).filter(|(_, there)| !there);
    let (data, meta): (Vec<Object>, Vec<Object>) = fresh
        .map(|(object, _)| object)
        .partition(|o| o.domain.is_data());

    let mut rows = IndexRows::default();
    rows.stored.stored = data.len() + meta.len();
    rows.stored.present = given - rows.stored.stored;
    inner.counters.present(rows.stored.present);

    let data = groups(data, inner.config.data_pack_bytes);
    let meta = groups(meta, inner.config.meta_pack_bytes);
    let groups = data
        .into_iter()
        .map(|group| (PackKind::Data, group))
        .chain(meta.into_iter().map(|group| (PackKind::Meta, group)));
    let level = inner.config.zstd_level;
    let written: Vec<(PackId, Built)> = futures::stream::iter(groups)
        .map(|(kind, group)| async move {
            let built = tokio::task::spawn_blocking(move || build(kind, level, &group))
                .await
                .map_err(|join| {
                    StoreError::new(StoreErrorKind::Unavailable, "build pack", Some(join.into()))
                })?;
            let mut built: Built = built.map_err(|error| {
                StoreError::new(StoreErrorKind::Usage, "build pack", Some(error.into()))
            })?;
            let id = put_pack(packs, &built).await?;
            // Only the rows are needed from here on.
            built.bytes = Bytes::new();
            Ok::<_, StoreError>((id, built))
        })
        .buffered(PACKS_AT_ONCE)
        .try_collect()
        .await?;

    for (id, built) in written {
        let value = pack_value(built.kind, built.size, built.objects.len() as u32);
        rows.batch
            .put(Table::Packs, pack_key(&packs.org, id), value);
        for (object, at) in built.objects {
            let row = ChunkRow { pack: id, at };
            rows.batch
                .put(Table::Chunks, chunk_key(&packs.org, &object), row.encode());
        }
    }
    Ok(rows)
}

/// Cuts objects into packs by their size before compression, which is the most they can take.
fn groups(objects: Vec<Object>, bytes_max: usize) -> Vec<Vec<Object>> {
    let mut groups = Vec::new();
    let mut group: Vec<Object> = Vec::new();
    let mut bytes = 0;
    for object in objects {
        let full = bytes + object.bytes.len() > bytes_max || group.len() >= OBJECTS_PER_PACK;
        if full && !group.is_empty() {
            groups.push(std::mem::take(&mut group));
            bytes = 0;
        }
        bytes += object.bytes.len();
        group.push(object);
    }
    if !group.is_empty() {
        groups.push(group);
    }
    groups
}

fn build(kind: PackKind, level: i32, objects: &[Object]) -> Result<Built, PackError> {
    let mut writer = PackWriter::new(kind, level);
    for object in objects {
        writer.push(object)?;
    }
    let (bytes, objects) = writer.finish();
    Ok(Built {
        kind,
        size: bytes.len() as u64,
        bytes: bytes.into(),
        objects,
    })
}

async fn put_pack(packs: &OrgPacks, built: &Built) -> Result<PackId, StoreError> {
    let inner = &packs.store.inner;
    let mut random = [0; 16];
    inner.config.random.fill(&mut random);
    let millis = inner.config.clock.now().millis().max(0) as u64;
    let id = PackId(ulid::Ulid::from_parts(millis, u128::from_le_bytes(random)).to_bytes());
    let name = packs.pack_name(id)?;
    inner.objects.put(&name, built.bytes.clone()).await?;
    let bytes = built.objects.iter().map(|(_, at)| u64::from(at.len)).sum();
    inner
        .counters
        .pack_written(built.objects.len(), bytes, built.size);
    Ok(id)
}
