//! A mount protocol client without a filesystem: opens, attaches, sends operations as told.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use mesa_client::{AttachStream, SyncApi, SyncError};
use mesa_object::OrgKey;
use mesa_proto::{
    append_digest,
    v1::{self, client_message, op, server_message::Kind},
};
use mesa_types::NodeKind;

use crate::InProcess;

/// How long a message may take before a test fails.
const DEADLINE: Duration = Duration::from_secs(20);

/// One session. Methods panic on protocol violations: they are for tests.
pub struct RawSession {
    /// The connection.
    pub api: InProcess,
    /// Answer of `OpenHead`.
    pub opened: v1::OpenHeadResponse,
    /// Newest resume token.
    pub token: Bytes,
    /// Number of the next operation.
    pub next: u64,
    /// Number of the lease held; 0 = shared or none.
    pub lease: u64,
    /// Sequence last seen.
    pub head_seq: u64,
    /// The last of its operations known to be acknowledged.
    pub acked: u64,
    /// Who makes its operations: the first of them; nobody known if empty.
    pub actors: Vec<v1::Actor>,
    /// The stream, while attached.
    pub stream: Option<AttachStream>,
    org: String,
    ids: std::ops::Range<u64>,
    time: i64,
}

impl RawSession {
    /// Opens the default bookmark of a repo and attaches.
    pub async fn open(api: &InProcess, org: &str, repo: &str) -> Self {
        let mut session = Self::open_with(api, request(org, repo))
            .await
            .expect("the head opens");
        session.attach().await.expect("the session attaches");
        session
    }

    /// Opens without attaching.
    pub async fn open_with(
        api: &InProcess,
        request: v1::OpenHeadRequest,
    ) -> Result<Self, SyncError> {
        let org = request.org.clone();
        let opened = api.open_head(request).await?;
        let ids = opened.ids.unwrap_or_default();
        Ok(Self {
            api: api.clone(),
            token: opened.resume_token.clone(),
            next: opened.acked_client_seq + 1,
            lease: 0,
            head_seq: opened.head_seq,
            acked: opened.acked_client_seq,
            actors: Vec::new(),
            stream: None,
            org,
            ids: ids.first..ids.first + u64::from(ids.count),
            time: 1_700_000_000_000_000_000,
            opened,
        })
    }

    /// Attaches, stores the new token and confirms it. Answers `HelloAck`.
    pub async fn attach(&mut self) -> Result<v1::HelloAck, SyncError> {
        let ack = self.attach_unconfirmed().await?;
        self.send(client_message::Kind::Heartbeat(v1::Heartbeat {
            head_seq: self.head_seq,
        }))
        .await;
        self.until(|kind| matches!(kind, Kind::Heartbeat(_))).await;
        Ok(ack)
    }

    /// The same without the message that confirms the token.
    pub async fn attach_unconfirmed(&mut self) -> Result<v1::HelloAck, SyncError> {
        let hello = v1::Hello {
            session: self.opened.session.clone(),
            resume_token: self.token.clone(),
            head_seq: self.head_seq,
            last_client_seq: self.next - 1,
        };
        self.stream = Some(self.api.attach(&self.org, hello).await?);
        match self.next_message().await? {
            Kind::HelloAck(ack) => {
                self.token = ack.resume_token.clone();
                Ok(ack)
            }
            other => panic!("first message {other:?}"),
        }
    }

    /// Sends a message.
    pub async fn send(&self, kind: client_message::Kind) {
        let message = v1::ClientMessage { kind: Some(kind) };
        let stream = self.stream.as_ref().expect("attached");
        // A stream that has ended says so when it is read.
        let _ = stream.to_server.send(message).await;
    }

    /// The next message, or why the stream ended.
    pub async fn next_message(&mut self) -> Result<Kind, SyncError> {
        let stream = self.stream.as_mut().expect("attached");
        let next = tokio::time::timeout(DEADLINE, stream.from_server.next())
            .await
            .expect("a message within the deadline");
        match next {
            Some(Ok(message)) => {
                let kind = message.kind.expect("a known message");
                match &kind {
                    Kind::Ack(ack) => {
                        self.head_seq = self.head_seq.max(ack.head_seq);
                        self.acked = self.acked.max(ack.client_seq);
                    }
                    Kind::Event(event) => {
                        let entry = event.entry.as_ref().expect("an entry");
                        let last = entry.first_seq + entry.ops.len() as u64 - 1;
                        self.head_seq = self.head_seq.max(last);
                    }
                    _ => {}
                }
                Ok(kind)
            }
            Some(Err(error)) => Err(error),
            None => Err(SyncError {
                kind: mesa_client::SyncErrorKind::Unreachable,
                code: "ENDED".to_owned(),
                message: "the stream ended".to_owned(),
                retry_after_ms: None,
            }),
        }
    }

