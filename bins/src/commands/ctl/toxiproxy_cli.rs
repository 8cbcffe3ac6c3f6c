//! The command lines of `toxiproxy-cli`, for scripts that have them: as a symbolic link of that name,
//! or as `jostle toxiproxy-cli …`. Flags have one dash or two, and what is printed is what those
//! scripts look for.

use super::client::{Answer, Client};
use super::toxics::value_of;
use jostle_common::words::count;
use jostle_console::terminal::{escaped, note, text};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;
use ureq::http::Method;

/// The name of the program.
const NAME: &str = "toxiproxy-cli";

const USAGE: &str = "toxiproxy-cli, as jostle has it

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

/// A command line, read.
struct Call {
    host: String,
    /// `list`, `toxic add` …
    command: &'static str,
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
    fn read(arguments: &[String]) -> Result<Self, String> {
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

    fn name(&self) -> Result<&str, String> {
        let missing = || "Proxy name is required as the first argument.\n".to_owned();
        self.names.first().map(String::as_str).ok_or_else(missing)
    }

    fn toxics_proxy(&self) -> Result<&str, String> {
        let missing = || "Proxy name is missing.\n".to_owned();
        self.names.first().map(String::as_str).ok_or_else(missing)
    }

    fn flag(&self, name: &str) -> &str {
        self.flags.get(name).map_or("", String::as_str)
    }

    fn required(&self, name: &str) -> Result<&str, String> {
        match self.flag(name) {
            "" => Err(format!("Required argument '{name}' was empty.\n")),
            value => Ok(value),
        }
    }

    fn toxicity(&self) -> Result<f64, String> {
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
    fn attributes(&self) -> Map<String, Value> {
        let pairs = self.attributes.iter().filter_map(|text| text.split_once('='));
        pairs.map(|(key, value)| (key.to_owned(), value_of(value))).collect()
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

/// Colours, where there is a terminal.
struct Colors(bool);

impl Colors {
    fn here() -> Self {
        Self(io::stdout().is_terminal())
    }

    fn paint(&self, code: u8, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

const RED: u8 = 31;
const GREEN: u8 = 32;
const YELLOW: u8 = 33;
const BLUE: u8 = 34;
const PURPLE: u8 = 35;

fn state(proxy: &Value) -> (&'static str, u8) {
    if proxy["enabled"] == true { ("enabled", GREEN) } else { ("disabled", RED) }
}

fn list(client: &Client) -> Result<String, String> {
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

/// Says on stderr, where no script looks, which proxies have rules that Toxiproxy could not have: its
/// lists show its own toxics alone.
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

fn retrieve(client: &Client, name: &str) -> Result<Value, String> {
    ask(client, "Proxy", Method::GET, &["proxies", name], None)
        .map_err(|error| format!("Failed to retrieve proxy {name}: {error}\n"))
}

fn inspect(client: &Client, name: &str) -> Result<String, String> {
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
