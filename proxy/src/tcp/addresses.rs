//! The addresses of a connection's two sides, in as little room as most need.

use std::net::{SocketAddr, SocketAddrV4};

/// The addresses of a connection's two sides.
#[derive(Debug)]
pub(super) enum Addresses {
    /// Those of most, without a place for larger ones.
    V4 {
        client: SocketAddrV4,
        upstream: Option<SocketAddrV4>,
    },
    Any(Box<(SocketAddr, Option<SocketAddr>)>),
}

impl Addresses {
    pub(super) fn new(client: SocketAddr, upstream: Option<SocketAddr>) -> Self {
        match (client, upstream) {
            (SocketAddr::V4(client), None) => Self::V4 { client, upstream: None },
            (SocketAddr::V4(client), Some(SocketAddr::V4(upstream))) => {
                Self::V4 { client, upstream: Some(upstream) }
            }
            any => Self::Any(Box::new(any)),
        }
    }

    pub(super) fn client(&self) -> SocketAddr {
        match self {
            Self::V4 { client, .. } => (*client).into(),
            Self::Any(both) => both.0,
        }
    }

    pub(super) fn upstream(&self) -> Option<SocketAddr> {
        match self {
            Self::V4 { upstream, .. } => upstream.map(SocketAddr::from),
            Self::Any(both) => both.1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_what_they_were() {
        let [v4, v6] =
            ["192.0.2.1:53", "[2001:db8::1%7]:53"].map(|text| text.parse().expect("it is one"));
        for (client, upstream) in [(v4, None), (v4, Some(v4)), (v4, Some(v6)), (v6, Some(v4))] {
            let addresses = Addresses::new(client, upstream);
            assert_eq!((addresses.client(), addresses.upstream()), (client, upstream));
        }
    }
}
