//! What a modelled TCP transfer costs: 10 MB over drop + rate + delay, which tells segments apart,
//! and over a delay alone, which does not. `cargo bench -p jostle-engine --bench tcp`; the
//! throughput is in segments with data, so its inverse is the time per segment, acknowledgements
//! included.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jostle_common::chance::Direction;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::profile::{Profile, Timeline};
use jostle_engine::route::CongestionControl;
use jostle_engine::tcp::{Outcome, transfer};
use std::time::Duration;

const BYTES: u64 = 10 << 20;

fn rules(loss: &str) -> Timeline {
    let json = format!(
        r#"{{ "up": [ {{ "rule": "drop", "chance": "{loss}" }}, {{ "rule": "rate", "limit": "50Mbit/s" }},
                      {{ "rule": "delay", "time": "25ms" }} ] }}"#
    );
    Profile::from_json(&json).expect("the profile is valid").up
}

/// A path as fast as the sender: what leaves together stays together.
fn delay() -> Timeline {
    let json = r#"{ "up": [ { "rule": "delay", "time": "500us" } ] }"#;
    Profile::from_json(json).expect("the profile is valid").up
}

fn links(timeline: &Timeline) -> [Link; 2] {
    Direction::BOTH
        .map(|direction| Link::new(LinkKey { seed: 1, route: "bench".into(), direction }, timeline))
}

fn run(links: [Link; 2]) -> Outcome {
    transfer(links, CongestionControl::Cubic, BYTES, Duration::from_secs(10_000))
}

fn transfers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tcp");
    let lossy = ["0", "1%", "5%"].map(|loss| (loss, rules(loss)));
    for (loss, rules) in lossy.into_iter().chain([("delay alone", delay())]) {
        group.throughput(Throughput::Elements(run(links(&rules)).counters.segments));
        group.bench_function(BenchmarkId::new("transfer", loss), |bencher| {
            bencher.iter_batched(|| links(&rules), run, BatchSize::SmallInput);
        });
    }
    group.finish();
}

criterion_group!(benches, transfers);
criterion_main!(benches);
