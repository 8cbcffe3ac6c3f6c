//! A proxy as a body asks for it: Toxiproxy's fields, and further ones as a configuration file has
//! them.

use super::answer::Refusal;
use super::body::Fields;
use crate::profiles::unknown;
use crate::registry::Entry;
use jostle_common::setting::one_of;
use jostle_engine::profile::library;
use jostle_engine::route::{HostPort, Route, Scheme, TcpMode, Transports, check_name};
use serde_json::{Map, Value};

/// The fields beyond Toxiproxy's, but for the protocol.
const FURTHER: [&str; 12] = [
    "target", "user", "tcp", "unit", "profile", "toxics", "seed", "idle", "follow", "open",
    "accept", "workers",
];

/// The longest name of a route in a file.
const NAME_BYTES_MAX: usize = 64;

/// A proxy as a body asks for it.
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) listen: String,
    pub(super) upstream: String,
    pub(super) enabled: bool,
    /// The scheme of its listener, if the body says one.
    pub(super) protocol: Option<Scheme>,
    route: Route,
    tcp_follows: bool,
}

impl Asked {
    /// Reads one from a body; `place` says which of several it is.
    pub(super) fn read(value: Value, place: &str) -> Result<Self, Refusal> {
        let fields = Fields::of(value).map_err(Refusal::bad_body)?;
        let text = |name| fields.text(name).map_err(Refusal::bad_body);
        let (name, listen, upstream) = (text("name")?, text("listen")?, text("upstream")?);
        let enabled = fields.flag("enabled").map_err(Refusal::bad_body)?.unwrap_or(true);
        let required = |field: &str, value: Option<String>| {
            let missing = || Refusal::bad(format!("missing required field: {field}{place}"));
            value.filter(|text| !text.is_empty()).ok_or_else(missing)
        };
        let name = required("name", name)?;
        check_name(&name).map_err(|problem| Refusal::bad(format!("name: {problem}{place}")))?;
        let protocol = protocol(text("protocol")?, place)?;
        let upstream = match protocol.and_then(Scheme::forward) {
            None => required("upstream", upstream)?,
            Some(_) => upstream.unwrap_or_default(),
        };
        if let Some(forward) = protocol.and_then(Scheme::forward)
            && !upstream.is_empty()
        {
            let problem = format!("upstream: {}{place}", has_no_upstream(forward.scheme()));
            return Err(Refusal::bad(problem));
        }
        let (route, tcp_follows) = route(&name, protocol, &fields, place)?;
        let listen = listen.unwrap_or_default();
        Ok(Self { name, upstream, listen, enabled, protocol, route, tcp_follows })
    }

    /// Returns the proxy, disabled as yet.
    pub(super) fn entry(&self) -> Entry {
        let entry = Entry::of_route(self.route.clone(), &self.listen, &self.upstream);
        Entry { tcp_follows: self.tcp_follows, ..entry }
    }
}

/// Says why a proxy whose clients say where they want to go takes no upstream.
pub(super) fn has_no_upstream(protocol: &str) -> String {
    format!(
        "clients of {protocol} say where they want to go; leave it out, and write what they may \
         reach as \"target\""
    )
}

fn protocol(text: Option<String>, place: &str) -> Result<Option<Scheme>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let refuse = || {
        let names = one_of(&Scheme::ALL.map(Scheme::name));
        Refusal::bad(format!("protocol: {text:?} is not relayed; write {names}{place}"))
    };
    Scheme::named(&text).map(Some).ok_or_else(refuse)
}

/// Reads the further fields: what they mean stands with the configuration file.
fn route(
    name: &str,
    protocol: Option<Scheme>,
    fields: &Fields,
    place: &str,
) -> Result<(Route, bool), Refusal> {
    let further = FURTHER.into_iter().filter_map(|name| Some((name, fields.value(name)?)));
    let mut written: Map<String, Value> =
        further.map(|(name, value)| (name.to_owned(), value.clone())).collect();
    // Clients send an empty list with every proxy; it stands beside a profile.
    written.retain(|name, value| name != "toxics" || *value != Value::Array(Vec::new()));
    // A name on the wire is never a file's.
    if let Some(Value::String(name)) = written.get("profile")
        && library::text(name).is_none()
    {
        return Err(Refusal::bad(format!("profile: {}{place}", unknown(name))));
    }
    let says_tcp = ["tcp", "unit", "profile"].iter().any(|name| written.contains_key(*name));
    let scheme = protocol.unwrap_or(Scheme::Plain(Transports::Tcp));
    // A file's routes have shorter names than Toxiproxy's may have. Errors say the name.
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control) {
        written.insert("name".to_owned(), name.into());
    }
    // Where it listens and leads is read as Toxiproxy does, not as in a file.
    written.insert("listen".to_owned(), format!("{}://[::]:0", scheme.name()).into());
    if scheme.forward().is_none() {
        written.insert("upstream".to_owned(), "localhost:1".into());
    }
    let mut route = Route::from_value(written.into())
        .map_err(|error| Refusal::bad(format!("{error}{place}")))?;
    if !says_tcp {
        route.tcp = TcpMode::for_rules(&route.profile);
    }
    let listen = HostPort { host: String::new(), port: 0 };
    let route = Route { name: name.to_owned(), listen, ..route };
    // Of the mode that it has now.
    route.check_rules().map_err(Refusal::bad)?;
    Ok((route, !says_tcp))
}
