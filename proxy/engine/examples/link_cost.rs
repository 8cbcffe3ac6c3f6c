//! What a packet costs in a link, for whoever counts: feeds packets to drop + rate + delay forever
//! full, and prints the least processor time per packet of several rounds.
//!
//! `link_cost KIND IN_FLIGHT PACKETS [RUN]`; KIND is none, uniform, normal or reorder. Under
//! `valgrind --tool=callgrind` it counts instructions, which no other load disturbs.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "it is a measurement")]

use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::packet::Packet;
use jostle_engine::payload::Payload;
use jostle_engine::profile::Profile;
use jostle_engine::stage::Stage;
use std::hint::black_box;

const DELAY_NANOS: u64 = 50_000_000;
const SIZE: u16 = 1200;

fn cpu_nanos() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let in_flight: u64 = args[2].parse().unwrap();
    let packets: u64 = args[3].parse().unwrap();
    let run: u64 = args.get(4).map_or(1, |run| run.parse().unwrap());
    let gap = DELAY_NANOS / in_flight;
    let rate = 1200 * 8 * 1_000_000_000 / gap * 100 / 96;
    let jitter = match args[1].as_str() {
        "none" | "only" => r#""jitter": "0""#,
        "uniform" => r#""jitter": "10ms""#,
        "normal" => r#""jitter": "10ms", "shape": "normal""#,
        "reorder" => r#""jitter": "10ms", "reorder": true"#,
        other => panic!("{other}"),
    };
    let limit = if args[1] == "only" {
        String::new()
    } else {
        format!(r#"{{ "rule": "rate", "limit": "{rate}bit/s" }},"#)
    };
    let rules = format!(
        r#"{{ "up": [ {{ "rule": "drop", "chance": "1%" }}, {limit}
               {{ "rule": "delay", "time": "50ms", {jitter} }} ] }}"#
    );
    let rules = Profile::from_json(&rules).unwrap().up;
    let key = LinkKey { seed: 1, route: "bench".into(), direction: Direction::Up };
    let payload = Payload::from(vec![0; usize::from(SIZE) * run as usize]);
    let (mut link, mut now) = (Link::new(key, &rules), 0);
    let mut feed = |count: u64| {
        for _ in 0..count.div_ceil(run) {
            now += gap * run;
            let at = Instant::from_nanos(now);
            while let Some(output) = link.poll(at) {
                black_box(output);
            }
            link.handle(Packet::run(1, at, payload.clone(), SIZE));
        }
    };
    feed(2 * in_flight);
    let mut least = f64::MAX;
    for _ in 0..10 {
        let before = cpu_nanos();
        feed(packets / 10);
        least = least.min((cpu_nanos() - before) as f64 / (packets / 10) as f64);
    }
    println!("{} {in_flight} in runs of {run}: {least:.1} ns", args[1]);
}
