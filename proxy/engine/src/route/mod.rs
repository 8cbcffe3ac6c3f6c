//! The task of a proxy: routes, each with a listener, a destination and a profile.

mod address;
mod destination;
mod from_toxiproxy;
pub mod go_json;
mod listening;
mod raw;
mod services;
mod tcp_mode;
mod toxics;
mod toxiproxy;
mod wanted;
mod workers;
mod written;

pub use address::{parse_listen, parse_upstream};
pub use destination::{Destination, Forward, ForwardProtocol, Scheme};
pub use from_toxiproxy::{TranslatedProxies, from_toxiproxy};
pub use raw::{Configuration, check_name, named_profile, named_text, schema};

pub use listening::Listening;
pub use services::service_port;
pub use tcp_mode::parse_unit;
pub use toxics::{
    ListedToxic, Toxic, ToxicError, ToxicKind, ToxicStream, add_toxic, is_toxic_name_taken,
    profile_of_toxics, toxics_of_profile,
};
pub use wanted::{parse_route, parse_targets, parse_user};
pub use workers::RouteWorkers;

use crate::limits::IDLE_DEFAULT;
use crate::profile::Profile;
use crate::rules::{Rule, RuleKind};
use jostle_common::ecn::Ecn;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// One route, checked and complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The route's name in its draws, in counters and in events: its `name`, or its ordinal (`1`,
    /// `2` …).
    pub name: String,
    /// The transports that are relayed.
    pub transport: Transports,
    /// The address on which it listens.
    pub listen: HostPort,
    /// The place to which the packets go.
    pub destination: Destination,
    /// The profile of what happens to them.
    pub profile: Profile,
    /// The seed of its draws; the run's seed when `None`.
    pub seed: Option<u64>,
    /// Under which name its draws are made, when not its own. Routes that share it and the seed
    /// meet paired losses: packet *n* of each gets the same random number, so the route with the
    /// higher loss loses what the other loses and more.
    pub paired: Option<String>,
    /// True if it starts.
    pub enabled: bool,
    /// The meaning of the profile on TCP.
    pub tcp: TcpMode,
    /// True if answers from other ports of the upstream's address are relayed (TFTP answers so).
    pub follow: bool,
    /// After which silence a UDP flow is forgotten, 120 s when `None`, and a TCP connection torn
    /// down, never when `None`.
    pub idle: Option<Duration>,
    /// How clients that connect over TCP are treated.
    pub listening: Listening,
    /// The event loops that have it.
    pub workers: RouteWorkers,
}

impl Route {
    /// Returns after which silence a UDP flow is forgotten.
    pub fn flow_idle(&self) -> Duration {
        self.idle.unwrap_or(IDLE_DEFAULT)
    }

    /// Checks that each rule can act on what the route relays; the error names the rule.
    ///
    /// # Errors
    /// When there are too many rules, a rule looks for bytes in the segments of a modelled TCP
    /// stream, which carry none through the links, or acts on TCP streams or on UDP flows where
    /// there are none; or when several loops are to have what one alone can.
    pub fn check_rules(&self) -> Result<(), String> {
        let named = |problem: String| format!("route \"{}\": {problem}", self.name);
        self.profile.check().map_err(named)?;
        self.check_workers()?;
        let mut rules = self.profile.up.rules().chain(self.profile.down.rules());
        // What does nothing may stand anywhere: Toxiproxy's noop is such a rule.
        let does_nothing =
            |rule: &Rule| matches!(&rule.kind, RuleKind::SlowClose(slow) if slow.delay.is_zero());
        if !self.transport.has_tcp()
            && let Some(rule) = rules.find(|rule| rule.kind.is_for_streams() && !does_nothing(rule))
        {
            // The word that was written, which a toxic's need not be its rule's.
            let toxic = rule.toxic.as_ref().map(|toxic| toxic.type_name());
            return Err(format!(
                "route \"{}\": rule \"{}\" acts on TCP streams, and the route relays UDP alone; \
                 leave {} out, or listen on tcp:// or both://",
                self.name,
                rule.key,
                toxic.unwrap_or_else(|| rule.kind.name())
            ));
        }
        if !self.transport.has_udp()
            && let Some(rule) = self.profile.up.rules().find(|rule| rule.kind.is_for_sockets())
        {
            return Err(format!(
                "route \"{}\": rule \"{}\" acts on UDP flows, and the route relays TCP alone; \
                 leave {} out, or listen on udp:// or both://",
                self.name,
                rule.key,
                rule.kind.name()
            ));
        }
        if self.transport != Transports::Tcp || !matches!(self.tcp, TcpMode::Model(_)) {
            return Ok(());
        }
        let looks_for_bytes = |rule: &&Rule| {
            rule.selection.matching.as_ref().is_some_and(|matching| matching.bytes.is_some())
        };
        match self.profile.up.rules().chain(self.profile.down.rules()).find(looks_for_bytes) {
            None => Ok(()),
            Some(rule) => Err(format!(
                "route \"{}\": rule \"{}\" looks for bytes, and modelled TCP segments carry none \
                 through the link; add \"tcp\": \"raw\" (--tcp raw), or leave \"bytes\" out",
                self.name, rule.key
            )),
        }
    }

    /// Returns the scheme of its listeners.
    pub const fn scheme(&self) -> Scheme {
        match &self.destination {
            Destination::Upstream(_) => Scheme::Plain(self.transport),
            Destination::Asked(forward) => Scheme::Forward(forward.protocol),
        }
    }

