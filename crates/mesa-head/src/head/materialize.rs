//! The first operation of a pending head: its change comes into being.

use mesa_meta::Table;
use mesa_repo::{Actor, Bookmark, CatalogEvent, Change, ChangeState, RecordBatch, Signature};
use mesa_types::{BookmarkName, KeyId, SessionId};

use super::{change_id, turn::Turn};
use crate::{error::Result, rows};

impl Turn<'_> {
    /// Adds the change to the batch and moves the bookmark to it.
    pub async fn materialize(&mut self, id: &SessionId, key: Option<KeyId>) -> Result<()> {
        let Some(pending) = self.state.row.pending.take() else {
            return Ok(());
        };
        let (org, repo) = (self.head.org().clone(), self.head.repo.clone());
        let catalog = self.head.catalog.clone();
        let change = self.state.change();
        let parent = change_id(&pending.parent);
        let actor = Actor {
            key: key.clone(),
            source: "mount".to_owned(),
            request: id.as_str().to_owned(),
        };
        let record = Change {
            id: change,
            org: org.clone(),
            repo: repo.clone(),
            state: ChangeState::Open,
            commit: None,
            root: self.state.base(),
            parents: vec![parent],
            message: String::new(),
            author: author(key.as_ref()),
            committer: None,
            conflicted: false,
            evolutions: 0,
            head: Some(self.head.id.clone()),
            created: self.now,
            updated: self.now,
        };
        catalog.create_change_in(&mut self.batch, &record, &actor);
        if let Ok(name) = pending.bookmark.parse::<BookmarkName>() {
            self.batch
                .delete(Table::Heads, rows::pending_key(&org, &repo, &name));
            let read = catalog.bookmark(&org, &repo, &name).await?;
            let to = Some(change);
            match read {
                Some(read) if read.change == parent => {
                    catalog.move_bookmark_in(&mut self.batch, &read, change, &actor);
                    self.events.push(CatalogEvent::BookmarkMoved {
                        org,
                        repo,
                        name,
                        from: Some(parent),
                        to,
                    });
                }
                // Somebody moved the bookmark meanwhile: the work keeps a name of its own.
                _ => {
                    let text = format!("recovered/{id}-0");
                    if let Ok(name) = text.parse::<BookmarkName>() {
                        self.batch.put_record(&Bookmark {
                            org: org.clone(),
                            repo: repo.clone(),
                            name: name.clone(),
                            change,
                            created: self.now,
                            updated: self.now,
                        });
                        self.events.push(CatalogEvent::BookmarkMoved {
                            org,
                            repo,
                            name,
                            from: None,
                            to,
                        });
                    }
                }
            }
        }
        self.touch_head();
        Ok(())
    }
}

/// How a key signs what it writes.
pub(crate) fn author(key: Option<&KeyId>) -> Signature {
    let name = key.map_or("mesa", KeyId::as_str);
    Signature {
        name: name.to_owned(),
        email: format!("{name}@keys.mesa"),
    }
}
