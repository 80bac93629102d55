//! The mount protocol straight into a live layer in the same process: no sockets, no encoding.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use mesa_client::{AttachStream, SyncApi, SyncError, SyncErrorKind};
use mesa_head::{Access, HeadError, HeadErrorKind, Heads};
use mesa_proto::v1;
use mesa_repo::{Principal, Scope};
use parking_lot::Mutex;
use tokio::sync::mpsc;

/// Messages that may wait towards the head.
const QUEUE: usize = 64;

/// A client's connection to a server in this process. Clones are the same connection.
#[derive(Clone)]
pub struct InProcess {
    link: Arc<Mutex<Link>>,
    caller: Principal,
}

struct Link {
    /// `None` = the server cannot be reached.
    heads: Option<Heads>,
    /// Ends streams when the link is cut.
    cut: tokio::sync::watch::Sender<u64>,
}

impl InProcess {
    /// As `caller`, whose credential never ends.
    pub fn new(heads: Heads, caller: Principal) -> Self {
        Self {
            link: Arc::new(Mutex::new(Link {
                heads: Some(heads),
                cut: tokio::sync::watch::channel(0).0,
            })),
            caller,
        }
    }

    /// Cuts the connection: calls fail as unreachable and streams end, until
    /// [`Self::connect`]. What the server has taken stays taken.
    pub fn cut(&self) {
        let mut link = self.link.lock();
        link.heads = None;
        link.cut.send_modify(|count| *count += 1);
    }

    /// Connects to a server, perhaps a restarted one.
    pub fn connect(&self, heads: Heads) {
        self.cut();
        self.link.lock().heads = Some(heads);
    }

    fn heads(&self) -> Result<Heads, SyncError> {
        self.link.lock().heads.clone().ok_or_else(unreachable)
    }

    /// Resolves when the connection as of now is cut.
    fn until_cut(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut cut = self.link.lock().cut.subscribe();
        async move {
            cut.mark_unchanged();
            // The sender lives as long as the link; its end is a cut too.
            let _ = cut.changed().await;
        }
    }

    fn stream<T: Send + 'static>(
        &self,
        stream: impl futures::Stream<Item = mesa_head::Result<T>> + Send + 'static,
    ) -> BoxStream<'static, Result<T, SyncError>> {
        let cut = futures::stream::once(self.until_cut()).map(|()| Err(unreachable()));
        let items = stream.map(|item| item.map_err(error));
        let ended = items.map(Some).chain(futures::stream::iter([None]));
        futures::stream::select(ended, cut.map(Some))
            .scan(false, |over, item| {
                let stop = *over || item.is_none();
                *over |= item.as_ref().is_none_or(Result::is_err);
                futures::future::ready(if stop { None } else { Some(item) })
            })
            .filter_map(futures::future::ready)
            .boxed()
    }
}

fn unreachable() -> SyncError {
    SyncError {
        kind: SyncErrorKind::Unreachable,
        code: String::new(),
        message: "the connection is cut".to_owned(),
        retry_after_ms: None,
    }
}

fn error(error: HeadError) -> SyncError {
    let kind = match error.kind {
        HeadErrorKind::NotFound => SyncErrorKind::NotFound,
        HeadErrorKind::Unauthenticated => SyncErrorKind::Unauthenticated,
        HeadErrorKind::Forbidden => SyncErrorKind::Forbidden,
        HeadErrorKind::Conflict => SyncErrorKind::Conflict,
        HeadErrorKind::Invalid => SyncErrorKind::Invalid,
        HeadErrorKind::Limited | HeadErrorKind::Full => SyncErrorKind::Limited,
        HeadErrorKind::Unavailable => SyncErrorKind::Unreachable,
        _ => SyncErrorKind::Server,
    };
    SyncError {
        kind,
        code: error.code.to_owned(),
        message: error.message.into_owned(),
        retry_after_ms: None,
    }
}

#[async_trait::async_trait]
impl SyncApi for InProcess {
    async fn list_repos(
        &self,
        request: v1::ListReposRequest,
    ) -> Result<v1::ListReposResponse, SyncError> {
        let heads = self.heads()?;
        heads.list_repos(&self.caller, request).await.map_err(error)
    }

