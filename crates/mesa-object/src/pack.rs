//! Packs: many objects in one immutable file on object storage.
