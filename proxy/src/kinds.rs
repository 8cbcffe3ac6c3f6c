//! The one place that knows the kinds of relays.

use crate::listener::Opened;
use crate::relay::{Relay, RelayPlan};
use crate::tcp::TcpRelay;
use crate::turn::Turn;
use crate::udp::UdpRelay;
use jostle_common::transport::Transport;
use std::io;

/// Makes the relay of a transport.
pub(crate) fn relay(
    transport: Transport,
    plan: RelayPlan<'_>,
    opened: Vec<Opened>,
    turn: &mut Turn,
) -> io::Result<Box<dyn Relay>> {
    Ok(match transport {
        Transport::Udp => Box::new(UdpRelay::new(plan, opened, turn)?),
        Transport::Tcp => Box::new(TcpRelay::new(plan, opened, turn)?),
    })
}
