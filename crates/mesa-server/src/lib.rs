//! mesa-server
