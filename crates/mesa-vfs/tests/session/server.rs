//! A server that keeps what sessions append, with faults to be switched on. It checks what the
//! protocol demands of a client and panics on a violation.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use mesa_client::{AttachStream, SyncApi, SyncError, SyncErrorKind};
use mesa_object::{Domain, OrgKey};
use mesa_proto::v1::{self, client_message as cm, op::Kind, server_message as sm};
use mesa_types::ChangeId;
use parking_lot::Mutex;
use tokio::sync::mpsc;

pub const ROOT: u64 = (5 << 40) | 1;
pub const KEY: [u8; 32] = [7; 32];

type Out = mpsc::UnboundedSender<Result<v1::ServerMessage, SyncError>>;

pub struct SessionState {
    token: Vec<u8>,
    next_token: Option<Vec<u8>>,
    pub acked: u64,
    pub ops: Vec<v1::Op>,
    out: Option<(u64, Out)>,
    pub lost: Option<&'static str>,
    pub change: String,
    resend_from: Option<u64>,
    pub sharing: bool,
}

#[derive(Default)]
pub struct Faults {
    /// Every call fails so.
    pub refuse: Option<SyncErrorKind>,
    /// This many times a Hello is taken, but the answer is lost.
    pub lose_hello_ack: usize,
    /// This many times an Append is taken, and the stream cut before the Ack.
    pub cut_before_ack: usize,
    /// Appends are kept, unanswered.
    pub hold: bool,
    /// Uploads of these objects wait until the set is emptied.
    pub stall: HashSet<Bytes>,
    /// OpenHead names the session so.
    pub session_name: Option<&'static str>,
    /// OpenHead and HelloAck acknowledge this.
    pub acknowledge: Option<u64>,
    /// Undecided operations on these names are rejected with this code.
    pub reject: HashMap<Vec<u8>, &'static str>,
}

#[derive(Default, Clone, Copy, Debug)]
pub struct Calls {
    pub attaches: usize,
    pub appends: usize,
    pub has_chunks: usize,
    pub uploads: usize,
    pub uploaded_bytes: usize,
    pub chunk_reads: usize,
    pub closed: usize,
    /// Uploads that met [`Faults::stall`].
    pub stalled: usize,
}

#[derive(Default)]
pub struct Inner {
    pub sessions: BTreeMap<String, SessionState>,
    pub exclusive: Option<(String, u64)>,
    pub waiting: Vec<String>,
    leases: u64,
    names: u64,
    streams: u64,
    pub seq: u64,
    pub objects: HashMap<Bytes, Bytes>,
    pub faults: Faults,
    pub calls: Calls,
    held: Vec<(String, v1::Append)>,
    pub limits: v1::Limits,
}

pub struct Server {
    pub inner: Mutex<Inner>,
}

impl Server {
    pub fn new() -> Arc<Self> {
        let inner = Inner {
            limits: v1::Limits {
                inline_bytes_max: 64 << 10,
                append_bytes_max: 1 << 20,
                append_ops_max: 100,
                heartbeat_ms: 1000,
                ..v1::Limits::default()
            },
            ..Inner::default()
        };
        Arc::new(Self {
            inner: Mutex::new(inner),
        })
    }

    pub fn key() -> OrgKey {
        OrgKey::new(KEY)
    }

    /// The operations of a session by the names or sizes they carry.
    pub fn log(&self, session: &str) -> Vec<String> {
        let inner = self.inner.lock();
        let ops = inner.sessions.get(session).map(|s| s.ops.clone());
        ops.unwrap_or_default().iter().map(label).collect()
    }

    pub fn sessions(&self) -> Vec<String> {
        self.inner.lock().sessions.keys().cloned().collect()
    }

    pub fn calls(&self) -> Calls {
        self.inner.lock().calls
    }

    /// Ends every stream.
    pub fn cut(&self) {
        for session in self.inner.lock().sessions.values_mut() {
            session.out = None;
            session.sharing = false;
        }
    }

    /// Fences a session.
    pub fn fence(&self, session: &str, reason: &'static str) {
        let mut inner = self.inner.lock();
        inner.free(session);
        let state = inner.sessions.get_mut(session).unwrap();
        state.lost = Some(reason);
        state.send(sm::Kind::Fenced(v1::Fenced {
            reason: reason.to_owned(),
            message: "for the test".to_owned(),
            lost: None,
        }));
        state.out = None;
    }

