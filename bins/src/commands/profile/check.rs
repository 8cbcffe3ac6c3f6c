//! `jostle profile check`: what profiles will do in numbers, and what is probably not meant.

use super::report;
use clap::Args;
use jostle_common::ecn::Ecn;
use jostle_console::exit::Usage;
use jostle_console::terminal::{columns, escaped, line, note};
use jostle_study::forecast::{Forecast, Load};
use jostle_study::probe::{Pace, PacketStream, Spread};
use jostle_study::profiles;
use jostle_study::simulate::stream::{pace, payload};
use serde_json::json;
use std::process::ExitCode;

/// Say what profiles will do in numbers, and warn of what is probably not meant
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  jostle profile check coffee-shop-wifi
  jostle profile check mine.json --rate 1000/s
  jostle profile check mine.json --rate 10Mbit/s --size 1200 --json

Ends with 2 if a profile is wrong, with 1 if one cannot be read. Warnings change nothing.")]
pub(super) struct CheckArgs {
    /// Files, or names of built-in profiles
    #[arg(value_name = "FILE", required = true, add = jostle_study::profiles::completer())]
    profiles: Vec<String>,
    /// How fast packets come: 1000/s, or 10Mbit/s. Then what depends on it is said too
    #[arg(long, value_name = "RATE", value_parser = pace, visible_alias = "send")]
    rate: Option<Pace>,
    /// The payload of the packets, in bytes
    #[arg(long, value_name = "BYTES", value_parser = payload, default_value = "1200")]
    size: u32,
    /// Print an object per profile instead of text
    #[arg(long)]
    json: bool,
}

impl CheckArgs {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let stream = self.rate.map(|pace| PacketStream {
            pace,
            size: self.size,
            spread: Spread::Constant,
            flows: 1,
            ecn: Ecn::NotEct,
        });
        let load = Load { size: self.size, stream };
        let mut status = 0;
        for (index, name) in self.profiles.iter().enumerate() {
            match profiles::load(&format!("{name}: "), name) {
                Ok(profile) => {
                    let forecast = Forecast::of(&profile, &load);
                    if self.json {
                        line(&report::json(name, &profile, &forecast, &load).to_string());
                    } else {
                        if index > 0 {
                            line("");
                        }
                        line(
                            report::text(
                                name,
                                &profile,
                                &forecast,
                                &load,
                                columns().unwrap_or(100),
                            )
                            .trim_end(),
                        );
                    }
                }
                Err(error) => {
                    status = status.max(if error.is::<Usage>() { 2 } else { 1 });
                    if self.json {
                        line(
                            &json!({ "name": name, "ok": false, "error": format!("{error:#}") })
                                .to_string(),
                        );
                    }
                    note(&format!("jostle: {}", escaped(&format!("{error:#}"))));
                }
            }
        }
        Ok(ExitCode::from(status))
    }
}
