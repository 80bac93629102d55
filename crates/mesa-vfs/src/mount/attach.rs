//! Opening a repo: the session, the tree, what was left from the last run.

use std::{collections::HashSet, path::PathBuf, sync::Arc, time::Duration};

use mesa_proto::v1::{self, op::Kind};
use mesa_types::FileId;

use super::{
    config::{OrgConfig, RepoConfig},
    env::Env,
    repo::Repo,
    sink::{Sink, retire},
};
use crate::{
    fs::{FsError, FsResult, Notice},
    session::{
        Actor, ClientSeq, OpenError, RecoveredOp, RecoveredWork, Session, SessionConfig,
        SessionTarget, TreeSink,
    },
    tree::{Origin, Tree, node_from_wire},
};

/// By then events of what happened before the connection have arrived.
const SETTLED: Duration = Duration::from_secs(3);

/// Between attempts to read the whole tree.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// A repo in use: the repo, and what its session reports to.
pub struct Attached {
    pub repo: Arc<Repo>,
    // The session holds it weakly.
    _sink: Arc<Sink>,
}

/// Opens a repo as configured. `node_tag` is its number range in the mount.
pub async fn attach(
    env: Arc<Env>,
    org: &OrgConfig,
    settings: RepoConfig,
    repo_id: &str,
    node_tag: u32,
) -> Result<Attached, OpenError> {
    let config = &env.config;
    let state_dir = state_dir(&env, org, &settings);
    let opened = Session::open(SessionConfig {
        api: Arc::clone(&org.api),
        org: org.slug.clone(),
        repo: settings.name.clone(),
        repo_id: Some(repo_id.to_owned()).filter(|id| !id.is_empty()),
        target: settings.target.clone(),
        isolate: settings.isolate,
        read_only: settings.read_only,
        durability: config.durability,
        state_dir,
        content: Arc::clone(&config.content),
        client: config.client.clone(),
        host: config.host.clone(),
        clock: Arc::clone(&config.clock),
        random: Arc::clone(&config.random),
        quiet: config.quiet.clone(),
        tuning: config.tuning.clone(),
    })
    .await?;
    let info = opened.session.info();
    let root = node_from_wire(info.root.clone())
        .map_err(|_| OpenError::Answer("its root is not a node"))?;
    let mut tree = Tree::new(root, info.head_seq.0, node_tag);
    tree.number_versions_from((config.random)());
    let repo = Arc::new(Repo::new(
        Arc::clone(&env),
        Arc::clone(&opened.session),
        tree,
        info.read_only || settings.read_only,
    ));
    let included = match &opened.away {
        Some(away) => {
            repo.take_away(away.nodes().clone())
                .map_err(|_| OpenError::Answer("its stored tree is unusable"))?;
            repo.with(|state| state.sole = away.lease().is_some());
            away.included()
        }
        None => ClientSeq(0),
    };
    let unsure = repo.replay(opened.ops, included).await;
    let prefetch = config.prefetch;
    let left = repo.adopt(opened.works);
    let whole = opened.away.is_none();
    if whole && (unsure || !left.is_empty()) {
        // Names of those files are somewhere in the tree; without all of it nothing may be dropped.
        let read = Arc::clone(&repo).prefetch(u32::MAX, 0).await;
        read.map_err(|_| OpenError::Answer("its tree could not be read whole"))?;
    }
    let sink = Arc::new(Sink(Arc::clone(&repo)));
    let as_trait: Arc<dyn TreeSink> = Arc::clone(&sink) as Arc<dyn TreeSink>;
    opened.session.start(Arc::downgrade(&as_trait));
    repo.resume_works(whole);
    if !whole {
        config.runtime.spawn(Arc::clone(&repo).resume_rest());
    }
    if prefetch.enabled {
        let ahead = Arc::clone(&repo);
        config.runtime.spawn(async move {
            if let Err(error) = ahead.prefetch(prefetch.depth, prefetch.nodes_max).await {
                tracing::debug!(%error, "reading the tree ahead ended early");
            }
        });
    }
    // The directory was shown without the repo being open.
    let node = repo.with(|state| state.tree.node_id(state.tree.root()));
    env.notify(vec![Notice::Node { node, data: false }]);
    repo.ask_for_inherited();
    Ok(Attached { repo, _sink: sink })
}

/// Where a repo's session keeps its journal and files.
pub fn state_dir(env: &Env, org: &OrgConfig, settings: &RepoConfig) -> PathBuf {
    env.config
        .state_dir
        .join(org.slug.as_str())
        .join(settings.name.as_str())
        .join(target_dir(settings))
}

