//! The ancestors of a change, newest first.

use std::collections::BinaryHeap;

use mesa_repo::{Catalog, Change, Repo};
use mesa_types::{ChangeId, Nanos};

use crate::{edge::cursor, error::ApiError};

/// Changes a cursor can name; a history with more open lines at once ends there.
const FRONTIER_MAX: usize = 40;
const ID_BYTES: usize = 16;

/// A walk: the changes that come next. They are all a cursor needs to say, so that a page goes on
/// where the last one ended whatever was added on top meanwhile.
pub struct Walk(Vec<ChangeId>);

impl From<ChangeId> for Walk {
    fn from(tip: ChangeId) -> Self {
        Self(vec![tip])
    }
}

impl Walk {
    /// The walk a cursor continues.
    pub fn resume(text: &str) -> Result<Self, ApiError> {
        let bytes = cursor::decode(text)?;
        let ids = bytes.chunks(ID_BYTES).map(|id| id.try_into().map(ChangeId));
        let ids = ids.collect::<Result<Vec<_>, _>>().map_err(|_| {
            ApiError::bad_request("the cursor is not one of this list's").narrowed("INVALID_CURSOR")
        })?;
        Ok(Self(ids))
    }

    /// Up to `limit` changes, and the cursor of the rest.
    pub async fn take(
        self,
        catalog: &Catalog,
        repo: &Repo,
        limit: usize,
    ) -> Result<(Vec<Change>, Option<String>), ApiError> {
        let mut heap = BinaryHeap::new();
        let mut found: Vec<Change> = Vec::new();
        let mut next = self.0;
        loop {
            push(catalog, repo, &mut heap, next).await?;
            if found.len() == limit {
                break;
            }
            let Some(Place { change, .. }) = heap.pop() else {
                break;
            };
            // A change reached on two lines stands in the heap twice, one after the other.
            next = Vec::new();
            if found.last().is_none_or(|last| last.id != change.id) {
                next.clone_from(&change.parents);
                found.push(*change);
            }
        }
        let mut rest: Vec<_> = heap.into_sorted_vec().iter().map(|p| p.change.id).collect();
        rest.dedup();
        rest.reverse();
        rest.truncate(FRONTIER_MAX);
        let cursor = (!rest.is_empty()).then(|| {
            let bytes: Vec<u8> = rest.iter().flat_map(|id| id.0).collect();
            cursor::encode(&bytes)
        });
        Ok((found, cursor))
    }
}

async fn push(
    catalog: &Catalog,
    repo: &Repo,
    heap: &mut BinaryHeap<Place>,
    ids: Vec<ChangeId>,
) -> Result<(), ApiError> {
    for id in ids.into_iter().filter(|id| !id.is_root()) {
        if let Some(change) = catalog.change(&repo.org, &repo.id, &id).await? {
            heap.push(Place {
                created: change.created,
                change: Box::new(change.record),
            });
        }
    }
    Ok(())
}

/// A change in the order of the walk: the newest first, and never before a change made on it.
struct Place {
    created: Nanos,
    change: Box<Change>,
}

impl Place {
    fn key(&self) -> (Nanos, ChangeId) {
        (self.created, self.change.id)
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Place {}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}
