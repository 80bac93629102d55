//! The mount protocol as a trait, so that the client core runs over gRPC, over a server in the
//! same process, or in a simulation.

use bytes::Bytes;
use futures::stream::BoxStream;
use mesa_proto::v1;
use tokio::sync::mpsc;

/// What a caller can do about a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SyncErrorKind {
    /// The server could not be reached or is restarting: try again.
    Unreachable,
    /// The call took longer than its deadline: try again.
    TimedOut,
    /// The credential is missing, wrong, expired or revoked.
    Unauthenticated,
    /// The credential is good but does not allow this.
    Forbidden,
    /// The org, repo, bookmark, change or session does not exist for this credential.
    NotFound,
    /// The request contradicts the server's state (a stale resume token, a moved head).
    Conflict,
    /// Over a limit; `retry_after_ms` may say when to come back.
    Limited,
    /// The server refused the request as malformed: a bug or an incompatible version.
    Invalid,
    /// The server failed; its `trace_id` is in the message.
    Server,
}

/// A failed call.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct SyncError {
    /// What to do.
    pub kind: SyncErrorKind,
    /// The server's stable code, e.g. `KEY_EXPIRED`; empty when no server answered.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// Earliest useful retry in milliseconds, when the server said.
    pub retry_after_ms: Option<u64>,
}

/// An attached session's two directions. Dropping `to_server` ends the stream in good order.
pub struct AttachStream {
    /// Bounded: the sender waits when the link is slow.
    pub to_server: mpsc::Sender<v1::ClientMessage>,
    /// Ends with an error when the connection is lost.
    pub from_server: BoxStream<'static, Result<v1::ServerMessage, SyncError>>,
}

/// The mount protocol (`mesa.sync.v1`).
#[async_trait::async_trait]
#[allow(missing_docs)]
pub trait SyncApi: Send + Sync + 'static {
    async fn list_repos(
        &self,
        request: v1::ListReposRequest,
    ) -> Result<v1::ListReposResponse, SyncError>;
    async fn open_head(
        &self,
        request: v1::OpenHeadRequest,
    ) -> Result<v1::OpenHeadResponse, SyncError>;
    /// Sends `hello` and returns the stream; the first answer is `HelloAck`, or an error.
    async fn attach(&self, org: &str, hello: v1::Hello) -> Result<AttachStream, SyncError>;
    async fn get_nodes(
        &self,
        org: &str,
        request: v1::GetNodesRequest,
    ) -> Result<BoxStream<'static, Result<v1::NodeBatch, SyncError>>, SyncError>;
    /// Objects come decompressed (`codec` 0); the caller verifies `id`.
    async fn get_chunks(
        &self,
        org: &str,
        request: v1::GetChunksRequest,
    ) -> Result<BoxStream<'static, Result<v1::ChunkData, SyncError>>, SyncError>;
    async fn get_manifests(
        &self,
        org: &str,
        request: v1::GetManifestsRequest,
    ) -> Result<BoxStream<'static, Result<v1::ChunkData, SyncError>>, SyncError>;
    async fn has_chunks(
        &self,
        org: &str,
        request: v1::HasChunksRequest,
    ) -> Result<Vec<bool>, SyncError>;
    /// Uploads objects of one kind; returns when they are on stable storage.
    async fn upload(
        &self,
        org: &str,
        session: &str,
        manifests: bool,
        objects: Vec<(Bytes, Bytes)>,
    ) -> Result<v1::UploadResponse, SyncError>;
    async fn seal(
        &self,
        org: &str,
        request: v1::SealRequest,
    ) -> Result<v1::SealResponse, SyncError>;
    async fn close_session(
        &self,
        org: &str,
        request: v1::CloseSessionRequest,
    ) -> Result<(), SyncError>;
}
