//! The command lines of `toxiproxy-cli`, for scripts that have them: as a symbolic link of that
//! name, or as `jostle toxiproxy-cli …`. Flags have one dash or two, and what is printed is what
//! those scripts look for.

mod call;
mod listing;

use super::client::{Answer, Client};
use call::{Call, USAGE};
use jostle_console::terminal::{escaped, note, text};
use listing::{Colors, inspect, list, retrieve, state};
use serde_json::{Value, json};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;
use ureq::http::Method;

/// The name of the program.
const NAME: &str = "toxiproxy-cli";

/// Returns the arguments behind the name, if the program was called by it.
pub(crate) fn called(arguments: impl IntoIterator<Item = OsString>) -> Option<Vec<String>> {
    let mut arguments = arguments.into_iter();
    let program = arguments.next()?;
    let mut rest: Vec<String> =
        arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
    if Path::new(&program).file_name() == Some(OsStr::new(NAME)) {
        return Some(rest);
    }
    (rest.first().is_some_and(|word| word == NAME)).then(|| rest.split_off(1))
}

/// Runs a command line.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    match Call::read(arguments).and_then(|call| call.run()) {
        Ok(said) => match text(&said) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(1),
        },
        Err(problem) => {
            note(&escaped_lines(problem.trim_end()));
            ExitCode::from(1)
        }
    }
}

fn escaped_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(escaped).collect();
    lines.join("\n")
}

impl Call {
    fn run(&self) -> Result<String, String> {
        if self.command == "version" {
            return Ok(format!("{NAME} version {} (jostle)\n", env!("CARGO_PKG_VERSION")));
        }
        let client = Client::new(&self.host, std::env::var("JOSTLE_API_TOKEN").ok());
        let client = client.map_err(|error| error.to_string())?;
        match self.command {
            "list" => list(&client),
            "inspect" => inspect(&client, self.name()?),
            "create" => self.create(&client),
            "toggle" => toggle(&client, self.name()?),
            "delete" => delete(&client, self.name()?),
            "toxic add" => self.add_toxic(&client),
            "toxic update" => self.update_toxic(&client),
            "toxic remove" => self.remove_toxic(&client),
            _ => Ok(USAGE.to_owned()),
        }
    }

    fn create(&self, client: &Client) -> Result<String, String> {
        let name = self.name()?;
        let wanted = json!({
            "name": name,
            "listen": self.required("listen")?,
            "upstream": self.required("upstream")?,
            "enabled": true,
        });
        ask(client, "Create", Method::POST, &["proxies"], Some(&wanted))
            .map_err(|error| format!("Failed to create proxy: {error}\n"))?;
        Ok(format!("Created new proxy {}\n", escaped(name)))
    }

    fn add_toxic(&self, client: &Client) -> Result<String, String> {
        let proxy = self.toxics_proxy()?;
        let kind = self.required("type")?;
        let is_upstream = self.flag("upstream") == "true";
        if is_upstream && self.flag("downstream") == "true" {
            return Err("Only one should be specified: upstream or downstream.\n".to_owned());
        }
        let mut toxic = json!({
            "type": kind,
            "stream": if is_upstream { "upstream" } else { "downstream" },
            "toxicity": self.toxicity()?,
            "attributes": self.attributes(),
        });
        if !self.flag("toxicName").is_empty() {
            toxic["name"] = self.flag("toxicName").into();
        }
        let path = ["proxies", proxy, "toxics"];
        let added = ask(client, "AddToxic", Method::POST, &path, Some(&toxic))
            .map_err(|error| format!("Failed to add toxic: {error}\n"))?;
        let of = |key: &str| escaped(added[key].as_str().unwrap_or_default());
        Ok(format!(
            "Added {} {} toxic '{}' on proxy '{}'\n",
            of("stream"),
            of("type"),
            of("name"),
            escaped(proxy)
        ))
    }

    fn update_toxic(&self, client: &Client) -> Result<String, String> {
        let proxy = self.toxics_proxy()?;
        let change = json!({ "toxicity": self.toxicity()?, "attributes": self.attributes() });
        let path = ["proxies", proxy, "toxics", self.flag("toxicName")];
        let changed = ask(client, "UpdateToxic", Method::PATCH, &path, Some(&change))
            .map_err(|error| format!("Failed to update toxic: {error}\n"))?;
        let name = escaped(changed["name"].as_str().unwrap_or_default());
        Ok(format!("Updated toxic '{name}' on proxy '{}'\n", escaped(proxy)))
    }

    fn remove_toxic(&self, client: &Client) -> Result<String, String> {
        let (proxy, name) = (self.toxics_proxy()?, self.flag("toxicName"));
        ask(client, "RemoveToxic", Method::DELETE, &["proxies", proxy, "toxics", name], None)
            .map_err(|error| format!("Failed to remove toxic: {error}\n"))?;
        Ok(format!("Removed toxic '{}' on proxy '{}'\n", escaped(name), escaped(proxy)))
    }
}

/// Asks; what goes wrong is told as Go's client tells it.
fn ask(
    client: &Client,
    caller: &str,
    method: Method,
    path: &[&str],
    body: Option<&Value>,
) -> Result<Value, String> {
    let answer = client.call(method, path, body, None).map_err(|error| format!("{error:#}"))?;
    if (200..300).contains(&answer.status) {
        return Ok(answer.body);
    }
    let Answer { status, .. } = answer;
    Err(format!("{caller}: HTTP {status}: {}", answer.refusal()))
}

fn toggle(client: &Client, name: &str) -> Result<String, String> {
    let proxy = retrieve(client, name)?;
    let wanted = json!({ "enabled": proxy["enabled"] != true });
    let now = ask(client, "Save", Method::POST, &["proxies", name], Some(&wanted))
        .map_err(|error| format!("Failed to toggle proxy {name}: {error}\n"))?;
    let (colors, (words, color)) = (Colors::here(), state(&now));
    let (name, words) = (colors.paint(color, &escaped(name)), colors.paint(color, words));
    Ok(format!("Proxy {name} is now {words}\n"))
}

fn delete(client: &Client, name: &str) -> Result<String, String> {
    retrieve(client, name)?;
    ask(client, "Delete", Method::DELETE, &["proxies", name], None)
        .map_err(|error| format!("Failed to delete proxy: {error}\n"))?;
    Ok(format!("Deleted proxy {}\n", escaped(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn it_is_called_by_its_name_or_by_jostle() {
        let called = |text: &str| called(words(text).into_iter().map(OsString::from));
        assert_eq!(called("/usr/bin/toxiproxy-cli list"), Some(words("list")));
        assert_eq!(called("jostle toxiproxy-cli t a x"), Some(words("t a x")));
        assert_eq!(called("jostle ctl list"), None);
        assert_eq!(called("jostle"), None);
    }

    #[test]
    fn what_is_wrong_is_said_as_there() {
        let said = |line: &str| Call::read(&words(line)).and_then(|call| call.run()).unwrap_err();
        assert_eq!(said("toggle"), "Proxy name is required as the first argument.\n");
        assert_eq!(said("toxic add -t latency"), "Proxy name is missing.\n");
        assert_eq!(said("create -l :1 web"), "Required argument 'upstream' was empty.\n");
        let toxicity = "toxicity should be a float between 0 and 1.\n";
        assert_eq!(said("toxic add -t latency -tox 2 web"), toxicity);
        assert!(said("toxic add -x web").starts_with("flag provided but not defined: -x"));
        assert!(said("frob").starts_with("No help topic for 'frob'"));
    }
}
