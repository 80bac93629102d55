//! mesa-api
