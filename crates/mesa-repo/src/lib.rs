//! mesa-repo
