//! The stream that a simulation sends: described by flags, or taken from a capture.

use super::capture::{self, Reading};
use crate::probe::{Arrival, Pace, PacketStream, SIZE_MAX, Spread};
use clap::{Args, ValueEnum};
use jostle_common::chance::Direction;
use jostle_common::ecn::Ecn;
use jostle_common::time::Instant;
use jostle_common::units::{BitRate, ByteSize, PacketRate, Span, parse_seconds};
use jostle_console::exit::Usage;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

const LENGTH_DEFAULT: Span = Span(Duration::from_secs(60));
const TURN_DEFAULT: Span = Span(Duration::from_secs(1));
/// More flows than a proxy would keep.
const FLOWS_MAX: i64 = 16_384;

/// The stream that is sent.
#[derive(Args, Clone, Debug)]
pub(super) struct StreamArgs {
    /// How fast packets are sent: 1000/s, or 5Mbit/s of payload
    #[arg(long, value_name = "RATE", value_parser = pace, default_value = "1000/s",
        help_heading = "The stream")]
    send: Pace,
    /// The payload of each packet, in bytes
    #[arg(long, value_name = "BYTES", value_parser = payload, default_value = "1200",
        help_heading = "The stream")]
    size: u32,
    /// How they are spread in time
    #[arg(long, value_enum, default_value = "constant", help_heading = "The stream")]
    arrivals: Arrivals,
    /// How long packets come, with --arrivals onoff; 1s unless stated
    #[arg(long, value_name = "TIME", help_heading = "The stream")]
    on: Option<Span>,
    /// How long none comes, with --arrivals onoff; 1s unless stated
    #[arg(long, value_name = "TIME", help_heading = "The stream")]
    off: Option<Span>,
    /// Flows that take turns
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=FLOWS_MAX),
        default_value = "1", help_heading = "The stream")]
    flows: u32,
    /// What the IP headers say of congestion: not-ect, ect0, ect1 (L4S) or ce
    #[arg(long, value_name = "ECN", default_value = "not-ect", help_heading = "The stream")]
    ecn: Ecn,
    /// Take times and sizes from a capture (pcap or pcapng, plain or .gz): up is what the first
    /// speaker of each flow sent
    #[arg(long, value_name = "FILE",
        conflicts_with_all = ["send", "size", "arrivals", "on", "off", "flows", "ecn"],
        help_heading = "The stream")]
    pcap: Option<PathBuf>,
    /// Send for so long: 60s unless --count or --pcap says otherwise
    #[arg(long = "for", value_name = "TIME", value_parser = parse_seconds,
        help_heading = "The stream")]
    limit: Option<Span>,
    /// Send so many packets, each way
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..),
        help_heading = "The stream")]
    count: Option<u64>,
}

/// The spacing of packets in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Arrivals {
    /// At equal gaps
    Constant,
    /// At random, as from many independent senders
    Poisson,
    /// At equal gaps for a while, then none for a while
    Onoff,
}

/// Reads `1000/s` or `5Mbit/s`.
pub fn pace(text: &str) -> Result<Pace, String> {
    if let Ok(rate) = text.parse::<PacketRate>() {
        return Ok(Pace::Packets(rate));
    }
    text.parse::<BitRate>().map(Pace::Bits).map_err(|_| {
        format!(
            "\"{text}\" is not a rate; write packets per second (\"1000/s\") or bits (\"5Mbit/s\")"
        )
    })
}

/// Reads a payload: `1200`, or a size with its unit.
pub fn payload(text: &str) -> Result<u32, String> {
    let bytes = match text.parse::<u64>() {
        Ok(bytes) => bytes,
        Err(_) => text.parse::<ByteSize>().map_err(|error| error.to_string())?.bytes(),
    };
    u32::try_from(bytes)
        .ok()
        .filter(|bytes| *bytes <= SIZE_MAX)
        .ok_or_else(|| format!("no packet carries {bytes} bytes; write 0 to {SIZE_MAX}"))
}

