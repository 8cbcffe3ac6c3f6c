//! Routes as people write them: a configuration file, a Toxiproxy configuration, or one route on
//! the command line.

use super::address::parse_listen;
use super::listening::RawListening;
use super::tcp_mode::{RawTcp, tcp_mode};
use super::wanted::{RawDestination, RawTarget};
use super::workers::{RawWorkers, RouteWorkers};
use super::{Route, TcpMode, profile_of_toxics, toxiproxy};
use crate::profile::{Profile, RawProfile, ReadFile, library, no_files, schema_of};
use jostle_common::setting::{SettingError, decode, parse_json, within};
use jostle_common::units::Span;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Routes beyond this are surely a mistake.
const ROUTES_MAX: usize = 4096;

/// A whole configuration: its seed, if it has one, and its routes.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// The seed of the run.
    pub seed: Option<u64>,
    /// The routes, in the order of the file.
    pub routes: Vec<Route>,
    /// What was read over, with its place.
    pub remarks: Vec<String>,
}

/// The routes that a proxy relays. A file may also be the list of routes alone, as Toxiproxy takes
/// it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawConfiguration {
    /// The seed of all draws; without it one is drawn and printed.
    seed: Option<u64>,
    /// The routes, 1 to 4096.
    #[schemars(with = "Vec<RawRoute>", length(min = 1, max = 4096))]
    proxies: Vec<Value>,
}

/// The keys of a route.
pub(super) const ROUTE_KEYS: [&str; 15] = [
    "name", "listen", "upstream", "target", "user", "profile", "seed", "enabled", "tcp", "unit",
    "follow", "idle", "open", "accept", "workers",
];

/// A route: what is listened on, where it leads, and what happens on the way.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawRoute {
    /// Its name in counters, in the event log and in its draws; its ordinal from 1 unless stated.
    #[schemars(length(min = 1, max = 255))]
    name: Option<String>,
    /// Where it listens: udp://, tcp:// or both://HOST:PORT, or, for clients that say where they
    /// want to go, socks5:// or http-proxy://HOST:PORT; without a scheme TCP.
    listen: String,
    /// Where it relays to: HOST:PORT; not at socks5:// and http-proxy://.
    upstream: Option<String>,
    /// What clients of socks5:// and http-proxy:// may ask for; "any" unless stated. Beyond
    /// loopback private addresses are refused that are not named here.
    target: Option<RawTarget>,
    /// The user that clients of socks5:// and http-proxy:// must name, NAME:PASSWORD; anybody
    /// unless stated.
    user: Option<String>,
    /// What happens to packets: a profile, or the name or the file of one. Nothing unless stated.
    #[serde(default)]
    #[schemars(with = "Option<RawNamedProfile>")]
    profile: Value,
    /// The seed of its draws; the run's unless stated.
    seed: Option<u64>,
    /// Whether it starts; it does unless stated.
    enabled: Option<bool>,
    /// What loss means on TCP: "model" (segments are lost and sent again, by CUBIC), "raw" (pieces
    /// of the stream are lost), or the model of another congestion control.
    #[schemars(with = "Option<RawTcp>")]
    tcp: Option<Value>,
    /// The pieces of a raw stream: "read", "line", or a size such as "1KiB".
    unit: Option<String>,
    /// Whether answers from other ports of the upstream's address are relayed, as TFTP's come.
    #[serde(default)]
    follow: bool,
    /// After how long a silent UDP flow is forgotten; 2m unless stated.
    idle: Option<Span>,
    /// When its TCP listener is there: "always", which is so unless stated, or "with upstream": not
    /// while the upstream refuses connections, or an outage cuts the route.
    #[schemars(with = "Option<RawOpen>")]
    open: Option<String>,
    /// How long each TCP client waits in the kernel's backlog before it is accepted, one after the
    /// other.
    accept: Option<Span>,
    /// How many of the event loops (--workers) relay it: 1 unless stated, or "all". Several can if
    /// all its rules are "per": "flow".
    #[schemars(with = "Option<RawWorkers>")]
    workers: Option<Value>,
}

/// When a TCP listener is there.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is of use")]
enum RawOpen {
    #[serde(rename = "always")]
    Always,
    #[serde(rename = "with upstream")]
    WithUpstream,
}

