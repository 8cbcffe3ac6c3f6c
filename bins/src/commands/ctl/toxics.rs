//! The toxics of a proxy.

use super::Teller;
use super::client::Client;
use clap::{Args, Subcommand};
use jostle_console::exit::Usage;
use jostle_console::terminal::escaped;
use serde_json::{Map, Number, Value, json};
use ureq::http::Method;

/// Add, change or remove toxics: named rules of a proxy
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  jostle ctl toxic add web latency latency=100 jitter=10
  jostle ctl toxic add web drop --name loss --stream both chance=2%
  jostle ctl toxic update web latency_downstream latency=500
  jostle ctl toxic remove web latency_downstream")]
pub(super) struct ToxicArgs {
    #[command(subcommand)]
    command: ToxicCommand,
}

#[derive(Debug, Subcommand)]
enum ToxicCommand {
    /// Add a toxic
    Add {
        /// The proxy
        proxy: String,
        /// The type: latency, bandwidth, slow_close, timeout, reset_peer, slicer, limit_data, noop,
        /// or a rule of profiles
        kind: String,
        /// What it is set to: latency=100
        #[arg(value_name = "KEY=VALUE")]
        attributes: Vec<String>,
        /// Its name; TYPE_STREAM unless stated
        #[arg(long, short)]
        name: Option<String>,
        /// The direction: downstream, upstream or both
        #[arg(long, default_value = "downstream")]
        stream: String,
        /// The share of connections that it acts on
        #[arg(long, value_name = "SHARE")]
        toxicity: Option<f64>,
    },
    /// Change a toxic; what is not named stays
    Update {
        /// The proxy
        proxy: String,
        /// The toxic
        name: String,
        /// What changes
        #[arg(value_name = "KEY=VALUE")]
        attributes: Vec<String>,
        /// The share of connections that it acts on
        #[arg(long, value_name = "SHARE")]
        toxicity: Option<f64>,
    },
    /// Remove a toxic
    Remove {
        /// The proxy
        proxy: String,
        /// The toxic
        name: String,
    },
}

impl ToxicArgs {
    pub(super) fn run(self, client: &Client, teller: Teller) -> anyhow::Result<()> {
        match self.command {
            ToxicCommand::Add { proxy, kind, attributes, name, stream, toxicity } => {
                let mut toxic = Map::new();
                if let Some(name) = name {
                    toxic.insert("name".into(), name.into());
                }
                toxic.insert("type".into(), kind.into());
                toxic.insert("stream".into(), stream.into());
                if let Some(toxicity) = toxicity {
                    toxic.insert("toxicity".into(), toxicity.into());
                }
                toxic.insert("attributes".into(), read(&attributes)?.into());
                let path = ["proxies", proxy.as_str(), "toxics"];
                let added = client.ask(Method::POST, &path, Some(&toxic.into()))?.body;
                teller.tell(&added, || format!("added {}", words(&added)))
            }
            ToxicCommand::Update { proxy, name, attributes, toxicity } => {
                let mut change = json!({ "attributes": read(&attributes)? });
                if let Some(toxicity) = toxicity {
                    change["toxicity"] = toxicity.into();
                }
                let path = ["proxies", proxy.as_str(), "toxics", name.as_str()];
                let changed = client.ask(Method::PATCH, &path, Some(&change))?.body;
                teller.tell(&changed, || format!("changed {}", words(&changed)))
            }
            ToxicCommand::Remove { proxy, name } => {
                client.ask(Method::DELETE, &["proxies", &proxy, "toxics", &name], None)?;
                teller.tell(&json!({ "removed": name }), || format!("removed {}", escaped(&name)))
            }
        }
    }
}

fn words(toxic: &Value) -> String {
    // JSON escapes what could steer a terminal, the names it is told apart by do not.
    let name = escaped(toxic["name"].as_str().unwrap_or_default());
    format!("{name} {}", toxic["attributes"])
}

/// Reads attributes.
fn read(texts: &[String]) -> anyhow::Result<Map<String, Value>> {
    let attribute = |text: &String| {
        let (key, value) =
            text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
                Usage::error(format!("{}: write KEY=VALUE: latency=100", escaped(text)))
            })?;
        Ok((key.to_owned(), value_of(value)))
    };
    texts.iter().map(attribute).collect()
}

/// Reads the value of an attribute: a number, true or false, or a text. A number that is whole is
/// written without a point, as the API wants it.
pub(super) fn value_of(text: &str) -> Value {
    if let Ok(whole) = text.parse::<i64>() {
        return whole.into();
    }
    let number = text.parse::<f64>().ok().and_then(|number| {
        let is_whole = number.fract() == 0.0 && number.abs() < 2_f64.powi(53);
        if is_whole { Some(Number::from(number as i64)) } else { Number::from_f64(number) }
    });
    match (number, text) {
        (Some(number), _) => number.into(),
        (None, "true") => true.into(),
        (None, "false") => false.into(),
        (None, text) => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_they_look_like() {
        for (text, value) in [
            ("100", json!(100)),
            ("-1", json!(-1)),
            ("1e3", json!(1000)),
            ("0.5", json!(0.5)),
            ("true", json!(true)),
            ("2%", json!("2%")),
            ("", json!("")),
            ("NaN", json!("NaN")),
        ] {
            assert_eq!(value_of(text), value, "{text}");
        }
        let error = read(&["latency".to_owned()]).unwrap_err().to_string();
        assert_eq!(error, "latency: write KEY=VALUE: latency=100");
    }
}
