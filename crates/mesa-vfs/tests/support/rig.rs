//! A mount of the fake server with its own directories.

use std::{
    path::PathBuf,
    sync::{Arc, mpsc},
    time::Duration,
};

use mesa_types::time::SystemClock;
use mesa_vfs::{
    content::{ContentConfig, ContentStore},
    fs::Notice,
    mount::{Mount, MountConfig, OrgConfig, Prefetch, RepoDefaults},
    session::{Durability, QuietProbe, Tuning},
    tree::perm::ProcGroups,
};

use super::server::FakeServer;

pub struct Rig {
    pub mount: Mount,
    pub notices: mpsc::Receiver<Notice>,
    pub dir: tempfile::TempDir,
}

pub struct Options {
    pub prefetch: bool,
    pub durability: Durability,
    pub served_max: u64,
    pub uid: u32,
    pub quiet: Option<QuietProbe>,
    /// Changes what is not named here.
    pub tune: fn(&mut MountConfig),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            prefetch: false,
            durability: Durability::Fsync,
            served_max: 0,
            uid: 0,
            quiet: None,
            tune: |_| {},
        }
    }
}

impl Rig {
    pub fn new(server: &FakeServer) -> Self {
        Self::with(server, Options::default())
    }

    pub fn with(server: &FakeServer, options: Options) -> Self {
        Self::at(server, tempfile::tempdir().unwrap(), options)
    }

    pub fn at(server: &FakeServer, dir: tempfile::TempDir, options: Options) -> Self {
        let base: PathBuf = dir.path().to_owned();
        let content = ContentStore::open(cache(&base)).unwrap();
        let org = OrgConfig {
            slug: "acme".parse().unwrap(),
            api: Arc::new(server.clone()),
            all: true,
            repos: Vec::new(),
            defaults: RepoDefaults::default(),
        };
        let mut config = MountConfig {
            orgs: vec![org],
            uid: options.uid,
            gid: options.uid,
            squash: false,
            durability: options.durability,
            prefetch: Prefetch {
                enabled: options.prefetch,
                ..Prefetch::default()
            },
            served_max: options.served_max,
            content,
            state_dir: base.join("state"),
            client: "test".to_owned(),
            host: "here".to_owned(),
            clock: Arc::new(SystemClock),
            random: Arc::new(|| 4),
            quiet: options.quiet,
            former_unseen: false,
            groups: Arc::new(ProcGroups),
            tuning: Tuning {
                deadline: Duration::from_secs(20),
                ..Tuning::default()
            },
            runtime: tokio::runtime::Handle::current(),
        };
        (options.tune)(&mut config);
        let (mount, notices) = Mount::new(config);
        Self {
            mount,
            notices,
            dir,
        }
    }

    /// Stops as a killed daemon does, keeping the directories. Returns when nothing of it runs.
    pub async fn stop(self) -> tempfile::TempDir {
        let Self { mount, dir, .. } = self;
        mount.abandon();
        drop(mount);
        let start = std::time::Instant::now();
        // The cache's lock goes with its last user.
        while ContentStore::open(cache(dir.path())).is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "still in use");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        dir
    }
}

fn cache(base: &std::path::Path) -> ContentConfig {
    ContentConfig {
        dir: base.join("cache"),
        disk_bytes_max: 1 << 30,
        ram_bytes_max: 1 << 24,
        prefetch_max: 8,
    }
}