/// One directory per target.
fn target_dir(settings: &RepoConfig) -> String {
    let text = match &settings.target {
        SessionTarget::Bookmark(name) => format!("bookmark:{name}"),
        SessionTarget::Change(id) => format!("change:{id}"),
    };
    let isolate = if settings.isolate { ":isolate" } else { "" };
    let hash = blake3::hash(format!("{text}{isolate}").as_bytes());
    hex::encode(&hash.as_bytes()[..8])
}

impl Repo {
    /// Applies what this client had decided before it stopped over the server's state, which
    /// includes operations up to `included`. Returns whether a path could not be found.
    async fn replay(self: &Arc<Self>, ops: Vec<RecoveredOp>, included: ClientSeq) -> bool {
        let mut unsure = false;
        for recovered in ops {
            match recovered {
                RecoveredOp::Decided(seq, _) if seq <= included => {}
                RecoveredOp::Decided(_, op) => {
                    for path in paths(&op) {
                        let found = self.load_path(&path).await;
                        unsure |= !matches!(found, Ok(Some(_)));
                    }
                    self.with(|state| state.tree.apply(&op, Origin::Own));
                }
                RecoveredOp::Undecided(..) => {}
                RecoveredOp::Content(seq, file) => self.with(|state| {
                    state.content_ops.insert(seq, file);
                    state.tree.add_pending(file);
                }),
            }
        }
        unsure
    }

    /// Serves files from the private files they had. Returns those whose place is not known yet.
    fn adopt(&self, works: Vec<RecoveredWork>) -> Vec<FileId> {
        self.with(|state| {
            let mut unknown = Vec::new();
            for RecoveredWork { file, work } in works {
                if state.tree.get(file).is_none() {
                    unknown.push(file);
                }
                work.inherit(self.env.config.former_unseen);
                let content = work.base();
                state.files.live_or(file, content).work = Some(work);
            }
            unknown
        })
    }

    /// Sends what is in the adopted files; serves those that others changed since from what is there
    /// now; drops those of files that are gone, if the tree is `whole`.
    fn resume_works(&self, whole: bool) {
        let gone = self.with(|state| {
            let mut gone = Vec::new();
            let queued: HashSet<FileId> = state.content_ops.values().copied().collect();
            for file in state.files.with_work() {
                let named = state.tree.get(file).is_some_and(|n| n.nlink > 0);
                if named {
                    match self.append_content(state, file, &Actor::default()) {
                        Ok(None) if !queued.contains(&file) => retire(state, file),
                        Ok(_) => {}
                        Err(stop) => tracing::debug!(?stop, ?file, "content not yet queued"),
                    }
                } else if whole && let Some(work) = state.files.remove_closed(file) {
                    gone.push(work);
                }
            }
            gone
        });
        for work in gone {
            self.session.drop_work(&work);
        }
    }

    /// After a start without the server: what its files need of the tree is read when it is back.
    async fn resume_rest(self: Arc<Self>) {
        if !self.session.attached().await {
            return;
        }
        // Twice: what others move meanwhile is not to be taken for gone.
        for pause in [Duration::ZERO, SETTLED] {
            tokio::time::sleep(pause).await;
            while let Err(error) = Arc::clone(&self).prefetch(u32::MAX, 0).await {
                // Files without a known place are not sent before.
                tracing::warn!(%error, "the tree could not be read whole: trying again");
                tokio::time::sleep(READ_AGAIN).await;
                if !self.session.attached().await {
                    return;
                }
            }
            self.resume_works(pause == SETTLED);
        }
        self.ask_for_inherited();
    }

    /// Everything to the server, then the end of the session.
    pub async fn close(&self) -> FsResult<()> {
        self.session.sync_all().await?;
        self.session.close().await
    }
}

/// Paths whose directories an operation needs in memory.
fn paths(op: &v1::Op) -> Vec<Vec<u8>> {
    let mut paths = vec![op.path.to_vec()];
    match &op.kind {
        Some(Kind::Rename(rename)) => paths.push(rename.new_path.to_vec()),
        Some(Kind::Link(link)) => paths.push(link.source_path.to_vec()),
        _ => {}
    }
    paths
}

/// What a caller sees when a repo cannot be opened.
pub fn open_error(error: &OpenError) -> FsError {
    use mesa_client::SyncErrorKind as K;
    match error {
        OpenError::Server { source, .. } => match source.kind {
            K::Unauthenticated | K::Forbidden => FsError::Access,
            K::NotFound => FsError::NotFound,
            _ => FsError::Io,
        },
        OpenError::InUse(_) => FsError::Busy,
        _ => FsError::Io,
    }
}
