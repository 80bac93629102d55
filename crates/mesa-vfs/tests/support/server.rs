//! The mount protocol over a plain map of nodes: leases, acknowledgements, events, listings,
//! chunks. No history, no sealing, no merging of content.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use mesa_client::{AttachStream, SyncApi, SyncError, SyncErrorKind};
use mesa_proto::v1::{self, client_message as cm, op::Kind, server_message as sm};
use mesa_types::NodeKind;
use parking_lot::Mutex;
use tokio::sync::mpsc;

pub const TAG: u32 = 77;
pub const ROOT: u64 = (TAG as u64) << 40 | 1;

#[derive(Debug, Clone)]
pub struct FakeNode {
    pub node: v1::Node,
    pub children: BTreeMap<Vec<u8>, u64>,
}

struct FakeSession {
    acked: u64,
    out: Option<mpsc::UnboundedSender<v1::ServerMessage>>,
    sharing: bool,
}

#[derive(Default)]
pub struct Calls {
    pub list_repos: usize,
    pub open_head: usize,
    pub get_nodes: usize,
    pub get_chunks: usize,
    pub has_chunks: usize,
    pub upload: usize,
    pub appends: usize,
    pub ops: usize,
    /// Sequences that sessions were at when they were given up.
    pub given_up_at: Vec<u64>,
}

struct Inner {
    nodes: HashMap<u64, FakeNode>,
    seq: u64,
    sessions: HashMap<String, FakeSession>,
    exclusive: Option<(String, u64)>,
    waiting: Vec<String>,
    next_lease: u64,
    next_session: u64,
    next_id: u64,
    chunks: HashMap<Bytes, Bytes>,
    repos: Vec<v1::RepoInfo>,
    calls: Calls,
    paused: bool,
    held: Vec<(String, v1::Append)>,
    read_only: bool,
    away: bool,
    lost: std::collections::HashSet<String>,
}

#[derive(Clone)]
pub struct FakeServer {
    inner: Arc<Mutex<Inner>>,
}

fn refusal(kind: SyncErrorKind, code: &str) -> SyncError {
    SyncError {
        kind,
        code: code.to_owned(),
        message: code.to_owned(),
        retry_after_ms: None,
    }
}

fn lost(session: &str, reason: &str) -> v1::Lost {
    v1::Lost {
        reason: reason.to_owned(),
        recovery_bookmark: format!("recovered/{session}-1"),
        ..v1::Lost::default()
    }
}

pub fn repo_info(name: &str, tag: u32) -> v1::RepoInfo {
    v1::RepoInfo {
        name: name.to_owned(),
        id: format!("repo_{name}"),
        default_bookmark: "main".to_owned(),
        tag,
        writable: true,
        created_ns: 1_000_000_000,
    }
}

impl FakeServer {
    pub fn new() -> Self {
        let root = v1::Node {
            id: ROOT,
            kind: NodeKind::Dir as u32,
            mode: 0o755,
            nlink: 1,
            mtime_ns: 5_000_000_000,
            ctime_ns: 5_000_000_000,
            ..v1::Node::default()
        };
        let root = FakeNode {
            node: root,
            children: BTreeMap::new(),
        };
        Self {
            inner: Arc::new(Mutex::new(Inner {
                nodes: HashMap::from([(ROOT, root)]),
                seq: 0,
                sessions: HashMap::new(),
                exclusive: None,
                waiting: Vec::new(),
                next_lease: 1,
                next_session: 1,
                next_id: ROOT + 1,
                chunks: HashMap::new(),
                repos: vec![repo_info("work", TAG)],
                calls: Calls::default(),
                paused: false,
                held: Vec::new(),
                read_only: false,
                away: false,
                lost: std::collections::HashSet::new(),
            })),
        }
    }

    pub fn add_repo(&self, name: &str, tag: u32) {
        self.inner.lock().repos.push(repo_info(name, tag));
    }

    pub fn remove_repo(&self, name: &str) {
        self.inner.lock().repos.retain(|r| r.name != name);
    }

    pub fn set_read_only(&self) {
        self.inner.lock().read_only = true;
    }

    pub fn calls<T>(&self, read: impl FnOnce(&Calls) -> T) -> T {
        read(&self.inner.lock().calls)
    }

