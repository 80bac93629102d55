//! The commit of a snapshot.

use mesa_object::{
    Domain, Object,
    git::{CommitText, Signature},
    tree::Root,
};
use mesa_repo::{Catalog, Change, Commit, Versioned};
use mesa_store::OrgPacks;
use mesa_types::{ChangeId, GitOid, Nanos, ObjectId, RepoId};

use crate::{
    error::{HeadError, Result},
    versions::git::ConflictGit,
};

/// Where a head's commits go.
#[derive(Debug, Clone)]
pub struct Lineage {
    /// The repo.
    pub repo: RepoId,
    /// The change.
    pub change: ChangeId,
    /// Oids of its parents' commits.
    pub parents: Vec<GitOid>,
    /// Generation of its commits.
    pub generation: u64,
    /// `Root::snap` of its newest commit.
    pub snap: Option<[u8; 32]>,
    /// The time of the seal.
    pub now: Nanos,
}

/// A commit made.
pub(super) struct Made {
    pub commit: Commit,
    pub change: Versioned<Change>,
    pub object: Object,
}

impl Lineage {
    pub(super) async fn commit(
        self,
        packs: &OrgPacks,
        catalog: &Catalog,
        root: &Root,
        root_id: ObjectId,
        conflict: Option<ConflictGit>,
        seq: u64,
    ) -> Result<Made> {
        let change = catalog
            .change(packs.org_id(), &self.repo, &self.change)
            .await?
            .ok_or_else(|| HeadError::corrupt("the head's change does not exist"))?;
        let committer = change.committer.as_ref().unwrap_or(&change.author).clone();
        let author = change.author.clone();
        let authored = author.at.unwrap_or(change.created);
        let said = change.committer.as_ref().and_then(|who| who.at);
        let committed = said.unwrap_or(self.now);
        let (tree, headers) = match conflict {
            Some(conflict) => (Some(conflict.tree), conflict.headers),
            None => (root.dir.git, Vec::new()),
        };
        let text = CommitText {
            tree: tree.unwrap_or(GitOid::EMPTY_TREE),
            conflict: headers,
            parents: self.parents.clone(),
            author: signature(&author, authored),
            committer: signature(&committer, committed),
            change: self.change,
            snapshot: root.snapshot_header(packs.key()),
            message: change.message.clone(),
        };
        let (bytes, oid) = text.encode().map_err(|error| {
            HeadError::invalid("the change's description cannot be committed").with_source(error)
        })?;
        let object = Object::new(packs.key(), Domain::Commit, bytes);
        let commit = Commit {
            org: packs.org_id().clone(),
            repo: self.repo,
            oid,
            change: self.change,
            parents: self.parents,
            root: Some(root_id),
            git: object.id,
            generation: self.generation,
            sealed_seq: seq,
            message: change.message.clone(),
            author,
            committer,
            authored,
            committed,
        };
        Ok(Made {
            commit,
            change,
            object,
        })
    }
}

fn signature(who: &mesa_repo::Signature, time: Nanos) -> Signature {
    Signature {
        name: who.name.clone(),
        email: who.email.clone(),
        time,
        offset_minutes: 0,
    }
}
