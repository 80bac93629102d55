//! The projection to git: what git sees of a snapshot, byte for byte.

pub mod blob;
pub mod commit;
mod gitmodules;
pub mod hidden;
pub mod tree;

pub use blob::{BlobHasher, Collision, POINTER_BYTES_DEFAULT, blob_oid, pointer_blob};
pub use commit::{CommitText, Signature};
pub use hidden::{Hidden, SPECIAL_BYTES_MAX, Verdict, content_refused, verdict};
pub use tree::{Mode, TreeLine, decode_tree, encode_tree};
