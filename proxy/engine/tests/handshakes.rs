//! Handshakes that the caller answers: a SYN waits at the far end for what comes of a connect to
//! the real server, and the answer crosses back.

use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::carrier::Carrier;
use jostle_engine::memory::Memory;
use jostle_engine::profile::Profile;
use jostle_engine::route::{CongestionControl, TcpMode, Unit};
use jostle_engine::tcp::Event;

const MS: fn(u64) -> Instant = Instant::from_millis;

/// What happened, and when, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Syn,
    Connected,
    Established,
    Data(Direction),
    Reset(Direction),
    Closed,
}

struct Run {
    carrier: Carrier,
    told: Vec<(u64, Told)>,
}

impl Run {
    fn new(rules: &str) -> Self {
        let profile = Profile::from_json(rules).expect("the rules are a profile");
        let mode = TcpMode::Model(CongestionControl::default());
        let mut carrier = Carrier::new(&profile, mode, 1, "web", Memory::default());
        carrier.answer_handshakes();
        carrier.open(MS(0), 1);
        Self { carrier, told: Vec::new() }
    }

    /// Goes on until `end`, in milliseconds.
    fn until(&mut self, end: u64) {
        while let Some(at) = self.carrier.deadline().filter(|at| *at <= MS(end)) {
            while let Some(event) = self.carrier.poll(at) {
                let told = match event {
                    Event::SynReceived { id: 1 } => Told::Syn,
                    Event::Connected { id: 1 } => Told::Connected,
                    Event::Established { id: 1 } => Told::Established,
                    Event::Data { id: 1, direction, bytes } => {
                        self.carrier.consumed(at, 1, direction, bytes.len());
                        Told::Data(direction)
                    }
                    Event::Reset { id: 1, direction } => Told::Reset(direction),
                    Event::Closed { id: 1 } => Told::Closed,
                    _ => continue,
                };
                self.told.push((at.as_nanos() / 1_000_000, told));
            }
        }
    }
}

/// 300 ms each way, and nothing else.
const FAR: &str = r#"{ "both": [ { "rule": "delay", "time": "300ms" } ] }"#;

#[test]
fn a_tunnel_opens_after_one_round_trip_and_the_real_connect() {
    for connect in [0, 70] {
        let mut run = Run::new(FAR);
        run.until(300);
        assert_eq!(run.told, [(300, Told::Syn)]);
        run.until(300 + connect);
        assert!(run.carrier.accept(MS(300 + connect), 1));
        assert!(!run.carrier.accept(MS(300 + connect), 1), "once is enough");
        // A server that speaks first, and a client that does not wait.
        run.carrier.push(MS(300 + connect), 1, Direction::Down, Bytes::from_static(b"hello"));
        run.carrier.push(MS(300 + connect), 1, Direction::Up, Bytes::from_static(b"hello"));
        run.until(5000);
        let told = [
            (600 + connect, Told::Connected),
            (900 + connect, Told::Established),
            (900 + connect, Told::Data(Direction::Up)),
            (1200 + connect, Told::Data(Direction::Down)),
        ];
        assert_eq!(run.told[1..], told, "{connect}");
        // The time that the connect took is no part of the modelled route.
        let (_, trips) = run.carrier.senders().unwrap();
        let (least, most) = (trips.least().unwrap(), trips.most().unwrap());
        // An acknowledgement may be delayed by 40 ms.
        assert!(least.as_millis() == 600 && most.as_millis() <= 640, "{least:?} {most:?}");
    }
}

#[test]
fn a_refusal_comes_back_after_the_same_time() {
    for connect in [0, 70] {
        let mut run = Run::new(FAR);
        run.until(300 + connect);
        run.carrier.reset(MS(300 + connect), 1, Direction::Down);
        assert!(!run.carrier.accept(MS(300 + connect), 1), "it was refused");
        run.until(5000);
        let back = 600 + connect;
        let told = [(300, Told::Syn), (back, Told::Reset(Direction::Down)), (back, Told::Closed)];
        assert_eq!(run.told, told);
    }
}

#[test]
fn a_client_that_leaves_before_it_is_answered_is_told_of_where_its_syn_has_come() {
    let mut run = Run::new(FAR);
    run.until(310);
    run.carrier.reset(MS(310), 1, Direction::Up);
    run.until(5000);
    let told = [(300, Told::Syn), (610, Told::Reset(Direction::Up)), (610, Told::Closed)];
    assert_eq!(run.told, told);
    // Where none has come nobody knows of it.
    let mut run = Run::new(r#"{ "up": [ { "rule": "drop", "chance": "100%" } ] }"#);
    run.until(100);
    run.carrier.reset(MS(100), 1, Direction::Up);
    run.until(5000);
    assert_eq!(run.told, [(100, Told::Closed)]);
}

#[test]
fn a_slow_answer_is_asked_for_again_and_costs_no_window() {
    // The client repeats its SYN after 1, 2 and 3 s; none of them is answered by itself.
    let mut run = Run::new(FAR);
    run.until(3500);
    assert_eq!(run.told, [(300, Told::Syn)]);
    assert!(run.carrier.accept(MS(3500), 1));
    run.carrier.push(MS(3500), 1, Direction::Up, Bytes::from(vec![7; 10 * 1448]));
    run.until(4000);
    let sent = run.carrier.senders().unwrap().0;
    // Ten segments at once: the first window of a connection that lost nothing (RFC 6928).
    assert_eq!((run.told.last(), sent.segments), (Some(&(3800, Told::Connected)), 10));
    // SYNs that were lost do cost it: the first three do not cross.
    let cut = r#"{ "up": [ { "rule": "drop", "chance": "100%" } ] }"#;
    let mut run = Run::new(cut);
    run.until(2500);
    let far = Profile::from_json(FAR).unwrap();
    Direction::BOTH.iter().for_each(|&direction| {
        run.carrier.set_timeline(MS(2500), direction, far.timeline(direction));
    });
    run.until(3500);
    assert_eq!(run.told, [(3300, Told::Syn)]);
    assert!(run.carrier.accept(MS(3500), 1));
    run.carrier.push(MS(3500), 1, Direction::Up, Bytes::from(vec![7; 10 * 1448]));
    run.until(4000);
    let sent = run.carrier.senders().unwrap().0;
    assert_eq!((run.told.last(), sent.segments), (Some(&(3800, Told::Connected)), 1));
}

#[test]
fn an_answer_that_never_comes_is_given_up_when_linux_does() {
    let mut run = Run::new(FAR);
    run.until(130_999);
    assert_eq!(run.told, [(300, Told::Syn)]);
    run.until(131_000);
    assert_eq!(run.told[1..], [(131_000, Told::Closed)]);
}

#[test]
fn a_raw_stream_has_no_handshake_to_answer() {
    let profile = Profile::from_json(FAR).unwrap();
    let mut carrier = Carrier::new(&profile, TcpMode::Raw(Unit::Read), 1, "r", Memory::default());
    carrier.answer_handshakes();
    carrier.open(MS(0), 1);
    assert_eq!(carrier.poll(MS(0)), Some(Event::Established { id: 1 }));
    assert!(!carrier.accept(MS(0), 1));
}
