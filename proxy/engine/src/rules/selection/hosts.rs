//! The choice of flows by their clients and by what they lead to.

use crate::flow::FlowFacts;
use jostle_common::hosts::{HostPattern, Hosts};
use jostle_common::setting::SettingError;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::net::SocketAddr;

/// The most hosts of a choice.
const HOSTS_MAX: usize = 64;

/// Hosts of which one has to be it: an address or network, or a name; with ports or without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostMatch(Vec<HostPattern>);

impl HostMatch {
    /// Returns true if an address is among them.
    pub fn admits_client(&self, client: SocketAddr) -> bool {
        self.0.iter().any(|one| one.hosts.has_address(client.ip()) && one.has_port(client.port()))
    }

    /// Returns true if what a flow leads to is among them: the host that was asked for, the address
    /// that it has, or the server that its ClientHello names.
    pub fn admits_target(&self, facts: &FlowFacts) -> bool {
        let names = [facts.host.as_deref(), facts.server_name.as_deref()];
        self.0.iter().any(|one| {
            let port = match facts.port {
                Some(port) => one.has_port(port),
                None => one.has_any_port(),
            };
            port && (one.hosts == Hosts::All
                || names.into_iter().flatten().any(|name| one.hosts.has_name(name))
                || facts.address.is_some_and(|address| one.hosts.has_address(address)))
        })
    }

    /// Names them: `127.0.0.2, 10.0.0.0/8`.
    pub fn words(&self) -> String {
        self.0.iter().map(HostPattern::to_string).collect::<Vec<_>>().join(", ")
    }

    /// Returns it as it is written.
    pub(super) fn written(&self) -> Value {
        match self.0.as_slice() {
            [one] => one.to_string().into(),
            several => several.iter().map(HostPattern::to_string).collect(),
        }
    }
}

/// A choice of hosts as people write it: one, or a list.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a host such as \"127.0.0.2\", \"10.0.0.0/8\" or \"10.0.0.1:5000-5999\", \
                 or a list of these"
)]
pub(super) enum RawHosts {
    One(String),
    List(Vec<String>),
}

impl RawHosts {
    /// Reads the clients that are chosen at `place`, which have addresses and no names.
    pub(super) fn clients(self, place: &str) -> Result<HostMatch, SettingError> {
        let hosts = self.hosts(place)?;
        let refuse = |problem| Err(SettingError::new(place, problem));
        for one in &hosts.0 {
            match &one.hosts {
                Hosts::Name(_) | Hosts::Below(_) => {
                    return refuse(format!(
                        "\"{one}\" is a name, and clients have addresses alone; write 127.0.0.2 or \
                         10.0.0.0/8"
                    ));
                }
                Hosts::All | Hosts::Network(_) => {}
            }
        }
        Ok(hosts)
    }

    /// Reads the targets that are chosen at `place`.
    pub(super) fn targets(self, place: &str) -> Result<HostMatch, SettingError> {
        self.hosts(place)
    }

    fn hosts(self, place: &str) -> Result<HostMatch, SettingError> {
        let texts = match self {
            Self::One(text) => vec![text],
            Self::List(texts) => texts,
        };
        if !(1..=HOSTS_MAX).contains(&texts.len()) {
            let problem = format!("it has {} hosts; write 1 to {HOSTS_MAX}", texts.len());
            return Err(SettingError::new(place, problem));
        }
        let refuse = |problem| SettingError::new(place, problem);
        let read = |text: &String| match text.parse::<HostPattern>() {
            Ok(one) if one.hosts == Hosts::All && one.has_any_port() => {
                Err(refuse("\"*\" is any; leave it out, or add a port: *:443".to_owned()))
            }
            read => read.map_err(refuse),
        };
        texts.iter().map(read).collect::<Result<_, _>>().map(HostMatch)
    }
}

impl JsonSchema for RawHosts {
    fn schema_name() -> Cow<'static, str> {
        "Hosts".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let one = json!({ "type": "string", "minLength": 1 });
        json_schema!({
            "description": "A host, or a list of hosts of which one has to be it: an address, a \
                            network (10.0.0.0/8), for targets a name or all below one \
                            (*.example.org); with :PORT or :PORT-PORT if some are meant.",
            "anyOf": [
                one,
                { "type": "array", "items": one, "minItems": 1, "maxItems": HOSTS_MAX }
            ],
            "examples": ["127.0.0.2", "10.0.0.0/8", "*.example.org:443", ["10.0.0.1", "10.0.0.2"]]
        })
    }
}
