//! The hot paths of the engine, each repeated so many times: `jostle-load path`.
//!
//! No socket, no clock and no seed but a fixed one, so that each run executes the same instructions:
//! scripts/instructions.sh counts those of two runs of different length, and what differs is what
//! the path takes.

use crate::measure::rounded;
use anyhow::Context;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_console::terminal;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::packet::{Body, Packet};
use jostle_engine::payload::Payload;
use jostle_engine::profile::Profile;
use jostle_engine::route::CongestionControl;
use jostle_engine::stage::Stage;
use jostle_engine::tcp::transfer;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use std::hint::black_box;
use std::time::Duration;

const DELAY_NANOS: u64 = 50_000_000;
const PAYLOAD_BYTES: usize = 1200;

/// The packets of a run, as many as the largest message of these holds.
const RUN_PACKETS: usize = 54;

/// The bytes of a transfer.
const TRANSFER_BYTES: u64 = 1 << 20;

/// A path that every packet takes, or every transfer, by itself
#[derive(Debug, clap::Args)]
pub(crate) struct PathArgs {
    /// Which
    #[arg(value_enum)]
    path: HotPath,

    /// Take it so many times
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    count: u64,

    /// Have so many packets in the link
    #[arg(long, value_name = "COUNT", default_value_t = 1000,
        value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    in_flight: u64,

    /// Have so many rules in the link, of `many-rules`
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    rules: usize,

    /// Do not take the time: under valgrind the system's clock is not where it is looked for
    #[arg(long)]
    untimed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum HotPath {
    /// A packet through no rule
    NoRules,
    /// A packet through delay
    Delay,
    /// A packet through drop + rate + delay
    Rules,
    /// A packet through these, with normal jitter
    Jitter,
    /// A packet through these, with jitter by which packets overtake
    Overtaking,
    /// A packet of a run of 54 through drop + delay
    Run,
    /// A packet through so many rules, of which none hits
    ManyRules,
    /// A transfer of 1 MiB by modelled TCP without loss
    Transfer,
    /// The same with a loss of 2 %
    LossyTransfer,
}

/// A link that is fed forever: a turn takes what is due out and puts one in.
struct Stream {
    link: Link,
    now: u64,
    gap: u64,
    payload: Payload,
    run: usize,
}

impl Stream {
    fn new(rules: &str, gap: u64, run: usize) -> anyhow::Result<Self> {
        let profile = Profile::from_json(&format!(r#"{{ "up": [ {rules} ] }}"#));
        let rules = profile.context("the rules of a path")?.up;
        let key = LinkKey { seed: 1, route: "bench".into(), direction: Direction::Up };
        let payload = Payload::from(vec![0; PAYLOAD_BYTES * run]);
        Ok(Self { link: Link::new(key, &rules), now: 0, gap, payload, run })
    }

    fn turn(&mut self) {
        self.now += self.gap * self.run as u64;
        let now = Instant::from_nanos(self.now);
        while let Some(output) = self.link.poll(now) {
            black_box(output);
        }
        let packet = match self.run {
            1 => Packet::new(1, now, Body::Data(self.payload.clone())),
            _ => Packet::run(1, now, self.payload.clone(), PAYLOAD_BYTES as u16),
        };
        self.link.handle(packet);
    }
}

impl PathArgs {
    /// Takes the path and prints what one takes of the processor's time.
    ///
    /// # Errors
    /// When the rules cannot be read.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let nanos = match self.path {
            HotPath::Transfer => self.transfers("0")?,
            HotPath::LossyTransfer => self.transfers("2%")?,
            _ => self.packets()?,
        };
        let fields = json!({
            "path": format!("{:?}", self.path),
            "times": self.count,
            "ns_each": (!self.untimed)
                .then(|| rounded(nanos as f64 / self.count.max(1) as f64)),
        });
        terminal::line(&fields.to_string());
        Ok(())
    }

    /// Returns the processor time that this process has taken.
    fn processor_nanos(&self) -> u64 {
        if self.untimed {
            return 0;
        }
        let time = Duration::try_from(clock_gettime(ClockId::ProcessCPUTime));
        time.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }

    fn packets(&self) -> anyhow::Result<u64> {
        let gap = DELAY_NANOS / self.in_flight;
        let run = if self.path == HotPath::Run { RUN_PACKETS } else { 1 };
        let mut stream = Stream::new(&self.path.rules(gap, self.rules), gap, run)?;
        // The link is filled, and what it keeps has the size that it will have.
        for _ in 0..2 * self.in_flight / run as u64 {
            stream.turn();
        }
        let before = self.processor_nanos();
        for _ in 0..self.count / run as u64 {
            stream.turn();
        }
        Ok(self.processor_nanos() - before)
    }

    fn transfers(&self, loss: &str) -> anyhow::Result<u64> {
        let profile = Profile::from_json(&format!(
            r#"{{ "up": [ {{ "rule": "drop", "chance": "{loss}" }},
                {{ "rule": "rate", "limit": "50Mbit/s" }}, {{ "rule": "delay", "time": "25ms" }} ] }}"#
        ));
        let profile = profile.context("the rules of a path")?;
        let limit = Duration::from_secs(10_000);
        let before = self.processor_nanos();
        for seed in 0..self.count {
            let links = Link::both(&profile, seed, "bench");
            black_box(transfer(links, CongestionControl::Cubic, TRANSFER_BYTES, limit));
        }
        Ok(self.processor_nanos() - before)
    }
}

impl HotPath {
    /// The rules of a link that gets a packet each `gap` nanoseconds; a rate is asked for 96 % of
    /// itself.
    fn rules(self, gap: u64, many: usize) -> String {
        let bits_per_second = PAYLOAD_BYTES as u64 * 8 * 1_000_000_000 / gap * 100 / 96;
        let drop = r#"{ "rule": "drop", "chance": "1%" }"#;
        let rate = format!(r#"{{ "rule": "rate", "limit": "{bits_per_second}bit/s" }}"#);
        let delay = |jitter: &str| format!(r#"{{ "rule": "delay", "time": "50ms"{jitter} }}"#);
        match self {
            Self::NoRules | Self::Transfer | Self::LossyTransfer => String::new(),
            Self::Delay => delay(""),
            Self::Rules => format!("{drop}, {rate}, {}", delay("")),
            Self::Jitter => {
                format!("{drop}, {rate}, {}", delay(r#", "jitter": "10ms", "shape": "normal""#))
            }
            Self::Overtaking => {
                format!("{drop}, {rate}, {}", delay(r#", "jitter": "10ms", "reorder": true"#))
            }
            Self::Run => format!("{drop}, {}", delay("")),
            // A billionth: it is drawn for each packet, and in so short a time hits none.
            Self::ManyRules => {
                vec![r#"{ "rule": "drop", "chance": "0.0000001%" }"#; many].join(", ")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;
    use jostle_engine::stage::Output;

    #[test]
    fn every_path_can_be_taken() {
        for path in HotPath::value_variants() {
            let args =
                PathArgs { path: *path, count: 60, in_flight: 100, rules: 63, untimed: true };
            match path {
                HotPath::Transfer | HotPath::LossyTransfer => {
                    assert!(args.transfers("1%").is_ok());
                }
                _ => assert!(args.packets().is_ok(), "{path:?}"),
            }
        }
    }

    /// What is measured as a run is a run, and as many packets are in the link as it says.
    #[test]
    fn a_link_holds_as_many_as_it_should() {
        for (path, run) in [(HotPath::Delay, 1), (HotPath::Run, RUN_PACKETS)] {
            let gap = DELAY_NANOS / 1080;
            let mut stream = Stream::new(&path.rules(gap, 0), gap, run).unwrap();
            for _ in 0..2 * 1080 / run {
                stream.turn();
            }
            let (mut inside, end) = (0, Instant::from_nanos(u64::MAX));
            while let Some(output) = stream.link.poll(end) {
                if let Output::Deliver(packet) = output {
                    inside += packet.count();
                }
            }
            // All of a run come at once, and of one in a hundred the last packets are lost.
            assert!((1000..=1080 + run as u32).contains(&inside), "{path:?}: {inside}");
        }
    }
}
