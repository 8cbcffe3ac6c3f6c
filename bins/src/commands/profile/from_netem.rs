//! `jostle profile from-netem`: a `tc netem` line as a profile.

use super::from_tool;
use clap::Args;
use jostle_console::exit::Usage;
use jostle_engine::profile::netem::{JitterOrder, from_netem};

/// Translate a tc netem line into a profile, and say what netem would really have done
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  jostle profile from-netem 'delay 100ms 10ms loss 1% 25%' > mine.json
  jostle profile from-netem 'tc qdisc add dev eth0 root netem rate 5mbit limit 50'
  jostle profile from-netem \"$(tc qdisc show dev eth0)\"

It reads what is typed into tc, with what a script has around it, and what tc shows. The profile
goes to stdout, remarks go to stderr; the profile's \"about\" holds them too.")]
pub(super) struct FromNetemArgs {
    /// What stands behind netem, the whole command, or what tc qdisc show prints
    // A packet overhead may be below zero.
    #[arg(value_name = "LINE", required = true, allow_negative_numbers = true)]
    line: Vec<String>,
    /// Keep packets in order, where netem's jitter lets them overtake each other
    #[arg(long)]
    in_order: bool,
    /// Print an object with the profile and the remarks
    #[arg(long)]
    json: bool,
}

impl FromNetemArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let order = if self.in_order { JitterOrder::Kept } else { JitterOrder::AsInNetem };
        let translation = from_netem(&self.line.join(" "), order)
            .map_err(|error| Usage::error(error.to_string()))?;
        from_tool::print("netem", "profile", &translation, self.json)
    }
}
