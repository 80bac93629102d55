//! The mount protocol with a credential that is kept good, and a note of what failed last.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use mesa_client::{AttachStream, SyncApi, SyncError, SyncErrorKind};
use mesa_proto::v1;
use parking_lot::Mutex;

use crate::credential::Keeper;

/// The last failure of any call, for the errors that callers get.
#[derive(Default)]
pub struct Failures(Mutex<(u64, Option<SyncError>)>);

impl Failures {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.0.lock().0
    }

    /// The last one, if nothing succeeded since it.
    pub fn last(&self) -> Option<SyncError> {
        self.0.lock().1.clone()
    }

    fn note<T>(&self, outcome: &Result<T, SyncError>) {
        let mut last = self.0.lock();
        match outcome {
            Ok(_) => last.1 = None,
            Err(error) => *last = (last.0 + 1, Some(error.clone())),
        }
    }
}

/// One org's calls.
pub struct Authorised {
    pub inner: Arc<dyn SyncApi>,
    pub keeper: Arc<Keeper>,
    pub failures: Arc<Failures>,
}

/// Makes a call, once more if its credential was refused and there is another.
macro_rules! call {
    ($self:ident, $call:expr) => {{
        let outcome = match $self.keeper.secret().await {
            Err(error) => Err(error),
            Ok((_, number)) => match $call.await {
                Err(error)
                    if error.kind == SyncErrorKind::Unauthenticated
                        && $self.keeper.refused(number).await =>
                {
                    $call.await
                }
                outcome => outcome,
            },
        };
        $self.failures.note(&outcome);
        outcome
    }};
}

#[async_trait]
impl SyncApi for Authorised {
    async fn list_repos(
        &self,
        request: v1::ListReposRequest,
    ) -> Result<v1::ListReposResponse, SyncError> {
        call!(self, self.inner.list_repos(request.clone()))
    }

    async fn open_head(
        &self,
        request: v1::OpenHeadRequest,
    ) -> Result<v1::OpenHeadResponse, SyncError> {
        call!(self, self.inner.open_head(request.clone()))
    }

    async fn attach(&self, org: &str, hello: v1::Hello) -> Result<AttachStream, SyncError> {
        call!(self, self.inner.attach(org, hello.clone()))
    }

    async fn get_nodes(
        &self,
        org: &str,
        request: v1::GetNodesRequest,
    ) -> Result<BoxStream<'static, Result<v1::NodeBatch, SyncError>>, SyncError> {
        call!(self, self.inner.get_nodes(org, request.clone()))
    }

    async fn get_chunks(
        &self,
        org: &str,
        request: v1::GetChunksRequest,
    ) -> Result<BoxStream<'static, Result<v1::ChunkData, SyncError>>, SyncError> {
        call!(self, self.inner.get_chunks(org, request.clone()))
    }

    async fn get_manifests(
        &self,
        org: &str,
        request: v1::GetManifestsRequest,
    ) -> Result<BoxStream<'static, Result<v1::ChunkData, SyncError>>, SyncError> {
        call!(self, self.inner.get_manifests(org, request.clone()))
    }

    async fn has_chunks(
        &self,
        org: &str,
        request: v1::HasChunksRequest,
    ) -> Result<Vec<bool>, SyncError> {
        call!(self, self.inner.has_chunks(org, request.clone()))
    }

    async fn upload(
        &self,
        org: &str,
        session: &str,
        manifests: bool,
        objects: Vec<(Bytes, Bytes)>,
    ) -> Result<v1::UploadResponse, SyncError> {
        call!(
            self,
            self.inner.upload(org, session, manifests, objects.clone())
        )
    }

    async fn seal(
        &self,
        org: &str,
        request: v1::SealRequest,
    ) -> Result<v1::SealResponse, SyncError> {
        call!(self, self.inner.seal(org, request.clone()))
    }

    async fn close_session(
        &self,
        org: &str,
        request: v1::CloseSessionRequest,
    ) -> Result<(), SyncError> {
        call!(self, self.inner.close_session(org, request.clone()))
    }
}