    /// The head's base changes: these paths go, and everybody is told to read again.
    pub fn move_head(&self, removed: &[&str]) {
        let mut inner = self.inner.lock();
        for path in removed {
            let root = inner.nodes.get_mut(&ROOT).unwrap();
            let id = root.children.remove(path.as_bytes()).unwrap();
            inner.nodes.remove(&id);
        }
        inner.seq += 1;
        let moved = v1::HeadMoved {
            change_id: "k".repeat(32),
            commit_oid: String::new(),
            head_seq: inner.seq,
            same_tree: false,
        };
        let names: Vec<String> = inner.sessions.keys().cloned().collect();
        for name in names {
            inner.send(&name, sm::Kind::HeadMoved(moved.clone()));
        }
    }

    /// Every session is fenced; their recovery changes cannot be opened.
    pub fn fence_all(&self) {
        let mut inner = self.inner.lock();
        let names: Vec<String> = inner.sessions.keys().cloned().collect();
        inner.exclusive = None;
        for name in names {
            let fenced = v1::Fenced {
                reason: "unresponsive".to_owned(),
                lost: inner.away.then(|| lost(&name, "unresponsive")),
                ..v1::Fenced::default()
            };
            inner.send(&name, sm::Kind::Fenced(fenced));
            inner.sessions.remove(&name);
            inner.lost.insert(name);
        }
    }

    /// Every session is fenced, and no new one can be had until [`FakeServer::come_back`].
    pub fn fence_all_and_leave(&self) {
        self.inner.lock().away = true;
        self.fence_all();
    }

    /// Nobody is answered until [`FakeServer::come_back`].
    pub fn leave(&self) {
        self.inner.lock().away = true;
        self.disconnect();
    }

    pub fn come_back(&self) {
        self.inner.lock().away = false;
    }

    /// All streams end.
    pub fn disconnect(&self) {
        let mut inner = self.inner.lock();
        inner.held.clear();
        for session in inner.sessions.values_mut() {
            session.out = None;
        }
    }

    /// Appends are taken only after [`FakeServer::resume`].
    pub fn pause(&self) {
        self.inner.lock().paused = true;
    }

    /// Appends that wait for [`FakeServer::resume`].
    pub fn held(&self) -> usize {
        self.inner.lock().held.len()
    }

    /// Somebody replaces a file's content, and the old one goes, before anybody is told.
    pub fn replace_unseen(&self, path: &str, bytes: &[u8]) {
        let id = self.node(path).unwrap().id;
        let mut inner = self.inner.lock();
        let (content, chunk) = chunk_of(bytes);
        if let Some(id) = chunk {
            inner.chunks.insert(id, Bytes::copy_from_slice(bytes));
        }
        inner.seq += 1;
        let node = &mut inner.nodes.get_mut(&id).unwrap().node;
        if let Some(old) = node.content.replace(content) {
            inner.chunks.remove(&old.id);
        }
    }

    pub fn resume(&self) {
        let mut inner = self.inner.lock();
        inner.paused = false;
        let held = std::mem::take(&mut inner.held);
        for (session, append) in held {
            inner.append(&session, append);
        }
    }

    /// The tree as text: path, kind, mode, nlink and content of everything.
    pub fn tree(&self) -> BTreeMap<String, String> {
        let inner = self.inner.lock();
        let mut out = BTreeMap::new();
        inner.describe(ROOT, "", &mut out);
        out
    }

    pub fn node(&self, path: &str) -> Option<v1::Node> {
        let inner = self.inner.lock();
        let mut at = ROOT;
        for part in path.split('/').filter(|p| !p.is_empty()) {
            at = *inner.nodes.get(&at)?.children.get(part.as_bytes())?;
        }
        inner.nodes.get(&at).map(|n| n.node.clone())
    }

    pub fn content(&self, path: &str) -> Option<Vec<u8>> {
        let node = self.node(path)?;
        self.inner.lock().bytes(node.content.as_ref())
    }

