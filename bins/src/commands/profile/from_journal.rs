//! `jostle profile from-journal`: what was done by hand as a profile, or a configuration, that does
//! it again.

use anyhow::Context;
use clap::Args;
use jostle_console::exit::Usage;
use jostle_console::files;
use jostle_console::terminal::{self, escaped, note, wrapped};
use jostle_control::{History, Replay};
use jostle_engine::route::Configuration;
use jostle_study::profiles::ProfileFiles;
use serde_json::Value;
use std::path::PathBuf;

/// A journal of a hundred thousand changes is no longer made by hand.
const JOURNAL_BYTES_MAX: u64 = 64 << 20;

/// Make the phases of what was done by hand, from the journal of a run
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  jostle proxy --config routes.json --api --journal journal.jsonl
  jostle profile from-journal journal.jsonl --config -o again.json
  jostle proxy --config again.json
  jostle profile from-journal journal.jsonl --proxy web > web.json

With the same seed and the same name of the route, packets meet the same fates again: the
configuration that --config prints has both. The phases count from the first packet. What a profile
cannot say is remarked on stderr, and in the profile's \"about\".")]
pub(super) struct FromJournalArgs {
    /// The file that `jostle proxy --journal` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The proxy whose profile is printed, if the journal has several
    #[arg(long, value_name = "NAME")]
    proxy: Option<String>,
    /// Print a configuration of all proxies, with the seed
    #[arg(long, conflicts_with = "proxy")]
    config: bool,
    /// Write to a file instead of stdout
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
}

impl FromJournalArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let path = self.file.display();
        let bytes = files::read(&self.file, JOURNAL_BYTES_MAX)
            .with_context(|| format!("cannot read {path}"))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Usage::error(format!("{path}: this is no journal: it is not text")))?;
        // What a rule read from a file is looked for where the run looked for it.
        let found = ProfileFiles::new(PathBuf::new());
        let read = |name: &str| found.read(name);
        let history = History::read(&text, &read)
            .map_err(|error| Usage::error(escaped(&format!("{path}: {error}"))))?;
        let value = if self.config {
            self.configuration(&history, &read)?
        } else {
            self.profile(&history, &read)?
        };
        let text = format!("{value:#}\n");
        match &self.output {
            None => terminal::text(&text)?,
            Some(output) => std::fs::write(output, text)
                .with_context(|| format!("cannot write {}", output.display()))?,
        }
        Ok(())
    }

    /// Returns the profile of the one proxy that there is, or that was chosen.
    fn profile(
        &self,
        history: &History,
        read: &dyn Fn(&str) -> Result<String, String>,
    ) -> anyhow::Result<Value> {
        let names: Vec<String> = history.proxies().into_keys().collect();
        let name = match (&self.proxy, names.as_slice()) {
            (Some(name), _) => name,
            (None, [only]) => only,
            (None, []) => return Err(self.usage("the journal has no proxy")),
            (None, names) => {
                return Err(self.usage(&format!(
                    "the journal has {} proxies: {}; choose one with --proxy, or print all of them \
                     with --config",
                    names.len(),
                    names.join(", ")
                )));
            }
        };
        let Replay { route, remarks } =
            history.replay(name, read).map_err(|error| self.usage(&error.to_string()))?;
        remark(name, &remarks);
        note(&escaped(&format!(
            "the draws were those of seed {} and a route called \"{name}\", as --config has them",
            route.seed.unwrap_or(history.seed)
        )));
        Ok(route.profile.to_value())
    }

    /// Returns all proxies that are there at the end.
    fn configuration(
        &self,
        history: &History,
        read: &dyn Fn(&str) -> Result<String, String>,
    ) -> anyhow::Result<Value> {
        let mut routes = Vec::new();
        for (name, is_there) in history.proxies() {
            if !is_there {
                remark(&name, &["it was removed; --proxy prints what was done to it".to_owned()]);
                continue;
            }
            let Replay { route, remarks } =
                history.replay(&name, read).map_err(|error| self.usage(&error.to_string()))?;
            remark(&name, &remarks);
            routes.push(route);
        }
        if routes.is_empty() {
            return Err(self.usage("the journal ends without a proxy"));
        }
        let seed = Some(history.seed);
        Ok(Configuration { seed, routes, remarks: Vec::new() }.to_value())
    }

    fn usage(&self, problem: &str) -> anyhow::Error {
        Usage::error(escaped(&format!("{}: {problem}", self.file.display())))
    }
}

fn remark(name: &str, remarks: &[String]) {
    for remark in remarks {
        note(&wrapped(&escaped(&format!("{name}: {remark}")), 100, 2));
    }
}
