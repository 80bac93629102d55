//! mesa-config
