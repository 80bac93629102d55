//! The REST contract over a real socket: every route, every refusal.

mod api_keys;
mod auth;
mod bookmarks;
mod changes;
mod content;
mod edge;
mod harness;
mod listener;
mod mount;
mod orgs;
mod repos;
mod start;