    /// A file put there by nobody, before any mount.
    pub fn seed(&self, path: &str, kind: NodeKind, mode: u32, bytes: &[u8]) -> u64 {
        let mut inner = self.inner.lock();
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut parent = ROOT;
        for part in dir.split('/').filter(|p| !p.is_empty()) {
            parent = inner.nodes[&parent].children[part.as_bytes()];
        }
        let id = inner.next_id;
        inner.next_id += 1;
        let (content, chunk) = chunk_of(bytes);
        if let Some(id) = chunk {
            inner.chunks.insert(id, Bytes::copy_from_slice(bytes));
        }
        let node = v1::Node {
            id,
            kind: kind as u32,
            mode,
            nlink: 1,
            mtime_ns: 7_000_000_000,
            ctime_ns: 7_000_000_000,
            content: (kind == NodeKind::File).then_some(content),
            inline: match kind {
                NodeKind::Symlink => Bytes::copy_from_slice(bytes),
                _ => Bytes::new(),
            },
            ..v1::Node::default()
        };
        let fake = FakeNode {
            node,
            children: BTreeMap::new(),
        };
        inner.nodes.insert(id, fake);
        let name = name.as_bytes().to_vec();
        inner
            .nodes
            .get_mut(&parent)
            .unwrap()
            .children
            .insert(name, id);
        id
    }
}

pub const CHUNK_KEY: [u8; 32] = [9; 32];

fn chunk_of(bytes: &[u8]) -> (v1::ContentRef, Option<Bytes>) {
    if bytes.is_empty() {
        return (v1::ContentRef::default(), None);
    }
    assert!(bytes.len() <= 128 * 1024);
    let mut hasher = blake3::Hasher::new_keyed(&CHUNK_KEY);
    hasher.update(&[1]).update(bytes);
    let id = Bytes::copy_from_slice(hasher.finalize().as_bytes());
    let content = v1::ContentRef {
        size: bytes.len() as u64,
        id: id.clone(),
        manifest: false,
    };
    (content, Some(id))
}

impl Inner {
    fn present(&self) -> Result<(), SyncError> {
        if self.away {
            return Err(refusal(SyncErrorKind::Unreachable, "AWAY"));
        }
        Ok(())
    }

    fn bytes(&self, content: Option<&v1::ContentRef>) -> Option<Vec<u8>> {
        let Some(content) = content.filter(|c| c.size > 0) else {
            return Some(Vec::new());
        };
        if !content.manifest {
            return self.chunks.get(&content.id).map(|b| b.to_vec());
        }
        // Which chunks a manifest lists is not this server's business.
        Some(format!("manifest of {} bytes", content.size).into_bytes())
    }

    fn describe(&self, id: u64, path: &str, out: &mut BTreeMap<String, String>) {
        let fake = &self.nodes[&id];
        for (name, child) in &fake.children {
            let path = format!("{path}/{}", String::from_utf8_lossy(name));
            let node = &self.nodes[child].node;
            let content = match node.kind {
                k if k == NodeKind::File as u32 => {
                    self.bytes(node.content.as_ref())
                        .map_or("missing".to_owned(), |b| {
                            format!(
                                "{} {}",
                                b.len(),
                                hex::encode(&blake3::hash(&b).as_bytes()[..4])
                            )
                        })
                }
                k if k == NodeKind::Symlink as u32 => {
                    String::from_utf8_lossy(&node.inline).into_owned()
                }
                _ => String::new(),
            };
            let text = format!("{} {:o} {} {content}", node.kind, node.mode, node.nlink);
            out.insert(path.clone(), text);
            self.describe(*child, &path, out);
        }
    }

    fn send(&self, session: &str, kind: sm::Kind) {
        if let Some(out) = self.sessions.get(session).and_then(|s| s.out.as_ref()) {
            let _ = out.send(v1::ServerMessage { kind: Some(kind) });
        }
    }

    fn grant(&mut self, session: &str, exclusive: bool) {
        let lease = if exclusive {
            let lease = self.next_lease;
            self.next_lease += 1;
            self.exclusive = Some((session.to_owned(), lease));
            lease
        } else {
            0
        };
        if let Some(state) = self.sessions.get_mut(session) {
            state.sharing = !exclusive;
        }
        let grant = v1::LeaseGrant {
            lease,
            exclusive,
            head_seq: self.seq,
        };
        self.send(session, sm::Kind::LeaseGrant(grant));
    }

    fn lease_request(&mut self, session: &str) {
        if let Some((holder, lease)) = self.exclusive.clone() {
            if holder == session {
                let grant = v1::LeaseGrant {
                    lease,
                    exclusive: true,
                    head_seq: self.seq,
                };
                self.send(session, sm::Kind::LeaseGrant(grant));
                return;
            }
            self.waiting.push(session.to_owned());
            let recall = v1::LeaseRecall {
                lease,
                deadline_ms: 10_000,
            };
            self.send(&holder, sm::Kind::LeaseRecall(recall));
            return;
        }
        let others = self.sessions.iter().any(|(n, s)| s.sharing && n != session);
        self.grant(session, !others);
    }

