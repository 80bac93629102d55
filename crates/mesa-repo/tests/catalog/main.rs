//! The catalog over the in-memory store; the races over SQLite too.

#![allow(missing_docs, clippy::unwrap_used)]

mod auth;
mod bookmarks;
mod bootstrap;
mod changes;
mod contended;
mod cut_off;
mod fixture;
mod golden;
mod hooks;
mod keys;
mod meddler;
mod races;
mod repos;