/// A profile as a route names it.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is of use")]
enum RawNamedProfile {
    /// The name of a built-in profile, or a file.
    Named(String),
    /// The profile itself.
    Written(RawProfile),
}

/// Returns the JSON Schema of configurations (draft 7), as text with a line end.
pub fn schema() -> String {
    schema_of::<RawConfiguration>("jostle proxy --config", |schema| {
        let words = "Toxiproxy's toxics, instead of a profile; without \"tcp\" the route is raw, \
                     in units of what was read.";
        let toxics = json!({ "type": "array", "description": words });
        if let Some(fields) = schema.pointer_mut("/definitions/RawRoute/properties")
            && let Some(fields) = fields.as_object_mut()
        {
            fields.insert("toxics".into(), toxics);
        }
    })
}

impl Configuration {
    /// Reads a configuration from JSON text: `{ "seed": 7, "proxies": [ … ] }`, the array that
    /// Toxiproxy takes, or the object that it prints at `/proxies`.
    ///
    /// # Errors
    /// When the text is not JSON or says something impossible; with the place and the remedy.
    pub fn from_json(text: &str, read: ReadFile<'_>) -> Result<Self, SettingError> {
        let numbered = |place: &str, values: Vec<Value>| {
            let values = values.into_iter().enumerate();
            values.map(|(index, value)| (format!("{place}[{index}]"), value)).collect()
        };
        let mut remarks = Vec::new();
        let (seed, place, values, is_toxiproxy): (_, _, Vec<(String, Value)>, _) =
            match parse_json(text)? {
                Value::Array(values) => (None, "", numbered("", values), true),
                Value::Object(object) if toxiproxy::is_listing(&object) => {
                    (None, "", toxiproxy::entries(object), true)
                }
                mut value => {
                    // It is for editors.
                    if let Some(fields) = value.as_object_mut() {
                        fields.remove("$schema");
                    }
                    let raw: RawConfiguration = decode("", value)?;
                    (raw.seed, "proxies", numbered("proxies", raw.proxies), false)
                }
            };
        if values.is_empty() {
            return Err(SettingError::new(
                place,
                "there is no route; write [ { \"listen\": …, \"upstream\": … } ]",
            ));
        }
        if values.len() > ROUTES_MAX {
            return Err(SettingError::new(
                place,
                format!("{} routes are too many; at most {ROUTES_MAX}", values.len()),
            ));
        }
        let mut routes: Vec<Route> = Vec::new();
        let mut names = BTreeSet::new();
        for (index, (place, mut value)) in values.into_iter().enumerate() {
            if is_toxiproxy {
                value = toxiproxy::tidied(&place, value, &mut remarks);
            }
            let route = route(&place, index + 1, value, read, &mut remarks)?;
            if !names.insert(route.name.clone()) {
                let place = within(&place, "name");
                if !is_toxiproxy {
                    let problem = format!(
                        "a second route is called \"{}\"; give each its own name",
                        route.name
                    );
                    return Err(SettingError::new(place, problem));
                }
                remarks.push(format!(
                    "{place}: a second route is called \"{}\", and takes the place of the first, \
                     as in Toxiproxy",
                    route.name
                ));
                routes.retain(|other| other.name != route.name);
            }
            routes.push(route);
        }
        Ok(Self { seed, routes, remarks })
    }
}

impl Route {
    /// Reads a route as a configuration file has it, from an object that names no files.
    ///
    /// # Errors
    /// When it says something impossible; with the place and the remedy.
    pub fn from_value(value: Value) -> Result<Self, SettingError> {
        route("", 1, value, &no_files, &mut Vec::new())
    }
}

