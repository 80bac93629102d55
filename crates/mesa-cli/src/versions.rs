//! What the versioning commands share: where they work ([`place`]), what a revision names
//! ([`work`]), and how things are shown (the rest: pure functions from answers to lines).

pub mod actions;
pub mod change;
pub mod graph;
pub mod paint;
pub mod patch;
pub mod place;
pub mod summary;
pub mod work;
