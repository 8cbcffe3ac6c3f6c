//! A protocol over a byte stream in virtual time: both ends, and between them a stream that loses
//! lines, or one that loses time.
//!
//! ```
//! use jostle_common::time::Instant;
//! use jostle_endpoints::protocol::messages::{MessagesClient, MessagesClientSettings, Session};
//! use jostle_engine::profile::Profile;
//! use jostle_engine::route::{TcpMode, Unit};
//! use jostle_study::virtual_time::{Limits, StreamSimulation};
//!
//! let profile = Profile::from_json(
//!     r#"{ "both": [ { "rule": "drop", "chance": "20%" }, { "rule": "delay", "time": "5ms" } ] }"#,
//! )?;
//! let mut client = MessagesClient::new(MessagesClientSettings::default());
//! client.push("hello".into());
//! client.close();
//! let mut session = Session::new(Instant::START, None);
//! let raw = TcpMode::Raw(Unit::Line);
//! let outcome = StreamSimulation::new(&mut client, &mut session, &profile, raw, 7, "messages")
//!     .run(Limits::default(), |_, _| {});
//! assert!(outcome.is_finished());
//! assert_eq!(session.take_messages()[0].bytes, "hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::run::{self, World};
use super::{Limits, Outcome};
use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_endpoints::protocol::stream::StreamEndpoint;
use jostle_engine::carrier::Carrier;
use jostle_engine::link::Link;
use jostle_engine::memory::Memory;
use jostle_engine::profile::Profile;
use jostle_engine::route::TcpMode;
use jostle_engine::stage::Output;
use jostle_engine::tcp::Event;

/// The only connection.
const ID: u32 = 1;

/// The reason for which a connection is over that nobody has ended, as Linux names ETIMEDOUT.
const TIMED_OUT: &str = "Connection timed out";

/// Two ends of a stream and what lies between them.
pub struct StreamSimulation<'a> {
    /// The client, then the server: by the direction in which they send.
    ends: [&'a mut dyn StreamEndpoint; 2],
    /// True for each that has ended its stream.
    ended: [bool; 2],
    /// True for each that was told that nothing more will come.
    told: [bool; 2],
    /// The bytes they have said and there was no room for.
    unsent: [Bytes; 2],
    carrier: Carrier,
}

impl<'a> StreamSimulation<'a> {
    /// Creates a run under `profile`, whose rules mean to the stream what `mode` says, with the
    /// draws that a route called `route` has under `seed`.
    pub fn new(
        client: &'a mut dyn StreamEndpoint,
        server: &'a mut dyn StreamEndpoint,
        profile: &Profile,
        mode: TcpMode,
        seed: u64,
        route: &str,
    ) -> Self {
        let mut carrier = Carrier::new(profile, mode, seed, route, Memory::default());
        carrier.open_known(Instant::START, ID, &super::facts(Instant::START));
        Self {
            ends: [client, server],
            ended: [false; 2],
            told: [false; 2],
            unsent: Default::default(),
            carrier,
        }
    }

    /// Runs until the client has finished and nothing is under way. `observe` sees everything that
    /// leaves a link.
    pub fn run(&mut self, limits: Limits, observe: impl FnMut(Direction, &Output)) -> Outcome {
        run::run(self, limits, observe)
    }

    /// Returns the carrier between the ends.
    pub const fn carrier(&self) -> &Carrier {
        &self.carrier
    }

    fn arrive(&mut self, now: Instant, event: Event, observe: &mut impl FnMut(Direction, &Output)) {
        match event {
            Event::Packet(direction, output) => observe(direction, &output),
            Event::Data { id, direction, bytes } => {
                self.ends[direction.opposite().index()].handle(now, &bytes);
                self.carrier.consumed(now, id, direction, bytes.len());
            }
            Event::End { direction, .. } | Event::Reset { direction, .. } => {
                let end = direction.opposite().index();
                self.told[end] = true;
                self.ends[end].handle_end(now);
            }
            Event::CloseBoth { .. } | Event::ResetBoth { .. } => {
                self.told = [true; 2];
                self.ends.iter_mut().for_each(|end| end.handle_end(now));
            }
            Event::Closed { .. } => {
                // Whoever knows of no end is torn out of the connection.
                for (end, told) in self.ends.iter_mut().zip(&mut self.told) {
                    if !std::mem::replace(told, true) {
                        end.handle_break(now, TIMED_OUT);
                    }
                }
            }
            Event::SynReceived { .. }
            | Event::Connected { .. }
            | Event::Established { .. }
            | Event::Room { .. }
            | Event::Arrived(..)
            | Event::Discarded(..) => {}
        }
    }