    fn lease_return(&mut self, session: &str, back: v1::LeaseReturn) {
        if self
            .exclusive
            .as_ref()
            .is_some_and(|(h, l)| h == session && *l == back.lease)
        {
            self.exclusive = None;
            for other in std::mem::take(&mut self.waiting) {
                self.grant(&other, false);
            }
            if !back.idle {
                self.grant(session, false);
            }
        } else if let Some(state) = self.sessions.get_mut(session) {
            state.sharing = false;
        }
    }

    fn append(&mut self, session: &str, append: v1::Append) {
        if self.paused {
            self.held.push((session.to_owned(), append));
            return;
        }
        self.calls.appends += 1;
        let first = append.first_client_seq;
        let acked = self.sessions[session].acked;
        let mut taken = Vec::new();
        let mut last = acked;
        let first_seq = self.seq + 1;
        for (index, op) in append.ops.into_iter().enumerate() {
            let client_seq = first + index as u64;
            if client_seq <= acked {
                continue;
            }
            assert_eq!(client_seq, last + 1, "gap in client sequences");
            self.calls.ops += 1;
            match self.apply(&op) {
                Ok(()) => {
                    self.seq += 1;
                    last = client_seq;
                    taken.push(op);
                }
                Err(code) => {
                    let exclusive = append.lease != 0;
                    assert!(!exclusive, "refused in exclusive mode: {code} {op:?}");
                    last = client_seq;
                    let reject = v1::Reject {
                        client_seq,
                        code: code.to_owned(),
                        message: code.to_owned(),
                        missing: Vec::new(),
                        head_seq: self.seq,
                    };
                    self.send(session, sm::Kind::Reject(reject));
                }
            }
        }
        self.sessions.get_mut(session).unwrap().acked = last;
        if !taken.is_empty() {
            let entry = v1::LogEntry {
                first_seq,
                session: session.to_owned(),
                ops: taken,
                ..v1::LogEntry::default()
            };
            let others: Vec<String> = self
                .sessions
                .keys()
                .filter(|s| *s != session)
                .cloned()
                .collect();
            for other in others {
                let event = v1::Event {
                    entry: Some(entry.clone()),
                };
                self.send(&other, sm::Kind::Event(event));
            }
        }
        let ack = v1::Ack {
            client_seq: last,
            head_seq: self.seq,
            merged: Vec::new(),
        };
        self.send(session, sm::Kind::Ack(ack));
    }

