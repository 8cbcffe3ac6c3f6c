//! `jostle-server ping` and `jostle-client ping`.

use super::output::{counts, print_event, print_summary};
use super::{PORT, ping, serve};
use crate::options::{ListenOptions, span};
use crate::protocol::ping::{PingClientSettings, PingPace, SIZE_MAX, SIZE_MIN};
use crate::protocol::reflector::ReflectorReport;
use crate::protocol::timer::Timing;
use crate::way::WayOptions;
use clap::Args;
use jostle_common::ecn::Ecn;
use jostle_common::units::ByteSize;
use jostle_console::progress;
use jostle_console::stop::Stop;
use jostle_console::terminal::Printer;
use serde_json::json;
use std::time::Duration;

/// The number of requests of a flood that may be open: enough to keep any loopback busy, few enough
/// for a default socket buffer.
const FLOOD_WINDOW: u32 = 64;

/// Answers any datagram with itself, over UDP.
#[derive(Args, Debug)]
#[command(
    after_help = "Nothing is answered that comes from a port below 1024, from ports 1234 and \
                  9002, or from the server's own port
number: other services that answer anything live there, and two of them would talk for ever.

Examples:
  jostle-server ping
  jostle-server ping --listen '[::1]:0' --once --json"
)]
pub struct PingServeArgs {
    /// End when the first client has been silent for 2 s
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    serving: ListenOptions<PORT>,
}

impl PingServeArgs {
    /// Answers until stopped. Returns true if all went well.
    ///
    /// # Errors
    /// When the address cannot be taken.
    pub fn run(&self, stop: &Stop) -> anyhow::Result<bool> {
        let server = serve(self.serving.address("udp")?, self.once)?;
        let printer = self.serving.printer();
        printer.ready("ping", &format!("udp://{}", server.address()));
        let reflector = server.run(stop, |_| {})?;
        let ReflectorReport { received, answered, bytes, refused, circling, unanswered } =
            *reflector.report();
        let fields = json!({ "kind": "ping", "received": received, "answered": answered,
            "bytes": bytes, "refused": refused, "circling": circling,
            "unanswered": unanswered });
        printer.event("summary", fields, || {
            format!(
                "received {received} answered {answered} refused {refused} circling {circling} \
                 unanswered {unanswered}"
            )
        });
        Ok(true)
    }
}

/// Sends datagrams and measures when each comes back.
#[derive(Args, Debug)]
#[command(
    after_help = "Loss counts datagrams, retries included. An answer belongs to the datagram it \
                  answers, however late it comes.

Examples:
  jostle-client ping 127.0.0.1:1234
  jostle-client ping 127.0.0.1:1234 --count 1000 --interval 10ms --json
  jostle-client ping 127.0.0.1:1234 --flood --size 1400 --deadline 5s
  jostle-client ping 127.0.0.1:1234 --ecn ect0 --count 100"
)]
pub struct PingArgs {
    /// The server; the port is 1234 unless given
    #[arg(value_name = "HOST:PORT")]
    server: String,
    /// How many requests [default: 10; without end with --flood or --deadline]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Begin a request so often, whatever is answered [default: as soon as the one before is
    /// answered]
    #[arg(long, value_name = "TIME", value_parser = span)]
    interval: Option<Duration>,
    /// Keep 64 requests open, and print the sums only
    #[arg(long, conflicts_with = "interval")]
    flood: bool,
    /// The length of a datagram in bytes, 24 to 65507
    #[arg(long, value_name = "BYTES", default_value = "56", value_parser = parse_size)]
    size: usize,
    /// How often a request without an answer is tried again [default: 3; 0 with --interval]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=1000))]
    retries: Option<u32>,
    /// When an answer is late: from measured round trips, doubled on silence, or always after the
    /// same time ("fixed:200ms")
    #[arg(long, value_name = "adaptive|fixed:T", default_value = "adaptive")]
    timeout: Timing,
    /// Let IP headers say that marks are taken, "ect0" or "ect1" (L4S), and count the answers that
    /// come back marked (CE); the server answers with what it heard
    #[arg(long, value_name = "ect0|ect1", value_parser = parse_ecn)]
    ecn: Option<Ecn>,
    /// End after so long, whatever is still open
    #[arg(long, value_name = "TIME", value_parser = span)]
    deadline: Option<Duration>,
    /// Print an object per line instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    way: WayOptions,
}

