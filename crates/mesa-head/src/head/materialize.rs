//! The first operation of a pending head: its change comes into being.

use bytes::Bytes;
use mesa_meta::Table;
use mesa_proto::v1;
use mesa_repo::{
    Actor, Bookmark, CatalogEvent, Change, ChangeState, Record, RecordBatch, Signature,
};
use mesa_types::{BookmarkName, ChangeId, KeyId};

use super::{change_id, seal::stored_oids, turn::Turn};
use crate::{
    edit::Describe,
    error::Result,
    rows::{self, Pending},
};

/// Who makes the change, and what it is to say.
#[derive(Debug, Clone)]
pub(crate) struct Birth {
    pub actor: Actor,
    /// Names the bookmark that keeps the work if the one it follows was moved meanwhile.
    pub name: String,
    pub describe: Describe,
}

impl Birth {
    /// By the operations of a session.
    pub fn of_entry(entry: &v1::LogEntry) -> Self {
        Self {
            actor: Actor {
                key: entry.key.parse::<KeyId>().ok(),
                source: entry.origin.clone(),
                request: entry.session.clone(),
            },
            name: entry.session.clone(),
            describe: Describe::default(),
        }
    }
}

impl Turn<'_> {
    /// A session follows a bookmark: it goes along to the head's next change.
    pub fn follow(&mut self, name: &BookmarkName) {
        let follows = &mut self.state.row.follows;
        if !follows.iter().any(|known| known == name.as_str()) {
            follows.push(name.to_string());
            self.touch_head();
        }
    }

    /// Adds the change to the batch and moves the bookmarks to it.
    pub async fn materialize(&mut self, birth: Birth) -> Result<()> {
        let Some(pending) = self.state.row.pending.take() else {
            return Ok(());
        };
        let (org, repo) = (self.head.org().clone(), self.head.repo.clone());
        let catalog = self.head.catalog.clone();
        let change = self.state.change();
        let Birth {
            actor,
            name,
            describe,
        } = birth;
        let (parents, behind) = self.parents_now(&pending).await?;
        let author = describe
            .author
            .unwrap_or_else(|| author(actor.key.as_ref()));
        let record = Change {
            id: change,
            org: org.clone(),
            repo: repo.clone(),
            state: ChangeState::Open,
            commit: None,
            root: self.state.base(),
            parents: parents.clone(),
            message: describe.message.unwrap_or_default(),
            author,
            coauthors: describe.coauthors,
            committer: describe.committer,
            conflicted: false,
            behind,
            evolutions: 0,
            head: Some(self.head.id.clone()),
            created: self.now,
            updated: self.now,
        };
        catalog.create_change_in(&mut self.batch, &record, &actor);
        self.change_written = true;
        // Of what was abandoned the bookmark went to what is below it.
        let named = [Some(pending.parent()), parents.first().copied()];
        let mut left_behind = !pending.bookmarks.is_empty();
        for name in &pending.bookmarks {
            let Ok(name) = name.parse::<BookmarkName>() else {
                continue;
            };
            let key = rows::pending_key(&org, &repo, &name);
            self.drop_pending_key(key).await?;
            let read = catalog.bookmark(&org, &repo, &name).await?;
            if let Some(read) = read.filter(|read| named.contains(&Some(read.change))) {
                catalog.move_bookmark_in(&mut self.batch, &read, change, &actor);
                self.moved(name, Some(read.change), change);
                left_behind = false;
            }
        }
        if left_behind {
            // Somebody moved the bookmark meanwhile: the work keeps a name of its own.
            let text = format!("recovered/{name}-0");
            if let Ok(name) = text.parse::<BookmarkName>() {
                self.batch.put_record(&Bookmark {
                    org,
                    repo,
                    name: name.clone(),
                    change,
                    created: self.now,
                    updated: self.now,
                });
                self.moved(name, None, change);
            }
        }
        self.touch_head();
        Ok(())
    }

    /// The parents of a change that comes into being, and whether its tree is made on something
    /// else than they are now: they may have been abandoned or rebased since its head began.
    async fn parents_now(&mut self, pending: &Pending) -> Result<(Vec<ChangeId>, bool)> {
        let (org, repo) = (self.head.org().clone(), self.head.repo.clone());
        let (mut parents, mut commits, mut behind) = (Vec::new(), Vec::new(), false);
        for id in &pending.parents {
            let mut parent = change_id(id);
            loop {
                let read = self.head.catalog.change(&org, &repo, &parent).await?;
                let Some(read) = read else { break };
                self.batch
                    .is(Change::TABLE, read.record.key(), read.version);
                if read.state == ChangeState::Abandoned {
                    behind = true;
                    parent = read.parents.first().copied().unwrap_or(ChangeId::ROOT);
                    continue;
                }
                behind |= read.behind;
                commits.extend(read.commit);
                break;
            }
            parents.push(parent);
        }
        let known = &self.state.row.parent_commits;
        behind |= !known.iter().eq(stored_oids(&commits).iter());
        Ok((parents, behind))
    }

    /// Removes the row that leads openers of a bookmark here, if it does.
    pub async fn drop_pending_key(&mut self, key: mesa_meta::Key) -> Result<()> {
        let meta = self.head.catalog.meta();
        if let Some(row) = meta.get(Table::Heads, &key).await?
            && row.value == Bytes::copy_from_slice(self.head.id.as_str().as_bytes())
        {
            self.batch
                .is(Table::Heads, key.clone(), row.version)
                .delete(Table::Heads, key);
        }
        Ok(())
    }

    fn moved(&mut self, name: BookmarkName, from: Option<ChangeId>, to: ChangeId) {
        self.moves.insert(name.clone(), to);
        self.events.push(CatalogEvent::BookmarkMoved {
            org: self.head.org().clone(),
            repo: self.head.repo.clone(),
            name,
            from,
            to: Some(to),
        });
    }
}

/// How a key signs what it writes.
pub(crate) fn author(key: Option<&KeyId>) -> Signature {
    let name = key.map_or("mesa", KeyId::as_str);
    Signature {
        name: name.to_owned(),
        email: format!("{name}@keys.mesa"),
        at: None,
    }
}
