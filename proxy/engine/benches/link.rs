//! What a packet costs in a link: drop + rate + delay, with and without jitter, from a thousand to
//! a million packets in flight; and what each discipline costs in front of a line that is asked for
//! too much.
//!
//! `cargo bench -p jostle-engine`; the time per iteration is the time per packet.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::packet::{Body, Packet};
use jostle_engine::payload::Payload;
use jostle_engine::profile::Profile;
use jostle_engine::stage::Stage;
use std::hint::black_box;

const DELAY_NANOS: u64 = 50_000_000;

/// A link that is fed forever: each call takes one packet in and whatever is due out.
struct Stream {
    link: Link,
    now: u64,
    gap: u64,
    body: Payload,
}

impl Stream {
    /// `in_flight` packets are inside once the delay has passed, at 96 % of the rate.
    fn new(jitter: &str, in_flight: u64) -> Self {
        let gap = DELAY_NANOS / in_flight;
        let rate = 1200 * 8 * 1_000_000_000 / gap * 100 / 96;
        let mut stream = Self::of(
            &format!(
                r#"{{ "rule": "drop", "chance": "1%" }}, {{ "rule": "rate", "limit": "{rate}bit/s" }},
                   {{ "rule": "delay", "time": "50ms", {jitter} }}"#
            ),
            gap,
        );
        for _ in 0..2 * in_flight {
            stream.packet();
        }
        stream
    }

    /// A packet each `gap` nanoseconds through these rules.
    fn of(rules: &str, gap: u64) -> Self {
        let rules = format!(r#"{{ "up": [ {rules} ] }}"#);
        let rules = Profile::from_json(&rules).expect("the profile is valid").up;
        let key = LinkKey { seed: 1, route: "bench".into(), direction: Direction::Up };
        let body = Payload::from(vec![0; 1200]);
        Self { link: Link::new(key, &rules), now: 0, gap, body }
    }

    fn packet(&mut self) {
        self.now += self.gap;
        let now = Instant::from_nanos(self.now);
        while let Some(output) = self.link.poll(now) {
            black_box(output);
        }
        self.link.handle(Packet::new(1, now, Body::Data(self.body.clone())));
    }
}

fn link(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("drop + rate + delay");
    group.throughput(Throughput::Elements(1));
    for (name, jitter) in [
        ("no jitter", r#""jitter": "0""#),
        ("uniform jitter", r#""jitter": "10ms""#),
        ("normal jitter", r#""jitter": "10ms", "shape": "normal""#),
        ("jitter that reorders", r#""jitter": "10ms", "reorder": true"#),
    ] {
        for in_flight in [1_000, 10_000, 100_000, 1_000_000] {
            group.bench_function(BenchmarkId::new(name, in_flight), |bencher| {
                let mut stream = Stream::new(jitter, in_flight);
                bencher.iter(|| stream.packet());
            });
        }
    }
    group.finish();
}

/// A line that is asked for 5 % more than it carries, in front of 100 packets.
fn disciplines(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rate, overloaded");
    group.throughput(Throughput::Elements(1));
    for discipline in ["tail", "head", "codel", "pie", "fq_codel", "dualpi2"] {
        group.bench_function(discipline, |bencher| {
            let rate = format!(
                r#"{{ "rule": "rate", "limit": "96Mbit/s", "queue": "100 packets",
                     "discipline": "{discipline}" }}"#
            );
            // 1200 bytes take 100 microseconds.
            let mut stream = Stream::of(&rate, 95_000);
            for _ in 0..10_000 {
                stream.packet();
            }
            bencher.iter(|| stream.packet());
        });
    }
    group.finish();
}

criterion_group!(benches, link, disciplines);
criterion_main!(benches);
