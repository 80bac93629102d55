//! The session as the tree uses it.

use std::sync::{Arc, Weak};

use futures::stream::BoxStream;
use mesa_client::SyncError;
use mesa_proto::v1;
use mesa_types::{ContentRef, FileId, Nanos};

use super::{
    Actor, Applied, ClientSeq, HeadInfo, Later, Mode, NodeTimes, OpenError, Opened, Refused, SessionConfig,
    Status, TreeSink,
};
use crate::{
    content::{CleanFile, Content, WorkFile},
    fs::{FsError, FsResult, Step},
};

/// One attached repo head. All methods may be called from any thread and none blocks.
pub struct Session {}

impl Session {
    /// Joins the head (or resumes the session of the state directory) and reads the journal.
    pub async fn open(config: SessionConfig) -> Result<Opened, OpenError> {
        drop(config);
        Err(OpenError::Answer("not built yet"))
    }

    /// Attaches: from here on `sink` is called, and the journal is sent. Call once, after the
    /// tree has replayed [`Opened::ops`].
    pub fn start(self: &Arc<Self>, sink: Weak<dyn TreeSink>) {
        let _ = sink;
    }

    /// The head as last opened.
    pub fn info(&self) -> Arc<HeadInfo> {
        panic!("not built yet")
    }

    /// How a change can be made now. Asks for the lease when there is none.
    pub fn mode(self: &Arc<Self>) -> Mode {
        Mode::Refused(FsError::NotSupported)
    }

    /// Takes an operation decided under the exclusive lease: journals it, gives it its place,
    /// queues it. With `work`, the same write marks that file as served from its work file (for a
    /// create). Synchronous and ordered; call it under the lock that orders decisions.
    pub fn append(
        &self,
        op: v1::Op,
        actor: &Actor,
        work: Option<&Arc<WorkFile>>,
    ) -> Result<ClientSeq, Refused> {
        let _ = (op, actor, work);
        Err(Refused::Failed(FsError::NotSupported))
    }

    /// Gives the present content (and mtime) of `work` a place in the order, if it changed since
    /// the last time; the bytes are read and sent behind it. Allowed in every mode. `path` is the
    /// path hint of the node now, `times` its times as the tree has them (see [`NodeTimes`]).
    /// `None`: nothing changed.
    pub fn append_content(
        &self,
        work: &Arc<WorkFile>,
        path: &[u8],
        times: NodeTimes,
        actor: &Actor,
    ) -> Result<Option<ClientSeq>, Refused> {
        let _ = (work, path, times, actor);
        Err(Refused::Failed(FsError::NotSupported))
    }

    /// Sends an operation for the server to decide (shared mode) and waits for its effect. Fails
    /// with the server's verdict, or `Io` after the deadline (the operation may still happen and
    /// then arrives as [`TreeSink::on_applied`]). `Busy`: the mode changed, ask [`Session::mode`]
    /// again.
    pub fn submit(self: &Arc<Self>, op: v1::Op, actor: &Actor) -> Later<FsResult<Applied>> {
        let _ = (op, actor);
        Box::pin(std::future::ready(Err(FsError::NotSupported)))
    }

    /// Place of the last operation.
    pub fn last_seq(&self) -> ClientSeq {
        ClientSeq(0)
    }

    /// Last head sequence the sink was told of.
    pub fn head_seq(&self) -> super::HeadSeq {
        super::HeadSeq(0)
    }

    /// Waits until everything up to `seq` is on the server's stable storage; `Io` after the
    /// deadline.
    pub fn wait_acked(self: &Arc<Self>, seq: ClientSeq) -> Later<FsResult<()>> {
        let _ = seq;
        Box::pin(std::future::ready(Err(FsError::NotSupported)))
    }

    /// fsync of one file in this session's durability class: its content as it is now and all
    /// earlier operations.
    pub fn fsync(
        self: &Arc<Self>,
        work: Option<(&Arc<WorkFile>, NodeTimes)>,
        path: &[u8],
        actor: &Actor,
    ) -> Step<()> {
        let _ = (work, path, actor);
        Step::Done(Err(FsError::NotSupported))
    }

    /// A file id that was never used. `None`: the reserve is empty; await what
    /// [`Session::mode`] gives.
    pub fn next_id(&self) -> Option<FileId> {
        None
    }

    /// An empty work file for a file about to be created (or an unnamed one). Pass it to
    /// [`Session::append`] with the create. Its mtime is set to `mtime`, the node's, so that
    /// nothing counts as changed before something is written.
    pub fn create_work(&self, file: FileId, mtime: Nanos) -> FsResult<Arc<WorkFile>> {
        let _ = (file, mtime);
        Err(FsError::NotSupported)
    }

    /// A work file for an existing file about to be opened for writing, holding the first `keep`
    /// bytes of `content` (`u64::MAX` = all). When the node is open for reading through `clean`,
    /// pass it: the work file then has the same [`crate::fs::Backing`], so that those readers see
    /// the writes. Journals the mark. The work file's mtime is set to `mtime`, the node's; with
    /// all of `content` kept, it counts as unchanged until something is written.
    pub fn open_work(
        self: &Arc<Self>,
        file: FileId,
        content: ContentRef,
        mtime: Nanos,
        keep: u64,
        clean: Option<Arc<CleanFile>>,
    ) -> Step<Arc<WorkFile>> {
        let _ = (file, content, mtime, keep, clean);
        Step::Done(Err(FsError::NotSupported))
    }

    /// The node is gone, or is served from the cache again.
    pub fn drop_work(&self, work: &Arc<WorkFile>) {
        let _ = work;
    }

    /// Clean content of this repo.
    pub fn content(&self) -> &Content {
        panic!("not built yet")
    }

    /// Metadata of directories (see the protocol). Retries until the deadline while nothing was
    /// answered yet.
    pub fn nodes(
        self: &Arc<Self>,
        dirs: Vec<v1::DirRef>,
        depth: u32,
        inline_bytes_max: u32,
        nodes_max: u32,
    ) -> BoxStream<'static, FsResult<v1::NodeBatch>> {
        let _ = (dirs, depth, inline_bytes_max, nodes_max);
        Box::pin(futures::stream::empty())
    }

    /// Looks at every work file that may have changed (calling [`TreeSink::on_work_changed`]) and
    /// waits until everything is on the server.
    pub fn sync(self: &Arc<Self>) -> Later<FsResult<()>> {
        Box::pin(std::future::ready(Err(FsError::NotSupported)))
    }

    /// Folds the head into a commit now.
    pub async fn seal(&self) -> Result<v1::SealResponse, SyncError> {
        Err(super::not_attached())
    }

    /// The credential may have changed: try again now.
    pub fn credential_changed(&self) {}

    /// Numbers for status.
    pub fn status(&self) -> Status {
        panic!("not built yet")
    }

    /// Syncs, ends the session on the server and deletes its state if nothing is left in it. With
    /// an error everything unsent stays journalled for the next start.
    pub async fn close(&self) -> FsResult<()> {
        Ok(())
    }
}
