//! Packages for Debian, Alpine and RPM systems from files in memory; no I/O, no tools, the same
//! bytes for the same input.
//!
//! A package is `head`, `body`, `tail`. The body holds the files that every package of a program
//! has, is compressed once ([`Payload::new`]) and can be shared; head and tail are small and hold
//! what differs ([`Payload::finish`]), such as the address of the server that hands it out.
//!
//! ```
//! use mesa_package::{Arch, Entry, Format, Meta, Payload};
//! let meta = Meta::new("mesa", "1.0.0", Arch::X86_64, 0);
//! let files = [Entry::new("/usr/bin/mesa", 0o755, &b"#!/bin/sh\n"[..])];
//! let payload = Payload::new(Format::Deb, meta, &files);
//! assert!(payload.finish(&[]).whole().starts_with(b"!<arch>\ndebian-binary"));
//! ```

mod apk;
mod cpio;
mod deb;
mod meta;
mod payload;
mod rpm;
mod tar;

pub use meta::{Arch, Entry, Format, Meta};
pub use payload::{Package, Payload};
