//! What the disciplines of a queue promise to traffic: who is marked and who is lost, how long
//! packets wait, and who gets which share.

use crate::support::{drain, drain_all, of_flow, packet};
use crate::{MS, SECOND, rate, standing_queue};
use jostle_common::chance::{Direction, DrawStream, below};
use jostle_common::ecn::Ecn;
use jostle_common::time::Instant;
use jostle_engine::link::Link;
use jostle_engine::stage::{Output, Reason, Stage};

/// A stream of datagrams: its flow and bits, bytes a packet, and nanoseconds from one to the next.
#[derive(Clone, Copy)]
struct Stream {
    flow: u32,
    ecn: Ecn,
    size: usize,
    gap: u64,
}

impl Stream {
    /// A stream of so many bits per second.
    const fn of(flow: u32, ecn: Ecn, size: usize, bits: u64) -> Self {
        Self { flow, ecn, size, gap: size as u64 * 8 * SECOND / bits }
    }
}

/// Feeds streams whose packets come anywhere within their gaps, by a seed.
fn run(link: &mut Link, seed: u64, streams: &[Stream], seconds: u64) -> Vec<Output> {
    let mut arrivals: Vec<(u64, Stream)> = Vec::new();
    for stream in streams {
        let draws = DrawStream::new(seed, "test", Direction::Up, &stream.flow.to_string());
        let count = seconds * SECOND / stream.gap;
        arrivals.extend((0..count).map(|number| {
            let within = below(draws.draw(number, 0, 0).first(), stream.gap);
            (number * stream.gap + within, *stream)
        }));
    }
    arrivals.sort_by_key(|(at, stream)| (*at, stream.flow));
    let mut outputs = Vec::new();
    for (at, Stream { flow, ecn, size, .. }) in arrivals {
        outputs.extend(drain(link, Instant::from_nanos(at)));
        link.handle(of_flow(flow, packet(at, size)).with_ecn(ecn));
    }
    outputs.extend(drain_all(link));
    outputs
}

/// What became of the packets of a flow that came from `from` on, in nanoseconds.
#[derive(Debug, Default)]
struct Fate {
    delivered: u64,
    marked: u64,
    delayed_away: u64,
    driven_out: u64,
    /// Milliseconds from arrival until it had left, ascending.
    times: Vec<f64>,
}

impl Fate {
    fn of(outputs: &[Output], flow: u32, from: u64) -> Self {
        let mut fate = Self::default();
        for output in outputs {
            let packet = output.packet();
            if packet.flow != flow || packet.entered.as_nanos() < from {
                continue;
            }
            match output {
                Output::Deliver(packet) => {
                    fate.delivered += 1;
                    fate.marked += u64::from(packet.is_marked());
                    let time = packet.at.since(packet.entered);
                    fate.times.push(time.as_nanos() as f64 / 1e6);
                }
                Output::Discard(_, Reason::QueueDelay) => fate.delayed_away += 1,
                Output::Discard(_, reason) => {
                    assert_eq!(*reason, Reason::QueueFull);
                    fate.driven_out += 1;
                }
            }
        }
        fate.times.sort_unstable_by(f64::total_cmp);
        fate
    }

    fn quantile(&self, share: f64) -> f64 {
        self.times[((self.times.len() - 1) as f64 * share) as usize]
    }

    fn lost(&self) -> u64 {
        self.delayed_away + self.driven_out
    }
}

