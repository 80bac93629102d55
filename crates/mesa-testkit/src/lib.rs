//! For tests: disks whose power can be cut, a server's parts in memory, and connections to it
//! without sockets.

pub mod backend;
pub mod clock;
pub mod demo;
pub mod disk;
pub mod in_process;
pub mod raw_session;

pub use backend::Backend;
pub use clock::TestClock;
pub use demo::Demo;
pub use disk::{Disk, freeze};
pub use in_process::InProcess;
pub use raw_session::RawSession;
