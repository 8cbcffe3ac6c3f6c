//! What concerns proxies as wholes: listing, creating, changing, and their profiles.

use super::Teller;
use super::client::Client;
use crate::commands::proxy::weather;
use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{Table, presets};
use jostle_console::exit::Usage;
use jostle_console::files;
use jostle_console::terminal::escaped;
use jostle_engine::profile::Profile;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use ureq::http::Method;

/// The settings of a proxy that are shown a line each.
const KEYS: [&str; 9] =
    ["name", "listen", "upstream", "target", "user", "protocol", "tcp", "unit", "revision"];

/// List the proxies
#[derive(Args, Debug)]
pub(super) struct ListArgs {}

impl ListArgs {
    pub(super) fn run(self, client: &Client, teller: Teller) -> anyhow::Result<()> {
        let state = client.get(&["state"])?;
        teller.tell(&state["proxies"], || {
            let proxies = state["proxies"].as_array().map_or(&[][..], Vec::as_slice);
            if proxies.is_empty() {
                return "no proxies; create one: jostle ctl create NAME --listen ADDR --upstream \
                    ADDR"
                    .to_owned();
            }
            let mut table = table(["name", "listen", "upstream", "protocol", "state", "rules"]);
            for proxy in proxies {
                let text = |key: &str| escaped(proxy[key].as_str().unwrap_or_default());
                table.add_row([
                    text("name"),
                    text("listen"),
                    leads_to(proxy),
                    text("protocol"),
                    words_of_state(proxy),
                    words_of_profile(&proxy["profile"]),
                ]);
            }
            let off = state["rules_on"] == false;
            let note = if off { "\nall rules are switched off" } else { "" };
            format!("{}{note}", table.trim_fmt())
        })
    }
}

/// Show one proxy: its settings, its rules and its toxics
#[derive(Args, Debug)]
pub(super) struct InspectArgs {
    /// The proxy
    name: String,
}

impl InspectArgs {
    pub(super) fn run(self, client: &Client, teller: Teller) -> anyhow::Result<()> {
        let toxics = client.get(&["proxies", &self.name, "toxics"])?;
        let mut proxy = proxy_of(client, &self.name)?;
        proxy["toxics"] = toxics;
        teller.tell(&proxy, || {
            let mut lines = Vec::new();
            for key in KEYS {
                match &proxy[key] {
                    Value::Null => {}
                    Value::String(text) if text.is_empty() => {}
                    Value::String(text) => lines.push(format!("{key:<10}{}", escaped(text))),
                    other => lines.push(format!("{key:<10}{other}")),
                }
            }
            lines.push(format!("{:<10}{}", "state", words_of_state(&proxy)));
            lines.push(format!("{:<10}{}", "rules", words_of_profile(&proxy["profile"])));
            for toxic in proxy["toxics"].as_array().into_iter().flatten() {
                let text = |key: &str| escaped(toxic[key].as_str().unwrap_or_default());
                let toxicity = match toxic["toxicity"].as_f64() {
                    Some(share) if share < 1.0 => format!(", of {share} of the connections"),
                    _ => String::new(),
                };
                let attributes = &toxic["attributes"];
                lines.push(format!(
                    "{:<10}{}: {} {}stream {attributes}{toxicity}",
                    "toxic",
                    text("name"),
                    text("type"),
                    text("stream")
                ));
            }
            lines.join("\n")
        })
    }
}

