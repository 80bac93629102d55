//! The filesystem of the TypeScript SDK as a Node-API addon: [`mesa_fs`] behind the interface that
//! the published SDK expects of its addon, and what the SDK of this repository needs beyond it.
//!
//! `sdk/typescript/src/fs/native.ts` describes the interface. Failed calls reject with errors as
//! Node's own: `code`, `errno`, `syscall`, `path`, `dest`, and `serverCode` where a server's answer
//! is the reason.

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
