//! The filesystem of the TypeScript SDK as a Node-API addon: [`mesa_fs`] behind the interface that
//! the published SDK expects of its addon, and what the SDK of this repository needs beyond it.
//!
//! `sdk/typescript/src/fs/native.ts` describes the interface. Failed calls reject with errors as
//! Node's own: `code`, `errno`, `syscall`, `path`, `dest`, and `serverCode` where a server's answer
//! is the reason.

// The macros hand over references to the environment, and methods of a class for JavaScript have a
// receiver whether they need it or not.
#![allow(clippy::trivially_copy_pass_by_ref, clippy::unused_self)]
// Nothing calls the exports in a test program.
#![cfg_attr(test, allow(dead_code))]

mod attributes;
mod config;
mod credential;
mod file;
mod files;
mod filesystem;
mod live;
mod log;
mod metadata;
mod names;
mod promise;
mod stat;
mod text;
mod versions;
mod watcher;