    /// Asks the holder for the lease back, for nobody in particular.
    pub fn recall(&self, waiting: &str) {
        let mut inner = self.inner.lock();
        inner.waiting.push(waiting.to_owned());
        let (holder, lease) = inner.exclusive.clone().unwrap();
        let recall = v1::LeaseRecall {
            lease,
            deadline_ms: 10_000,
        };
        inner.sessions[&holder].send(sm::Kind::LeaseRecall(recall));
    }

    pub fn send(&self, session: &str, kind: sm::Kind) {
        self.inner.lock().sessions[session].send(kind);
    }

    pub fn held(&self) -> usize {
        self.inner.lock().held.len()
    }

    /// Answers what was held and holds no more.
    pub fn release(&self) {
        let mut inner = self.inner.lock();
        inner.faults.hold = false;
        for (session, append) in std::mem::take(&mut inner.held) {
            inner.append(&session, append);
        }
    }

    /// Answers the first message that is held.
    pub fn release_one(&self) {
        let mut inner = self.inner.lock();
        if !inner.held.is_empty() {
            let (session, append) = inner.held.remove(0);
            inner.append(&session, append);
        }
    }

    /// Uploads of these bytes wait.
    pub fn stall(&self, bytes: &[u8]) {
        let built = mesa_object::content::of_slice(&Self::key(), bytes);
        let ids = built.chunks.iter().map(|c| Bytes::copy_from_slice(&c.id.0));
        self.inner.lock().faults.stall.extend(ids);
    }

    pub fn unstall(&self) {
        self.inner.lock().faults.stall.clear();
    }

    pub fn put_content(&self, bytes: &[u8]) -> mesa_types::ContentRef {
        let built = mesa_object::content::of_slice(&Self::key(), bytes);
        let mut inner = self.inner.lock();
        let mut at = 0;
        for chunk in &built.chunks {
            let part = Bytes::copy_from_slice(&bytes[at..at + chunk.len as usize]);
            inner
                .objects
                .insert(Bytes::copy_from_slice(&chunk.id.0), part);
            at += chunk.len as usize;
        }
        for object in built.manifests {
            inner
                .objects
                .insert(Bytes::copy_from_slice(&object.id.0), object.bytes);
        }
        built.content
    }

    fn call(&self) -> Result<parking_lot::MutexGuard<'_, Inner>, SyncError> {
        let inner = self.inner.lock();
        match inner.faults.refuse {
            Some(kind) => Err(error(kind, "refused for the test")),
            None => Ok(inner),
        }
    }
}

pub fn label(op: &v1::Op) -> String {
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    match op.kind.as_ref().unwrap() {
        Kind::Create(create) => format!("create {}", text(&create.name)),
        Kind::Unlink(unlink) => format!("unlink {}", text(&unlink.name)),
        Kind::Rename(rename) => format!("rename {}", text(&rename.new_name)),
        Kind::SetAttr(_) => "attributes".to_owned(),
        Kind::SetContent(set) => {
            let size = set.content.as_ref().map_or(0, |c| c.size);
            format!("content {size}")
        }
        other => format!("{other:?}"),
    }
}

fn error(kind: SyncErrorKind, message: &str) -> SyncError {
    SyncError {
        kind,
        code: String::new(),
        message: message.to_owned(),
        retry_after_ms: None,
    }
}

impl SessionState {
    fn send(&self, kind: sm::Kind) {
        if let Some((_, out)) = &self.out {
            let _ = out.send(Ok(v1::ServerMessage { kind: Some(kind) }));
        }
    }
}

impl Inner {
    fn open(&mut self, change: String) -> (String, Vec<u8>) {
        self.names += 1;
        let name = format!("ses_{}", self.names);
        let token = format!("token {}", self.names).into_bytes();
        let state = SessionState {
            token: token.clone(),
            next_token: None,
            acked: 0,
            ops: Vec::new(),
            out: None,
            lost: None,
            change,
            resend_from: None,
            sharing: false,
        };
        self.sessions.insert(name.clone(), state);
        (name, token)
    }