    /// Lets an end send what it has next, or end its stream. Returns true if it did.
    fn send(&mut self, now: Instant, direction: Direction) -> bool {
        let index = direction.index();
        let room = self.carrier.room(ID, direction);
        if self.ended[index] || room == 0 {
            return false;
        }
        let unsent = &mut self.unsent[index];
        if unsent.is_empty() {
            *unsent = self.ends[index].poll(now).unwrap_or_default();
        }
        if !unsent.is_empty() {
            let piece = unsent.split_to(unsent.len().min(room));
            self.carrier.push(now, ID, direction, piece);
            return true;
        }
        // A stream ends only when everything that was said is on its way.
        self.ended[index] = self.ends[index].has_said_all();
        if self.ended[index] {
            self.carrier.finish(now, ID, direction);
        }
        self.ended[index]
    }
}

impl World for StreamSimulation<'_> {
    fn settle(
        &mut self,
        now: Instant,
        packets_max: u64,
        observe: &mut impl FnMut(Direction, &Output),
    ) {
        let mut moved = true;
        while moved && self.packets() < packets_max {
            moved = false;
            while let Some(event) = self.carrier.poll(now) {
                self.arrive(now, event, observe);
                moved = true;
            }
            for direction in Direction::BOTH {
                moved |= self.send(now, direction);
            }
        }
    }

    fn is_finished(&self) -> bool {
        self.ends[0].is_finished()
    }

    fn is_drained(&self) -> bool {
        self.carrier.is_drained()
    }

    fn link(&self, direction: Direction) -> &Link {
        self.carrier.link(direction)
    }

    fn deadline(&self, with_server: bool) -> Option<Instant> {
        // Who has no room has nothing to do before the carrier makes some.
        let end = |direction: Direction| {
            self.ends[direction.index()].deadline().filter(|_| self.carrier.room(ID, direction) > 0)
        };
        let (client, server) = (end(Direction::Up), end(Direction::Down).filter(|_| with_server));
        self.carrier.deadline().into_iter().chain(client).chain(server).min()
    }
}

