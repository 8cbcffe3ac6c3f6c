//! `--events-only` and `--events-every`: which fates the event log has.

use clap::Args;
use jostle_proxy::Selection;

/// The options that choose.
#[derive(Args, Clone, Debug)]
pub(super) struct EventArgs {
    /// Of --events, write only some: route=web,direction=up,flow=3-5,fate=discarded (or a reason,
    /// such as drop); several values of one key are alternatives
    #[arg(long, value_name = "FILTER", requires = "events", value_parser = Selection::parse,
        hide_short_help = true, help_heading = "The run")]
    events_only: Option<Selection>,
    /// Of --events, write one packet of so many, the same ones in each run
    #[arg(long, value_name = "COUNT", requires = "events",
        value_parser = clap::value_parser!(u64).range(1..), hide_short_help = true,
        help_heading = "The run")]
    events_every: Option<u64>,
}

impl EventArgs {
    /// Returns what is chosen.
    pub(super) fn selection(&self) -> Selection {
        let mut selection = self.events_only.clone().unwrap_or(Selection::ALL);
        if let Some(every) = self.events_every {
            selection.sample(every);
        }
        selection
    }
}