    /// Why a session cannot go on with this token.
    fn judge(&self, session: &str, token: &[u8], last: u64) -> Option<&'static str> {
        let state = &self.sessions[session];
        if state.lost.is_some() {
            return state.lost;
        }
        let good = state.token == token || state.next_token.as_deref() == Some(token);
        if !good || last < state.acked {
            return Some("forked");
        }
        None
    }

    fn free(&mut self, session: &str) {
        if self.exclusive.as_ref().is_some_and(|(s, _)| s == session) {
            self.exclusive = None;
        }
    }

    fn grant(&mut self, session: &str) {
        let lease = match &self.exclusive {
            Some((holder, lease)) if holder == session => *lease,
            Some(_) => 0,
            None => {
                self.leases += 1;
                self.exclusive = Some((session.to_owned(), self.leases));
                self.leases
            }
        };
        let head_seq = self.seq;
        if let Some(state) = self.sessions.get_mut(session) {
            state.sharing = lease == 0;
            state.send(sm::Kind::LeaseGrant(v1::LeaseGrant {
                lease,
                exclusive: lease != 0,
                head_seq,
            }));
        }
    }

    fn message(&mut self, session: &str, message: v1::ClientMessage) {
        let state = self.sessions.get_mut(session).unwrap();
        if let Some(next) = state.next_token.take() {
            state.token = next;
        }
        match message.kind.unwrap() {
            cm::Kind::Append(append) if self.faults.hold => {
                self.held.push((session.to_owned(), append));
            }
            cm::Kind::Append(append) => self.append(session, append),
            cm::Kind::Heartbeat(_) => state.send(sm::Kind::Heartbeat(v1::Heartbeat::default())),
            cm::Kind::LeaseRequest(_) => {
                if self.waiting.is_empty() {
                    self.grant(session);
                }
            }
            cm::Kind::LeaseReturn(returned) => {
                let state = &self.sessions[session];
                if returned.idle {
                    assert!(state.sharing);
                    self.sessions.get_mut(session).unwrap().sharing = false;
                } else {
                    let held = (session.to_owned(), returned.lease);
                    assert_eq!(self.exclusive.take(), Some(held), "a lease nobody has");
                    self.waiting.clear();
                    // As if the other one had been granted shared mode.
                    self.exclusive = Some(("somebody else".to_owned(), 0));
                    self.grant(session);
                }
            }
            cm::Kind::IdRequest(request) => {
                let first = ROOT + 1_000_000 * self.names + 500_000;
                let count = request.count;
                state.send(sm::Kind::Ids(v1::IdRange { first, count }));
            }
            cm::Kind::Hello(_) => panic!("a second Hello"),
        }
    }

    fn append(&mut self, session: &str, append: v1::Append) {
        self.calls.appends += 1;
        let digest = mesa_proto::append_digest(&append.ops);
        assert_eq!(append.digest[..], digest, "the digest is of the operations");
        assert!(append.ops.len() <= self.limits.append_ops_max as usize);
        if append.lease == 0 {
            assert_eq!(append.ops.len(), 1, "one undecided operation at a time");
        } else {
            let held = Some((session.to_owned(), append.lease));
            assert_eq!(self.exclusive, held, "decided without the lease");
        }
        let state = self.sessions.get_mut(session).unwrap();
        if state
            .resend_from
            .is_some_and(|from| from != append.first_client_seq)
        {
            return;
        }
        state.resend_from = None;
        assert_eq!(
            append.first_client_seq,
            state.acked + 1,
            "no gap, nothing twice"
        );
        for (seq, op) in (append.first_client_seq..).zip(&append.ops) {
            let missing = lacking(&self.objects, op);
            if !missing.is_empty() {
                state.resend_from = Some(append.first_client_seq);
                state.send(sm::Kind::Reject(v1::Reject {
                    client_seq: seq,
                    code: "MISSING_CHUNKS".to_owned(),
                    missing,
                    ..v1::Reject::default()
                }));
                return;
            }
        }
        let name = match append.ops[0].kind.as_ref() {
            Some(Kind::Create(create)) => create.name.to_vec(),
            _ => Vec::new(),
        };
        if let Some(code) = self.faults.reject.get(&name).filter(|_| append.lease == 0) {
            state.acked = append.first_client_seq;
            state.send(sm::Kind::Reject(v1::Reject {
                client_seq: append.first_client_seq,
                code: (*code).to_owned(),
                head_seq: self.seq,
                ..v1::Reject::default()
            }));
            return;
        }
        state.acked += append.ops.len() as u64;
        self.seq += append.ops.len() as u64;
        for op in append.ops {
            if let Some(Kind::SetContent(set)) = &op.kind
                && !set.inline.is_empty()
            {
                let id = set.content.as_ref().unwrap().id.clone();
                self.objects.insert(id, set.inline.clone());
            }
            state.ops.push(op);
        }
        if self.faults.cut_before_ack > 0 {
            self.faults.cut_before_ack -= 1;
            state.out = None;
            return;
        }
        state.send(sm::Kind::Ack(v1::Ack {
            client_seq: state.acked,
            head_seq: self.seq,
            merged: Vec::new(),
        }));
    }
}

