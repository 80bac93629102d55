//! mesa-testkit
