//! Objects from clients.

use std::collections::HashMap;

use bytes::Bytes;
use mesa_object::{Domain, Object, manifest::Manifest};
use mesa_proto::v1;
use mesa_repo::{Principal, Scope};
use mesa_store::OrgPacks;
use mesa_types::{ObjectId, limits};

use super::Heads;
use crate::content;
use crate::error::{HeadError, HeadErrorKind, Result};

/// Objects gathered before they are written.
const GATHER_MAX: usize = 32 << 20;
const GATHER_COUNT_MAX: usize = 8192;

/// One upload call, fed message by message.
pub struct Upload {
    packs: OrgPacks,
    manifests: bool,
    objects: Vec<Object>,
    gathered: usize,
    bytes: u64,
    bytes_max: u64,
    answer: v1::UploadResponse,
}

impl Heads {
    /// Which of these chunks or manifests can be referred to without an upload.
    pub async fn has_chunks(
        &self,
        caller: &Principal,
        request: v1::HasChunksRequest,
    ) -> Result<v1::HasChunksResponse> {
        self.session(caller, &request.session).await?;
        let ids = self.ids(&request.ids)?;
        let packs = self.packs(&caller.org).await?;
        Ok(v1::HasChunksResponse {
            present: packs.has(&ids).await?,
        })
    }

    /// Begins an upload.
    pub async fn upload(
        &self,
        caller: &Principal,
        session: &str,
        manifests: bool,
    ) -> Result<Upload> {
        caller.require(Scope::Write)?;
        self.session(caller, session).await?;
        Ok(Upload {
            packs: self.packs(&caller.org).await?,
            manifests,
            objects: Vec::new(),
            gathered: 0,
            bytes: 0,
            bytes_max: self.config().limits.upload_bytes_max,
            answer: v1::UploadResponse::default(),
        })
    }

    /// Object ids of a request, bounded.
    pub(super) fn ids(&self, ids: &[Bytes]) -> Result<Vec<ObjectId>> {
        if ids.len() > self.config().limits.chunks_per_call_max as usize {
            return Err(HeadError::new(
                HeadErrorKind::Invalid,
                "TOO_MANY_CHUNKS",
                "more ids in one call than the server takes",
            ));
        }
        ids.iter()
            .map(|id| ObjectId::from_slice(id))
            .collect::<Option<_>>()
            .ok_or_else(|| HeadError::invalid("an id is not 32 bytes"))
    }
}

impl Upload {
    /// Takes one object; verifies that its bytes hash to its id.
    pub async fn push(&mut self, object: v1::ChunkData) -> Result<()> {
        let id = ObjectId::from_slice(&object.id)
            .ok_or_else(|| HeadError::invalid("an id is not 32 bytes"))?;
        if object.codec != 0 {
            return Err(HeadError::invalid("uploads are not compressed"));
        }
        let (domain, longest) = if self.manifests {
            (Domain::Manifest, mesa_object::object::OBJECT_BYTES_MAX)
        } else {
            (Domain::Chunk, limits::CHUNK_MAX as usize)
        };
        if object.data.is_empty() || object.data.len() > longest {
            return Err(HeadError::invalid("an object is empty or too large"));
        }
        self.bytes += object.data.len() as u64;
        if self.bytes > self.bytes_max {
            return Err(HeadError::new(
                HeadErrorKind::Invalid,
                "UPLOAD_TOO_LARGE",
                "more bytes in one upload than the server takes",
            ));
        }
        let object = Object::new(self.packs.key(), domain, object.data);
        if object.id != id {
            return Err(HeadError::new(
                HeadErrorKind::Invalid,
                "WRONG_HASH",
                "the bytes of an object do not hash to its id",
            ));
        }
        self.gathered += object.bytes.len();
        self.objects.push(object);
        if self.gathered >= GATHER_MAX || self.objects.len() >= GATHER_COUNT_MAX {
            self.write().await?;
        }
        Ok(())
    }

    /// Writes the rest; when this returns everything is on stable storage.
    pub async fn finish(mut self) -> Result<v1::UploadResponse> {
        self.write().await?;
        Ok(self.answer)
    }

    async fn write(&mut self) -> Result<()> {
        let objects = std::mem::take(&mut self.objects);
        self.gathered = 0;
        if objects.is_empty() {
            return Ok(());
        }
        if self.manifests {
            self.check_manifests(&objects).await?;
        }
        let stored = self.packs.put(objects).await?;
        self.answer.stored += stored.stored as u32;
        self.answer.present += stored.present as u32;
        Ok(())
    }

    /// Everything a manifest names has to be here, as long as it says, before it can be named
    /// itself.
    async fn check_manifests(&self, objects: &[Object]) -> Result<()> {
        let mut along = HashMap::new();
        let mut decoded = Vec::with_capacity(objects.len());
        for object in objects {
            let manifest = Manifest::decode(&object.bytes)
                .map_err(|error| HeadError::invalid("not a manifest").with_source(error))?;
            along.insert(object.id, (manifest.level, manifest.size()));
            decoded.push(manifest);
        }
        let mut wanted = Vec::new();
        for manifest in &decoded {
            for (id, len) in &manifest.entries {
                match along.get(id) {
                    Some(child) if (child.0 + 1, child.1) == (manifest.level, *len) => {}
                    Some(_) => return Err(HeadError::invalid("manifests do not fit together")),
                    None => wanted.push((*id, manifest.level, *len)),
                }
            }
        }
        let ids: Vec<_> = wanted.iter().map(|(id, ..)| *id).collect();
        for (found, (id, level, len)) in self.packs.describe(&ids).await?.iter().zip(wanted) {
            let fits = match found {
                None => {
                    return Err(HeadError::new(
                        HeadErrorKind::Conflict,
                        "MISSING_CHUNKS",
                        "a manifest names content that was not uploaded",
                    ));
                }
                Some((Domain::Chunk, bytes)) => level == 0 && u64::from(*bytes) == len,
                Some((Domain::Manifest, _)) => {
                    level > 0 && content::manifest_size(&self.packs, id).await? == (level - 1, len)
                }
                Some(_) => false,
            };
            if !fits {
                return Err(HeadError::invalid("a manifest does not fit what it names"));
            }
        }
        Ok(())
    }
}