fn route(
    place: &str,
    ordinal: usize,
    mut value: Value,
    read: ReadFile<'_>,
    remarks: &mut Vec<String>,
) -> Result<Route, SettingError> {
    // A list without toxics beside a profile is as contradictory as one that has some.
    let says_toxics = value.get("toxics").is_some_and(|toxics| !toxics.is_null());
    let toxics = toxiproxy::take_toxics(place, &mut value, remarks)?;
    let raw: RawRoute = decode(place, value)?;
    let at = |field: &str| within(place, field);
    let name = raw.name.unwrap_or_else(|| ordinal.to_string());
    check_name(&name).map_err(|problem| SettingError::new(at("name"), problem))?;
    let (scheme, listen) =
        parse_listen(&raw.listen).map_err(|problem| SettingError::new(at("listen"), problem))?;
    let transport = scheme.transports();
    let RawRoute { upstream, target, user, open, accept, .. } = raw;
    let listening = RawListening { open, accept }.read(place, scheme)?;
    let workers = raw.workers.as_ref().filter(|workers| !workers.is_null());
    let workers = workers.map(|workers| RouteWorkers::read(&at("workers"), workers)).transpose()?;
    let destination = RawDestination { upstream, target, user }.read(place, scheme)?;
    let tcp = match (&raw.tcp, &raw.unit) {
        (None, None) if !toxics.is_empty() => TcpMode::for_rules(&profile_of_toxics(&toxics)),
        _ => tcp_mode(place, raw.tcp, raw.unit.as_deref())?,
    };
    if says_toxics && !raw.profile.is_null() {
        let problem = "the toxics are the route's profile already; leave one of both out";
        return Err(SettingError::new(at("profile"), problem));
    }
    if raw.follow && !transport.has_udp() {
        return Err(SettingError::new(
            at("follow"),
            format!("route \"{name}\" relays no UDP; leave follow out"),
        ));
    }
    if raw.follow && scheme.forward().is_some() {
        let problem = "clients say where their datagrams go, and get the answers of everybody \
                       there; leave follow out";
        return Err(SettingError::new(at("follow"), problem));
    }
    let idle = raw.idle.map(|idle| idle.0);
    if idle.is_some_and(|idle| idle.is_zero()) {
        let problem = "a flow that is forgotten at once never gets an answer; write \"120s\", say";
        return Err(SettingError::new(at("idle"), problem));
    }
    let route = Route {
        profile: match toxics.is_empty() {
            true => profile(&at("profile"), raw.profile, read)?,
            false => profile_of_toxics(&toxics),
        },
        name,
        transport,
        listen,
        destination,
        seed: raw.seed,
        paired: None,
        enabled: raw.enabled.unwrap_or(true),
        tcp,
        follow: raw.follow,
        idle,
        listening,
        workers: workers.unwrap_or_default(),
    };
    route.check_rules().map_err(|problem| SettingError::new(at("profile"), problem))?;
    Ok(route)
}

/// Checks the name of a route, or of a rule: it stands in logs, on terminals and in URLs.
///
/// # Errors
/// When it is empty, has more than 255 bytes, or characters that cannot be printed; or when it is
/// `.` or `..`, which browsers and curl take out of a URL however they are escaped (WHATWG URL,
/// 4.4).
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let is_name = (1..=255).contains(&name.len()) && !name.chars().any(char::is_control);
    match name {
        _ if !is_name => Err("a name has 1 to 255 printable characters"),
        "." | ".." => Err("no URL can name \".\" or \"..\"; write a letter or a digit too"),
        _ => Ok(()),
    }
}

fn profile(place: &str, value: Value, read: ReadFile<'_>) -> Result<Profile, SettingError> {
    match value {
        Value::Null => Ok(Profile::default()),
        Value::String(name) => {
            let problem = |problem: String| SettingError::new(place, problem);
            named_profile(&name, read).map_err(|error| problem(format!("\"{name}\": {error}")))
        }
        value => Profile::from_value(place, value, read),
    }
}

/// Reads the built-in profile called `name`, or else the one in the file of that name. `read` finds
/// files, traces and tables too.
///
/// # Errors
/// When neither is there, or the file says something impossible.
pub fn named_profile(name: &str, read: ReadFile<'_>) -> Result<Profile, SettingError> {
    let text = named_text(name, read)?;
    // The files that a profile names stand in its own folder.
    let folder = Path::new(name).parent().unwrap_or_else(|| Path::new(""));
    let profile =
        Profile::from_json_with(&text, &|file| read(&folder.join(file).to_string_lossy()))?;
    Ok(profile.within_folder(folder))
}

/// Returns the JSON text of the built-in profile called `name`, or else of the file of that name.
///
/// # Errors
/// When neither is there.
pub fn named_text(name: &str, read: ReadFile<'_>) -> Result<String, SettingError> {
    if let Some(text) = library::text(name) {
        return Ok(text.to_owned());
    }
    read(name)
        .map_err(|problem| SettingError::new("", format!("{problem}; {}", library::hint(name))))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
