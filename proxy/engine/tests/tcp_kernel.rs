//! The TCP model against the Linux kernel: 212 cells of congestion control, loss, round-trip time,
//! rate and size.
//!
//! The fixture says how the kernel was measured. Two samples of the kernel agree within ±10 % in
//! about 86 % of the cells and within ±20 % in about 94 %; the model has to be nearly as close.
#![allow(clippy::print_stderr, reason = "it says what it skips or measures")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use jostle_common::chance::{Direction, derived_seed};
use jostle_common::units::{BitRate, ByteSize, Probability};
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::profile::{Queue, Rule, RuleKind, Timeline};
use jostle_engine::route::CongestionControl;
use jostle_engine::rules::{Delay, Drop, Rate};
use jostle_engine::tcp::transfer;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A run of the kernel was stopped then.
const LIMIT: Duration = Duration::from_secs(450);

/// One line of the fixture.
#[derive(Clone, Debug)]
struct Cell {
    name: String,
    control: CongestionControl,
    loss: f64,
    rtt: Duration,
    rate_mbit: u64,
    bytes: u64,
    kernel: f64,
}

/// The cells in which no run was stopped.
fn cells() -> Vec<Cell> {
    let table = include_str!("fixtures/tcp-kernel-medians.csv");
    let mut cells = Vec::new();
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let [cc, loss, rtt_ms, rate_mbit, size, _, median, _, _, capped] = fields[..] else {
            panic!("{line}");
        };
        if capped == "0" {
            cells.push(Cell {
                name: format!("{cc} {loss}% {rtt_ms}ms {rate_mbit}Mbit/s {size}B"),
                control: if cc == "cubic" {
                    CongestionControl::Cubic
                } else {
                    CongestionControl::Reno
                },
                loss: loss.parse::<f64>().unwrap() / 100.0,
                rtt: Duration::from_millis(rtt_ms.parse().unwrap()),
                rate_mbit: rate_mbit.parse().unwrap(),
                bytes: size.parse().unwrap(),
                kernel: median.parse().unwrap(),
            });
        }
    }
    cells
}

impl Cell {
    /// The reference network in one direction: loss, then a tail-drop queue and serialisation, then
    /// delay.
    fn link(&self, seed: u64, direction: Direction) -> Link {
        let limit = BitRate::new(self.rate_mbit * 1_000_000).unwrap();
        let queue = limit.bytes_in(self.rtt.max(Duration::from_millis(50)));
        let rate =
            Rate { queue: Some(Queue::Bytes(ByteSize::new(queue))), ..Rate::constant(limit) };
        let delay = Delay::constant(self.rtt / 2);
        let rules = [
            RuleKind::Drop(Drop::Chance(Probability::new(self.loss).unwrap())),
            RuleKind::Rate(rate),
            RuleKind::Delay(delay),
        ]
        .map(Rule::only);
        Link::new(
            LinkKey { seed, route: "kernel".to_owned(), direction },
            &Timeline::constant(rules.into()),
        )
    }

    /// How many runs it takes: without random losses all are the same.
    fn runs(&self) -> u64 {
        match self.bytes {
            _ if self.loss == 0.0 => 1,
            102_400 => 240,
            1_048_576 => 120,
            _ => 22,
        }
    }

    /// The model's median, in seconds.
    fn median(&self) -> f64 {
        let mut times: Vec<f64> = (1..=self.runs())
            .map(|run| {
                // Seeds of its own, or a stroke of luck in one cell would be one in all.
                let seed = derived_seed(run, &self.name);
                let links = Direction::BOTH.map(|direction| self.link(seed, direction));
                let outcome = transfer(links, self.control, self.bytes, LIMIT);
                outcome.time.unwrap_or(LIMIT).as_secs_f64()
            })
            .collect();
        times.sort_by(f64::total_cmp);
        let middle = times.len() / 2;
        if times.len() % 2 == 1 { times[middle] } else { (times[middle - 1] + times[middle]) / 2.0 }
    }
}

/// The model's medians divided by the kernel's, one per cell.
fn ratios(cells: &[Cell]) -> Vec<f64> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut ratios = vec![0.0; cells.len()];
    std::thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(cell) = cells.get(index) else { return done };
                done.push((index, cell.median() / cell.kernel));
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            for (index, ratio) in worker.join().unwrap() {
                ratios[index] = ratio;
            }
        }
    });
    ratios
}

/// The share of ratios within ± `bound`.
fn share(ratios: &[f64], bound: f64) -> f64 {
    ratios.iter().filter(|ratio| (*ratio - 1.0).abs() <= bound).count() as f64 / ratios.len() as f64
}

fn geometric_mean(ratios: &[f64]) -> f64 {
    libm::exp(ratios.iter().map(|ratio| libm::log(*ratio)).sum::<f64>() / ratios.len() as f64)
}

#[test]
fn medians_match_the_kernels() {
    let cells = cells();
    assert_eq!(cells.len(), 212);
    let ratios = ratios(&cells);
    let (within_10, within_20, mean) =
        (share(&ratios, 0.1), share(&ratios, 0.2), geometric_mean(&ratios));
    let mut worst: Vec<(&Cell, f64)> = cells.iter().zip(ratios.iter().copied()).collect();
    worst.sort_by(|(_, a), (_, b)| libm::log(*b).abs().total_cmp(&libm::log(*a).abs()));
    let listed: Vec<String> =
        worst.iter().take(25).map(|(cell, ratio)| format!("{ratio:.3}  {}", cell.name)).collect();
    let summary = format!(
        "within 10 %: {:.1} %, within 20 %: {:.1} %, geometric mean {mean:.3}; model/kernel at \
         worst:\n{}",
        100.0 * within_10,
        100.0 * within_20,
        listed.join("\n")
    );
    eprintln!("{summary}");
    assert!(within_10 >= 0.80, "{summary}");
    assert!(within_20 >= 0.92, "{summary}");
    assert!((0.97..=1.03).contains(&mean), "{summary}");
    let mut lossless = 0;
    for (cell, ratio) in worst.iter().filter(|(cell, _)| cell.loss == 0.0) {
        lossless += 1;
        assert!((ratio - 1.0).abs() <= 0.1, "without loss {}: {ratio:.3}\n{summary}", cell.name);
    }
    assert_eq!(lossless, 36);
}
