//! The check that the parameters of a trial fit together.

use super::{Job, Parameter, Protocol, Trial};
use jostle_common::setting::SettingError;
use jostle_endpoints::protocol::{messages, ping};
use std::net::{Ipv4Addr, SocketAddr};

/// Reads `HOST:PORT` with a name or a number of the machine; names are looked up only when the
/// trial runs.
fn parse_address(text: &str) -> Result<(), String> {
    let parts = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match parts.map(|(_, port)| port.parse::<u16>()) {
        Some(Ok(1..)) => Ok(()),
        _ => Err(format!("\"{text}\" is no address; write 127.0.0.1:8080, say")),
    }
}

impl Trial {
    /// Checks that it can be run.
    ///
    /// # Errors
    /// When two parameters contradict each other; the place is the one to change.
    pub fn check(&self) -> Result<(), SettingError> {
        let wrong = |place: &str, problem: &str| Err(SettingError::new(place, problem));
        match &self.job {
            Job::Commands(commands)
                if commands.client.is_empty()
                    && commands.server.is_empty()
                    && commands.upstream.is_none() =>
            {
                let place = if commands.check.is_some() { "check" } else { "over" };
                return wrong(
                    place,
                    "it is for programs of your own; add --client 'CMD' and --server 'CMD'",
                );
            }
            Job::Commands(commands) if commands.client.is_empty() => {
                return wrong("client", "there is a server and no client; add --client 'CMD'");
            }
            Job::Commands(commands) if commands.upstream.is_some() => {
                if !commands.server.is_empty() {
                    return wrong(
                        "upstream",
                        "there is a server to start too; leave out --server or --upstream",
                    );
                }
                if self.is_virtual {
                    return wrong("virtual", "programs live in real time; leave it out");
                }
                let text = commands.upstream.as_deref().unwrap_or_default();
                if let Err(problem) = parse_address(text) {
                    return wrong("upstream", &problem);
                }
            }
            Job::Commands(commands) if commands.server.is_empty() => {
                return wrong(
                    "server",
                    "there is a client and no server; add --server 'CMD', or --upstream \
                     HOST:PORT of one that runs",
                );
            }
            Job::Commands(_) if self.is_virtual => {
                return wrong("virtual", "programs live in real time; leave it out");
            }
            Job::Protocol(protocol) if self.is_virtual && !protocol.runs_virtually() => {
                return wrong(
                    "virtual",
                    "http runs on real sockets only; leave it out, or carry the file over tcp",
                );
            }
            Job::Protocol(protocol) => self.check_protocol(*protocol)?,
            Job::Commands(_) => {}
        }
        if self.limit.is_some_and(|limit| limit.0.is_zero()) {
            return wrong("limit", "nothing is done in no time; write \"60s\", say");
        }
        // Making the route checks the rules; the address stands for any server.
        self.route(SocketAddr::from((Ipv4Addr::LOCALHOST, 1))).map(drop)
    }

    fn check_protocol(&self, protocol: Protocol) -> Result<(), SettingError> {
        let wrong = |place: &str, problem: String| Err(SettingError::new(place, problem));
        let size = self.size().bytes();
        if self.file.is_some() && self.size.is_some() {
            return wrong("size", "a file has its own size; leave out one of them".to_owned());
        }
        match protocol {
            Protocol::Ping if !(ping::SIZE_MIN as u64..=ping::SIZE_MAX as u64).contains(&size) => {
                wrong(
                    "size",
                    format!(
                        "a datagram of ping has {} to {} bytes",
                        ping::SIZE_MIN,
                        ping::SIZE_MAX
                    ),
                )
            }
            Protocol::Messages if size > messages::MESSAGE_BYTES_MAX as u64 || size == 0 => {
                wrong("size", format!("a message has 1 to {} bytes", messages::MESSAGE_BYTES_MAX))
            }
            _ if size == 0 => {
                wrong("size", "there is nothing to lose; write \"64KiB\", say".to_owned())
            }
            _ if size > Self::SIZE_MAX => {
                wrong("size", format!("a trial carries up to {} MiB", Self::SIZE_MAX >> 20))
            }
            _ if self.count == Some(0) => wrong("count", "write at least 1".to_owned()),
            _ if self.interval.is_some_and(|interval| interval.0.is_zero()) => {
                wrong("interval", "write a time longer than 0, such as \"10ms\"".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// The most bytes that are carried: both ends hold them in memory.
    pub const SIZE_MAX: u64 = 256 << 20;

    /// Returns a parameter that is set and that this job has no use for, if any.
    pub fn useless_parameter(&self) -> Option<Parameter> {
        Parameter::all()
            .find(|parameter| parameter.of(self).is_some() && !parameter.is_of_use(&self.job))
    }
}
