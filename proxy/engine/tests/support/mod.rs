//! What the engine's tests share: building links and feeding them in virtual time.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

pub(crate) mod any_profile;
pub(crate) mod fit;
pub(crate) mod seen;
pub(crate) mod shapes;
pub(crate) mod streams;
pub(crate) mod ways;
pub(crate) mod windows;

use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::counters::Counters;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::packet::{Body, Packet};
use jostle_engine::profile::{Profile, Timeline};
use jostle_engine::stage::{Output, Stage};

/// The bytes of packets.
static ZEROS: [u8; 65_536] = [0; 65_536];

/// The rules of `{ "up": [ … ] }`.
pub(crate) fn rules(json: &str) -> Timeline {
    Profile::from_json(&format!(r#"{{ "up": [ {json} ] }}"#)).unwrap().up
}

/// A link with these rules.
pub(crate) fn link(seed: u64, timeline: &Timeline) -> Link {
    Link::new(LinkKey { seed, route: "test".into(), direction: Direction::Up }, timeline)
}

/// A packet of `size` bytes that arrives at `nanos`.
pub(crate) fn packet(nanos: u64, size: usize) -> Packet {
    Packet::new(1, Instant::from_nanos(nanos), Body::data(Bytes::from_static(&ZEROS[..size])))
}

/// The packet, as one of another flow.
pub(crate) fn of_flow(flow: u32, mut packet: Packet) -> Packet {
    packet.flow = flow;
    packet
}

/// Checks that nothing has disappeared, of what came from outside and of cross traffic.
pub(crate) fn conserves(link: &Link) {
    let counters = *link.counters();
    let Counters { entered, copies, delivered, held, cross, .. } = counters;
    assert_eq!(entered + copies, delivered + counters.discarded_total() + held);
    assert_eq!(cross.sent + cross.copies, cross.delivered + cross.discarded + cross.held);
}

/// Takes out everything due by `now`.
pub(crate) fn drain(link: &mut Link, now: Instant) -> Vec<Output> {
    std::iter::from_fn(|| link.poll(now)).collect()
}

/// Takes out everything there is.
pub(crate) fn drain_all(link: &mut Link) -> Vec<Output> {
    drain(link, Instant::from_nanos(u64::MAX))
}

/// Feeds `count` packets of `size` bytes, `gap` nanoseconds apart, and hands every output to `see`.
pub(crate) fn feed(
    link: &mut Link,
    count: u64,
    gap: u64,
    size: usize,
    mut see: impl FnMut(Output),
) {
    for n in 0..count {
        let packet = packet(n * gap, size);
        while let Some(output) = link.poll(packet.at) {
            see(output);
        }
        link.handle(packet);
    }
    drain_all(link).into_iter().for_each(see);
}
