//! What flows cost that stand still: `jostle-load flows`.

use super::sockets::{Sender, Shape, Sink};
use crate::measure::rounded;
use crate::processes::Processes;
use jostle_console::terminal;
use jostle_sys::LoadOptions;
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;

/// The relay's memory per flow of datagrams that has had one and stands still
#[derive(Debug, clap::Args)]
pub(crate) struct FlowsArgs {
    /// Where the relay listens
    #[arg(long, value_name = "ADDR")]
    to: SocketAddr,

    /// Where it leads: datagrams are taken in here
    #[arg(long, value_name = "ADDR")]
    sink: SocketAddr,

    /// How many flows
    #[arg(long, value_name = "COUNT", default_value_t = 9000)]
    count: usize,

    /// Look at these processes, with all that they have started
    #[arg(long = "of", value_name = "PID", required = true)]
    of: Vec<u32>,
}

impl FlowsArgs {
    /// Runs it and prints the result.
    ///
    /// # Errors
    /// When a socket cannot be had, nothing arrives, or the relay ends.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let processes = Processes::new(&self.of);
        let mut sink = Sink::new(self.sink, LoadOptions::default())?;
        let shape = Shape { size: 64, batch: 1, runs: false };
        // The first have the relay make what it makes once.
        let mut first = Sender::new(self.to, 16, shape)?;
        first.reach(&mut sink)?;
        let before = processes.memory_bytes()?;
        let mut sender = Sender::new(self.to, self.count, shape)?;
        sender.reach(&mut sink)?;
        // Whatever the relay does behind the last datagram.
        sink.drain(Duration::from_millis(300), |_, _| {})?;
        let after = processes.memory_bytes()?;
        let fields = json!({
            "flows": self.count,
            "memory_before_bytes": before,
            "memory_after_bytes": after,
            "kib_per_flow": rounded(
                (after as f64 - before as f64) / 1024.0 / self.count as f64),
        });
        terminal::line(&fields.to_string());
        Ok(())
    }
}
