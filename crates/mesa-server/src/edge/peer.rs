//! The other end of the connection.

use std::{fmt, net::SocketAddr};

/// The address a request's connection came from, put into its extensions by the listener. Behind
/// a proxy it is the proxy's: headers that claim another are not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.ip())
    }
}
