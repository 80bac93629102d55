//! The REST contract over a real socket: every route, every refusal.

mod api_keys;
mod auth;
mod bookmarks;
mod edge;
mod harness;
mod listener;
mod orgs;
mod repos;
mod start;
