//! The shorthands that make a profile without a file: `--drop 5% --delay 20ms`, for both directions
//! or for one.

use clap::Args;
use jostle_common::setting::SettingError;
use jostle_common::units::{BitRate, Probability, Span, UnitError, parse_duration};
use jostle_engine::profile::{Queue, Shorthand};

fn span(text: &str) -> Result<Span, UnitError> {
    parse_duration(text).map(Span)
}

/// A mean number of packets; `Drop::burst` judges it together with the loss.
fn burst(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("\"{text}\" is not a number of packets; write 3, say"))
}

macro_rules! shorthands {
    ($name:ident, $heading:literal, $about:literal, $drop:literal $(alias $alias:literal)?, $burst:literal, $duplicate:literal,
     $corrupt:literal, $rate:literal, $queue:literal, $delay:literal, $jitter:literal, $reorder:literal) => {
        #[doc = $about]
        #[derive(Args, Clone, Copy, Debug, Default)]
        #[command(next_help_heading = $heading)]
        pub struct $name {
            /// Lose this share of the packets: 5%
            #[arg(id = $drop, long = $drop, $(visible_alias = $alias,)? value_name = "SHARE")]
            drop: Option<Probability>,
            /// Lose them in bursts of this mean length: 3
            #[arg(id = $burst, long = $burst, value_name = "PACKETS", value_parser = burst)]
            burst: Option<f64>,
            /// Copy this share of the packets
            #[arg(id = $duplicate, long = $duplicate, value_name = "SHARE")]
            duplicate: Option<Probability>,
            /// Flip a bit in this share of the packets
            #[arg(id = $corrupt, long = $corrupt, value_name = "SHARE")]
            corrupt: Option<Probability>,
            /// Let no more through than this: 10Mbit/s
            #[arg(id = $rate, long = $rate, value_name = "RATE")]
            rate: Option<BitRate>,
            /// Let so much wait in front of the rate: 200ms, 64KiB or "50 packets"
            #[arg(id = $queue, long = $queue, value_name = "BOUND")]
            queue: Option<Queue>,
            /// Hold each packet for so long, one way: 20ms
            #[arg(id = $delay, long = $delay, value_name = "TIME", value_parser = span)]
            delay: Option<Span>,
            /// Spread the delay by so much, up and down: 5ms
            #[arg(id = $jitter, long = $jitter, value_name = "TIME", value_parser = span)]
            jitter: Option<Span>,
            /// Let this share of the packets be overtaken by the next
            #[arg(id = $reorder, long = $reorder, value_name = "SHARE")]
            reorder: Option<Probability>,
        }

        impl From<$name> for Shorthand {
            fn from(args: $name) -> Self {
                let $name { drop, burst, duplicate, corrupt, rate, queue, delay, jitter, reorder } = args;
                Self { drop, burst, duplicate, corrupt, rate, queue, delay, jitter, reorder }
            }
        }
    };
}

shorthands!(
    Both, "Weather in both directions", "What happens in both directions.",
    "drop" alias "loss", "burst", "duplicate", "corrupt", "rate", "queue", "delay", "jitter", "reorder"
);
shorthands!(
    Up, "Weather from client to server, instead", "What happens from client to server.",
    "up-drop" alias "up-loss", "up-burst", "up-duplicate", "up-corrupt", "up-rate", "up-queue", "up-delay", "up-jitter", "up-reorder"
);
shorthands!(
    Down, "Weather from server to client, instead", "What happens from server to client.",
    "down-drop" alias "down-loss", "down-burst", "down-duplicate", "down-corrupt", "down-rate", "down-queue", "down-delay", "down-jitter",
    "down-reorder"
);

/// All shorthands of a command line.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Weather {
    #[command(flatten)]
    both: Both,
    #[command(flatten)]
    up: Up,
    #[command(flatten)]
    down: Down,
}

impl Weather {
    /// What is asked for up and down.
    pub fn shorthands(self) -> (Shorthand, Shorthand) {
        let both = Shorthand::from(self.both);
        (both.overridden_by(self.up.into()), both.overridden_by(self.down.into()))
    }

    /// What is asked for in both directions, up and down.
    pub(crate) fn parts(self) -> (Shorthand, Shorthand, Shorthand) {
        (self.both.into(), self.up.into(), self.down.into())
    }

    /// Puts the shorthands in front of a profile.
    ///
    /// # Errors
    /// When a shorthand asks for something impossible; the place is the option.
    pub fn in_front_of(
        self,
        profile: jostle_engine::profile::Profile,
    ) -> Result<jostle_engine::profile::Profile, SettingError> {
        let (up, down) = self.shorthands();
        profile.with_shorthands(up, down)
    }
}