impl StreamArgs {
    /// Checks what the parser cannot.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.arrivals != Arrivals::Onoff && (self.on.is_some() || self.off.is_some()) {
            return Err(Usage::error("--on and --off are for --arrivals onoff; add it"));
        }
        if self.on.is_some_and(|on| on.0.is_zero()) {
            return Err(Usage::error("--on 0: then no packet ever comes; write \"1s\", say"));
        }
        if self.limit.is_some_and(|limit| limit.0.is_zero()) {
            return Err(Usage::error("--for 0: nothing is sent in no time; write \"60s\", say"));
        }
        Ok(())
    }

    /// Returns the stream that is described; `None` for a capture.
    pub(super) fn described(&self) -> Option<PacketStream> {
        let spread = match self.arrivals {
            Arrivals::Constant => Spread::Constant,
            Arrivals::Poisson => Spread::Poisson,
            Arrivals::Onoff => Spread::OnOff {
                on: self.on.unwrap_or(TURN_DEFAULT).0,
                off: self.off.unwrap_or(TURN_DEFAULT).0,
            },
        };
        let (pace, size) = (self.send, self.size);
        let stream = PacketStream { pace, size, spread, flows: self.flows, ecn: self.ecn };
        self.pcap.is_none().then_some(stream)
    }

    /// Returns true if packets come at equal gaps.
    pub(super) fn is_even(&self) -> bool {
        self.pcap.is_none() && self.arrivals == Arrivals::Constant
    }

    /// Returns the longest time for which packets are sent.
    pub(super) fn length(&self) -> Option<Duration> {
        let unbounded = self.count.is_some() || self.pcap.is_some();
        self.limit.or_else(|| (!unbounded).then_some(LENGTH_DEFAULT)).map(|length| length.0)
    }

    /// Estimates how long packets are sent, to choose the resolution of pictures.
    pub(super) fn duration(&self) -> Duration {
        let by_count = self.count.zip(self.described()).map(|(count, stream)| {
            Duration::from_secs_f64(
                (count as f64 / stream.pace.packets_per_second(stream.size)).min(1e9),
            )
        });
        [self.length(), by_count].into_iter().flatten().min().unwrap_or(LENGTH_DEFAULT.0)
    }

    /// Returns the packets of one direction; of a capture also what is read of it.
    ///
    /// # Errors
    /// When the capture cannot be read.
    pub(super) fn arrivals(
        &self,
        seed: u64,
        direction: Direction,
    ) -> anyhow::Result<(Box<dyn Iterator<Item = Arrival>>, Option<Reading>)> {
        let mut reading = None;
        let all: Box<dyn Iterator<Item = Arrival>> = match (&self.pcap, self.described()) {
            (Some(path), _) => {
                let (arrivals, read) = capture::arrivals(path, direction)?;
                reading = Some(read);
                Box::new(arrivals)
            }
            (None, Some(stream)) => Box::new(stream.arrivals(seed, direction)),
            (None, None) => unreachable!("what is no capture is described"),
        };
        let count = usize::try_from(self.count.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        let end =
            self.length().map_or(Instant::from_nanos(u64::MAX), |length| Instant::START + length);
        Ok((Box::new(all.take(count).take_while(move |arrival| arrival.at < end)), reading))
    }

    /// Describes the stream in words: `1,200 bytes at 1000/s`.
    pub(super) fn words(&self) -> String {
        let Some(stream) = self.described() else {
            let capture = self.pcap.as_ref().map(|path| path.display().to_string());
            return format!("from {}", capture.unwrap_or_default());
        };
        let pace = pace_words(stream.pace);
        let spread = match stream.spread {
            Spread::Constant => String::new(),
            Spread::Poisson => ", at random times".to_owned(),
            Spread::OnOff { on, off } => format!(", {} on and {} off", Span(on), Span(off)),
        };
        let flows =
            if stream.flows > 1 { format!(", in {} flows", stream.flows) } else { String::new() };
        let ecn =
            if self.ecn.takes_marks() { format!(", {} in IP", self.ecn) } else { String::new() };
        format!(
            "of {} bytes at {pace}{spread}{flows}{ecn}",
            jostle_common::words::grouped(u64::from(stream.size))
        )
    }

    /// Returns the same for machines.
    pub(super) fn json(&self) -> Value {
        let Some(stream) = self.described() else {
            return json!({ "pcap": self.pcap.as_deref().map(|path| path.display().to_string()) });
        };
        let (arrivals, on, off) = match stream.spread {
            Spread::Constant => ("constant", None, None),
            Spread::Poisson => ("poisson", None, None),
            Spread::OnOff { on, off } => ("onoff", Some(Span(on)), Some(Span(off))),
        };
        json!({
            "send": pace_words(stream.pace), "size": stream.size,
            "arrivals": arrivals, "on": on, "off": off,
            "flows": stream.flows, "ecn": stream.ecn, "for": self.length().map(Span), "count": self.count,
        })
    }
}

fn pace_words(pace: Pace) -> String {
    match pace {
        Pace::Packets(rate) => rate.to_string(),
        Pace::Bits(rate) => rate.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paces_and_payloads_are_told_apart_by_their_unit() {
        assert!(matches!(pace("1000/s"), Ok(Pace::Packets(_))));
        assert!(matches!(pace("5Mbit/s"), Ok(Pace::Bits(_))));
        for text in ["1000", "5Mbit", "fast", ""] {
            assert!(pace(text).unwrap_err().contains("write packets per second"), "{text}");
        }
        assert_eq!([payload("1200"), payload("1KiB"), payload("0")], [Ok(1200), Ok(1024), Ok(0)]);
        assert!(payload("70000").is_err() && payload("big").is_err());
    }
}
