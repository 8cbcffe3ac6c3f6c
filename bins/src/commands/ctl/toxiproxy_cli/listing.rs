//! What `toxiproxy-cli` prints of proxies and their toxics.

use super::{NAME, ask};
use crate::commands::ctl::client::Client;
use jostle_common::words::count;
use jostle_console::terminal::{escaped, note};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use ureq::http::Method;

/// Colours, where there is a terminal.
pub(super) struct Colors(bool);

impl Colors {
    pub(super) fn here() -> Self {
        Self(io::stdout().is_terminal())
    }

    pub(super) fn paint(&self, code: u8, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

const RED: u8 = 31;
const GREEN: u8 = 32;
const YELLOW: u8 = 33;
const BLUE: u8 = 34;
const PURPLE: u8 = 35;

pub(super) fn state(proxy: &Value) -> (&'static str, u8) {
    if proxy["enabled"] == true { ("enabled", GREEN) } else { ("disabled", RED) }
}

pub(super) fn list(client: &Client) -> Result<String, String> {
    let proxies = ask(client, "Proxies", Method::GET, &["proxies"], None)
        .map_err(|error| format!("Failed to retrieve proxies: {error}"))?;
    let colors = Colors::here();
    let mut proxies: Vec<&Value> =
        proxies.as_object().into_iter().flatten().map(|(_, one)| one).collect();
    proxies.sort_by_key(|one| one["name"].as_str());
    tell_of_more(&proxies);
    let mut said = String::new();
    if colors.0 {
        let heads = [
            colors.paint(GREEN, "Name\t\t\t"),
            colors.paint(BLUE, "Listen\t\t"),
            colors.paint(YELLOW, "Upstream\t\t"),
            colors.paint(PURPLE, "Enabled\t\t"),
            colors.paint(RED, "Toxics"),
        ];
        let _ = writeln!(said, "{}\n{}", heads.concat(), "=".repeat(86));
        if proxies.is_empty() {
            let none = colors.paint(RED, "no proxies");
            let _ = writeln!(said, "{none}\n\nHint: create a proxy with `{NAME} create`");
            return Ok(said);
        }
    }
    for proxy in proxies {
        let of = |key: &str| escaped(proxy[key].as_str().unwrap_or_default());
        let (enabled, color) = state(proxy);
        let toxics = match proxy["toxics"].as_array().map_or(0, Vec::len) {
            0 if colors.0 => "None".to_owned(),
            count => count.to_string(),
        };
        let cells = [
            (color, of("name"), 3),
            (BLUE, of("listen"), 2),
            (YELLOW, of("upstream"), 3),
            (PURPLE, enabled.to_owned(), 2),
        ];
        for (color, cell, tabs) in cells {
            // Columns of a terminal are so many tabs wide; elsewhere there is one between two.
            let used = cell.len() / 8 + 1;
            let more = if colors.0 { tabs - used.min(tabs) } else { 0 };
            let _ = write!(said, "{}\t{}", colors.paint(color, &cell), "\t".repeat(more));
        }
        let _ = writeln!(said, "{}", colors.paint(RED, &toxics));
    }
    if colors.0 {
        let _ = writeln!(said, "\nHint: inspect toxics with `{NAME} inspect <proxyName>`");
    }
    Ok(said)
}

/// Says on stderr, where no script looks, which proxies have rules that Toxiproxy could not have:
/// its lists show its own toxics alone.
fn tell_of_more(proxies: &[&Value]) {
    for proxy in proxies {
        let length = |key: &str| proxy[key].as_array().map_or(0, Vec::len);
        // `rules` has the toxics too, and is there only if there are others.
        let more = length("rules").saturating_sub(length("toxics"));
        if more > 0 {
            let name = escaped(proxy["name"].as_str().unwrap_or_default());
            note(&format!(
                "{name}: {} more; `jostle ctl inspect {name}` lists {}",
                count(more as u64, "rule"),
                if more == 1 { "it" } else { "them" }
            ));
        }
    }
}

pub(super) fn retrieve(client: &Client, name: &str) -> Result<Value, String> {
    ask(client, "Proxy", Method::GET, &["proxies", name], None)
        .map_err(|error| format!("Failed to retrieve proxy {name}: {error}\n"))
}

pub(super) fn inspect(client: &Client, name: &str) -> Result<String, String> {
    let proxy = retrieve(client, name)?;
    let colors = Colors::here();
    tell_of_more(&[&proxy]);
    let toxics = proxy["toxics"].as_array().map_or(&[][..], Vec::as_slice);
    if !colors.0 {
        return Ok(toxics.iter().map(|toxic| line(toxic, &colors)).collect());
    }
    let of = |key: &str| escaped(proxy[key].as_str().unwrap_or_default());
    let mut said = format!(
        "{}{}\t{}{}\t{}{}\n{}\n",
        colors.paint(PURPLE, "Name: "),
        of("name"),
        colors.paint(BLUE, "Listen: "),
        of("listen"),
        colors.paint(YELLOW, "Upstream: "),
        of("upstream"),
        "=".repeat(70)
    );
    if toxics.is_empty() {
        said += &(colors.paint(RED, "Proxy has no toxics enabled.") + "\n");
    } else {
        let part = |stream: &str, is_upstream: bool| {
            let head = colors.paint(GREEN, &format!("{stream} toxics:"));
            let of_stream = |toxic: &&Value| (toxic["stream"] == "upstream") == is_upstream;
            let lines: String =
                toxics.iter().filter(of_stream).map(|toxic| line(toxic, &colors)).collect();
            let none = format!("Proxy has no {stream} toxics enabled.");
            let lines = if lines.is_empty() { colors.paint(RED, &none) + "\n" } else { lines };
            format!("{head}\n{lines}")
        };
        said += &format!("{}\n{}", part("Upstream", true), part("Downstream", false));
    }
    let _ = writeln!(said, "\nHint: add a toxic with `{NAME} toxic add`");
    Ok(said)
}

/// Describes a toxic in a line of columns between tabs.
fn line(toxic: &Value, colors: &Colors) -> String {
    let of = |key: &str| escaped(toxic[key].as_str().unwrap_or_default());
    let name = of("name");
    let name = if colors.0 { colors.paint(BLUE, &format!("{name}:")) } else { name };
    let toxicity = toxic["toxicity"].as_f64().unwrap_or(1.0);
    let mut said = format!(
        "{name}\ttype={}\tstream={}\ttoxicity={toxicity:.2}\tattributes=[",
        of("type"),
        of("stream")
    );
    let attributes: BTreeMap<&String, &Value> =
        toxic["attributes"].as_object().into_iter().flatten().collect();
    for (key, value) in attributes {
        let value = value.as_str().map_or_else(|| value.to_string(), escaped);
        let _ = write!(said, "\t{}={value}", escaped(key));
    }
    said + "\t]\n"
}
