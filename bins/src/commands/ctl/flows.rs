//! The flows and connections of a proxy.

use super::Teller;
use super::client::Client;
use super::proxies::{read_profile, table, words_of_profile};
use clap::{Args, Subcommand};
use jostle_common::words::{grouped, time};
use jostle_console::exit::Usage;
use jostle_console::terminal::escaped;
use jostle_engine::profile::library;
use serde_json::{Value, json};
use ureq::http::Method;

/// List the flows and connections of a proxy, close or reset one, or give it rules of its own
#[derive(Args, Debug)]
pub(super) struct FlowsArgs {
    #[command(subcommand)]
    command: FlowsCommand,
}

#[derive(Debug, Subcommand)]
enum FlowsCommand {
    /// List those that are open
    List {
        /// The proxy
        proxy: String,
    },
    /// Close one: a TCP connection ends (FIN), a UDP flow is forgotten
    Close {
        /// The proxy
        proxy: String,
        /// Its id, as listed
        id: u64,
    },
    /// Reset one (RST)
    Reset {
        /// The proxy
        proxy: String,
        /// Its id, as listed
        id: u64,
    },
    /// Print the rules that one has for itself
    Rules {
        /// The proxy
        proxy: String,
        /// Its id, as listed
        id: u64,
    },
    /// Give one rules of its own, in place of those that it has; they end with it
    Set {
        /// The proxy
        proxy: String,
        /// Its id, as listed
        id: u64,
        /// The rules: the name of a built-in profile, a file, or JSON; {} for none
        profile: String,
    },
}

impl FlowsArgs {
    pub(super) fn run(self, client: &Client, teller: Teller) -> anyhow::Result<()> {
        match self.command {
            FlowsCommand::List { proxy } => {
                let found = client.get(&["proxies", &proxy, "flows"])?;
                teller.tell(&found["flows"], || words(&found))
            }
            FlowsCommand::Close { proxy, id } => {
                let number = id.to_string();
                client.ask(Method::DELETE, &["proxies", &proxy, "flows", &number], None)?;
                teller.tell(&json!({ "closed": id }), || format!("closed {id}"))
            }
            FlowsCommand::Reset { proxy, id } => {
                let number = id.to_string();
                client.ask(Method::POST, &["proxies", &proxy, "flows", &number, "reset"], None)?;
                teller.tell(&json!({ "reset": id }), || format!("reset {id}"))
            }
            FlowsCommand::Rules { proxy, id } => {
                let rules =
                    client.get(&["proxies", &proxy, "flows", &id.to_string(), "profile"])?;
                let pretty = serde_json::to_string_pretty(&rules)?;
                teller.tell(&rules, || pretty)
            }
            FlowsCommand::Set { proxy, id, profile } => {
                let rules = written_out(&profile)?;
                let number = id.to_string();
                let path = ["proxies", proxy.as_str(), "flows", &number, "profile"];
                let set = client.ask(Method::PUT, &path, Some(&rules))?.body;
                teller.tell(&set, || format!("flow {id}  {}", words_of_profile(&set)))
            }
        }
    }
}

/// Reads what names a profile. Rules of a flow are written out: the API knows no name for them.
fn written_out(text: &str) -> anyhow::Result<Value> {
    match read_profile(text)? {
        Value::String(name) => {
            let text = library::text(&name).ok_or_else(|| {
                let hint = library::hint(&name);
                Usage::error(format!("there is no built-in profile \"{name}\"; {hint}"))
            })?;
            let mut profile: Value = serde_json::from_str(text)?;
            // What it tells of itself is no rule.
            if let Some(fields) = profile.as_object_mut() {
                fields.remove("about");
            }
            Ok(profile)
        }
        profile => Ok(profile),
    }
}

/// Returns where a flow leads: what its client asked for, and the address of that.
fn leads_to(flow: &Value) -> String {
    let text = |key: &str| flow[key].as_str().map(escaped);
    match (text("target"), text("upstream")) {
        (Some(target), Some(upstream)) if target != upstream => format!("{target} ({upstream})"),
        (target, upstream) => target.or(upstream).unwrap_or_default(),
    }
}

fn words(found: &Value) -> String {
    let flows = found["flows"].as_array().map_or(&[][..], Vec::as_slice);
    if flows.is_empty() {
        return "no flows".to_owned();
    }
    let heads =
        ["id", "protocol", "client", "upstream", "age", "idle", "bytes up", "bytes down", "rtt"];
    let mut table = table(heads);
    for flow in flows {
        let text = |key: &str| escaped(flow[key].as_str().unwrap_or_default());
        let seconds = |key: &str| time(flow[key].as_f64().unwrap_or(0.0));
        let bytes = |way: &str| grouped(flow[way]["bytes"].as_u64().unwrap_or(0));
        let rtt = flow["rtt_ms"].as_f64().map_or_else(|| "-".into(), |ms| time(ms / 1e3));
        table.add_row([
            flow["id"].to_string(),
            text("protocol"),
            text("client"),
            leads_to(flow),
            seconds("age_s"),
            seconds("idle_s"),
            bytes("up"),
            bytes("down"),
            rtt,
        ]);
    }
    let more = if found["next"].is_null() { "" } else { "\nand more" };
    format!("{}{more}", table.trim_fmt())
}
