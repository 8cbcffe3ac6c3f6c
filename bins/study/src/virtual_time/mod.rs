//! A protocol in virtual time: a client and a server, two links between them, one clock that jumps
//! from event to event.
//!
//! The endpoints are the machines that run on real sockets. Here sending and computing take no
//! time, so a run's every count is a function of the profile and the seed.
//!
//! ```
//! use jostle_engine::profile::Profile;
//! use jostle_endpoints::protocol::{saw, storage::Memory};
//! use jostle_study::virtual_time::{Limits, SERVER, Simulation};
//!
//! let profile = Profile::from_json(
//!     r#"{ "both": [ { "rule": "drop", "chance": "20%" }, { "rule": "delay", "time": "5ms" } ] }"#,
//! )?;
//! let mut client = saw::SawClient::new(saw::SawClientSettings::new(SERVER), Vec::new());
//! let mut server = saw::SawServer::new(Memory::new(vec![7; 65_536]), None);
//! let outcome = Simulation::new(&mut client, &mut server, &profile, 7, "saw")
//!     .run(Limits::default(), |_, _| {});
//! assert!(outcome.is_finished());
//! assert_eq!(client.report().bytes, 65_536);
//! assert!(outcome.elapsed.as_millis() > 160);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_endpoints::protocol::Endpoint;
use jostle_engine::counters::Counters;
use jostle_engine::flow::FlowFacts;
use jostle_engine::link::Link;
use jostle_engine::packet::{Body, Packet};
use jostle_engine::profile::Profile;
use jostle_engine::stage::{Output, Stage};
use run::World;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

#[cfg(test)]
mod ping_tests;
mod run;
mod stream;
#[cfg(test)]
mod tests;

pub use stream::StreamSimulation;

/// The client's address. Both are on one machine as far as a protocol can tell.
pub const CLIENT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 49_152));
/// The server's address.
pub const SERVER: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9_000));

/// The limits at which a run ends though its client has not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The virtual time it may take.
    pub time: Duration,
    /// The packets that may enter the links, both together: without delay endless talk takes no
    /// time.
    pub packets: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(24 * 3600), packets: 100_000_000 }
    }
}

/// The reason why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client has finished, well or not, and the links are empty.
    Finished,
    /// Neither end has anything left to do, and the client has not finished.
    Stalled,
    /// The virtual time was over.
    TimeOver,
    /// Too many packets were sent.
    PacketsOver,
}

/// The outcome of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The reason why it ended.
    pub end: End,
    /// The virtual time until the client had finished, or until the run ended.
    pub elapsed: Duration,
    /// The counters of the link from client to server.
    pub up: Counters,
    /// The counters of the link from server to client.
    pub down: Counters,
}

impl Outcome {
    /// Returns true if the client has finished.
    pub fn is_finished(&self) -> bool {
        self.end == End::Finished
    }
}

/// The number of the only flow.
const FLOW: u32 = 1;

/// Returns what rules may know of the only flow, or connection, of a run.
fn facts(since: Instant) -> Arc<FlowFacts> {
    let facts = FlowFacts::since(since).with_client(CLIENT);
    Arc::new(facts.with_target(&SERVER.ip().to_string(), SERVER.port()))
}

/// Two endpoints and the two links between them.
pub struct Simulation<'a> {
    client: &'a mut dyn Endpoint,
    server: &'a mut dyn Endpoint,
    links: [Link; 2],
}

impl<'a> Simulation<'a> {
    /// Creates a run under `profile`, with the draws that a route called `route` has under `seed`.
    pub fn new(
        client: &'a mut dyn Endpoint,
        server: &'a mut dyn Endpoint,
        profile: &Profile,
        seed: u64,
        route: &str,
    ) -> Self {
        Self { client, server, links: Link::both(profile, seed, route) }
    }

    /// Runs until the client has finished and the links are empty. `observe` sees everything that
    /// leaves a link.
    pub fn run(mut self, limits: Limits, observe: impl FnMut(Direction, &Output)) -> Outcome {
        run::run(&mut self, limits, observe)
    }

    /// Delivers what has crossed a link by now. Returns true if there was anything.
    fn arrive(
        &mut self,
        now: Instant,
        direction: Direction,
        observe: &mut impl FnMut(Direction, &Output),
    ) -> bool {
        let mut any = false;
        while let Some(output) = self.links[direction.index()].poll(now) {
            any = true;
            observe(direction, &output);
            let Output::Deliver(packet) = output else { continue };
            let Body::Data(datagram) = packet.body() else { continue };
            match direction {
                Direction::Up => {
                    self.server.handle_marked(packet.at, CLIENT, packet.ecn, datagram);
                }
                Direction::Down => {
                    self.client.handle_marked(packet.at, SERVER, packet.ecn, datagram);
                }
            }
        }
        any
    }

    /// Lets an endpoint send its next datagram. Returns true if it had one.
    fn send(&mut self, now: Instant, direction: Direction) -> bool {
        let endpoint = match direction {
            Direction::Up => &mut self.client,
            Direction::Down => &mut self.server,
        };
        let Some(transmit) = endpoint.poll(now) else { return false };
        // The flow, and the phases of both directions, begin with the first datagram of either.
        if self.links[0].facts(FLOW).is_none() {
            let facts = facts(now);
            self.links.iter_mut().for_each(|link| link.tell(now, FLOW, &facts));
        }
        self.links.iter_mut().for_each(|link| link.begin(now));
        let packet = Packet::new(FLOW, now, Body::data(transmit.payload));
        self.links[direction.index()].handle(packet.with_ecn(transmit.ecn));
        true
    }
}

impl World for Simulation<'_> {
    fn settle(
        &mut self,
        now: Instant,
        packets_max: u64,
        observe: &mut impl FnMut(Direction, &Output),
    ) {
        let mut moved = true;
        while moved && self.packets() < packets_max {
            moved = false;
            for direction in Direction::BOTH {
                moved |= self.arrive(now, direction, observe);
                moved |= self.send(now, direction);
            }
        }
    }

    fn is_finished(&self) -> bool {
        self.client.is_finished()
    }

    fn is_drained(&self) -> bool {
        self.links.iter().all(|link| link.held() == 0)
    }

    fn link(&self, direction: Direction) -> &Link {
        &self.links[direction.index()]
    }

    fn deadline(&self, with_server: bool) -> Option<Instant> {
        let links = self.links.iter().filter_map(Stage::deadline);
        let client = self.client.deadline();
        let server = self.server.deadline().filter(|_| with_server);
        links.chain(client).chain(server).min()
    }
}

impl std::fmt::Debug for Simulation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Simulation")
    }
}