    fn entry(&self, parent: u64, name: &[u8]) -> Result<Option<u64>, &'static str> {
        let dir = self.nodes.get(&parent).ok_or("ENOENT")?;
        if dir.node.kind != NodeKind::Dir as u32 {
            return Err("ENOTDIR");
        }
        Ok(dir.children.get(name).copied())
    }

    fn change_dir(&mut self, dir: u64, time: i64, name: &[u8], id: Option<u64>) {
        let dir = self.nodes.get_mut(&dir).unwrap();
        dir.node.mtime_ns = time;
        dir.node.ctime_ns = time;
        match id {
            Some(id) => dir.children.insert(name.to_vec(), id),
            None => dir.children.remove(name),
        };
    }

    fn drop_link(&mut self, id: u64, time: i64) {
        let node = self.nodes.get_mut(&id).unwrap();
        node.node.nlink -= 1;
        node.node.ctime_ns = time;
        if node.node.nlink == 0 {
            self.nodes.remove(&id);
        }
    }

    fn apply(&mut self, op: &v1::Op) -> Result<(), &'static str> {
        let time = op.time_ns;
        match op.kind.as_ref().unwrap() {
            Kind::Create(c) => {
                if self.entry(c.parent, &c.name)?.is_some() {
                    return Err("EEXIST");
                }
                let node = v1::Node {
                    id: c.id,
                    kind: c.kind,
                    mode: c.mode,
                    uid: c.uid,
                    gid: c.gid,
                    nlink: 1,
                    mtime_ns: if c.mtime_ns == 0 { time } else { c.mtime_ns },
                    ctime_ns: time,
                    content: c.content.clone(),
                    inline: c.target.clone(),
                    ..v1::Node::default()
                };
                let children = BTreeMap::new();
                assert!(!self.nodes.contains_key(&c.id), "id used twice");
                self.nodes.insert(c.id, FakeNode { node, children });
                self.change_dir(c.parent, time, &c.name, Some(c.id));
            }
            Kind::Link(l) => {
                if self.entry(l.parent, &l.name)?.is_some() {
                    return Err("EEXIST");
                }
                let node = self.nodes.get_mut(&l.id).ok_or("ENOENT")?;
                node.node.nlink += 1;
                node.node.ctime_ns = time;
                self.change_dir(l.parent, time, &l.name, Some(l.id));
            }
            Kind::Unlink(u) => {
                if self.entry(u.parent, &u.name)? != Some(u.id) {
                    return Err("ENOENT");
                }
                self.change_dir(u.parent, time, &u.name, None);
                self.drop_link(u.id, time);
            }
            Kind::Rmdir(r) => {
                if self.entry(r.parent, &r.name)? != Some(r.id) {
                    return Err("ENOENT");
                }
                if !self.nodes[&r.id].children.is_empty() {
                    return Err("ENOTEMPTY");
                }
                self.change_dir(r.parent, time, &r.name, None);
                self.nodes.remove(&r.id);
            }
            Kind::Rename(r) => {
                if self.entry(r.parent, &r.name)? != Some(r.id) {
                    return Err("ENOENT");
                }
                let there = self.entry(r.new_parent, &r.new_name)?;
                if there.unwrap_or(0) != r.replaced {
                    return Err("ESTALE");
                }
                if r.exchange {
                    self.change_dir(r.parent, time, &r.name, there);
                    self.change_dir(r.new_parent, time, &r.new_name, Some(r.id));
                    for id in [r.id, r.replaced] {
                        self.nodes.get_mut(&id).unwrap().node.ctime_ns = time;
                    }
                } else {
                    if let Some(there) = there {
                        if !self.nodes[&there].children.is_empty() {
                            return Err("ENOTEMPTY");
                        }
                        self.drop_link(there, time);
                    }
                    self.change_dir(r.parent, time, &r.name, None);
                    self.change_dir(r.new_parent, time, &r.new_name, Some(r.id));
                    self.nodes.get_mut(&r.id).unwrap().node.ctime_ns = time;
                }
            }
            Kind::SetAttr(s) => {
                let node = &mut self.nodes.get_mut(&s.id).ok_or("ENOENT")?.node;
                if let Some(mode) = s.mode {
                    node.mode = mode;
                }
                if s.set_owner {
                    node.uid = s.uid;
                    node.gid = s.gid;
                }
                node.mtime_ns = s.mtime_ns.unwrap_or(node.mtime_ns);
                node.ctime_ns = time;
            }
            Kind::SetContent(s) => {
                let content = s.content.clone().unwrap_or_default();
                if content.size > 0 && !s.inline.is_empty() {
                    self.chunks.insert(content.id.clone(), s.inline.clone());
                }
                let node = &mut self.nodes.get_mut(&s.id).ok_or("ENOENT")?.node;
                node.content = Some(content);
                node.mtime_ns = s.mtime_ns;
                node.ctime_ns = time;
            }
            Kind::SetXattr(s) => {
                let node = &mut self.nodes.get_mut(&s.id).ok_or("ENOENT")?.node;
                node.xattrs.retain(|x| x.name != s.name);
                node.xattrs.push(v1::Xattr {
                    name: s.name.clone(),
                    value: s.value.clone(),
                });
                node.ctime_ns = time;
            }
            Kind::RemoveXattr(r) => {
                let node = &mut self.nodes.get_mut(&r.id).ok_or("ENOENT")?.node;
                node.xattrs.retain(|x| x.name != r.name);
                node.ctime_ns = time;
            }
        }
        Ok(())
    }

    fn listing(&self, id: u64) -> v1::DirListing {
        let Some(fake) = self.nodes.get(&id) else {
            return v1::DirListing {
                id,
                error: "ENOENT".to_owned(),
                complete: true,
                ..v1::DirListing::default()
            };
        };
        let entry = |(name, child): (&Vec<u8>, &u64)| v1::Dentry {
            name: name.clone().into(),
            node: Some(self.nodes[child].node.clone()),
        };
        v1::DirListing {
            id,
            entries: fake.children.iter().map(entry).collect(),
            complete: true,
            error: String::new(),
        }
    }
}

