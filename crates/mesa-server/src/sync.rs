//! The mount protocol over gRPC: credentials, streams and statuses around [`mesa_head::Heads`].

mod attach;
mod auth;
mod status;

use std::{pin::Pin, sync::Arc};

use futures::{Stream, StreamExt};
use mesa_head::{HeadError, HeadErrorKind, Heads};
use mesa_proto::{
    status::MESSAGE_BYTES_MAX,
    v1::{
        self,
        sync_server::{Sync, SyncServer},
    },
};
use mesa_repo::Authenticator;
use tonic::{Request, Response, Status, Streaming};

use self::{attach::Counting, auth::Auth, status::to_status};
use crate::{edge::rate::RateLimiter, metrics::Metrics};

/// The service to mount on the listener.
pub fn service(
    heads: Heads,
    authenticator: Authenticator,
    metrics: Arc<Metrics>,
) -> SyncServer<MountService> {
    SyncServer::new(MountService {
        auth: Auth::new(heads.catalog().clone(), authenticator),
        sessions: Arc::new(RateLimiter::new(SESSIONS_BURST, SESSIONS_PER_SECOND)),
        heads,
        metrics,
    })
    .max_decoding_message_size(MESSAGE_BYTES_MAX)
    .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

/// Sessions one key may open in a burst, and per second in the long run.
const SESSIONS_BURST: u32 = 500;
const SESSIONS_PER_SECOND: u32 = 20;

/// The mount protocol's calls.
#[derive(Clone)]
pub struct MountService {
    sessions: Arc<RateLimiter>,
    heads: Heads,
    auth: Auth,
    metrics: Arc<Metrics>,
}

/// A streamed answer.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn answers<T: 'static>(
    stream: impl Stream<Item = mesa_head::Result<T>> + Send + 'static,
) -> Response<Answers<T>> {
    Response::new(Box::pin(stream.map(|item| item.map_err(to_status))))
}

#[tonic::async_trait]
impl Sync for MountService {
    type AttachStream = Answers<v1::ServerMessage>;
    type GetNodesStream = Answers<v1::NodeBatch>;
    type GetChunksStream = Answers<v1::ChunkData>;
    type GetManifestsStream = Answers<v1::ChunkData>;

    async fn list_repos(
        &self,
        request: Request<v1::ListReposRequest>,
    ) -> Result<Response<v1::ListReposResponse>, Status> {
        let caller = self.auth.caller(&request).await?;
        let answer = self.heads.list_repos(&caller, request.into_inner()).await;
        answer.map(Response::new).map_err(to_status)
    }

    async fn open_head(
        &self,
        request: Request<v1::OpenHeadRequest>,
    ) -> Result<Response<v1::OpenHeadResponse>, Status> {
        let caller = self.auth.caller(&request).await?;
        if self
            .sessions
            .take(caller.key.as_str(), self.auth.now())
            .is_err()
        {
            return Err(to_status(HeadError::new(
                HeadErrorKind::Limited,
                "TOO_MANY_SESSIONS",
                "the key opens sessions faster than the server allows",
            )));
        }
        let answer = self.heads.open_head(&caller, request.into_inner()).await;
        answer.map(Response::new).map_err(to_status)
    }

    async fn attach(
        &self,
        request: Request<Streaming<v1::ClientMessage>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let caller = self.auth.caller(&request).await?;
        let stream = attach::attach(
            &self.heads,
            &self.auth,
            caller,
            Counting::new(Arc::clone(&self.metrics)),
            request.into_inner(),
        )
        .await?;
        Ok(Response::new(Box::pin(stream)))
    }

    async fn get_nodes(
        &self,
        request: Request<v1::GetNodesRequest>,
    ) -> Result<Response<Self::GetNodesStream>, Status> {
        let caller = self.auth.caller(&request).await?;
        let stream = self.heads.get_nodes(&caller, request.into_inner()).await;
        stream.map(answers).map_err(to_status)
    }

    async fn get_chunks(
        &self,
        request: Request<v1::GetChunksRequest>,
    ) -> Result<Response<Self::GetChunksStream>, Status> {
        let caller = self.auth.caller(&request).await?;
        let stream = self.heads.get_chunks(&caller, request.into_inner()).await;
        stream.map(answers).map_err(to_status)
    }

    async fn get_manifests(
        &self,
        request: Request<v1::GetManifestsRequest>,
    ) -> Result<Response<Self::GetManifestsStream>, Status> {
        let caller = self.auth.caller(&request).await?;
        let stream = self
            .heads
            .get_manifests(&caller, request.into_inner())
            .await;
        stream.map(answers).map_err(to_status)
    }

    async fn has_chunks(
        &self,
        request: Request<v1::HasChunksRequest>,
    ) -> Result<Response<v1::HasChunksResponse>, Status> {
        let caller = self.auth.caller(&request).await?;
        let answer = self.heads.has_chunks(&caller, request.into_inner()).await;
        answer.map(Response::new).map_err(to_status)
    }

    async fn upload_chunks(
        &self,
        request: Request<Streaming<v1::UploadRequest>>,
    ) -> Result<Response<v1::UploadResponse>, Status> {
        let caller = self.auth.caller(&request).await?;
        let mut messages = request.into_inner();
        let Some(first) = messages.message().await? else {
            return Err(Status::invalid_argument("an upload without a message"));
        };
        let mut upload = self
            .heads
            .upload(&caller, &first.session, first.manifests)
            .await
            .map_err(to_status)?;
        let mut next = Some(first);
        while let Some(message) = next {
            for object in message.objects {
                upload.push(object).await.map_err(to_status)?;
            }
            next = messages.message().await?;
        }
        // A long upload may outlive its credential.
        self.auth.recheck(&caller).await.map_err(to_status)?;
        let answer = upload.finish().await.map_err(to_status)?;
        Ok(Response::new(answer))
    }

    async fn seal(
        &self,
        request: Request<v1::SealRequest>,
    ) -> Result<Response<v1::SealResponse>, Status> {
        let caller = self.auth.caller(&request).await?;
        let answer = self.heads.seal_session(&caller, request.into_inner()).await;
        answer.map(Response::new).map_err(to_status)
    }

    async fn close_session(
        &self,
        request: Request<v1::CloseSessionRequest>,
    ) -> Result<Response<v1::CloseSessionResponse>, Status> {
        let caller = self.auth.caller(&request).await?;
        let answer = self
            .heads
            .close_session(&caller, request.into_inner())
            .await;
        answer.map(Response::new).map_err(to_status)
    }
}