    /// Reads up to the first message wanted.
    pub async fn until(&mut self, wanted: impl Fn(&Kind) -> bool) -> Kind {
        loop {
            let kind = self.next_message().await.expect("the stream goes on");
            if wanted(&kind) {
                return kind;
            }
        }
    }

    /// Reads until the stream ends.
    pub async fn until_end(&mut self) -> SyncError {
        loop {
            if let Err(error) = self.next_message().await {
                return error;
            }
        }
    }

    /// Asks for the lease and waits for a grant.
    pub async fn lease(&mut self) -> v1::LeaseGrant {
        self.send(client_message::Kind::LeaseRequest(v1::LeaseRequest {}))
            .await;
        match self.until(|kind| matches!(kind, Kind::LeaseGrant(_))).await {
            Kind::LeaseGrant(grant) => {
                self.lease = grant.lease;
                grant
            }
            _ => unreachable!("only grants are waited for"),
        }
    }

    /// Sends operations under the lease held.
    pub async fn append(&mut self, ops: Vec<v1::Op>) -> u64 {
        let first = self.next;
        self.next += ops.len() as u64;
        self.append_at(first, ops).await;
        self.next - 1
    }

    /// Sends operations with a chosen number.
    pub async fn append_at(&self, first: u64, ops: Vec<v1::Op>) {
        let append = v1::Append {
            first_client_seq: first,
            digest: Bytes::copy_from_slice(&append_digest(&ops)),
            ops,
            actors: self.actors.clone(),
            lease: self.lease,
        };
        self.send(client_message::Kind::Append(append)).await;
    }

    /// Sends operations and waits until they are acknowledged.
    pub async fn commit(&mut self, ops: Vec<v1::Op>) -> v1::Ack {
        let last = self.append(ops).await;
        match self
            .until(|kind| match kind {
                Kind::Ack(ack) => ack.client_seq >= last,
                Kind::Reject(reject) => panic!("rejected: {reject:?}"),
                _ => false,
            })
            .await
        {
            Kind::Ack(ack) => ack,
            _ => unreachable!("only acks are waited for"),
        }
    }

    /// Sends one operation and answers its rejection.
    pub async fn refused(&mut self, op: v1::Op) -> v1::Reject {
        self.append(vec![op]).await;
        match self
            .until(|kind| matches!(kind, Kind::Reject(_) | Kind::Ack(_)))
            .await
        {
            Kind::Reject(reject) => reject,
            other => panic!("{other:?}"),
        }
    }

    /// The root directory's id.
    pub fn root(&self) -> u64 {
        self.opened.root.as_ref().map_or(0, |root| root.id)
    }

    /// The key of object ids.
    pub fn key(&self) -> OrgKey {
        OrgKey::from_slice(&self.opened.chunk_key).expect("a key of 32 bytes")
    }

    /// A new file id.
    pub fn id(&mut self) -> u64 {
        self.ids.next().expect("ids left")
    }

    /// New file ids left.
    pub fn ids_left(&self) -> u64 {
        self.ids.end - self.ids.start
    }

    /// Gets more file ids.
    pub async fn more_ids(&mut self) {
        self.send(client_message::Kind::IdRequest(v1::IdRequest { count: 0 }))
            .await;
        if let Kind::Ids(range) = self.until(|kind| matches!(kind, Kind::Ids(_))).await {
            self.ids = range.first..range.first + u64::from(range.count);
        }
    }

    /// Another time with every call.
    pub fn tick(&mut self) -> i64 {
        self.time += 1_000_000;
        self.time
    }

    /// The next operation is made this much later.
    pub fn pause(&mut self, nanos: i64) {
        self.time += nanos;
    }

    /// An operation in the directory or on the node at `path`.
    pub fn op(&mut self, path: &str, kind: op::Kind) -> v1::Op {
        v1::Op {
            time_ns: self.tick(),
            path: Bytes::copy_from_slice(path.as_bytes()),
            actor: u32::from(!self.actors.is_empty()),
            kind: Some(kind),
        }
    }

