//! Reading a journal back.

use super::VERSION;
use super::canonical::Texts;
use crate::registry::Deed;
use jostle_common::setting::{decode, parse_json};
use jostle_common::time::Instant;
use jostle_engine::profile::ReadFile;
use jostle_engine::route::{Configuration, Route, parse_listen, parse_upstream};
use jostle_proxy::Began;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What was configured, and what was done to it.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// The seed of the run.
    pub seed: u64,
    /// Set if the rules were on when the journal began.
    pub rules_on: bool,
    /// The routes that there were then, by name.
    pub routes: BTreeMap<String, Route>,
    /// What was done, in the order of the lines.
    pub recorded: Vec<Recorded>,
    /// The number of the last line, if it ends before its end: it is not among them.
    pub cut: Option<usize>,
}

/// A line of a journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Its number, from 1.
    pub line: usize,
    /// Its time, as the event log tells it.
    pub at: Instant,
    /// What it says.
    pub event: Event,
}

/// What a line of a journal says.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "most of them are of the largest kind")]
pub enum Event {
    /// A proxy was changed.
    Proxy {
        /// Its name.
        name: String,
        /// What was done to it.
        deed: Deed,
        /// When the time of its rules had begun.
        began: Began,
        /// What it is since; `None` when it is gone.
        route: Option<Route>,
    },
    /// The rules of all proxies were switched.
    Rules {
        /// Set if they are on since.
        on: bool,
        /// When the time of each one's rules had begun.
        began: BTreeMap<String, Began>,
    },
    /// Changes are missing.
    Lost {
        /// How many.
        lost: u64,
        /// Set if the rules are on since.
        rules_on: bool,
        /// The routes that there are since, by name.
        routes: BTreeMap<String, Route>,
    },
    /// The run has ended.
    End {
        /// How many changes are missing in all.
        lost: u64,
    },
}

/// What is wrong with a journal, and in which line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct JournalError {
    /// The line, from 1.
    pub line: usize,
    /// The problem, with the remedy.
    pub problem: String,
}

/// A line as it is written.
#[derive(Deserialize)]
struct RawLine {
    t: f64,
    change: String,
    journal: Option<u64>,
    rules_on: Option<bool>,
    configuration: Option<RawConfiguration>,
    proxy: Option<String>,
    began: Option<Value>,
    route: Option<Value>,
    on: Option<bool>,
    lost: Option<u64>,
    sha256: Option<String>,
}

#[derive(Deserialize)]
struct RawConfiguration {
    seed: u64,
    proxies: Vec<Value>,
}

#[derive(Default, Deserialize)]
struct RawBegan {
    udp: Option<f64>,
    tcp: Option<f64>,
}

/// No run lasts longer than 292 years.
const SECONDS_MAX: f64 = 9.2e9;

impl History {
    /// Reads the text of a journal; `read` finds the files that its profiles name.
    ///
    /// # Errors
    /// When it is none, or of another version, or a line of it is wrong or missing; a last line
    /// without its end is left out and [told of](Self::cut).
    pub fn read(text: &str, read: ReadFile<'_>) -> Result<Self, JournalError> {
        let mut reader: Option<Reader<'_>> = None;
        let mut cut = None;
        for (index, line) in text.split_inclusive('\n').enumerate() {
            let number = index + 1;
            let said = |problem: String| JournalError { line: number, problem };
            let is_whole = line.ends_with('\n');
            let value = parse_json(line).and_then(|value| decode::<RawLine>("", value));
            let raw = match value {
                Ok(raw) if is_whole => raw,
                Ok(_) | Err(_) if !is_whole && number > 1 => {
                    cut = Some(number);
                    break;
                }
                Ok(raw) => raw,
                Err(error) if number == 1 => {
                    return Err(said(format!(
                        "this is no journal; write the name of a file that --journal wrote ({error})"
                    )));
                }
                Err(error) => return Err(said(error.to_string())),
            };
            match &mut reader {
                None => reader = Some(Reader::begin(raw, read).map_err(said)?),
                Some(reader) => reader.take(number, raw).map_err(said)?,
            }
        }
        let nothing = || JournalError { line: 1, problem: "the journal is empty".into() };
        let history = reader.ok_or_else(nothing)?.history;
        Ok(Self { cut, ..history })
    }
}

/// What was read of a journal so far.
struct Reader<'a> {
    history: History,
    texts: Texts,
    read: ReadFile<'a>,
}

impl<'a> Reader<'a> {
    /// Reads the first line.
    fn begin(raw: RawLine, read: ReadFile<'a>) -> Result<Self, String> {
        match raw.journal {
            Some(VERSION) => {}
            Some(other) => {
                return Err(format!(
                    "the journal is of version {other}, and this program reads version {VERSION}; \
                     use the program that wrote it"
                ));
            }
            None => {
                return Err("this is no journal: its first line does not say \"journal\"".into());
            }
        }
        let configuration = needed("configuration", raw.configuration)?;
        let rules_on = needed("rules_on", raw.rules_on)?;
        let history = History {
            seed: configuration.seed,
            rules_on,
            routes: BTreeMap::new(),
            recorded: Vec::new(),
            cut: None,
        };
        let mut reader = Self { history, texts: Texts::default(), read };
        reader.history.routes = reader.all(configuration)?;
        reader.compare(raw.sha256)?;
        Ok(reader)
    }

