//! What is known of a flow or connection besides its number, for rules that choose by it.

use jostle_common::time::Instant;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The facts of a flow. Whoever drives a link tells it of them when the flow begins, and again when
/// another becomes known; no rule that asks for a fact looks at the flow before.
///
/// ```
/// use jostle_common::time::Instant;
/// use jostle_engine::flow::FlowFacts;
/// let facts = FlowFacts::since(Instant::START).with_target("API.example.org.", 443);
/// assert_eq!(facts.host.as_deref(), Some("api.example.org"));
/// assert_eq!(FlowFacts::since(Instant::START).with_target("::1", 80).host, None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowFacts {
    /// The time at which it began.
    pub since: Instant,
    /// The address that its client speaks from.
    pub client: Option<SocketAddr>,
    /// The name of the host that was asked for, in lower case and without a dot at its end: by the
    /// client of a forward proxy, or by the route.
    pub host: Option<Arc<str>>,
    /// The port that was asked for.
    pub port: Option<u16>,
    /// The address that it leads to.
    pub address: Option<IpAddr>,
    /// The name of the server that its ClientHello says (SNI, RFC 6066), in lower case.
    pub server_name: Option<Arc<str>>,
}

impl FlowFacts {
    /// Creates the facts of a flow of which only the beginning is known.
    pub const fn since(since: Instant) -> Self {
        let (client, host, port, address, server_name) = (None, None, None, None, None);
        Self { since, client, host, port, address, server_name }
    }

    /// Returns them with its client.
    #[must_use]
    pub fn with_client(self, client: SocketAddr) -> Self {
        let client = SocketAddr::new(client.ip().to_canonical(), client.port());
        Self { client: Some(client), ..self }
    }

    /// Returns them with the host, a name or an address, and the port that were asked for.
    #[must_use]
    pub fn with_target(self, host: &str, port: u16) -> Self {
        let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        let host = address.is_none().then(|| name(host));
        Self { host, port: Some(port), address: address.or(self.address), ..self }
    }

    /// Returns them with the address that it leads to.
    #[must_use]
    pub fn with_address(self, address: IpAddr) -> Self {
        Self { address: Some(address.to_canonical()), ..self }
    }

    /// Returns them with the name that its ClientHello says.
    #[must_use]
    pub fn with_server_name(self, server_name: &str) -> Self {
        Self { server_name: Some(name(server_name)), ..self }
    }
}

/// Returns a name as names are compared.
fn name(text: &str) -> Arc<str> {
    text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase().into()
}