fn lacking(objects: &HashMap<Bytes, Bytes>, op: &v1::Op) -> Vec<Bytes> {
    let Some(Kind::SetContent(set)) = &op.kind else {
        return Vec::new();
    };
    let content = set.content.as_ref().unwrap();
    if content.size == 0 || !set.inline.is_empty() || objects.contains_key(&content.id) {
        return Vec::new();
    }
    vec![content.id.clone()]
}

pub struct Api(pub Arc<Server>);

#[async_trait::async_trait]
impl SyncApi for Api {
    async fn list_repos(
        &self,
        _: v1::ListReposRequest,
    ) -> Result<v1::ListReposResponse, SyncError> {
        Ok(v1::ListReposResponse::default())
    }

    async fn open_head(
        &self,
        request: v1::OpenHeadRequest,
    ) -> Result<v1::OpenHeadResponse, SyncError> {
        let mut inner = self.0.call()?;
        let mut answer = v1::OpenHeadResponse {
            repo: Some(v1::RepoInfo::default()),
            ..v1::OpenHeadResponse::default()
        };
        let change = match request.target.and_then(|t| t.kind) {
            Some(v1::target::Kind::Change(change)) => change,
            _ => ChangeId([1; 16]).to_string(),
        };
        let (session, token) = match request.resume {
            Some(resume) => {
                let last = resume.last_client_seq;
                if let Some(reason) = inner.judge(&resume.session, &resume.token, last) {
                    answer.lost = Some(v1::Lost {
                        reason: reason.to_owned(),
                        recovery_change: ChangeId([9; 16]).to_string(),
                        recovery_bookmark: format!("recovered/{}-1", resume.session),
                    });
                    return Ok(answer);
                }
                answer.resumed = true;
                answer.acked_client_seq = inner.sessions[&resume.session].acked;
                (resume.session, resume.token.to_vec())
            }
            None => inner.open(change),
        };
        let first = ROOT + 1_000_000 * inner.names;
        answer
            .change_id
            .clone_from(&inner.sessions[&session].change);
        answer.session = session;
        answer.resume_token = token.into();
        answer.head_seq = inner.seq;
        answer.root = Some(v1::Node {
            id: ROOT,
            kind: 2,
            mode: 0o755,
            nlink: 1,
            ..v1::Node::default()
        });
        answer.ids = Some(v1::IdRange {
            first,
            count: 10_000,
        });
        answer.limits = Some(inner.limits);
        answer.chunk_key = Bytes::copy_from_slice(&KEY);
        if let Some(name) = inner.faults.session_name {
            name.clone_into(&mut answer.session);
        }
        if let Some(seq) = inner.faults.acknowledge {
            answer.acked_client_seq = seq;
        }
        Ok(answer)
    }

    async fn attach(&self, _: &str, hello: v1::Hello) -> Result<AttachStream, SyncError> {
        let server = Arc::clone(&self.0);
        let mut inner = self.0.call()?;
        inner.calls.attaches += 1;
        let id = hello.session.clone();
        if let Some(reason) = inner.judge(&id, &hello.resume_token, hello.last_client_seq) {
            return Err(error(SyncErrorKind::Conflict, reason));
        }
        inner.streams += 1;
        let stream = inner.streams;
        let fresh = format!("token {id} {stream}").into_bytes();
        let lose = inner.faults.lose_hello_ack > 0;
        inner.faults.lose_hello_ack -= usize::from(lose);
        let head_seq = inner.seq;
        let acknowledge = inner.faults.acknowledge;
        let state = inner.sessions.get_mut(&id).unwrap();
        if state.next_token.as_deref() == Some(&hello.resume_token) {
            state.token = hello.resume_token.to_vec();
        }
        state.next_token = Some(fresh.clone());
        state.sharing = false;
        state.resend_from = None;
        if lose {
            state.out = None;
            return Err(error(SyncErrorKind::Unreachable, "the answer was lost"));
        }
        let (out, from) = mpsc::unbounded_channel();
        state.out = Some((stream, out));
        state.send(sm::Kind::HelloAck(v1::HelloAck {
            resume_token: fresh.into(),
            acked_client_seq: acknowledge.unwrap_or(state.acked),
            head_seq,
            replay_events: true,
            moved_seq: 0,
        }));
        let (to_server, mut inbox) = mpsc::channel::<v1::ClientMessage>(64);
        tokio::spawn(async move {
            while let Some(message) = inbox.recv().await {
                let mut inner = server.inner.lock();
                let live = inner.sessions.get(&id).and_then(|s| s.out.as_ref());
                if live.is_none_or(|(live, _)| *live != stream) {
                    return;
                }
                inner.message(&id, message);
            }
        });
        let from = futures::stream::unfold(from, |mut from| async move {
            from.recv().await.map(|message| (message, from))
        });
        Ok(AttachStream {
            to_server,
            from_server: from.boxed(),
        })
    }