    /// Reads a further line.
    fn take(&mut self, line: usize, raw: RawLine) -> Result<(), String> {
        let at = moment("t", raw.t)?;
        let event = match raw.change.as_str() {
            "start" => {
                return Err("a second journal begins here; cut the file in front of it".into());
            }
            "rules" => {
                let began: BTreeMap<String, RawBegan> = given("began", raw.began)?;
                let began = began.into_iter().map(|(name, raw)| Ok((name, moments(&raw)?)));
                Event::Rules {
                    on: needed("on", raw.on)?,
                    began: began.collect::<Result<_, String>>()?,
                }
            }
            "lost" => Event::Lost {
                lost: needed("lost", raw.lost)?,
                rules_on: needed("rules_on", raw.rules_on)?,
                routes: self.all(needed("configuration", raw.configuration)?)?,
            },
            "end" => Event::End { lost: needed("lost", raw.lost)? },
            other => {
                let deed = Deed::ALL.into_iter().find(|deed| deed.name() == other);
                let deed = deed.ok_or_else(|| format!("change: there is no \"{other}\""))?;
                let name = needed("proxy", raw.proxy)?;
                let began = moments(&given("began", raw.began)?)?;
                let route = raw.route.filter(|route| !route.is_null());
                let route = match route {
                    Some(value) => {
                        self.texts.set(&name, value.clone());
                        Some(self.route(value)?)
                    }
                    None => {
                        self.texts.remove(&name);
                        None
                    }
                };
                if route.as_ref().is_some_and(|route| route.name != name) {
                    return Err("route.name: it is not what \"proxy\" says".into());
                }
                Event::Proxy { name, deed, began, route }
            }
        };
        self.compare(raw.sha256)?;
        self.history.recorded.push(Recorded { line, at, event });
        Ok(())
    }

    /// Takes over all routes of a configuration.
    fn all(&mut self, raw: RawConfiguration) -> Result<BTreeMap<String, Route>, String> {
        if raw.seed != self.history.seed {
            return Err(format!(
                "configuration.seed: it is {} in the first line",
                self.history.seed
            ));
        }
        self.texts.clear();
        let mut routes = BTreeMap::new();
        for value in raw.proxies {
            let route = self.route(value.clone())?;
            self.texts.set(&route.name, value);
            routes.insert(route.name.clone(), route);
        }
        Ok(routes)
    }

    fn route(&self, mut value: Value) -> Result<Route, String> {
        if let Some(fields) = value.as_object_mut() {
            // The API takes any text for these; what is no address leads nowhere.
            let text = |value: &Value| value.as_str().map(str::to_owned).unwrap_or_default();
            let listen = fields.get("listen").map(text).unwrap_or_default();
            let is_asked =
                parse_listen(&listen).is_ok_and(|(scheme, _)| scheme.forward().is_some());
            if !is_asked
                && fields.get("upstream").is_none_or(|one| parse_upstream(&text(one)).is_err())
            {
                fields.insert("upstream".into(), "nowhere.invalid:9".into());
            }
            if fields.get("listen").is_none_or(|one| parse_listen(&text(one)).is_err()) {
                fields.insert("listen".into(), "127.0.0.1:0".into());
            }
        }
        let text = json!({ "proxies": [value] }).to_string();
        let configuration = Configuration::from_json(&text, self.read);
        let mut routes = configuration
            .map_err(|error| error.to_string().replacen("proxies[0]", "route", 1))?
            .routes;
        routes.pop().ok_or_else(|| "route: there is none".to_owned())
    }

    /// Holds what was read against the digest that was written, if there is one.
    fn compare(&self, written: Option<String>) -> Result<(), String> {
        let read = self.texts.digest(self.history.seed);
        if written.is_none_or(|written| written == read.to_string()) {
            return Ok(());
        }
        Err(format!(
            "sha256: the configuration that holds here is not the one that is written ({read}); a \
             line is missing in front, or was changed: take \"sha256\" out of those behind it to \
             read it all the same"
        ))
    }
}

fn needed<T>(name: &str, given: Option<T>) -> Result<T, String> {
    given.ok_or_else(|| format!("{name}: it is missing"))
}

fn given<T: serde::de::DeserializeOwned + Default>(
    name: &str,
    value: Option<Value>,
) -> Result<T, String> {
    let Some(value) = value else { return Ok(T::default()) };
    decode(name, value).map_err(|error| error.to_string())
}

fn moments(raw: &RawBegan) -> Result<Began, String> {
    let of = |name, seconds: Option<f64>| seconds.map(|seconds| moment(name, seconds)).transpose();
    Ok(Began { udp: of("began.udp", raw.udp)?, tcp: of("began.tcp", raw.tcp)? })
}

/// Reads a time in seconds: to the nanosecond, in runs of up to a hundred days.
fn moment(name: &str, seconds: f64) -> Result<Instant, String> {
    if !(0.0..=SECONDS_MAX).contains(&seconds) {
        return Err(format!("{name}: {seconds} is no time of a run; write seconds from 0"));
    }
    Ok(Instant::from_nanos((seconds * 1e9).round() as u64))
}
