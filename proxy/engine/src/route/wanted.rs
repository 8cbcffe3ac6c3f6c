//! Where a route leads, as people write it: an upstream, or what clients may ask for.

use super::address::{parse_listen, parse_upstream};
use super::{Destination, Forward, ForwardProtocol, HostPort, Scheme};
use jostle_common::setting::{SettingError, within};
use jostle_forward::{Allowed, Credentials};
use schemars::JsonSchema;
use serde::Deserialize;

/// What clients may ask for: every target, one entry, or a list of them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum RawTarget {
    /// "any", or one entry of the list.
    One(String),
    /// Names (example.org), all names below one (*.example.org), addresses (192.0.2.1) and networks
    /// (10.0.0.0/8), each with :PORT or :PORT-PORT if not all are meant.
    List(Vec<String>),
}

/// The most entries of a list of targets.
const TARGETS_MAX: usize = 1024;

/// Stands for every target.
const ANY: &str = "any";

/// The fields of a route that say where it leads.
pub(super) struct RawDestination {
    pub(super) upstream: Option<String>,
    pub(super) target: Option<RawTarget>,
    pub(super) user: Option<String>,
}

impl RawDestination {
    /// Reads them for a listener of this scheme.
    pub(super) fn read(self, place: &str, scheme: Scheme) -> Result<Destination, SettingError> {
        let at = |field: &str| within(place, field);
        let wrong = |field: &str, problem: String| SettingError::new(at(field), problem);
        let Some(protocol) = scheme.forward() else {
            let name = scheme.name();
            for (field, is_there) in
                [("target", self.target.is_some()), ("user", self.user.is_some())]
            {
                if is_there {
                    return Err(wrong(field, is_for_forward(field, name)));
                }
            }
            let Some(upstream) = self.upstream else {
                return Err(SettingError::new(place, no_upstream(name)));
            };
            let upstream = parse_upstream(&upstream).map_err(|problem| wrong("upstream", problem));
            return upstream.map(Destination::Upstream);
        };
        if self.upstream.is_some() {
            return Err(wrong("upstream", has_no_upstream(protocol)));
        }
        let allowed = match self.target {
            None => Ok(Allowed::default()),
            Some(RawTarget::One(one)) => targets([one.as_str()]),
            Some(RawTarget::List(list)) if list.is_empty() => {
                let problem = "no target may be reached so; write \"any\", or name some";
                return Err(wrong("target", problem.to_owned()));
            }
            Some(RawTarget::List(list)) => targets(list.iter().map(String::as_str)),
        };
        let allowed = allowed.map_err(|problem| wrong("target", problem))?;
        let user = self.user.as_deref().map(parse_user).transpose();
        let user = user.map_err(|problem| wrong("user", problem))?;
        Ok(Destination::Asked(Forward { protocol, allowed, user }))
    }
}

fn is_for_forward(field: &str, scheme: &str) -> String {
    format!(
        "a {scheme}:// listener leads to its upstream alone; leave {field} out, or listen on \
         socks5:// or http-proxy://"
    )
}

fn no_upstream(scheme: &str) -> String {
    format!(
        "\"upstream\" is missing; write HOST:PORT of the server that {scheme}:// leads to, or \
         listen on socks5:// or http-proxy:// for clients that say where they want to go"
    )
}

fn has_no_upstream(protocol: ForwardProtocol) -> String {
    format!(
        "at a {}:// listener each client says where it wants to go; leave upstream out, and write \
         what may be reached as \"target\"",
        protocol.scheme()
    )
}

fn targets<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Allowed, String> {
    let entries: Vec<&str> = entries.into_iter().collect();
    match entries.as_slice() {
        [ANY] => return Ok(Allowed::default()),
        list if list.contains(&ANY) => {
            return Err("\"any\" stands alone; leave the others out, or write \"*\"".to_owned());
        }
        list if list.len() > TARGETS_MAX => {
            return Err(format!("{} targets are too many; at most {TARGETS_MAX}", list.len()));
        }
        _ => {}
    }
    Allowed::new(entries, false)
}

/// Reads what may be reached, as the command line has it: `any`, or entries between commas.
///
/// # Errors
/// What is wrong, with the remedy.
pub fn parse_targets(text: &str) -> Result<Allowed, String> {
    targets(text.split(',').map(str::trim))
}

/// Reads `NAME:PASSWORD`.
///
/// # Errors
/// What is wrong, with the remedy; the password is not repeated.
pub fn parse_user(text: &str) -> Result<Credentials, String> {
    Credentials::read(text).map_err(|problem| format!("{problem}; write NAME:PASSWORD"))
}

/// Reads one route of the command line, `udp://LISTEN=UPSTREAM` or `socks5://LISTEN`. There is no
/// upstream where clients say where they want to go.
///
/// # Errors
/// What is wrong, with the remedy.
pub fn parse_route(text: &str) -> Result<(Scheme, HostPort, Option<HostPort>), String> {
    let (listen, upstream) = match text.split_once('=') {
        Some((listen, upstream)) => (listen, Some(upstream)),
        None => (text, None),
    };
    let found = parse_listen(listen);
    match (found, upstream) {
        (Ok((Scheme::Forward(protocol), _)), Some(upstream)) => Err(format!(
            "at a {}:// listener each client says where it wants to go; leave ={upstream} out, and \
             write what may be reached with --allow",
            protocol.scheme()
        )),
        (Ok((scheme @ Scheme::Forward(_), listen)), None) => Ok((scheme, listen, None)),
        (Err(problem), None) if has_unknown_scheme(text) => Err(problem),
        (_, None) => Err(format!(
            "\"{text}\" does not say where the packets go; write \
             udp://127.0.0.1:5353=127.0.0.1:53, or socks5://127.0.0.1:1080 for clients that say it \
             themselves"
        )),
        (found, Some(upstream)) => {
            let (scheme, listen) = found?;
            Ok((scheme, listen, Some(parse_upstream(upstream)?)))
        }
    }
}

fn has_unknown_scheme(text: &str) -> bool {
    text.split_once("://").is_some_and(|(name, _)| Scheme::named(name).is_none())
}

#[cfg(test)]
#[path = "wanted_tests.rs"]
mod tests;
