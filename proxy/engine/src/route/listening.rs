//! How a route's TCP listeners treat clients that want to connect: what a relay can do of it.

use super::{Scheme, Transports};
use jostle_common::setting::{SettingError, within};
use jostle_common::units::Span;
use std::time::Duration;

/// The treatment of clients that connect. A relay cannot delay or lose their handshakes, which the
/// kernel answers; it can let nobody listen, and it can leave them in the kernel's backlog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listening {
    /// True if nobody listens while the upstream refuses connections or an outage cuts the route:
    /// clients are refused then.
    pub with_upstream: bool,
    /// The time for which each client waits in the backlog before it is accepted, one after the
    /// other; `None`: it is accepted at once.
    pub accept: Option<Duration>,
}

/// Both as they are written.
pub(super) struct RawListening {
    pub(super) open: Option<String>,
    pub(super) accept: Option<Span>,
}

/// The words of `open`.
pub(super) const OPEN: [&str; 2] = ["always", "with upstream"];

impl RawListening {
    pub(super) fn read(self, place: &str, scheme: Scheme) -> Result<Listening, SettingError> {
        let refuse =
            |field: &str, problem: String| Err(SettingError::new(within(place, field), problem));
        let with_upstream = match self.open.as_deref() {
            None => false,
            Some(word) if word == OPEN[0] => false,
            Some(word) if word == OPEN[1] => true,
            Some(other) => {
                return refuse(
                    "open",
                    format!("\"{other}\" is none; write \"always\" or \"with upstream\""),
                );
            }
        };
        let accept = self.accept.map(|Span(time)| time);
        let said = [("open", self.open.is_some()), ("accept", accept.is_some())];
        if let Some((field, _)) = said.into_iter().find(|(_, is_said)| *is_said)
            && scheme.transports() == Transports::Udp
        {
            let problem = "nobody connects over UDP; leave it out, or listen on tcp:// or both://";
            return refuse(field, problem.to_owned());
        }
        if with_upstream && scheme.forward().is_some() {
            let problem = "clients say where they want to go, so there is no upstream whose state \
                           it could have; leave it out";
            return refuse("open", problem.to_owned());
        }
        if accept.is_some_and(|time| time.is_zero()) {
            let problem = "a client that waits no time is accepted at once; leave it out, or write \
                           \"5s\", say";
            return refuse("accept", problem.to_owned());
        }
        Ok(Listening { with_upstream, accept })
    }
}
