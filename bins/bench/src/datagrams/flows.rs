//! What flows cost that stand still: `jostle-load flows`.

use super::sockets::{Sender, Shape, Sink};
use crate::standing::StandingArgs;
use jostle_sys::LoadOptions;

/// The relay's memory per flow of datagrams that has had one and stands still
#[derive(Debug, clap::Args)]
pub(crate) struct FlowsArgs {
    #[command(flatten)]
    standing: StandingArgs,
}

impl FlowsArgs {
    /// Runs it and prints the result.
    ///
    /// # Errors
    /// When a socket cannot be had, nothing arrives, or the relay ends.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let mut sink = Sink::new(self.standing.sink, LoadOptions::default())?;
        let shape = Shape { size: 64, batch: 1, runs: false };
        self.standing.tell("flow", |count| {
            let mut sender = Sender::new(self.standing.to, count, shape)?;
            sender.reach(&mut sink)?;
            Ok(sender)
        })
    }
}
