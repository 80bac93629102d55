//! The mount protocol over gRPC.

mod error;

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use mesa_proto::{
    status::MESSAGE_BYTES_MAX,
    v1::{self, sync_client::SyncClient},
};
use parking_lot::RwLock;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming, metadata::MetadataValue, transport::Channel};

use crate::{
    credential::Credentials,
    origin::Origin,
    sync::{AttachStream, SyncApi, SyncError, SyncErrorKind},
    transport::{self, TransportError, TransportOptions},
};

/// How long calls may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// A call with one answer, and the first answer of a streamed one.
    pub call: Duration,
    /// Between two messages of a streamed answer.
    pub idle: Duration,
    /// An upload of at most `upload_bytes_max`.
    pub upload: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(30),
            idle: Duration::from_secs(30),
            upload: Duration::from_mins(2),
        }
    }
}

/// Messages of one session waiting for the link.
const ATTACH_QUEUE: usize = 64;
/// Bytes of objects in one upload message.
const UPLOAD_MESSAGE_BYTES: usize = 1024 * 1024;
/// Largest decompressed object a server may send.
const OBJECT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A connection to one server. Cheap to clone; all clones share the HTTP/2 connection, which is
/// made on first use and again after a loss.
#[derive(Clone)]
pub struct GrpcSync {
    origin: Origin,
    client: SyncClient<Channel>,
    credentials: Credentials,
    deadlines: Deadlines,
    /// Which repo a session belongs to, so that a repo's own credential is used for it.
    sessions: Arc<RwLock<HashMap<String, String>>>,
}

impl GrpcSync {
    /// Does not connect yet. `credentials` may be changed at any time by its other holders.
    pub fn new(
        origin: Origin,
        credentials: Credentials,
        options: &TransportOptions,
    ) -> Result<Self, TransportError> {
        let channel = transport::channel(&origin, options)?;
        let client = SyncClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Ok(Self {
            origin,
            client,
            credentials,
            deadlines: Deadlines::default(),
            sessions: Arc::default(),
        })
    }

    /// Other deadlines.
    #[must_use]
    pub fn with_deadlines(mut self, deadlines: Deadlines) -> Self {
        self.deadlines = deadlines;
        self
    }

    /// The server.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    fn request<T>(&self, org: &str, repo: &str, message: T) -> Result<Request<T>, SyncError> {
        let mut request = Request::new(message);
        if let Some(secret) = self.credentials.get(org, repo) {
            let value = format!("Bearer {}", secret.expose());
            let mut value = MetadataValue::try_from(value).map_err(|_| SyncError {
                kind: SyncErrorKind::Unauthenticated,
                code: "KEY_MALFORMED".to_owned(),
                message: format!("the credential for '{org}' has characters no key can have"),
                retry_after_ms: None,
            })?;
            value.set_sensitive(true);
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }

    fn session_request<T>(
        &self,
        org: &str,
        session: &str,
        message: T,
    ) -> Result<Request<T>, SyncError> {
        let repo = self
            .sessions
            .read()
            .get(session)
            .cloned()
            .unwrap_or_default();
        self.request(org, &repo, message)
    }

    async fn within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, SyncError> {
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(error::from_status(&self.origin, &status)),
            Err(_) => Err(timed_out(&self.origin, limit)),
        }
    }

    /// A streamed answer as the rest of the client wants it. Without `idle`, silence is fine.
    fn stream<T: Send + 'static>(
        &self,
        stream: Streaming<T>,
        idle: Option<Duration>,
    ) -> BoxStream<'static, Result<T, SyncError>> {
        let origin = self.origin.clone();
        futures::stream::unfold(Some(stream), move |state| {
            let origin = origin.clone();
            async move {
                let mut stream = state?;
                let next = match idle {
                    None => stream.next().await,
                    Some(limit) => match tokio::time::timeout(limit, stream.next()).await {
                        Ok(next) => next,
                        Err(_) => return Some((Err(timed_out(&origin, limit)), None)),
                    },
                };
                match next? {
                    Ok(message) => Some((Ok(message), Some(stream))),
                    Err(status) => Some((Err(error::from_status(&origin, &status)), None)),
                }
            }
        })
        .boxed()
    }

    fn chunks(
        &self,
        stream: Streaming<v1::ChunkData>,
    ) -> BoxStream<'static, Result<v1::ChunkData, SyncError>> {
        self.stream(stream, Some(self.deadlines.idle))
            .map(|chunk| chunk.and_then(decompress))
            .boxed()
    }
}

impl std::fmt::Debug for GrpcSync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrpcSync")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

fn timed_out(origin: &Origin, limit: Duration) -> SyncError {
    SyncError {
        kind: SyncErrorKind::TimedOut,
        code: String::new(),
        message: format!("{origin} did not answer within {} s", limit.as_secs()),
        retry_after_ms: None,
    }
}

