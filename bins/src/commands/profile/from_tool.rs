//! `jostle profile from-tcset`, `from-comcast` and others: what other tools are told, as profiles.

use anyhow::Context;
use clap::Args;
use jostle_common::setting::SettingError;
use jostle_console::exit::Usage;
use jostle_console::files;
use jostle_console::terminal::{self, escaped, line, wrapped};
use jostle_engine::profile::ReadFile;
use jostle_engine::profile::imports::{
    from_cdp, from_comcast, from_quic_sim, from_tcset, from_throttle,
};
use jostle_engine::profile::netem::Translation;
use jostle_engine::route::from_toxiproxy;
use serde_json::{Value, json};
use std::io::Read as _;
use std::path::Path;

/// The most bytes that are read from stdin.
const STDIN_BYTES_MAX: u64 = 16 << 20;

/// What a tool was told.
#[derive(Args, Debug)]
pub(super) struct ToolArgs {
    /// What the tool is told, in quotes or not; a file that holds it; or - for stdin
    // Its options are none of this command's.
    #[arg(value_name = "LINE", required = true, allow_hyphen_values = true)]
    line: Vec<String>,
    /// Print an object with the translation and the remarks
    #[arg(long)]
    json: bool,
}

/// A tool whose lines are translated.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tool {
    Tcset,
    Comcast,
    Throttle,
    Cdp,
    Toxiproxy,
    QuicSim,
}

impl Tool {
    const fn name(self) -> &'static str {
        match self {
            Self::Tcset => "tcset",
            Self::Comcast => "comcast",
            Self::Throttle => "throttle",
            Self::Cdp => "cdp",
            Self::Toxiproxy => "toxiproxy",
            Self::QuicSim => "quic-sim",
        }
    }

    fn translate(self, text: &str, read: ReadFile<'_>) -> Result<Translation, SettingError> {
        match self {
            Self::Tcset => from_tcset(text),
            Self::Comcast => from_comcast(text),
            Self::Throttle => from_throttle(text, read),
            Self::Cdp => from_cdp(text),
            Self::QuicSim => from_quic_sim(text),
            Self::Toxiproxy => from_toxiproxy(text).map(|translated| Translation {
                profile: translated.configuration,
                remarks: translated.remarks,
            }),
        }
    }
}

impl ToolArgs {
    /// Translates what the tool was told, and prints it.
    pub(super) fn run(&self, tool: Tool) -> anyhow::Result<()> {
        let text = self.text()?;
        let read = |name: &str| {
            files::read_text(Path::new(name)).map_err(|error| format!("cannot read it: {error}"))
        };
        let translation =
            tool.translate(&text, &read).map_err(|error| Usage::error(error.to_string()))?;
        let what = match tool {
            Tool::Toxiproxy => "configuration",
            _ => "profile",
        };
        print(tool.name(), what, &translation, self.json)
    }

    /// Returns what the tool was told.
    fn text(&self) -> anyhow::Result<String> {
        match self.line.as_slice() {
            [only] if only == "-" => {
                let mut text = String::new();
                let mut stdin = std::io::stdin().lock().take(STDIN_BYTES_MAX);
                stdin.read_to_string(&mut text).context("cannot read stdin")?;
                Ok(text)
            }
            [only] if Path::new(only).is_file() => {
                files::read_text(Path::new(only)).with_context(|| format!("cannot read {only}"))
            }
            [only] => Ok(only.clone()),
            words => Ok(words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")),
        }
    }
}

/// Writes a word so that it is one again where words are told apart.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| !c.is_whitespace() && !"\"'\\;&|#".contains(c);
    match word.chars().all(is_plain) && !word.is_empty() {
        true => word.to_owned(),
        false => format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

/// Prints a translation: itself to stdout and the remarks to stderr, or both as an object.
pub(super) fn print(
    tool: &str,
    what: &str,
    translation: &Translation,
    as_object: bool,
) -> anyhow::Result<()> {
    let Translation { profile, remarks } = translation;
    if as_object {
        let value: Value = serde_json::from_str(profile).context("the translation is JSON")?;
        line(&json!({ what: value, "remarks": remarks }).to_string());
        return Ok(());
    }
    for remark in remarks {
        let indent = tool.len() + 2;
        terminal::note(&wrapped(&escaped(&format!("{tool}: {remark}")), 100, indent));
    }
    terminal::text(profile)?;
    Ok(())
}
