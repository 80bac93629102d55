//! The operation log of a change, read back: single operations, the actions they belong to, and
//! states of the past.
//!
//! An *action* is what one program did in one go: consecutive operations of one session and one
//! process group (one program, where the group is unknown) with less than two seconds between
//! them. Writes of the server's are sessions of their own. Actions of different sessions overlap;
//! an action's id is the number of its first operation.

mod fold;
pub(crate) mod keep;
pub(crate) mod listing;
mod operation;
pub(crate) mod scan;
pub(crate) mod segments;
pub(crate) mod state;
pub(crate) mod transform;
pub(crate) mod undo;
mod who;

pub(crate) use self::{
    fold::Fold,
    who::{Times, Who},
};
pub use self::{
    fold::{Action, ActionPath, Program},
    operation::{Lost, OpCounts, OpSort, Operation},
};
pub(crate) use self::{operation::operation, scan::Span};