/// An object in plain form whatever the codec was.
fn decompress(mut chunk: v1::ChunkData) -> Result<v1::ChunkData, SyncError> {
    let broken = |message: &str| SyncError {
        kind: SyncErrorKind::Server,
        code: "BAD_OBJECT".to_owned(),
        message: message.to_owned(),
        retry_after_ms: None,
    };
    match chunk.codec {
        0 => Ok(chunk),
        1 => {
            let size = chunk.size as usize;
            if size > OBJECT_BYTES_MAX {
                return Err(broken("the server sent an object over the size limit"));
            }
            let data = zstd::bulk::decompress(&chunk.data, size)
                .map_err(|_| broken("the server sent an object that does not decompress"))?;
            chunk.data = data.into();
            chunk.codec = 0;
            Ok(chunk)
        }
        _ => Err(broken("the server used an unknown compression")),
    }
}

/// Splits objects into upload messages of about [`UPLOAD_MESSAGE_BYTES`].
fn upload_messages(
    session: &str,
    manifests: bool,
    objects: Vec<(Bytes, Bytes)>,
) -> Vec<v1::UploadRequest> {
    let mut messages = vec![v1::UploadRequest {
        session: session.to_owned(),
        objects: Vec::new(),
        manifests,
    }];
    let mut bytes = 0;
    for (id, data) in objects {
        if bytes > 0 && bytes + data.len() > UPLOAD_MESSAGE_BYTES {
            bytes = 0;
            messages.push(v1::UploadRequest {
                manifests,
                ..Default::default()
            });
        }
        bytes += data.len();
        if let Some(last) = messages.last_mut() {
            last.objects.push(v1::ChunkData {
                id,
                size: data.len() as u32,
                data,
                codec: 0,
                missing: false,
            });
        }
    }
    messages
}

#[async_trait::async_trait]
impl SyncApi for GrpcSync {
    async fn list_repos(
        &self,
        request: v1::ListReposRequest,
    ) -> Result<v1::ListReposResponse, SyncError> {
        let request = self.request(&request.org.clone(), "", request)?;
        let mut client = self.client.clone();
        self.within(self.deadlines.call, client.list_repos(request))
            .await
    }

    async fn open_head(
        &self,
        request: v1::OpenHeadRequest,
    ) -> Result<v1::OpenHeadResponse, SyncError> {
        let (org, repo) = (request.org.clone(), request.repo.clone());
        let request = self.request(&org, &repo, request)?;
        let mut client = self.client.clone();
        let response = self
            .within(self.deadlines.call, client.open_head(request))
            .await?;
        self.sessions.write().insert(response.session.clone(), repo);
        Ok(response)
    }

    async fn attach(&self, org: &str, hello: v1::Hello) -> Result<AttachStream, SyncError> {
        let (to_server, queue) = mpsc::channel(ATTACH_QUEUE);
        let first = v1::ClientMessage {
            kind: Some(v1::client_message::Kind::Hello(hello.clone())),
        };
        let outgoing =
            futures::stream::once(async move { first }).chain(ReceiverStream::new(queue));
        let request = self.session_request(org, &hello.session, outgoing)?;
        let mut client = self.client.clone();
        let stream = self
            .within(self.deadlines.call, client.attach(request))
            .await?;
        Ok(AttachStream {
            to_server,
            from_server: self.stream(stream, None),
        })
    }

