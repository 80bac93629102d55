//! mesa-fuse