#[async_trait::async_trait]
impl SyncApi for FakeServer {
    async fn list_repos(
        &self,
        _: v1::ListReposRequest,
    ) -> Result<v1::ListReposResponse, SyncError> {
        let mut inner = self.inner.lock();
        inner.calls.list_repos += 1;
        inner.present()?;
        Ok(v1::ListReposResponse {
            repos: inner.repos.clone(),
            next_cursor: String::new(),
        })
    }

    async fn open_head(
        &self,
        request: v1::OpenHeadRequest,
    ) -> Result<v1::OpenHeadResponse, SyncError> {
        let mut inner = self.inner.lock();
        inner.calls.open_head += 1;
        inner.present()?;
        let repo = inner.repos.iter().find(|r| r.name == request.repo).cloned();
        let repo = repo.ok_or_else(|| refusal(SyncErrorKind::NotFound, "REPO_NOT_FOUND"))?;
        if let Some(resume) = request.resume.as_ref().filter(|resume| resume.give_up) {
            inner.sessions.remove(&resume.session);
            inner.lost.insert(resume.session.clone());
            inner.calls.given_up_at.push(resume.head_seq);
        }
        if let Some(resume) = &request.resume
            && inner.lost.contains(&resume.session)
        {
            return Ok(v1::OpenHeadResponse {
                lost: Some(lost(&resume.session, "head_moved")),
                ..v1::OpenHeadResponse::default()
            });
        }
        let resumed = request
            .resume
            .as_ref()
            .filter(|r| inner.sessions.contains_key(&r.session));
        let (session, was) = match resumed {
            Some(resume) => (resume.session.clone(), true),
            None => {
                let name = format!("ses_{}", inner.next_session);
                inner.next_session += 1;
                let state = FakeSession {
                    acked: 0,
                    out: None,
                    sharing: false,
                };
                inner.sessions.insert(name.clone(), state);
                (name, false)
            }
        };
        let first = inner.next_id;
        inner.next_id += 100_000;
        Ok(v1::OpenHeadResponse {
            acked_client_seq: inner.sessions[&session].acked,
            session,
            resume_token: Bytes::from_static(b"token"),
            repo: Some(repo),
            change_id: "k".repeat(32),
            bookmark: "main".to_owned(),
            head: "head_1".to_owned(),
            epoch: 1,
            head_seq: inner.seq,
            root: Some(inner.nodes[&ROOT].node.clone()),
            ids: Some(v1::IdRange {
                first,
                count: 100_000,
            }),
            limits: Some(v1::Limits {
                inline_bytes_max: 65_536,
                append_bytes_max: 4 << 20,
                append_ops_max: 1000,
                unacked_ops_max: 100_000,
                unacked_bytes_max: 1 << 30,
                file_bytes_max: 1 << 40,
                chunks_per_call_max: 256,
                upload_bytes_max: 32 << 20,
                heartbeat_ms: 1000,
                lease_ttl_ms: 30_000,
            }),
            chunk_key: Bytes::copy_from_slice(&CHUNK_KEY),
            resumed: was,
            lost: None,
            read_only: inner.read_only || request.read_only,
            key_expires_ns: 0,
            server_now_ns: 1,
        })
    }

    async fn attach(&self, _: &str, hello: v1::Hello) -> Result<AttachStream, SyncError> {
        let (to_server, mut inbound) = mpsc::channel::<v1::ClientMessage>(64);
        let (out, outbound) = mpsc::unbounded_channel();
        {
            let mut inner = self.inner.lock();
            inner.present()?;
            let (seq, acked) = {
                let seq = inner.seq;
                let session = inner
                    .sessions
                    .get_mut(&hello.session)
                    .ok_or_else(|| refusal(SyncErrorKind::NotFound, "SESSION_NOT_FOUND"))?;
                session.out = Some(out);
                (seq, session.acked)
            };
            let ack = v1::HelloAck {
                resume_token: Bytes::from_static(b"token"),
                acked_client_seq: acked,
                head_seq: seq,
                replay_events: hello.head_seq == seq,
                moved_seq: 0,
            };
            inner.send(&hello.session, sm::Kind::HelloAck(ack));
        }
        let inner = Arc::clone(&self.inner);
        tokio::spawn(async move {
            while let Some(message) = inbound.recv().await {
                let mut inner = inner.lock();
                match message.kind {
                    Some(cm::Kind::Append(append)) => inner.append(&hello.session, append),
                    Some(cm::Kind::LeaseRequest(_)) => inner.lease_request(&hello.session),
                    Some(cm::Kind::LeaseReturn(back)) => inner.lease_return(&hello.session, back),
                    Some(cm::Kind::IdRequest(request)) => {
                        let first = inner.next_id;
                        inner.next_id += u64::from(request.count);
                        let range = v1::IdRange {
                            first,
                            count: request.count,
                        };
                        inner.send(&hello.session, sm::Kind::Ids(range));
                    }
                    _ => {}
                }
            }
        });
        let from_server = tokio_stream_of(outbound).map(Ok).boxed();
        Ok(AttachStream {
            to_server,
            from_server,
        })
    }

