//! Configuration and the secret store: where `mesa` finds its settings and credentials, and how
//! it writes them. Reads no environment and no terminal on its own: both come in as values.

pub mod address;
pub mod edit;
pub mod environment;
mod file;
pub mod layer;
pub mod load;
pub mod paths;
pub mod problem;
pub mod secrets;
pub mod settings;
pub mod size;
mod variables;
mod write;

pub use edit::{ConfigEdit, EditError};
pub use environment::Environment;
pub use layer::{Layer, LogColor, LogTarget, MountMode, Rev};
pub use load::{LoadError, Loaded, Request, check, load};
pub use paths::Paths;
pub use problem::{Place, Problem};
pub use secrets::{Backend, SecretError, SecretName, SecretStore, Secrets};
pub use settings::{Credential, Durability, IoUring, OrgSettings, RepoSettings, Settings, Writes};
pub use write::write_private;
