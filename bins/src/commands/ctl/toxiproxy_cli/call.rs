//! A command line of `toxiproxy-cli`, read as that reads it.

use crate::commands::ctl::toxics::value_of;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

pub(super) const USAGE: &str = "toxiproxy-cli, as jostle has it

usage: toxiproxy-cli [--host URL] COMMAND

  list, l, li, ls           list all proxies
  inspect, i, ins NAME      show a proxy and its toxics
  create, c, new --listen ADDR --upstream ADDR NAME
                            create a proxy
  toggle, tog NAME          enable or disable a proxy
  delete, d NAME            delete a proxy
  toxic, t add, a --type TYPE [--toxicName NAME] [--toxicity SHARE]
      [--attribute KEY=VALUE]... [--upstream|--downstream] NAME
                            add a toxic
  toxic, t update, u --toxicName NAME [--toxicity SHARE] [--attribute KEY=VALUE]... NAME
                            update a toxic
  toxic, t remove, r, delete, d --toxicName NAME NAME
                            remove a toxic

Without --host (-h) TOXIPROXY_URL says where the API is; unless set, http://localhost:8474.
--version (-v) prints the version. Rules that Toxiproxy could not have are counted on stderr, and
listed by `jostle ctl inspect NAME`.
";

/// A command line, read.
pub(super) struct Call {
    pub(super) host: String,
    /// `list`, `toxic add` …
    pub(super) command: &'static str,
    flags: BTreeMap<&'static str, String>,
    attributes: Vec<String>,
    names: Vec<String>,
}

/// The commands by their names.
const COMMANDS: [(&str, &[&str]); 6] = [
    ("list", &["list", "l", "li", "ls"]),
    ("inspect", &["inspect", "i", "ins"]),
    ("create", &["create", "c", "new"]),
    ("toggle", &["toggle", "tog"]),
    ("delete", &["delete", "d"]),
    ("toxic", &["toxic", "t"]),
];

const TOXIC_COMMANDS: [(&str, &[&str]); 3] = [
    ("toxic add", &["add", "a"]),
    ("toxic update", &["update", "u"]),
    ("toxic remove", &["remove", "r", "delete", "d"]),
];

/// Returns the flag that a command has by this name, and whether a value follows it.
fn flag(command: &str, name: &str) -> Option<(&'static str, bool)> {
    Some(match (command, name) {
        ("", "host" | "h") => ("host", true),
        ("create", "listen" | "l") => ("listen", true),
        ("create", "upstream" | "u") => ("upstream", true),
        ("toxic add" | "toxic update" | "toxic remove", "toxicName" | "n") => ("toxicName", true),
        ("toxic add", "type" | "t") => ("type", true),
        ("toxic add" | "toxic update", "toxicity" | "tox") => ("toxicity", true),
        ("toxic add" | "toxic update", "attribute" | "a") => ("attribute", true),
        ("toxic add", "upstream" | "u") => ("upstream", false),
        ("toxic add", "downstream" | "d") => ("downstream", false),
        _ => return None,
    })
}

impl Call {
    pub(super) fn read(arguments: &[String]) -> Result<Self, String> {
        let environment = std::env::var("TOXIPROXY_URL").ok().filter(|url| !url.is_empty());
        let mut call = Self {
            host: environment.unwrap_or_else(|| "http://localhost:8474".to_owned()),
            command: "",
            flags: BTreeMap::new(),
            attributes: Vec::new(),
            names: Vec::new(),
        };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let bare = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
            if let Some(bare) = bare.filter(|bare| !bare.is_empty()) {
                call.take_flag(bare, &mut words)?;
            } else if let Some(command) = call.command_of(word)? {
                call.command = command;
            } else {
                call.names.push(word.clone());
            }
        }
        Ok(call)
    }

    fn take_flag<'a>(
        &mut self,
        bare: &str,
        words: &mut impl Iterator<Item = &'a String>,
    ) -> Result<(), String> {
        let (name, inline) = match bare.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (bare, None),
        };
        if name == "help" {
            return Err(USAGE.to_owned());
        }
        if matches!(name, "version" | "v") && self.command.is_empty() {
            self.command = "version";
            return Ok(());
        }
        let Some((flag, has_value)) = flag(self.command, name) else {
            return Err(format!("flag provided but not defined: -{name}\n\n{USAGE}"));
        };
        let value = match inline {
            Some(value) => value,
            None if has_value => {
                words.next().cloned().ok_or_else(|| format!("flag needs an argument: -{name}\n"))?
            }
            None => "true".to_owned(),
        };
        match flag {
            "host" => self.host = value,
            // Several may stand in one, with commas between.
            "attribute" => self.attributes.extend(value.split(',').map(str::to_owned)),
            flag => {
                self.flags.insert(flag, value);
            }
        }
        Ok(())
    }

    /// Returns the command that a word is, if one is to come.
    fn command_of(&self, word: &str) -> Result<Option<&'static str>, String> {
        let among: &[(&'static str, &[&str])] = match self.command {
            "" => &COMMANDS,
            "toxic" => &TOXIC_COMMANDS,
            _ => return Ok(None),
        };
        let found = among.iter().find(|(_, names)| names.contains(&word));
        match found {
            Some((command, _)) => Ok(Some(command)),
            None => Err(format!("No help topic for '{word}'\n\n{USAGE}")),
        }
    }

    pub(super) fn name(&self) -> Result<&str, String> {
        let missing = || "Proxy name is required as the first argument.\n".to_owned();
        self.names.first().map(String::as_str).ok_or_else(missing)
    }

    pub(super) fn toxics_proxy(&self) -> Result<&str, String> {
        let missing = || "Proxy name is missing.\n".to_owned();
        self.names.first().map(String::as_str).ok_or_else(missing)
    }

    pub(super) fn flag(&self, name: &str) -> &str {
        self.flags.get(name).map_or("", String::as_str)
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, String> {
        match self.flag(name) {
            "" => Err(format!("Required argument '{name}' was empty.\n")),
            value => Ok(value),
        }
    }

    pub(super) fn toxicity(&self) -> Result<f64, String> {
        let share = match self.flag("toxicity") {
            "" => Ok(1.0),
            text => text.parse::<f64>(),
        };
        share
            .ok()
            .filter(|share| (0.0..=1.0).contains(share))
            .ok_or_else(|| "toxicity should be a float between 0 and 1.\n".to_owned())
    }

    /// What is no `KEY=VALUE` is passed over, as there.
    pub(super) fn attributes(&self) -> Map<String, Value> {
        let pairs = self.attributes.iter().filter_map(|text| text.split_once('='));
        pairs.map(|(key, value)| (key.to_owned(), value_of(value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn flags_have_one_dash_or_two_and_stand_anywhere() {
        for line in [
            "-h http://x:1 toxic add -t latency -n slow -tox 0.5 -a latency=100 -a jitter=5 -u web",
            "--host=http://x:1 t a --type=latency --toxicName slow --toxicity 0.5 \
             --attribute latency=100,jitter=5 web --upstream",
        ] {
            let call = Call::read(&words(line)).unwrap();
            assert_eq!((call.command, call.host.as_str()), ("toxic add", "http://x:1"));
            assert_eq!(call.toxicity(), Ok(0.5));
            assert_eq!(call.names, ["web"]);
            assert_eq!(json!(call.attributes()), json!({ "latency": 100, "jitter": 5 }));
            assert_eq!([call.flag("type"), call.flag("toxicName")], ["latency", "slow"]);
            assert_eq!([call.flag("upstream"), call.flag("downstream")], ["true", ""]);
        }
    }
}