/// 20 Mbit/s, under a discipline and with room for far more than it wants.
fn kept(discipline: &str) -> Link {
    rate(&format!(r#""limit": "20Mbit/s", "queue": "10s", "discipline": {discipline}"#))
}

#[test]
fn a_stream_that_takes_marks_is_marked_where_another_loses_packets() {
    for discipline in [r#""codel""#, r#""fq_codel""#, r#""pie""#, r#""dualpi2""#] {
        for (seed, bits, seconds) in [(1, 20_200_000, 4), (2, 20_400_000, 2)] {
            let fate = |ecn| {
                let stream = Stream::of(1, ecn, 1250, bits);
                Fate::of(&run(&mut kept(discipline), seed, &[stream], seconds), 1, 0)
            };
            let (marked, lost) = (fate(Ecn::Ect0), fate(Ecn::NotEct));
            assert_eq!((lost.marked, lost.driven_out), (0, 0), "{discipline}");
            assert!(lost.delayed_away >= 10, "{discipline}: {} of {bits}", lost.delayed_away);
            assert_eq!(marked.lost(), 0, "{discipline}: lost at {bits}");
            assert!(marked.marked >= 10, "{discipline}: {} marked of {bits}", marked.marked);
        }
    }
}

/// A stream that answers no mark: beyond its bound on marks a discipline drops it all the same.
#[test]
fn marks_have_the_limits_of_the_rfcs() {
    // PIE: from a probability of a tenth on (RFC 8033 §5.1). DualPI2: from 1/k² on (RFC 9332, A.2).
    for discipline in [r#""pie""#, r#""dualpi2""#] {
        let stream = Stream::of(1, Ecn::Ect0, 1250, 30_000_000);
        let outputs = run(&mut kept(discipline), 1, &[stream], 30);
        let settled = Fate::of(&outputs, 1, 20 * SECOND);
        // A third of it is too much.
        let share = settled.delayed_away as f64 / (settled.delayed_away + settled.delivered) as f64;
        assert!((0.30..0.37).contains(&share), "{discipline}: {share}");
        assert_eq!(settled.marked, 0, "{discipline}");
        let first = Fate::of(&outputs, 1, 0);
        assert!(first.marked > 20, "{discipline}: {} marked at the beginning", first.marked);
    }
    // And what is told to mark nobody drops.
    for discipline in [
        r#"{ "codel": { "ecn": false } }"#,
        r#"{ "fq_codel": { "ecn": false } }"#,
        r#"{ "pie": { "ecn_below": "0%" } }"#,
    ] {
        let stream = Stream::of(1, Ecn::Ect0, 1250, 20_400_000);
        let fate = Fate::of(&run(&mut kept(discipline), 1, &[stream], 4), 1, 0);
        assert!(fate.marked == 0 && fate.delayed_away >= 10, "{discipline}: {fate:?}");
    }
}

#[test]
fn the_wait_of_modelled_flows_settles_at_the_target() {
    // Median waits in milliseconds; the goodput is that of the line.
    for (discipline, least, most) in
        [("pie", 8.0, 22.0), ("fq_codel", 1.0, 15.0), ("dualpi2", 8.0, 22.0)]
    {
        let (waits, goodput) = standing_queue(discipline, 35);
        let median = waits[waits.len() / 2];
        eprintln!("{discipline}: median wait {median:.1} ms, {:.2} Mbit/s", goodput * 8e-6);
        assert!((least..=most).contains(&median), "{discipline}: {median} ms");
        let share = goodput * 8.0 / 9_653_333.0;
        assert!((0.95..=1.02).contains(&share), "{discipline}: {share}");
    }
}

/// Jain's index of the shares: 1 when all are the same.
fn fairness(shares: &[u64]) -> f64 {
    let sum: u64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| (share * share) as f64).sum();
    (sum * sum) as f64 / (shares.len() as f64 * squares)
}

#[test]
fn fq_codel_gives_each_flow_its_share_and_a_sparse_one_no_wait() {
    for seed in 1..=3 {
        // Eight streams that want 3 to 24 Mbit/s of 20, and one of a packet every 10 ms.
        let mut streams: Vec<Stream> = (1..=8)
            .map(|flow| {
                Stream::of(
                    flow,
                    Ecn::NotEct,
                    200 + 150 * flow as usize,
                    u64::from(flow) * 3_000_000,
                )
            })
            .collect();
        streams.push(Stream { flow: 9, ecn: Ecn::NotEct, size: 200, gap: 10 * MS });
        let fair = run(&mut kept(r#""fq_codel""#), seed, &streams, 10);
        let bytes = |outputs: &[Output], flow| -> u64 {
            let sent = outputs.iter().filter(|output| matches!(output, Output::Deliver(_)));
            let while_busy = Instant::from_secs(5)..Instant::from_secs(10);
            sent.map(Output::packet)
                .filter(|packet| packet.flow == flow && while_busy.contains(&packet.at))
                .map(|packet| u64::from(packet.size()))
                .sum()
        };
        let shares: Vec<u64> = (1..=8).map(|flow| bytes(&fair, flow)).collect();
        assert!(fairness(&shares) > 0.999, "{shares:?}");
        let sparse = Fate::of(&fair, 9, 5 * SECOND);
        // It waits for the packet in service, and for no more than one of each other new queue.
        let packet = 1400.0 * 8.0 / 20_000.0;
        assert_eq!(sparse.lost(), 0);
        assert!(sparse.quantile(0.5) < 2.0 * packet, "{} ms", sparse.quantile(0.5));
        assert!(sparse.quantile(1.0) < 9.0 * packet, "{} ms", sparse.quantile(1.0));
        // In one queue a flow gets what it takes, and the sparse one waits with all others.
        let codel = run(&mut kept(r#""codel""#), seed, &streams, 10);
        let shares: Vec<u64> = (1..=8).map(|flow| bytes(&codel, flow)).collect();
        assert!(fairness(&shares) < 0.9, "{shares:?}");
        let waits = Fate::of(&codel, 9, 5 * SECOND).quantile(0.5);
        assert!(waits > 5.0 * sparse.quantile(0.5), "{waits} ms");
    }
}

#[test]
fn a_full_fq_codel_drives_out_the_fattest_flow() {
    let fields = r#""limit": "20Mbit/s", "queue": "100 packets", "discipline": "fq_codel""#;
    let streams = [
        Stream::of(1, Ecn::NotEct, 1250, 200_000_000),
        Stream::of(2, Ecn::NotEct, 1250, 5_000_000),
    ];
    let outputs = run(&mut rate(fields), 1, &streams, 5);
    let (fat, lean) = (Fate::of(&outputs, 1, 0), Fate::of(&outputs, 2, 0));
    assert!(fat.driven_out > 50_000, "{}", fat.driven_out);
    assert_eq!(lean.lost(), 0);
    let tail = fields.replace("fq_codel", "tail");
    assert!(Fate::of(&run(&mut rate(&tail), 1, &streams, 5), 2, 0).lost() > 1000);
}

/// 100 Mbit/s, of which a low-latency stream takes little and a classic one all it can.
#[test]
fn dualpi2_keeps_low_latency_below_a_millisecond_and_the_law_of_its_coupling() {
    for (seed, overload) in [(1, 2_000_000), (2, 5_000_000), (3, 10_000_000)] {
        let fields = r#""limit": "100Mbit/s", "queue": "10s", "discipline": "dualpi2""#;
        let streams = [
            Stream::of(1, Ecn::NotEct, 1250, 95_000_000 + overload),
            Stream::of(2, Ecn::Ect1, 625, 5_000_000),
        ];
        let outputs = run(&mut rate(fields), seed, &streams, 60);
        let (classic, low) =
            (Fate::of(&outputs, 1, 30 * SECOND), Fate::of(&outputs, 2, 30 * SECOND));
        // The wait is at the target, and of low latency there is none.
        assert!((12.0..18.0).contains(&classic.quantile(0.5)), "{} ms", classic.quantile(0.5));
        assert!(low.quantile(0.99) < 1.0, "{} ms", low.quantile(0.99));
        assert_eq!((low.lost(), classic.marked, classic.driven_out), (0, 0, 0));
        // As much is dropped as is too much, and p_C = (p_L/k)².
        let p_c = classic.delayed_away as f64 / (classic.delayed_away + classic.delivered) as f64;
        let p_l = low.marked as f64 / low.delivered as f64;
        let wanted = overload as f64 / (95_000_000.0 + overload as f64);
        assert!((p_c / wanted - 1.0).abs() < 0.05, "{p_c} for {wanted}");
        assert!((p_c / (p_l / 2.0 * (p_l / 2.0)) - 1.0).abs() < 0.1, "{p_c} and {p_l}");
    }
}

#[test]
fn dualpi2_shares_the_line_as_its_scheduler_says() {
    // Both take all they can, and nothing is dropped.
    for (parameters, least, most) in [
        (r#""classic_share": "10%""#, 0.09, 0.11),
        (r#""classic_share": "25%""#, 0.24, 0.26),
        (r#""time_shift": "50ms""#, 0.48, 0.50),
    ] {
        let fields = format!(
            r#""limit": "20Mbit/s", "queue": "10s", "discipline": {{ "dualpi2": {{ "alpha": "0Hz", "beta": "0Hz", {parameters} }} }}"#
        );
        let streams = [
            Stream::of(1, Ecn::NotEct, 1250, 60_000_000),
            Stream::of(2, Ecn::Ect1, 1250, 60_000_000),
        ];
        let outputs = run(&mut rate(&fields), 1, &streams, 4);
        let of = |flow| {
            let sent = outputs.iter().filter(|output| matches!(output, Output::Deliver(_)));
            // Until the last packet came.
            sent.map(Output::packet)
                .filter(|packet| packet.flow == flow && packet.at < Instant::from_secs(4))
                .count() as f64
        };
        let share = of(1) / (of(1) + of(2));
        assert!((least..=most).contains(&share), "{parameters}: {share}");
    }
}

#[test]
fn a_trace_has_every_discipline_too() {
    for discipline in ["codel", "pie", "fq_codel", "dualpi2"] {
        // 12.032 Mbit/s.
        let fields = format!(
            r#""trace": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "queue": "10MB", "discipline": "{discipline}""#
        );
        let streams = [
            Stream::of(1, Ecn::NotEct, 1400, 12_000_000),
            Stream::of(2, Ecn::Ect1, 700, 1_000_000),
        ];
        let outputs = run(&mut rate(&fields), 1, &streams, 20);
        let fate = Fate::of(&outputs, 1, 10 * SECOND);
        assert!(fate.delayed_away > 100, "{discipline}: {}", fate.delayed_away);
        assert!((2.0..40.0).contains(&fate.quantile(0.5)), "{discipline}: {}", fate.quantile(0.5));
    }
}
