//! A link under a described stream in virtual time: packets go in, and what the link does to them
//! is counted.
//!
//! The link is the one that stands behind sockets. Here no time passes but the packets' own, so
//! everything counted is a function of the profile, the stream and the seed.
//!
//! ```
//! use jostle_common::chance::Direction;
//! use jostle_common::ecn::Ecn;
//! use jostle_engine::profile::Profile;
//! use jostle_engine::link::{Link, LinkKey};
//! use jostle_study::probe::{Pace, Spread, PacketStream, Tally, run};
//! use std::time::Duration;
//!
//! let profile = Profile::from_json(
//!     r#"{ "up": [ { "rule": "drop", "every": 10 }, { "rule": "delay", "time": "5ms" } ] }"#,
//! )?;
//! let key = LinkKey { seed: 7, route: "1".into(), direction: Direction::Up };
//! let pace = Pace::Packets("1000/s".parse()?);
//! let (spread, ecn) = (Spread::Constant, Ecn::NotEct);
//! let stream = PacketStream { pace, size: 1200, spread, flows: 1, ecn };
//! let mut link = Link::new(key, &profile.up);
//! let mut tally = Tally::new(false, Duration::from_millis(1));
//! run(&mut link, stream.arrivals(7, Direction::Up).take(1000), &mut tally, |_, _| {});
//! assert_eq!((tally.runs().lost(), tally.runs().longest()), (100, 1));
//! assert!((tally.delay_quantile(0.5).unwrap() - 0.005).abs() < 1e-5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod arrivals;
mod explain;
mod reordering;
mod replay;
mod runs;
mod series;
mod tally;

pub use arrivals::{Arrival, Pace, PacketStream, Spread};
pub use explain::{Explanation, Left, Step, explain};
pub use jostle_engine::link::Drawn;
pub use reordering::Reordering;
pub use replay::{Seen, replay};
pub use runs::Runs;
pub use series::{Bin, Series};
pub use tally::{Sample, Tally};

use jostle_common::time::Instant;
use jostle_engine::link::Link;
use jostle_engine::packet::{Body, Packet};
use jostle_engine::payload::Payload;
use jostle_engine::stage::{Output, Stage};

/// The largest payload: what a UDP datagram may carry and a little more.
pub const SIZE_MAX: u32 = 65_535;

/// The payload of every packet. Rules look at sizes; what they write goes into a copy.
static ZEROS: [u8; SIZE_MAX as usize] = [0; SIZE_MAX as usize];

/// Returns the payload of which each packet takes a part.
fn zeros() -> Payload {
    Payload::from_static(&ZEROS)
}

/// Feeds `arrivals`, which ascend in time, to a link, until all that came has left it. `observe`
/// sees everything that leaves.
pub fn run(
    link: &mut Link,
    arrivals: impl Iterator<Item = Arrival>,
    tally: &mut Tally,
    mut observe: impl FnMut(&Link, &Output),
) {
    let mut drain = |link: &mut Link, tally: &mut Tally, now| {
        while let Some(output) = link.poll(now) {
            tally.leave(&output, link.held());
            observe(link, &output);
        }
    };
    let zeros = zeros();
    for arrival in arrivals {
        // What is due leaves first, so that the link holds what a real one would hold by then.
        drain(link, tally, arrival.at);
        let packet = packet(arrival, &zeros);
        let size = packet.size();
        link.handle(packet);
        tally.enter(arrival.at, size, link.held());
    }
    // At the end of time everything has left.
    drain(link, tally, Instant::from_nanos(u64::MAX));
    tally.finish();
}

fn packet(arrival: Arrival, zeros: &Payload) -> Packet {
    let size = arrival.size.min(SIZE_MAX) as usize;
    let body = Body::Data(zeros.slice(0..size));
    Packet::new(arrival.flow, arrival.at, body).with_ecn(arrival.ecn)
}
