//! mesa-head