    /// Returns the name under which its draws are made.
    pub fn drawn_as(&self) -> &str {
        self.paired.as_deref().unwrap_or(&self.name)
    }
}

/// The transports that a route relays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transports {
    /// UDP datagrams.
    Udp,
    /// TCP connections.
    Tcp,
    /// Both, on one port number.
    Both,
}

impl Transports {
    /// Returns `udp`, `tcp` or `both`, as in a URL.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Both => "both",
        }
    }

    /// Returns true if UDP is relayed.
    pub const fn has_udp(self) -> bool {
        matches!(self, Self::Udp | Self::Both)
    }

    /// Returns true if TCP is relayed.
    pub const fn has_tcp(self) -> bool {
        matches!(self, Self::Tcp | Self::Both)
    }
}

/// The meaning of loss on a TCP route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpMode {
    /// The stream crosses the links as the segments of a modelled sender: loss costs time, every
    /// byte arrives.
    Model(CongestionControl),
    /// The rules act on pieces of the stream itself.
    Raw(Unit),
}

impl TcpMode {
    /// The mode of a route with toxics: pieces are what was read, as in Toxiproxy, and nothing
    /// stands between them and the rules.
    pub const TOXIPROXY: Self = Self::Raw(Unit::Read);

    /// Returns the mode of a route with toxics that says none: as Toxiproxy's, unless a rule would
    /// break raw streams; where TCP is modelled that costs time instead. One that is disabled does
    /// not, and one for a single flow may: whoever picks a flow out wants that one to go on.
    pub fn for_rules(profile: &Profile) -> Self {
        let breaks = |rule: &Rule| {
            let matching = rule.selection.matching.as_ref();
            let is_of_one_flow = matching.is_some_and(|matching| matching.flow.is_some());
            rule.enabled && rule.kind.breaks_streams() && !is_of_one_flow
        };
        match profile.up.rules().chain(profile.down.rules()).any(breaks) {
            true => Self::default(),
            false => Self::TOXIPROXY,
        }
    }

    /// The modes that have a name of their own, in the order in which they are listed.
    pub const NAMED: [Self; 7] = [
        Self::Model(CongestionControl::Cubic),
        Self::Model(CongestionControl::Reno),
        Self::Model(CongestionControl::CubicEcn),
        Self::Model(CongestionControl::RenoEcn),
        Self::Model(CongestionControl::Dctcp),
        Self::Model(CongestionControl::Prague),
        Self::Raw(Unit::Line),
    ];

    /// Returns the name on command lines and in rows: that of the congestion control, or `raw`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Model(control) => control.name(),
            Self::Raw(_) => "raw",
        }
    }
}

impl FromStr for TcpMode {
    type Err = String;

    /// Reads a name; `model` is the default model, and a raw stream is one of lines.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "model" {
            return Ok(Self::default());
        }
        Self::NAMED.into_iter().find(|mode| mode.name() == text).ok_or_else(|| {
            let names = Self::NAMED.map(Self::name).join(", ");
            format!("there is no \"{text}\"; write one of {names}")
        })
    }
}

impl Default for TcpMode {
    fn default() -> Self {
        Self::Model(CongestionControl::default())
    }
}

/// The congestion control of the modelled sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CongestionControl {
    /// CUBIC with HyStart (RFC 9438), what Linux does by default.
    #[default]
    Cubic,
    /// NewReno's additive increase and halving (RFC 5681).
    Reno,
    /// CUBIC whose segments take marks, ECT(0), and which answers them as losses, once a window
    /// (RFC 3168, RFC 9438 §4.6), without sending anything again.
    CubicEcn,
    /// Reno that does the same.
    RenoEcn,
    /// DCTCP (RFC 8257): segments take marks, ECT(0), and the window shrinks by half the share that
    /// is marked.
    Dctcp,
    /// DCTCP's rule for segments that ask for low latency, ECT(1), as the senders of L4S do (RFC
    /// 9331); of what TCP Prague adds it has the fractions of windows and the growth during
    /// reductions, not the pacing and not the independence of the round trip.
    Prague,
}

impl CongestionControl {
    /// Returns the name on command lines, in configurations and in rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cubic => "cubic",
            Self::Reno => "reno",
            Self::CubicEcn => "cubic-ecn",
            Self::RenoEcn => "reno-ecn",
            Self::Dctcp => "dctcp",
            Self::Prague => "prague",
        }
    }

    /// Returns what the IP headers of its data segments say.
    pub const fn ecn(self) -> Ecn {
        match self {
            Self::Cubic | Self::Reno => Ecn::NotEct,
            Self::CubicEcn | Self::RenoEcn | Self::Dctcp => Ecn::Ect0,
            Self::Prague => Ecn::Ect1,
        }
    }

    /// Returns true if it answers each mark, and not only that there were some.
    pub const fn is_scalable(self) -> bool {
        matches!(self, Self::Dctcp | Self::Prague)
    }
}

/// The pieces of a stream that share one fate on a raw route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Lines, held until their newline, 64 KiB or 200 ms.
    #[default]
    Line,
    /// Pieces of so many bytes, cut by stream offset.
    Bytes(u64),
    /// Whatever one read returned; not repeatable.
    Read,
}

/// A host name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address; IPv6 without its brackets.
    pub host: String,
    /// The port; 0 lets the system pick one for a listener.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}
