//! Trials on real sockets: two endpoints of jostle and one proxy between them, all in this process.

mod host;
mod judge;
mod relayed;
mod transfer;

pub(crate) use host::{host, load};
pub(crate) use judge::{Judged, STOPPED, failure};
pub(crate) use relayed::Relayed;
pub(crate) use transfer::{Outcome, Transfer, TransferSettings, Transport};

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where everything listens: on this machine alone, at a port that the system picks.
pub(crate) const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