    async fn get_nodes(
        &self,
        _: &str,
        request: v1::GetNodesRequest,
    ) -> Result<BoxStream<'static, Result<v1::NodeBatch, SyncError>>, SyncError> {
        let mut inner = self.inner.lock();
        inner.calls.get_nodes += 1;
        inner.present()?;
        let mut wanted: Vec<(u64, u32)> = request.dirs.iter().map(|d| (d.id, 0)).collect();
        if wanted.is_empty() {
            wanted.push((ROOT, 0));
        }
        let mut dirs = Vec::new();
        while let Some((id, depth)) = wanted.pop() {
            let listing = inner.listing(id);
            if depth < request.depth {
                for entry in &listing.entries {
                    let node = entry.node.as_ref().unwrap();
                    if node.kind == NodeKind::Dir as u32 {
                        wanted.push((node.id, depth + 1));
                    }
                }
            }
            dirs.push(listing);
        }
        let batch = v1::NodeBatch {
            head_seq: inner.seq,
            dirs,
        };
        Ok(futures::stream::iter([Ok(batch)]).boxed())
    }

    async fn get_chunks(
        &self,
        _: &str,
        request: v1::GetChunksRequest,
    ) -> Result<BoxStream<'static, Result<v1::ChunkData, SyncError>>, SyncError> {
        let mut inner = self.inner.lock();
        inner.calls.get_chunks += 1;
        inner.present()?;
        Ok(futures::stream::iter(inner.data(request.ids)).boxed())
    }

    async fn get_manifests(
        &self,
        _: &str,
        request: v1::GetManifestsRequest,
    ) -> Result<BoxStream<'static, Result<v1::ChunkData, SyncError>>, SyncError> {
        let inner = self.inner.lock();
        Ok(futures::stream::iter(inner.data(request.ids)).boxed())
    }

    async fn has_chunks(
        &self,
        _: &str,
        request: v1::HasChunksRequest,
    ) -> Result<Vec<bool>, SyncError> {
        let mut inner = self.inner.lock();
        inner.calls.has_chunks += 1;
        Ok(request
            .ids
            .iter()
            .map(|id| inner.chunks.contains_key(id))
            .collect())
    }

    async fn upload(
        &self,
        _: &str,
        _: &str,
        _: bool,
        objects: Vec<(Bytes, Bytes)>,
    ) -> Result<v1::UploadResponse, SyncError> {
        let mut inner = self.inner.lock();
        inner.calls.upload += 1;
        let stored = objects.len() as u32;
        inner.chunks.extend(objects);
        Ok(v1::UploadResponse { stored, present: 0 })
    }

    async fn seal(&self, _: &str, _: v1::SealRequest) -> Result<v1::SealResponse, SyncError> {
        Ok(v1::SealResponse::default())
    }

    async fn close_session(
        &self,
        _: &str,
        request: v1::CloseSessionRequest,
    ) -> Result<(), SyncError> {
        let mut inner = self.inner.lock();
        inner.sessions.remove(&request.session);
        if inner
            .exclusive
            .as_ref()
            .is_some_and(|(s, _)| *s == request.session)
        {
            inner.exclusive = None;
        }
        Ok(())
    }
}

impl Inner {
    fn data(&self, ids: Vec<Bytes>) -> Vec<Result<v1::ChunkData, SyncError>> {
        let one = |id: Bytes| {
            let data = self.chunks.get(&id).cloned();
            Ok(v1::ChunkData {
                missing: data.is_none(),
                size: data.as_ref().map_or(0, |d| d.len() as u32),
                data: data.unwrap_or_default(),
                codec: 0,
                id,
            })
        };
        ids.into_iter().map(one).collect()
    }
}

fn tokio_stream_of<T: Send + 'static>(
    receiver: mpsc::UnboundedReceiver<T>,
) -> impl futures::Stream<Item = T> + Send {
    futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|item| (item, receiver))
    })
}
