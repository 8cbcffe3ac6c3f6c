//! The command line of `jostle trial`.

use super::options::TrialOptions;
use crate::profiles::ProfileFiles;
use crate::trial::Trial;
use anyhow::Context;
use jostle_common::chance::fresh_seed;
use jostle_common::setting::SettingError;
use jostle_common::units::parse_seed;
use jostle_console::exit::Usage;
use jostle_console::stop::Stop;
use jostle_console::terminal;
use std::path::PathBuf;

const HELP: &str = "\
Examples:
  jostle trial --protocol saw --loss 5% --delay 10ms --virtual --seed 7
  jostle trial --protocol tcp --size 1MiB --profile coffee-shop-wifi
  jostle trial --protocol ping --count 1000 --jitter 2ms --delay 20ms
  jostle trial --loss 2% --over both --server 'iperf3 -s -1 -p $JOSTLE_SERVER_PORT' \\
    --client 'iperf3 -c $JOSTLE_PROXY_HOST -p $JOSTLE_PROXY_PORT -u -b 1M -l 1200 -t 5 --json |
      tr -d \"\\n\\t\"'
  jostle trial --delay 50ms \\
    --server 'python3 -m http.server --bind $JOSTLE_SERVER_HOST $JOSTLE_SERVER_PORT' \\
    --client 'curl -so $JOSTLE_TEMP/got http://$JOSTLE_PROXY/file' \\
    --check 'cmp $JOSTLE_TEMP/got file'
  jostle trial --delay 50ms --upstream 127.0.0.1:8080 --client 'curl -sf http://$JOSTLE_PROXY/'

A row is one line of JSON: what was asked (protocol, loss, delay, repeat, seed, virtual and all
that was given), what came of it (ok, error, seconds, goodput_bps, digest_equal; the chunks,
requests or messages that were intact, missing, damaged, doubled and late; packets,
retransmissions, rtt_ms), what the proxy did (proxy), and what is of this machine and moment
(host). What was not measured is null. One seed gives one row, but for times on real sockets.

Commands are run by the shell and find in their environment JOSTLE_PROXY (where the proxy listens:
the client talks to it), JOSTLE_SERVER (where the server listens; to client and check it is the
proxy's address, as nothing may go past it), both with _HOST and _PORT behind their names,
JOSTLE_SEED and JOSTLE_TEMP (a folder for the trial); the check finds JOSTLE_CLIENT_STATUS too.
JOSTLE_LISTEN is an older name of where the server listens. The client starts when the server
listens, within 10 s, and is timed. A second after it has ended the server is asked to end, then the
check runs. ok is that client and check end with status 0. When the last line of the check's
output, or else of the client's, is a JSON object, the row has it as measured. RUST_LOG=debug
shows what they all write.

The status is 0 when the row says ok, 1 when it does not, and 2 without a row for wrong usage. A
row of commands that is not ok says in failed_at whose fault it is: server (it ended early, or
listened nowhere), client, check, or limit.";

/// Run one client and one server through one kind of weather, and print what came of it as a row of
/// JSON
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct TrialArgs {
    #[command(flatten)]
    options: TrialOptions,
    /// Simulate it: no socket, no waiting, and the same row each time
    #[arg(long = "virtual", help_heading = "The run")]
    is_virtual: bool,
    /// The seed of all draws; without it one is drawn and printed
    #[arg(long, value_name = "NUMBER", value_parser = parse_seed, help_heading = "The run")]
    seed: Option<u64>,
    /// Which repetition it is: a label for the row, as the seed alone decides
    #[arg(long, value_name = "NUMBER", default_value_t = 1, help_heading = "The run",
        value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
}

impl TrialArgs {
    /// Runs the trial and prints its row. Returns true when the row says ok.
    ///
    /// # Errors
    /// Wrong usage; a profile or a file that cannot be read; a fault of the machine. Then there is
    /// no row.
    pub fn run(&self, stop: &Stop) -> anyhow::Result<bool> {
        let trial = self.trial()?;
        if self.seed.is_none() {
            terminal::note(&format!("seed {}", trial.seed));
        }
        if let Some(useless) = trial.useless_parameter() {
            log::warn!("--{} does nothing for {}", useless.name(), trial.job.name());
        }
        let row = super::run(&trial, stop)?;
        let line = serde_json::to_string(&row)? + "\n";
        // A row that cannot be written is lost, and must not be taken for written.
        terminal::write(&line).context("cannot write to stdout")?;
        Ok(row.ok)
    }

    /// Returns the trial that is asked for, checked.
    fn trial(&self) -> anyhow::Result<Trial> {
        let files = ProfileFiles::new(PathBuf::new());
        let wrong = |error: SettingError| files.judge("", &as_option(error));
        let seed = self.seed.unwrap_or_else(fresh_seed);
        let mut trial =
            Trial { repeat: self.repeat, seed, is_virtual: self.is_virtual, ..Trial::default() };
        let settings = self.options.settings(&|name| files.read(name)).map_err(wrong)?;
        for (parameter, setting) in settings {
            parameter.put(&mut trial, setting);
        }
        trial.check().map_err(|error| Usage::error(as_option(error).to_string()))?;
        Ok(trial)
    }
}

/// Turns a mistake in a parameter into one in its option.
pub(crate) fn as_option(error: SettingError) -> SettingError {
    if error.place.is_empty() || error.place.starts_with("--") {
        return error;
    }
    SettingError { place: format!("--{}", error.place), ..error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: TrialArgs,
    }

    fn trial(words: &[&str]) -> anyhow::Result<Trial> {
        Line::try_parse_from(["trial"].iter().chain(words))?.args.trial()
    }

    #[test]
    fn a_command_line_is_a_trial() {
        let line =
            ["--protocol", "ping", "--loss", "5%", "--seed", "7", "--repeat", "3", "--virtual"];
        let found = trial(&line).unwrap();
        assert_eq!(
            found.arguments().join(" "),
            "--protocol ping --loss 5% --repeat 3 --seed 7 --virtual"
        );
        let line = ["--client", "a", "--server", "b", "--over", "udp"];
        assert_eq!(
            (trial(&line).unwrap().job.name(), trial(&line).unwrap().repeat),
            ("commands", 1)
        );
    }

    #[test]
    fn wrong_usage_names_the_option_and_a_remedy() {
        for (words, message) in [
            (
                &["--protocol", "http", "--virtual"][..],
                "--virtual: http runs on real sockets only; leave it out",
            ),
            (
                &["--client", "a", "--server", "b", "--virtual"],
                "--virtual: programs live in real time; leave it out",
            ),
            (&["--client", "a"], "--server: there is a client and no server; add --server"),
            (&["--size", "64"], "--size: "),
            (&["--jitter", "5ms"], "--jitter: there is no delay to spread"),
            (&["--profile", "cofee-shop"], "--profile: there is neither"),
            (&["--limit", "0"], "--limit: nothing is done in no time"),
        ] {
            let error = trial(words).unwrap_err();
            assert!(
                error.is::<Usage>() && error.to_string().starts_with(message),
                "{words:?}: {error}"
            );
        }
        assert!(!trial(&["--profile", "nowhere/none.json"]).unwrap_err().is::<Usage>());
        for words in
            [&["--repeat", "0"][..], &["--seed", "seven"], &["--protocol", "tcp", "--check", "c"]]
        {
            assert!(trial(words).unwrap_err().is::<clap::Error>(), "{words:?}");
        }
    }
}
