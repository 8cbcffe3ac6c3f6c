//! What connections cost that stand still: `jostle-load idle`.

use super::pairs::Sink;
use crate::standing::StandingArgs;

/// The relay's memory per connection that has had a byte each way and stands still
#[derive(Debug, clap::Args)]
pub(crate) struct IdleArgs {
    #[command(flatten)]
    standing: StandingArgs,
}

impl IdleArgs {
    /// Runs it and prints the result.
    ///
    /// # Errors
    /// When a connection cannot be had, or the relay ends.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let sink = Sink::new(self.standing.sink)?;
        self.standing.tell("connection", |count| sink.pairs(self.standing.to, count))
    }
}
