//! As many datagrams as the relay carries: `jostle-load datagrams`.

use super::sockets::{Sender, Shape, Sink};
use super::window::Window;
use crate::measure::{MeasureArgs, Meter};
use jostle_common::clock::Clock;
use jostle_common::units::{Span, parse_seconds};
use jostle_console::terminal;
use jostle_sys::LoadOptions;
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;

/// As many datagrams as the relay carries, one way, with a closed window
#[derive(Debug, clap::Args)]
pub(crate) struct DatagramsArgs {
    /// Where the relay listens
    #[arg(long, value_name = "ADDR")]
    to: SocketAddr,

    /// Where it leads: datagrams are taken in here
    #[arg(long, value_name = "ADDR")]
    sink: SocketAddr,

    /// The bytes of a datagram
    #[arg(long, value_name = "BYTES", default_value = "1200",
        value_parser = clap::value_parser!(u16).range(16..=65_507))]
    size: u16,

    /// Send so many with one call, or as many as it takes
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    batch: usize,

    /// Send them as runs that are split behind the sender, as QUIC stacks do (UDP_SEGMENT)
    #[arg(long)]
    runs: bool,

    /// Take in runs as one message (UDP_GRO)
    #[arg(long)]
    sink_runs: bool,

    /// Have so many wait before the relay
    #[arg(long, value_name = "COUNT", default_value_t = 512)]
    window: u64,

    /// The relay holds each for so long: have those under way beside the window
    #[arg(long, value_name = "TIME", value_parser = parse_seconds, default_value = "0s")]
    delay: Span,

    /// Send by so many flows in turn
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    flows: usize,

    #[command(flatten)]
    measure: MeasureArgs,
}

impl DatagramsArgs {
    /// Runs it and prints the result.
    ///
    /// # Errors
    /// When a socket cannot be had, nothing arrives, or the relay ends.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let mut sink = Sink::new(self.sink, LoadOptions { runs: self.sink_runs, stamps: false })?;
        let shape = Shape { size: self.size.into(), batch: self.batch, runs: self.runs };
        let mut sender = Sender::new(self.to, self.flows, shape)?;
        sender.reach(&mut sink)?;
        let clock = Clock::start();
        let mut meter = Meter::start(&self.measure, clock.now());
        let mut window = Window::new(self.window, self.delay.0, clock.now());
        let measured = loop {
            let now = clock.now();
            // What came while the loop was away counts before the phase is over.
            sink.read(|number, _| window.heard(number, now))?;
            if let Some(measured) = meter.turn(now, sink.arrived)? {
                break measured;
            }
            if window.room(now) >= sender.batch() as u64 {
                window.sent(sender.send(window.next())?);
            }
        };
        sink.drain(self.delay.0 + Duration::from_millis(300), |_, _| {})?;
        let mut fields = measured.fields("packet");
        fields["sent"] = window.next().into();
        fields["lost"] = window.next().saturating_sub(sink.arrived).into();
        fields["shape"] = json!({ "bytes": self.size, "batch": sender.batch(), "runs": self.runs,
            "sink_runs": self.sink_runs, "window": self.window, "flows": sender.flows() });
        terminal::line(&fields.to_string());
        Ok(())
    }
}