/// Create a proxy
#[derive(Args, Debug)]
pub(super) struct CreateArgs {
    /// Its name
    name: String,
    /// Where to listen: a host and port; port 0 is one that the system picks
    #[arg(long, short, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: String,
    /// Where to lead
    #[arg(long, short, value_name = "ADDR", required_unless_present_any = ["allow", "protocol"])]
    upstream: Option<String>,
    /// What clients of socks5 or http-proxy may ask for, between commas: example.org,
    /// *.example.org, 10.0.0.0/8, each with :PORT or :PORT-PORT if not all are meant; any unless
    /// stated
    #[arg(long, value_name = "LIST", value_delimiter = ',', conflicts_with = "upstream")]
    allow: Vec<String>,
    /// The user that clients of socks5 or http-proxy must name
    #[arg(long, value_name = "NAME:PASSWORD", conflicts_with = "upstream")]
    user: Option<String>,
    /// What it relays
    #[arg(long, value_enum)]
    protocol: Option<Protocol>,
    /// The weather: the name of a built-in profile, a file, or the JSON itself
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// What loss means on TCP: model, cubic, reno, cubic-ecn, reno-ecn, dctcp, prague or raw
    #[arg(long, value_name = "MODE")]
    tcp: Option<String>,
    /// The seed of its draws
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Keep it disabled
    #[arg(long)]
    disabled: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Protocol {
    Udp,
    Tcp,
    Both,
    Socks5,
    HttpProxy,
}

impl CreateArgs {
    pub(super) fn run(self, client: &Client, teller: Teller) -> anyhow::Result<()> {
        let mut wanted = Map::new();
        wanted.insert("name".into(), self.name.into());
        wanted.insert("listen".into(), self.listen.into());
        wanted.extend(self.upstream.map(|upstream| ("upstream".to_owned(), upstream.into())));
        wanted.extend(self.user.map(|user| ("user".to_owned(), user.into())));
        if !self.allow.is_empty() {
            wanted.insert("target".into(), self.allow.into());
        }
        wanted.insert("enabled".into(), (!self.disabled).into());
        if let Some(protocol) = self.protocol {
            let name = match protocol {
                Protocol::Udp => "udp",
                Protocol::Tcp => "tcp",
                Protocol::Both => "both",
                Protocol::Socks5 => "socks5",
                Protocol::HttpProxy => "http-proxy",
            };
            wanted.insert("protocol".into(), name.into());
        }
        if let Some(profile) = self.profile {
            wanted.insert("profile".into(), read_profile(&profile)?);
        }
        if let Some(tcp) = self.tcp {
            wanted.insert("tcp".into(), tcp.into());
        }
        if let Some(seed) = self.seed {
            wanted.insert("seed".into(), seed.into());
        }
        let made = client.ask(Method::POST, &["proxies"], Some(&Value::Object(wanted)))?.body;
        teller.tell(&made, || {
            let text = |key: &str| escaped(made[key].as_str().unwrap_or_default());
            format!("created {}: {} -> {}", text("name"), text("listen"), leads_to(&made))
        })
    }
}

/// Returns where a proxy leads: its upstream, or what its clients may ask for.
fn leads_to(proxy: &Value) -> String {
    match &proxy["target"] {
        Value::Null => escaped(proxy["upstream"].as_str().unwrap_or_default()),
        Value::Array(list) => {
            let list: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            escaped(&list.join(", "))
        }
        _ => "any target".to_owned(),
    }
}

/// Disable a proxy, or enable it again
#[derive(Args, Debug)]
pub(super) struct ToggleArgs {
    /// The proxy
    name: String,
    /// Enable or disable it instead, whatever it is now
    #[arg(value_enum)]
    to: Option<Switch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl ToggleArgs {
    pub(super) fn run(self, client: &Client, teller: Teller) -> anyhow::Result<()> {
        let path = ["proxies", self.name.as_str()];
        let enabled = match self.to {
            Some(to) => to == Switch::On,
            None => client.get(&path)?["enabled"] != true,
        };
        let changed = json!({ "enabled": enabled });
        let proxy = client.ask(Method::PATCH, &path, Some(&changed))?.body;
        teller.tell(&proxy, || format!("{} is {}", escaped(&self.name), words_of_state(&proxy)))
    }
}

/// Delete a proxy and close its connections
#[derive(Args, Debug)]
pub(super) struct DeleteArgs {
    /// The proxy
    name: String,
}

impl DeleteArgs {
    pub(super) fn run(self, client: &Client, teller: Teller) -> anyhow::Result<()> {
        client.ask(Method::DELETE, &["proxies", &self.name], None)?;
        let done = json!({ "deleted": self.name });
        teller.tell(&done, || format!("deleted {}", escaped(&self.name)))
    }
}

/// Show or set the profile of a proxy
#[derive(Args, Debug)]
pub(super) struct ProfileArgs {
    #[command(subcommand)]
    command: ProfileCommand,
}

#[derive(Debug, Subcommand)]
enum ProfileCommand {
    /// Print the profile of a proxy, as a file would have it
    Show {
        /// The proxy
        name: String,
    },
    /// Set the profile of a proxy; open connections follow it at once
    Set {
        /// The proxy
        name: String,
        /// The name of a built-in profile, a file, or the JSON itself
        profile: String,
        /// Only if nobody has changed the proxy since it had this revision (`inspect` tells it)
        #[arg(long, value_name = "REVISION")]
        if_revision: Option<u64>,
    },
}

impl ProfileArgs {
    pub(super) fn run(self, client: &Client, teller: Teller) -> anyhow::Result<()> {
        match self.command {
            ProfileCommand::Show { name } => {
                let profile = client.get(&["proxies", &name, "profile"])?;
                let pretty = serde_json::to_string_pretty(&profile)?;
                teller.tell(&profile, || pretty)
            }
            ProfileCommand::Set { name, profile, if_revision } => {
                let profile = read_profile(&profile)?;
                let tag = if_revision.map(|revision| format!("\"{revision}\""));
                let path = ["proxies", name.as_str(), "profile"];
                let answer = client.call(Method::PUT, &path, Some(&profile), tag.as_deref())?;
                if !(200..300).contains(&answer.status) {
                    return Err(answer.refusal());
                }
                let revision = answer.etag.as_deref().unwrap_or_default().trim_matches('"');
                let revision = match revision {
                    "" => String::new(),
                    revision => format!(" (revision {})", escaped(revision)),
                };
                teller.tell(&answer.body, || {
                    let rules = words_of_profile(&answer.body);
                    format!("{}  {rules}{revision}", escaped(&name))
                })
            }
        }
    }
}

/// Switch all rules of all proxies off, or on again
#[derive(Args, Debug)]
pub(super) struct RulesArgs {
    #[arg(value_enum)]
    to: Switch,
}

impl RulesArgs {
    pub(super) fn run(self, client: &Client, teller: Teller) -> anyhow::Result<()> {
        let wanted = json!({ "on": self.to == Switch::On });
        let now = client.ask(Method::POST, &["rules"], Some(&wanted))?.body;
        teller.tell(&now, || {
            let on = now["on"] == true;
            format!("rules {}", if on { "on" } else { "off" })
        })
    }
}

/// Enable all proxies and remove all toxics
#[derive(Args, Debug)]
pub(super) struct ResetArgs {}

impl ResetArgs {
    pub(super) fn run(self, client: &Client, teller: Teller) -> anyhow::Result<()> {
        client.ask(Method::POST, &["reset"], None)?;
        let done = json!({ "reset": true });
        teller.tell(&done, || "all proxies are enabled, and without toxics".to_owned())
    }
}

/// Create what is not there of a list of proxies
#[derive(Args, Debug)]
pub(super) struct PopulateArgs {
    /// A JSON file: an array of proxies
    file: PathBuf,
}

impl PopulateArgs {
    pub(super) fn run(self, client: &Client, teller: Teller) -> anyhow::Result<()> {
        let list = read_json(&self.file)?;
        let done = client.ask(Method::POST, &["populate"], Some(&list))?.body;
        teller.tell(&done, || {
            let names = done["proxies"].as_array().into_iter().flatten();
            let names: Vec<String> =
                names.filter_map(|one| one["name"].as_str()).map(escaped).collect();
            format!("there are {}", if names.is_empty() { "none".into() } else { names.join(", ") })
        })
    }
}

/// Returns what the API says of a proxy.
fn proxy_of(client: &Client, name: &str) -> anyhow::Result<Value> {
    let mut state = client.get(&["state"])?;
    let proxies = state["proxies"].as_array_mut();
    let found = proxies.and_then(|all| all.iter().position(|one| one["name"] == name));
    let found = found.with_context(|| format!("there is no proxy {}", escaped(name)))?;
    Ok(state["proxies"][found].take())
}

fn words_of_state(proxy: &Value) -> String {
    if proxy["enabled"] == true { "enabled" } else { "disabled" }.to_owned()
}

/// Says in short what a profile does. The words are ours, the names of rules are not in them.
pub(super) fn words_of_profile(profile: &Value) -> String {
    let read = Profile::from_json(&profile.to_string());
    read.map_or_else(|_| "(rules that this version does not know)".into(), |one| weather(&one))
}

/// Reads what names a profile: JSON itself, a file, or the name of a built-in one.
pub(super) fn read_profile(text: &str) -> anyhow::Result<Value> {
    let is_json = text.trim_start().starts_with('{');
    let path = Path::new(text);
    if is_json {
        serde_json::from_str(text).map_err(|error| Usage::error(format!("the profile: {error}")))
    } else if path.exists() || text.contains(['/', '.']) {
        read_json(path)
    } else {
        Ok(text.into())
    }
}

fn read_json(path: &Path) -> anyhow::Result<Value> {
    let text = files::read_text(path)
        .map_err(|error| Usage::error(format!("cannot read {}: {error}", path.display())))?;
    serde_json::from_str(&text)
        .map_err(|error| Usage::error(format!("{}: {error}", path.display())))
}

/// Makes a table without lines.
pub(super) fn table<const N: usize>(heads: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(heads);
    table
}
