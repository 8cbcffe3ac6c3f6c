//! What happens, second by second.

use super::Teller;
use super::client::Client;
use super::proxies::table;
use clap::Args;
use jostle_common::words::{grouped, share, short_rate, time};
use jostle_console::terminal::{escaped, text};
use serde_json::Value;
use std::io::{self, IsTerminal as _};

/// Empties the screen and goes to its beginning.
const HOME: &str = "\u{1b}[H\u{1b}[J";

/// Tell each second what happens: a table at a terminal, lines otherwise
#[derive(Args, Debug)]
pub(super) struct WatchArgs {
    /// These proxies alone
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// End after so many seconds that were told
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

impl WatchArgs {
    pub(super) fn run(self, client: &Client, teller: Teller) -> anyhow::Result<()> {
        let is_table = io::stdout().is_terminal() && !teller.json;
        let mut told = 0;
        client.events(&["live"], |event, data| {
            if event == "state" && told == 0 {
                self.check_names(&serde_json::from_str(data)?)?;
            }
            if event != "second" {
                return Ok(true);
            }
            if teller.json {
                text(&format!("{data}\n"))?;
            } else {
                let second: Value = serde_json::from_str(data)?;
                let said =
                    if is_table { self.screen(&second) } else { self.lines(&second).join("") };
                text(&said)?;
            }
            told += 1;
            Ok(self.count.is_none_or(|count| told < count))
        })
    }

    /// Refuses names that no proxy has.
    fn check_names(&self, state: &Value) -> anyhow::Result<()> {
        let proxies = state["proxies"].as_array();
        let is_there =
            |name: &&String| proxies.into_iter().flatten().any(|proxy| proxy["name"] == **name);
        match self.names.iter().find(|name| !is_there(name)) {
            Some(name) => Err(anyhow::anyhow!(
                "there is no proxy \"{}\"; \"jostle ctl list\" has them",
                escaped(name)
            )),
            None => Ok(()),
        }
    }

    /// The directions of the proxies that are asked for.
    fn ways<'a>(&self, second: &'a Value) -> Vec<(&'a str, &'static str, &'a Value)> {
        let proxies = second["proxies"].as_object().into_iter().flatten();
        let wanted = |name: &str| self.names.is_empty() || self.names.iter().any(|one| one == name);
        proxies
            .filter(|(name, _)| wanted(name))
            .flat_map(|(name, proxy)| ["up", "down"].map(|way| (name.as_str(), way, &proxy[way])))
            .collect()
    }

    fn screen(&self, second: &Value) -> String {
        let heads = [
            "proxy",
            "",
            "packets in",
            "out",
            "lost",
            "rate in",
            "rate out",
            "delay p50",
            "p99",
            "held",
        ];
        let mut table = table(heads);
        for (name, direction, way) in self.ways(second) {
            let cells = [escaped(name), direction.to_owned()];
            table.add_row(cells.into_iter().chain(Numbers::of(way).cells()));
        }
        let at = second["t"].as_f64().unwrap_or(0.0);
        format!("{HOME}{at:.0} s\n{}\n", table.trim_fmt())
    }

    fn lines(&self, second: &Value) -> Vec<String> {
        let at = second["t"].as_f64().unwrap_or(0.0);
        let line = |(name, direction, way): (&str, &str, &Value)| {
            let [entered, left, lost, rate_in, rate_out, p50, p99, held] = Numbers::of(way).cells();
            format!(
                "{at:.1} {} {direction}: in {entered}, out {left}, lost {lost}, {rate_in} in, \
                 {rate_out} out, delay {p50} (p99 {p99}), held {held}\n",
                escaped(name),
            )
        };
        self.ways(second).into_iter().map(line).collect()
    }
}

/// The numbers of one direction in one second.
struct Numbers<'a> {
    entered: u64,
    left: u64,
    discarded: u64,
    copies: u64,
    bytes: [u64; 2],
    held: u64,
    delay_ms: &'a Value,
}

impl<'a> Numbers<'a> {
    fn of(way: &'a Value) -> Self {
        let count = |key: &str| way[key].as_u64().unwrap_or(0);
        let discarded = way["discarded"].as_object().into_iter().flatten();
        Self {
            entered: count("packets_in"),
            left: count("packets_out"),
            discarded: discarded.filter_map(|(_, count)| count.as_u64()).sum(),
            copies: count("copies"),
            bytes: [count("bytes_in"), count("bytes_out")],
            held: count("held"),
            delay_ms: &way["delay_ms"],
        }
    }

    /// Returns them in words, in the order of the table's columns.
    fn cells(&self) -> [String; 8] {
        let [rate_in, rate_out] = self.bytes.map(|bytes| short_rate(bytes as f64 * 8.0));
        [
            grouped(self.entered),
            grouped(self.left),
            self.lost(),
            rate_in,
            rate_out,
            self.delay("p50"),
            self.delay("p99"),
            grouped(self.held),
        ]
    }

    fn lost(&self) -> String {
        share(self.discarded, self.entered + self.copies)
    }

    fn delay(&self, which: &str) -> String {
        self.delay_ms[which].as_f64().map_or_else(|| "-".into(), |ms| time(ms / 1e3))
    }
}