impl std::fmt::Debug for StreamSimulation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StreamSimulation")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virtual_time::End;
    use jostle_endpoints::protocol::messages::{
        MessagesClient, MessagesClientSettings, MessagesReport, Reply, Session, SessionReport,
        decode,
    };
    use jostle_engine::packet::Body;
    use jostle_engine::route::Unit;
    use proptest::prelude::*;

    const RAW: TcpMode = TcpMode::Raw(Unit::Line);

    /// The output of the link in one direction, as an observer sees it.
    #[derive(Default)]
    struct Way {
        bytes: Vec<u8>,
    }

    impl Way {
        fn lines(&self) -> Vec<&[u8]> {
            let mut lines: Vec<_> = self.bytes.split(|byte| *byte == b'\n').collect();
            // What stands behind the last newline is a line only if there is something.
            if lines.last().is_some_and(|last| last.is_empty()) {
                lines.pop();
            }
            lines
        }
    }

    struct Run {
        report: MessagesReport,
        session: SessionReport,
        outcome: Outcome,
        said: Vec<String>,
        ways: [Way; 2],
    }

    fn run(count: usize, rules: &str, seed: u64) -> Run {
        let profile = Profile::from_json(&format!(r#"{{ "both": [ {rules} ] }}"#)).unwrap();
        let mut client = MessagesClient::new(MessagesClientSettings {
            attempts_min: 5000,
            ..MessagesClientSettings::default()
        });
        let mut messages = (0..count).map(|number| format!("message {number} of {count}"));
        let mut session = Session::new(Instant::START, None);
        let mut ways = [Way::default(), Way::default()];
        messages.by_ref().take(1000).for_each(|message| client.push(message.into()));
        assert_eq!(messages.next(), None, "they fit the queue");
        client.close();
        let outcome =
            StreamSimulation::new(&mut client, &mut session, &profile, RAW, seed, "messages").run(
                Limits::default(),
                |direction, output| {
                    if let Output::Deliver(packet) = output
                        && let Body::Data(bytes) = packet.body()
                    {
                        ways[direction.index()].bytes.extend_from_slice(bytes);
                    }
                },
            );
        assert_eq!((client.outcome(), outcome.end), (Some(&Ok(())), End::Finished));
        let said = session.take_messages();
        assert!(said.iter().enumerate().all(|(place, message)| message.sequence == place as u64));
        let said =
            said.iter().map(|message| String::from_utf8(message.bytes.to_vec()).unwrap()).collect();
        Run { report: client.report().clone(), session: *session.report(), outcome, said, ways }
    }

    fn expected(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("message {number} of {count}")).collect()
    }

    #[test]
    fn a_thousand_messages_arrive_once_and_in_order_through_a_quarter_lost_and_damaged_each_way() {
        let rules = r#"{ "rule": "drop", "chance": "25%" }, { "rule": "corrupt", "chance": "25%" }, { "rule": "delay", "time": "5ms" }"#;
        let mut sums = Vec::new();
        for seed in [7, 7, 8, 9] {
            let Run { report, session, outcome, said, ways } = run(1000, rules, seed);
            assert_eq!(said, expected(1000));
            // Each line that was sent is a unit of the link, and each line that came out of it is
            // counted once, as what it is.
            assert_eq!(
                (report.sent, session.acks + session.nacks),
                (outcome.up.entered, outcome.down.entered)
            );
            assert_eq!((report.acknowledged, session.delivered), (1000, 1000));
            if report.goodbye_acknowledged {
                let [up, down] = ways.each_ref().map(Way::lines);
                let unreadable = up.iter().filter(|line| decode(line).is_none()).count() as u64;
                assert_eq!((session.lines(), session.damaged), (up.len() as u64, unreadable));
                let unreadable =
                    down.iter().filter(|line| Reply::decode(line).is_none()).count() as u64;
                // What comes behind the goodbye's ACK is no longer read.
                let read = report.acks + report.nacks + report.damaged;
                assert!(read <= down.len() as u64 && read + 5 > down.len() as u64);
                assert!(report.damaged <= unreadable && report.damaged + 5 > unreadable);
            }
            // A round succeeds with 0.75⁴ = 0.316: 1001 messages take 3164 ± 83 lines when each
            // failure costs one. A NACK that gets through may cross a copy, and joined lines cost
            // two.
            assert!((2900..3700).contains(&report.sent), "{}", report.sent);
            // Damaged by the link and delivered: 0.75·0.25 of all; some are joined or split.
            let share = session.damaged as f64 / report.sent as f64;
            assert!((0.15..0.23).contains(&share), "{share}");
            assert!(
                report.timeouts > 0
                    && report.nacks > 0
                    && report.damaged > 0
                    && session.doubled > 0
            );
            sums.push((report.sent, report.timeouts, session, outcome));
        }
        assert_eq!(sums[0], sums[1], "the same seed, the same lines");
        assert_ne!(sums[0], sums[2], "another seed, other lines");
    }

    #[test]
    fn a_clean_stream_takes_a_round_trip_per_message() {
        let Run { report, session, outcome, .. } =
            run(100, r#"{ "rule": "delay", "time": "5ms" }"#, 1);
        assert_eq!((report.sent, report.resends, session.lines()), (101, 0, 101));
        assert_eq!(outcome.elapsed.as_millis(), 1010);
        assert_eq!(report.round_trips.count(), 101);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn messages_arrive_once_and_in_order_under_any_weather(
            seed: u64, count in 0usize..40, drop in 0u32..70, duplicate in 0u32..60, corrupt in 0u32..60, bits in 1u32..20,
            delay in 0u32..300, jitter in 0u32..10, reorder in 0u32..40,
        ) {
            let rules = format!(
                r#"{{ "rule": "drop", "chance": "{drop}%" }}, {{ "rule": "duplicate", "chance": "{duplicate}%", "copies": 2 }},
                   {{ "rule": "corrupt", "chance": "{corrupt}%", "bits": {bits} }}, {{ "rule": "reorder", "chance": "{reorder}%", "behind": 2 }},
                   {{ "rule": "delay", "time": "{}ms", "jitter": "{jitter}ms", "reorder": true }}"#, delay + jitter,
            );
            let Run { report, session, outcome, said, .. } = run(count, &rules, seed);
            prop_assert_eq!(said, expected(count));
            prop_assert_eq!((report.sent, session.acks + session.nacks), (outcome.up.entered, outcome.down.entered));
            prop_assert_eq!(outcome.up.entered + outcome.up.copies, outcome.up.delivered + outcome.up.discarded_total());
        }
    }
}
