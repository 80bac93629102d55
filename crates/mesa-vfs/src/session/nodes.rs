//! Metadata on demand.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream::BoxStream};
use mesa_proto::v1;

use super::{Session, open::timed_out};
use crate::{
    content::fetch::{denied, retryable},
    fs::{FsError, FsResult},
};

/// Answers of the server; the call is made again while nothing was answered yet.
pub(super) fn stream(
    session: Arc<Session>,
    request: v1::GetNodesRequest,
) -> BoxStream<'static, FsResult<v1::NodeBatch>> {
    let begin = async move {
        let deadline = session.config.tuning.deadline;
        match tokio::time::timeout(deadline, begin(&session, request)).await {
            Ok(stream) => stream,
            Err(_) => failed(FsError::Io),
        }
    };
    futures::stream::once(begin).flatten().boxed()
}

async fn begin(
    session: &Session,
    request: v1::GetNodesRequest,
) -> BoxStream<'static, FsResult<v1::NodeBatch>> {
    let org = session.config.org.as_str();
    let deadline = session.config.tuning.deadline;
    let mut delay = Duration::from_millis(50);
    loop {
        let attempt = async {
            let mut stream = session.config.api.get_nodes(org, request.clone()).await?;
            let first = stream.next().await.transpose()?;
            Ok((first, stream))
        };
        match attempt.await {
            Ok((first, rest)) => {
                let rest = within(rest, deadline);
                return futures::stream::iter(first.map(Ok)).chain(rest).boxed();
            }
            Err(error) if retryable(&error) => {
                tracing::debug!(%error, "metadata again");
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(Duration::from_secs(2));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read metadata");
                session.note_error(error.message.clone());
                return failed(denied(&error));
            }
        }
    }
}

type Batches = BoxStream<'static, Result<v1::NodeBatch, mesa_client::SyncError>>;

/// The rest of a stream, each item within the deadline; ends after an error.
fn within(stream: Batches, deadline: Duration) -> BoxStream<'static, FsResult<v1::NodeBatch>> {
    futures::stream::unfold(Some(stream), move |state| async move {
        let mut stream = state?;
        let next = tokio::time::timeout(deadline, stream.next())
            .await
            .unwrap_or_else(|_| Some(Err(timed_out())))?;
        match next {
            Ok(batch) => Some((Ok(batch), Some(stream))),
            Err(error) => {
                tracing::warn!(%error, "metadata was cut off");
                Some((Err(denied(&error)), None))
            }
        }
    })
    .boxed()
}

fn failed(error: FsError) -> BoxStream<'static, FsResult<v1::NodeBatch>> {
    futures::stream::iter([Err(error)]).boxed()
}
