//! A client of the mount protocol on the same port, small enough to fill repos for REST tests.

use mesa_proto::v1::{self, client_message, server_message, sync_client::SyncClient};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Streaming, metadata::MetadataValue, transport::Channel};

use crate::harness::TestServer;

pub struct Mount {
    pub client: SyncClient<Channel>,
    pub opened: v1::OpenHeadResponse,
    out: mpsc::Sender<v1::ClientMessage>,
    inbound: Streaming<v1::ServerMessage>,
    key: String,
    next_id: u64,
    next_seq: u64,
    lease: u64,
}

pub fn authorized<T>(key: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = MetadataValue::try_from(format!("Bearer {key}")).unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

fn kind(kind: client_message::Kind) -> v1::ClientMessage {
    v1::ClientMessage { kind: Some(kind) }
}

impl Mount {
    /// Attached with the lease.
    pub async fn open(server: &TestServer, key: &str, repo: &str) -> Self {
        let mut mount = Self::attached(server, key, repo).await;
        let ask = client_message::Kind::LeaseRequest(v1::LeaseRequest {});
        mount.out.send(kind(ask)).await.unwrap();
        mount.lease = loop {
            if let server_message::Kind::LeaseGrant(grant) = mount.message().await {
                break grant.lease;
            }
        };
        mount
    }

    /// Attached without asking for the lease.
    pub async fn attached(server: &TestServer, key: &str, repo: &str) -> Self {
        let mut client = SyncClient::connect(server.url("")).await.unwrap();
        let wanted = v1::OpenHeadRequest {
            org: "acme".to_owned(),
            repo: repo.to_owned(),
            ..v1::OpenHeadRequest::default()
        };
        let opened = client.open_head(authorized(key, wanted)).await.unwrap();
        let opened = opened.into_inner();
        let (out, messages) = mpsc::channel(16);
        let hello = v1::Hello {
            session: opened.session.clone(),
            resume_token: opened.resume_token.clone(),
            head_seq: opened.head_seq,
            last_client_seq: 0,
        };
        out.send(kind(client_message::Kind::Hello(hello)))
            .await
            .unwrap();
        let stream = authorized(key, ReceiverStream::new(messages));
        let inbound = client.attach(stream).await.unwrap().into_inner();
        Self {
            next_id: opened.ids.unwrap_or_default().first,
            client,
            opened,
            out,
            inbound,
            key: key.to_owned(),
            next_seq: 1,
            lease: 0,
        }
    }

    pub async fn message(&mut self) -> server_message::Kind {
        let message = self.inbound.message().await.unwrap().unwrap();
        message.kind.unwrap()
    }

    /// How the stream ends.
    pub async fn end(&mut self) -> Result<(), tonic::Status> {
        while self.inbound.message().await?.is_some() {}
        Ok(())
    }

    pub fn root(&self) -> u64 {
        self.opened.root.as_ref().unwrap().id
    }

    /// Appends operations without waiting for anything.
    pub async fn append(&mut self, ops: Vec<v1::Op>) -> u64 {
        let last = self.next_seq + ops.len() as u64 - 1;
        let append = v1::Append {
            first_client_seq: self.next_seq,
            digest: mesa_proto::append_digest(&ops).to_vec().into(),
            ops,
            actors: Vec::new(),
            lease: self.lease,
        };
        self.next_seq = last + 1;
        self.out
            .send(kind(client_message::Kind::Append(append)))
            .await
            .unwrap();
        last
    }

    /// Appends operations and waits until they are durable.
    pub async fn apply(&mut self, ops: Vec<v1::Op>) {
        let last = self.append(ops).await;
        loop {
            match self.message().await {
                server_message::Kind::Ack(ack) if ack.client_seq >= last => return,
                server_message::Kind::Reject(reject) => panic!("{reject:?}"),
                server_message::Kind::Fenced(fenced) => panic!("{fenced:?}"),
                _ => {}
            }
        }
    }

    /// Makes a node with content; answers its id.
    pub async fn create(&mut self, parent: u64, name: &[u8], what: What<'_>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let mut create = v1::Create {
            parent,
            name: name.to_vec().into(),
            id,
            ..v1::Create::default()
        };
        match what {
            What::Dir => (create.kind, create.mode) = (2, 0o755),
            What::Link(target) => {
                (create.kind, create.mode) = (3, 0o777);
                create.target = target.to_vec().into();
            }
            What::File(bytes, mode) => {
                (create.kind, create.mode) = (1, mode);
                let key: [u8; 32] = self.opened.chunk_key.to_vec().try_into().unwrap();
                let key = mesa_object::OrgKey::new(key);
                let built = mesa_object::content::of_slice(&key, bytes).content;
                if bytes.len() > 64 * 1024 {
                    self.upload(&key, bytes).await;
                } else {
                    create.inline = bytes.to_vec().into();
                }
                create.content = Some(mesa_proto::convert::content_to_wire(&built));
            }
        }
        let op = v1::Op {
            time_ns: 1_700_000_000_000_000_000,
            kind: Some(v1::op::Kind::Create(create)),
            ..v1::Op::default()
        };
        self.apply(vec![op]).await;
        id
    }

    async fn upload(&mut self, key: &mesa_object::OrgKey, bytes: &[u8]) {
        let built = mesa_object::content::of_slice(key, bytes);
        let mut at = 0;
        let chunks = built.chunks.iter().map(|chunk| {
            let data = &bytes[at..at + chunk.len as usize];
            at += data.len();
            mesa_object::Object::chunk(key, data.to_vec())
        });
        let sent = |objects: Vec<mesa_object::Object>, manifests| v1::UploadRequest {
            session: self.opened.session.clone(),
            manifests,
            objects: objects
                .into_iter()
                .map(|object| v1::ChunkData {
                    id: object.id.0.to_vec().into(),
                    size: object.bytes.len() as u32,
                    data: object.bytes,
                    ..v1::ChunkData::default()
                })
                .collect(),
        };
        let chunks: Vec<_> = chunks.collect();
        for (objects, manifests) in [(chunks, false), (built.manifests.clone(), true)] {
            let message = sent(objects, manifests);
            let stream = tokio_stream::once(message);
            self.client
                .upload_chunks(authorized(&self.key, stream))
                .await
                .unwrap();
        }
    }
}

#[derive(Clone, Copy)]
pub enum What<'a> {
    Dir,
    File(&'a [u8], u32),
    Link(&'a [u8]),
}
