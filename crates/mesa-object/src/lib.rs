//! mesa-object