    async fn get_nodes(
        &self,
        _: &str,
        _: v1::GetNodesRequest,
    ) -> Result<BoxStream<'static, Result<v1::NodeBatch, SyncError>>, SyncError> {
        drop(self.0.call()?);
        Ok(futures::stream::iter([Ok(v1::NodeBatch::default())]).boxed())
    }

    async fn get_chunks(
        &self,
        _: &str,
        request: v1::GetChunksRequest,
    ) -> Result<BoxStream<'static, Result<v1::ChunkData, SyncError>>, SyncError> {
        let mut inner = self.0.call()?;
        inner.calls.chunk_reads += 1;
        let ids: HashSet<_> = request.ids.iter().collect();
        assert_eq!(ids.len(), request.ids.len(), "asked twice in one call");
        let found: Vec<_> = request.ids.iter().map(|id| Ok(data(&inner, id))).collect();
        Ok(futures::stream::iter(found).boxed())
    }

    async fn get_manifests(
        &self,
        _: &str,
        request: v1::GetManifestsRequest,
    ) -> Result<BoxStream<'static, Result<v1::ChunkData, SyncError>>, SyncError> {
        let inner = self.0.call()?;
        let found: Vec<_> = request.ids.iter().map(|id| Ok(data(&inner, id))).collect();
        Ok(futures::stream::iter(found).boxed())
    }

    async fn has_chunks(
        &self,
        _: &str,
        request: v1::HasChunksRequest,
    ) -> Result<Vec<bool>, SyncError> {
        let mut inner = self.0.call()?;
        inner.calls.has_chunks += 1;
        let there = |id| inner.objects.contains_key(id);
        Ok(request.ids.iter().map(there).collect())
    }

    async fn upload(
        &self,
        _: &str,
        _: &str,
        manifests: bool,
        objects: Vec<(Bytes, Bytes)>,
    ) -> Result<v1::UploadResponse, SyncError> {
        let stalled = |inner: &Inner| {
            objects
                .iter()
                .any(|(id, _)| inner.faults.stall.contains(id))
        };
        if stalled(&self.0.inner.lock()) {
            self.0.inner.lock().calls.stalled += 1;
            while stalled(&self.0.inner.lock()) {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        }
        let mut inner = self.0.call()?;
        inner.calls.uploads += 1;
        let domain = if manifests {
            Domain::Manifest
        } else {
            Domain::Chunk
        };
        for (id, bytes) in objects {
            assert_eq!(Server::key().hash(domain, &bytes).0, id[..], "id = hash");
            inner.calls.uploaded_bytes += bytes.len();
            inner.objects.insert(id, bytes);
        }
        Ok(v1::UploadResponse::default())
    }

    async fn seal(&self, _: &str, _: v1::SealRequest) -> Result<v1::SealResponse, SyncError> {
        drop(self.0.call()?);
        Ok(v1::SealResponse::default())
    }

    async fn close_session(
        &self,
        _: &str,
        request: v1::CloseSessionRequest,
    ) -> Result<(), SyncError> {
        let mut inner = self.0.call()?;
        let token = &request.resume_token;
        assert_eq!(inner.judge(&request.session, token, u64::MAX), None);
        inner.calls.closed += 1;
        inner.free(&request.session);
        inner.sessions.get_mut(&request.session).unwrap().lost = Some("closed");
        Ok(())
    }
}

fn data(inner: &Inner, id: &Bytes) -> v1::ChunkData {
    let found = inner.objects.get(id).cloned();
    v1::ChunkData {
        id: id.clone(),
        missing: found.is_none(),
        size: found.as_ref().map_or(0, |bytes| bytes.len() as u32),
        data: found.unwrap_or_default(),
        codec: 0,
    }
}