fn parse_ecn(text: &str) -> Result<Ecn, String> {
    match text.parse() {
        Ok(ecn @ (Ecn::Ect0 | Ecn::Ect1)) => Ok(ecn),
        _ => Err("a sender that takes marks says ect0 or ect1; write one of them".to_owned()),
    }
}

fn parse_size(text: &str) -> Result<usize, String> {
    let size = match text.parse::<u64>() {
        Ok(bytes) => bytes,
        Err(_) => text.parse::<ByteSize>().map_err(|error| error.to_string())?.bytes(),
    };
    match usize::try_from(size) {
        Ok(size @ SIZE_MIN..=SIZE_MAX) => Ok(size),
        _ => Err(format!("a datagram of ping has {SIZE_MIN} to {SIZE_MAX} bytes")),
    }
}

impl PingArgs {
    fn settings(&self, run: u32) -> PingClientSettings {
        // The address is replaced by the one that is resolved.
        let defaults = PingClientSettings::new(([0, 0, 0, 0], 0).into(), run);
        let is_endless = self.flood || self.deadline.is_some();
        let (pace, retries) = match self.interval {
            Some(interval) => (PingPace::Interval(interval), 0),
            None if self.flood => (PingPace::Answers { window: FLOOD_WINDOW }, defaults.retries),
            None => (defaults.pace, defaults.retries),
        };
        PingClientSettings {
            count: self.count.or(if is_endless { None } else { defaults.count }),
            size: self.size,
            pace,
            retries: self.retries.unwrap_or(retries),
            timing: self.timeout,
            deadline: self.deadline,
            ecn: self.ecn.unwrap_or_default(),
            tell: !self.flood,
            ..defaults
        }
    }

    /// Pings. Returns true if something was answered, or if the user ended it before.
    ///
    /// # Errors
    /// When nothing is answered.
    pub fn run(&self, stop: &Stop) -> anyhow::Result<bool> {
        let servers = self.way.to(&self.server, "udp", PORT)?;
        let settings = self.settings(rand::random());
        let printer = Printer::new(self.json);
        let line = if self.flood { progress::line() } else { indicatif::ProgressBar::hidden() };
        let pinged = ping(&servers, &settings, stop, |server, event, report| match event {
            Some(event) => print_event(printer, server, self.size, event),
            None if !line.is_hidden() => line.set_message(counts(report).replace('\n', ", ")),
            None => {}
        });
        line.finish_and_clear();
        let pinged = pinged?;
        print_summary(printer, &pinged, settings.ecn);
        pinged.ending.status()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: PingArgs,
    }

    fn settings(line: &str) -> Result<PingClientSettings, String> {
        let line =
            Line::try_parse_from(["ping", "host"].into_iter().chain(line.split_whitespace()));
        line.map(|line| line.args.settings(1)).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_follow_the_pace() {
        let plain = settings("").unwrap();
        assert_eq!((plain.count, plain.retries, plain.size), (Some(10), 3, 56));
        assert_eq!(plain.pace, PingPace::Answers { window: 1 });
        let paced = settings("--interval 10ms").unwrap();
        assert_eq!((paced.count, paced.retries), (Some(10), 0));
        assert_eq!(settings("--interval 10ms --retries 2").unwrap().retries, 2);
        let flood = settings("--flood").unwrap();
        assert_eq!((flood.count, flood.retries, flood.tell), (None, 3, false));
        assert_eq!(settings("--deadline 1s").unwrap().count, None);
        assert_eq!(settings("--deadline 1s --count 5").unwrap().count, Some(5));
        assert_eq!(
            (settings("--size 1KiB").unwrap().size, settings("--size 24").unwrap().size),
            (1024, 24)
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "--count 0",
            "--interval 0",
            "--interval 5",
            "--flood --interval 1ms",
            "--size 23",
            "--size 65508",
            "--size x",
            "--retries 1001",
            "--deadline 0",
            "--timeout 5",
            "--ecn ce",
            "--ecn not-ect",
        ] {
            assert!(settings(line).is_err(), "{line}");
        }
    }
}
