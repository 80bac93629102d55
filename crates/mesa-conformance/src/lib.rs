//! POSIX conformance cases, run against a directory of any filesystem.
//!
//! The cases are written from the POSIX texts and Linux manual pages. Run natively they check
//! themselves (ext4 and tmpfs pass all of them); run on a mount they check the mount. Root is
//! needed: half of the cases act as an ordinary user.

pub mod case;
pub mod cases;
pub mod report;

pub use case::{Case, Ctx, Failure};
pub use report::{Outcome, Report, run};