    /// Creation of a directory or of an empty file; answers its id too.
    pub fn create(&mut self, path: &str, parent: u64, name: &str, kind: NodeKind) -> (u64, v1::Op) {
        let id = self.id();
        let mode = if kind == NodeKind::Dir { 0o755 } else { 0o644 };
        let create = v1::Create {
            parent,
            name: Bytes::copy_from_slice(name.as_bytes()),
            id,
            kind: kind as u32,
            mode,
            ..v1::Create::default()
        };
        (id, self.op(path, op::Kind::Create(create)))
    }

    /// Creation of a small file with content.
    pub fn file(&mut self, path: &str, parent: u64, name: &str, bytes: &[u8]) -> (u64, v1::Op) {
        let (id, mut op) = self.create(path, parent, name, NodeKind::File);
        if let Some(op::Kind::Create(create)) = &mut op.kind {
            create.content = self.content(bytes);
            create.inline = Bytes::copy_from_slice(bytes);
        }
        (id, op)
    }

    /// Whole new content of a small file.
    pub fn write(&mut self, path: &str, id: u64, base: &[u8], bytes: &[u8]) -> v1::Op {
        let set = v1::SetContent {
            id,
            base: self.content(base),
            content: self.content(bytes),
            inline: Bytes::copy_from_slice(bytes),
            resized: base.len() != bytes.len(),
            ..v1::SetContent::default()
        };
        self.op(path, op::Kind::SetContent(set))
    }

    /// Removal of a file.
    pub fn unlink(&mut self, path: &str, parent: u64, name: &str, id: u64) -> v1::Op {
        let name = Bytes::copy_from_slice(name.as_bytes());
        self.op(path, op::Kind::Unlink(v1::Unlink { parent, name, id }))
    }

    /// The reference of a small content.
    pub fn content(&self, bytes: &[u8]) -> Option<v1::ContentRef> {
        (!bytes.is_empty()).then(|| v1::ContentRef {
            size: bytes.len() as u64,
            id: Bytes::copy_from_slice(&self.key().chunk_id(bytes).0),
            manifest: false,
        })
    }

    /// Every path with its node, contents of small files included.
    pub async fn tree(&self) -> std::collections::BTreeMap<String, v1::Node> {
        let request = v1::GetNodesRequest {
            session: self.opened.session.clone(),
            depth: u32::MAX,
            inline_bytes_max: 65_536,
            ..v1::GetNodesRequest::default()
        };
        let mut batches = self
            .api
            .get_nodes(&self.org, request)
            .await
            .expect("metadata is answered");
        let mut paths = std::collections::HashMap::from([(self.root(), String::new())]);
        let mut found = std::collections::BTreeMap::new();
        while let Some(batch) = batches.next().await {
            for dir in batch.expect("the stream goes on").dirs {
                assert_eq!(dir.error, "");
                let above = paths.get(&dir.id).expect("parents come first").clone();
                for entry in dir.entries {
                    let node = entry.node.expect("a node");
                    let name = String::from_utf8_lossy(&entry.name);
                    let path = if above.is_empty() {
                        name.into_owned()
                    } else {
                        format!("{above}/{name}")
                    };
                    if node.kind == NodeKind::Dir as u32 {
                        paths.insert(node.id, path.clone());
                    }
                    found.insert(path, node);
                }
            }
        }
        found
    }

    /// The answer to resuming this session.
    pub async fn resume(&self) -> Result<v1::OpenHeadResponse, SyncError> {
        self.resume_or(false).await
    }

    /// The answer to resuming this session, or to giving it up.
    pub async fn resume_or(&self, give_up: bool) -> Result<v1::OpenHeadResponse, SyncError> {
        let repo = self.opened.repo.as_ref().map_or("", |repo| &repo.name);
        let resume = v1::Resume {
            session: self.opened.session.clone(),
            token: self.token.clone(),
            acked_client_seq: self.acked,
            head_seq: self.head_seq,
            last_client_seq: self.next - 1,
            give_up,
        };
        let request = v1::OpenHeadRequest {
            resume: Some(resume),
            ..request(&self.org, repo)
        };
        self.api.open_head(request).await
    }
}

/// A request for the default bookmark of a repo.
pub fn request(org: &str, repo: &str) -> v1::OpenHeadRequest {
    v1::OpenHeadRequest {
        org: org.to_owned(),
        repo: repo.to_owned(),
        client: "test".to_owned(),
        ..v1::OpenHeadRequest::default()
    }
}