    async fn open_head(
        &self,
        request: v1::OpenHeadRequest,
    ) -> Result<v1::OpenHeadResponse, SyncError> {
        let heads = self.heads()?;
        heads.open_head(&self.caller, request).await.map_err(error)
    }

    async fn attach(&self, _org: &str, hello: v1::Hello) -> Result<AttachStream, SyncError> {
        let heads = self.heads()?;
        let attached = heads.attach(&self.caller, hello).await.map_err(error)?;
        let head = attached.sender();
        let (to_server, mut inbound) = mpsc::channel::<v1::ClientMessage>(QUEUE);
        let access = Access::Good {
            key: self.caller.key.clone(),
            write: self.caller.scopes.allow(Scope::Write),
        };
        let cut = self.until_cut();
        let (over, ended) = tokio::sync::oneshot::channel::<()>();
        tokio::spawn(async move {
            let forward = async {
                while let Some(message) = inbound.recv().await {
                    if head.send(access.clone(), message).await.is_err() {
                        break;
                    }
                }
            };
            tokio::select! {
                () = forward => {}
                () = cut => {}
            }
            // Dropping `over` ends the other direction, as closing a connection does.
            drop(over);
        });
        let from_server = self.stream(attached).take_until(ended).boxed();
        Ok(AttachStream {
            to_server,
            from_server,
        })
    }

    async fn get_nodes(
        &self,
        _org: &str,
        request: v1::GetNodesRequest,
    ) -> Result<BoxStream<'static, Result<v1::NodeBatch, SyncError>>, SyncError> {
        let heads = self.heads()?;
        let stream = heads
            .get_nodes(&self.caller, request)
            .await
            .map_err(error)?;
        Ok(self.stream(stream))
    }

    async fn get_chunks(
        &self,
        _org: &str,
        request: v1::GetChunksRequest,
    ) -> Result<BoxStream<'static, Result<v1::ChunkData, SyncError>>, SyncError> {
        let heads = self.heads()?;
        let stream = heads
            .get_chunks(&self.caller, request)
            .await
            .map_err(error)?;
        Ok(self.stream(stream))
    }

    async fn get_manifests(
        &self,
        _org: &str,
        request: v1::GetManifestsRequest,
    ) -> Result<BoxStream<'static, Result<v1::ChunkData, SyncError>>, SyncError> {
        let heads = self.heads()?;
        let stream = heads.get_manifests(&self.caller, request).await;
        Ok(self.stream(stream.map_err(error)?))
    }

    async fn has_chunks(
        &self,
        _org: &str,
        request: v1::HasChunksRequest,
    ) -> Result<Vec<bool>, SyncError> {
        let heads = self.heads()?;
        let answer = heads.has_chunks(&self.caller, request).await;
        answer.map(|answer| answer.present).map_err(error)
    }

    async fn upload(
        &self,
        _org: &str,
        session: &str,
        manifests: bool,
        objects: Vec<(Bytes, Bytes)>,
    ) -> Result<v1::UploadResponse, SyncError> {
        let heads = self.heads()?;
        let mut upload = heads
            .upload(&self.caller, session, manifests)
            .await
            .map_err(error)?;
        for (id, data) in objects {
            let object = v1::ChunkData {
                id,
                size: data.len() as u32,
                data,
                codec: 0,
                missing: false,
            };
            upload.push(object).await.map_err(error)?;
        }
        upload.finish().await.map_err(error)
    }

    async fn seal(
        &self,
        _org: &str,
        request: v1::SealRequest,
    ) -> Result<v1::SealResponse, SyncError> {
        let heads = self.heads()?;
        heads
            .seal_session(&self.caller, request)
            .await
            .map_err(error)
    }

    async fn close_session(
        &self,
        _org: &str,
        request: v1::CloseSessionRequest,
    ) -> Result<(), SyncError> {
        let heads = self.heads()?;
        let closed = heads.close_session(&self.caller, request).await;
        closed.map(|_| ()).map_err(error)
    }
}