    async fn get_nodes(
        &self,
        org: &str,
        request: v1::GetNodesRequest,
    ) -> Result<BoxStream<'static, Result<v1::NodeBatch, SyncError>>, SyncError> {
        let request = self.session_request(org, &request.session.clone(), request)?;
        let mut client = self.client.clone();
        let stream = self
            .within(self.deadlines.call, client.get_nodes(request))
            .await?;
        Ok(self.stream(stream, Some(self.deadlines.idle)))
    }

    async fn get_chunks(
        &self,
        org: &str,
        request: v1::GetChunksRequest,
    ) -> Result<BoxStream<'static, Result<v1::ChunkData, SyncError>>, SyncError> {
        let request = self.session_request(org, &request.session.clone(), request)?;
        let mut client = self.client.clone();
        let stream = self
            .within(self.deadlines.call, client.get_chunks(request))
            .await?;
        Ok(self.chunks(stream))
    }

    async fn get_manifests(
        &self,
        org: &str,
        request: v1::GetManifestsRequest,
    ) -> Result<BoxStream<'static, Result<v1::ChunkData, SyncError>>, SyncError> {
        let request = self.session_request(org, &request.session.clone(), request)?;
        let mut client = self.client.clone();
        let stream = self
            .within(self.deadlines.call, client.get_manifests(request))
            .await?;
        Ok(self.chunks(stream))
    }

    async fn has_chunks(
        &self,
        org: &str,
        request: v1::HasChunksRequest,
    ) -> Result<Vec<bool>, SyncError> {
        let request = self.session_request(org, &request.session.clone(), request)?;
        let mut client = self.client.clone();
        let response = self
            .within(self.deadlines.call, client.has_chunks(request))
            .await?;
        Ok(response.present)
    }

    async fn upload(
        &self,
        org: &str,
        session: &str,
        manifests: bool,
        objects: Vec<(Bytes, Bytes)>,
    ) -> Result<v1::UploadResponse, SyncError> {
        let messages = futures::stream::iter(upload_messages(session, manifests, objects));
        let request = self.session_request(org, session, messages)?;
        let mut client = self.client.clone();
        self.within(self.deadlines.upload, client.upload_chunks(request))
            .await
    }

    async fn seal(
        &self,
        org: &str,
        request: v1::SealRequest,
    ) -> Result<v1::SealResponse, SyncError> {
        let request = self.session_request(org, &request.session.clone(), request)?;
        let mut client = self.client.clone();
        self.within(self.deadlines.call, client.seal(request)).await
    }

    async fn close_session(
        &self,
        org: &str,
        request: v1::CloseSessionRequest,
    ) -> Result<(), SyncError> {
        let session = request.session.clone();
        let request = self.session_request(org, &session, request)?;
        let mut client = self.client.clone();
        self.within(self.deadlines.call, client.close_session(request))
            .await?;
        self.sessions.write().remove(&session);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_unreachable_server_is_named_and_retryable() {
        // A port nobody listens on: bound, then closed.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let origin: Origin = format!("http://127.0.0.1:{port}").parse().unwrap();
        let sync =
            GrpcSync::new(origin, Credentials::default(), &TransportOptions::default()).unwrap();
        let error = sync
            .list_repos(v1::ListReposRequest::default())
            .await
            .unwrap_err();
        assert_eq!(error.kind, SyncErrorKind::Unreachable);
        assert!(
            error.message.contains(&format!("127.0.0.1:{port}")),
            "{error}"
        );
        assert!(error.message.to_lowercase().contains("refused"), "{error}");
    }

    #[tokio::test]
    async fn a_silent_server_times_out() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let origin: Origin = format!("http://127.0.0.1:{port}").parse().unwrap();
        let sync = GrpcSync::new(origin, Credentials::default(), &TransportOptions::default())
            .unwrap()
            .with_deadlines(Deadlines {
                call: Duration::from_millis(50),
                ..Deadlines::default()
            });
        let error = sync
            .list_repos(v1::ListReposRequest::default())
            .await
            .unwrap_err();
        assert_eq!(error.kind, SyncErrorKind::TimedOut, "{error}");
    }

    #[tokio::test]
    async fn a_credential_that_cannot_be_a_header_is_refused_here() {
        let origin: Origin = "http://127.0.0.1:1".parse().unwrap();
        let credentials = Credentials::single(crate::Secret::new("a\nb"));
        let sync = GrpcSync::new(origin, credentials, &TransportOptions::default()).unwrap();
        let error = sync
            .list_repos(v1::ListReposRequest::default())
            .await
            .unwrap_err();
        assert_eq!(error.kind, SyncErrorKind::Unauthenticated);
        assert!(!error.message.contains("a\nb"));
    }

    #[test]
    fn uploads_are_split_and_keep_order() {
        let objects: Vec<_> = (0u8..5)
            .map(|i| (Bytes::from(vec![i; 32]), Bytes::from(vec![i; 600 * 1024])))
            .collect();
        let messages = upload_messages("ses_1", true, objects);
        assert_eq!(messages.len(), 5);
        assert_eq!(messages[0].session, "ses_1");
        assert!(
            messages[1..]
                .iter()
                .all(|m| m.session.is_empty() && m.manifests)
        );
        let ids: Vec<u8> = messages
            .iter()
            .flat_map(|m| &m.objects)
            .map(|o| o.id[0])
            .collect();
        assert_eq!(ids, [0, 1, 2, 3, 4]);
        assert_eq!(upload_messages("s", false, Vec::new()).len(), 1);
    }

    #[test]
    fn decompression_is_bounded() {
        let data = zstd::bulk::compress(&[7; 1000], 3).unwrap();
        let chunk = |size: u32, codec: u32| v1::ChunkData {
            data: data.clone().into(),
            codec,
            size,
            ..Default::default()
        };
        let good = decompress(chunk(1000, 1)).unwrap();
        assert_eq!((good.codec, good.data.len()), (0, 1000));
        assert!(decompress(chunk(10, 1)).is_err());
        assert!(decompress(chunk(u32::MAX, 1)).is_err());
        assert!(decompress(chunk(1000, 9)).is_err());
    }
}
