//! The stored bytes of every record: a change here needs a new format version or a default.

use std::collections::{BTreeMap, BTreeSet};

use mesa_meta::{Batch, Write};
use mesa_repo::{
    Abandoned, ApiKey, Audit, Bookmark, Change, ChangeState, Child, Commit, Evolution, Operation,
    OperationKind, Org, Record, RecordBatch, Repo, Scope, Scopes, Signature,
    records::{
        api_key::{KeyById, KeyByLookup, KeyUse, LookupHash, SealedVerifier},
        org::{ChunkKey, OrgSlugRow},
        repo::{FileIdCounter, RepoByName, RepoByTag},
    },
};
use mesa_types::{BookmarkName, ChangeId, GitOid, KeyId, Nanos, ObjectId, OrgId, RepoId};

fn org() -> OrgId {
    "org_1".parse().unwrap()
}

fn repo() -> RepoId {
    "repo_1".parse().unwrap()
}

fn key() -> KeyId {
    "key_1".parse().unwrap()
}

fn main() -> BookmarkName {
    "main".parse().unwrap()
}

fn person() -> Signature {
    Signature {
        name: "A".to_owned(),
        email: "a@b".to_owned(),
        at: None,
    }
}

/// Key and value as they are stored.
fn stored<R: Record>(record: &R) -> String {
    let mut batch = Batch::new();
    batch.put_record(record);
    match &batch.writes[0] {
        Write::Put(table, key, value) => {
            format!("{} {key:?} {}", table.name(), value.escape_ascii()).replace("\\\"", "\"")
        }
        Write::Delete(..) => unreachable!(),
    }
}

#[test]
fn stored_bytes() {
    let change = ChangeId([0x11; 16]);
    let records = [
        stored(&Org {
            id: org(),
            slug: "acme".parse().unwrap(),
            name: "Acme".to_owned(),
            chunk_key: ChunkKey([1; 32]),
            created: Nanos(5),
        }),
        stored(&OrgSlugRow {
            slug: "acme".parse().unwrap(),
            org: org(),
        }),
        stored(&ApiKey {
            id: key(),
            org: org(),
            name: None,
            lookup: LookupHash([2; 32]),
            verifier: SealedVerifier(vec![1, 2]),
            scopes: Scopes::new([Scope::Read, Scope::Admin]),
            repos: Some(BTreeSet::from([repo()])),
            tags: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            operator: false,
            created: Nanos(5),
            created_by: Some(key()),
            expires: Some(Nanos(9)),
            revoked: None,
            public_key: None,
        }),
        stored(&KeyUse {
            org: org(),
            id: key(),
            last_used: Nanos(7),
        }),
        stored(&KeyByLookup {
            lookup: LookupHash([b'x'; 32]),
            org: org(),
            id: key(),
        }),
        stored(&KeyById {
            id: key(),
            org: org(),
        }),
        stored(&Repo {
            id: repo(),
            org: org(),
            name: "demo".parse().unwrap(),
            tag: 7,
            default_bookmark: main(),
            tags: BTreeMap::new(),
            created: Nanos(5),
            updated: Nanos(6),
            deleted: None,
        }),
        stored(&RepoByName {
            org: org(),
            name: "demo".parse().unwrap(),
            repo: repo(),
        }),
        stored(&RepoByTag {
            org: org(),
            tag: 7,
            repo: repo(),
        }),
        stored(&FileIdCounter {
            org: org(),
            repo: repo(),
            next: 2,
        }),
        stored(&Bookmark {
            org: org(),
            repo: repo(),
            name: main(),
            change: ChangeId::ROOT,
            created: Nanos(5),
            updated: Nanos(6),
        }),
        stored(&Change {
            id: change,
            org: org(),
            repo: repo(),
            state: ChangeState::Open,
            commit: Some(GitOid([3; 20])),
            root: Some(ObjectId([4; 32])),
            parents: vec![ChangeId::ROOT],
            message: "m".to_owned(),
            author: person(),
            coauthors: Vec::new(),
            committer: None,
            conflicted: false,
            behind: false,
            evolutions: 1,
            head: None,
            created: Nanos(5),
            updated: Nanos(6),
        }),
        stored(&Child {
            org: org(),
            repo: repo(),
            parent: change,
            child: change,
        }),
        stored(&Abandoned {
            org: org(),
            repo: repo(),
            change,
            at: Nanos(6),
            bookmarks: vec![main()],
            children: vec![change],
        }),
        stored(&Evolution {
            org: org(),
            repo: repo(),
            change,
            n: 0,
            commit: GitOid([3; 20]),
            at: Nanos(6),
        }),
        stored(&Commit {
            org: org(),
            repo: repo(),
            oid: GitOid([b'c'; 20]),
            change,
            parents: vec![],
            root: None,
            git: ObjectId([5; 32]),
            generation: 1,
            sealed_seq: 12,
            message: "m".to_owned(),
            author: person(),
            committer: person(),
            authored: Nanos(5),
            committed: Nanos(6),
        }),
        stored(&Operation {
            org: org(),
            repo: repo(),
            id: "01J".to_owned(),
            at: Nanos(5),
            key: None,
            source: "server".to_owned(),
            what: OperationKind::BookmarkMoved {
                name: main(),
                from: ChangeId::ROOT,
                to: change,
            },
        }),
        stored(&Audit {
            org: Some(org()),
            id: "01J".to_owned(),
            at: Nanos(5),
            key: Some(key()),
            source: "::1".to_owned(),
            request: String::new(),
            action: "repo.create".to_owned(),
            target: "repo_1".to_owned(),
            detail: serde_json::json!({"name": "demo"}),
        }),
    ];
    let golden: Vec<_> = include_str!("golden.txt").lines().collect();
    for (record, golden) in records.iter().zip(&golden) {
        assert_eq!(record, golden);
    }
    assert_eq!(records.len(), golden.len(), "{}", records.join("\n"));
}
