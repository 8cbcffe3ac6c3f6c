//! The warnings of a UDP relay: each once, until it is well again.

use crate::alarm::Alarm;
use jostle_common::time::Instant;
use jostle_engine::route::Route;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// What there may be to warn of.
#[derive(Debug)]
pub(super) struct UdpAlarms {
    refusal: Alarm,
    foreign: Alarm,
    loop_: Alarm,
    amplification: Alarm,
    rebind: Alarm,
}

impl UdpAlarms {
    /// Creates them, all well; those about an upstream speak if `tells_of_upstreams`.
    pub(super) const fn new(tells_of_upstreams: bool) -> Self {
        Self {
            refusal: Alarm::new(tells_of_upstreams),
            foreign: Alarm::new(tells_of_upstreams),
            loop_: Alarm::new(true),
            amplification: Alarm::new(true),
            rebind: Alarm::new(true),
        }
    }

    /// Nobody listens at the upstream.
    pub(super) fn tell_of_refusal(
        &mut self,
        Route { name, destination, .. }: &Route,
        now: Instant,
    ) {
        if self.refusal.raise(now) {
            log::warn!(
                "route {name}: nobody listens at udp://{destination}; is the server running?"
            );
        }
    }

    /// Something came from elsewhere than the upstream.
    pub(super) fn tell_of_foreign(
        &mut self,
        route: &Route,
        from: Option<SocketAddr>,
        now: Instant,
    ) {
        if !self.foreign.raise(now) {
            return;
        }
        let Route { name, destination: upstream, follow, .. } = route;
        let from = from.map_or_else(|| "elsewhere".to_owned(), |from| from.to_string());
        if *follow {
            log::warn!("route {name}: dropped an answer from {from}, which is not {upstream}'s");
        } else {
            log::warn!(
                "route {name}: {upstream} is asked and {from} answers, as with TFTP; such answers \
                 are dropped: add --follow, or \"follow\": true in the route"
            );
        }
    }

    /// The upstream has answered as it should.
    pub(super) const fn clear(&mut self) {
        self.refusal.clear();
        self.foreign.clear();
    }

    /// Something came from ourselves, or round a circle.
    pub(super) fn tell_of_loop(&mut self, name: &str, from: SocketAddr, now: Instant) {
        if self.loop_.raise(now) {
            log::warn!(
                "route {name}: dropped what came from {from}: a socket of this proxy, or a circle \
                 of proxies; does the upstream lead back here?"
            );
        }
    }

    /// A flow could not leave from a fresh socket.
    pub(super) fn tell_of_rebind(
        &mut self,
        name: &str,
        rule: &str,
        address: Option<IpAddr>,
        error: &io::Error,
        now: Instant,
    ) {
        if self.rebind.raise(now) {
            let at = address.map_or_else(String::new, |address| format!(" at {address}"));
            log::warn!(
                "route {name}: rule {rule}: no fresh socket{at}: {error}; the flow keeps the one that \
                 it has"
            );
        }
    }

    /// An answer was withheld.
    pub(super) fn tell_of_amplification(&mut self, name: &str, to: SocketAddr, now: Instant) {
        if self.amplification.raise(now) {
            log::warn!(
                "route {name}: withheld an answer much larger than the question from {}, which may \
                 be forged; --amplification off sends all",
                to.ip()
            );
        }
    }
}
