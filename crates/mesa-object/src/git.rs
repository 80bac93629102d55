//! The projection to git: what git sees of a snapshot, byte for byte.

pub mod blob;
pub mod commit;
pub mod hidden;

pub use blob::{BlobHasher, Collision, POINTER_BYTES_DEFAULT, blob_oid, pointer_blob};
pub use commit::{CommitText, Signature};
pub use hidden::{Hidden, Verdict, content_refused, verdict};
