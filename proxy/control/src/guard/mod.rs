//! Who may ask: the first to see every request, whatever its method and its path.
//!
//! The danger is a page in a browser of this machine: it reaches loopback, and its user knows
//! nothing of it. So a request has to name a host that is ours (or a name of the page's owner would
//! be made to lead here), must not come from a page of another origin, and a browser is answered
//! only when it shows our own page. [`Guard::judge`] decides, from the head of the request alone.

mod host;
mod layer;
mod token;

pub(crate) use layer::{Bodies, guarded};
pub use token::{Token, TokenError};

use crate::registry::Origin;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, Version, header};
use host::{Hosts, host_of};
use std::net::SocketAddr;
use token::Session;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The page of the panel.
const PAGE: &str = "/";

/// What a request is judged by.
#[derive(Debug)]
pub(crate) struct Guard {
    hosts: Hosts,
    token: Option<Token>,
    session: Session,
    panel: bool,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is answered; this is who asks.
    Allow(Origin),
    /// A browser has shown the token in the page's address: it gets a cookie in its place.
    SignIn,
    /// It is not.
    Refuse(Reason),
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It names no host, or several, or one that is no name.
    BadHost,
    /// It names a host that is not this one.
    OtherHost,
    /// A page of another origin asks.
    OtherOrigin,
    /// A browser asks, and does not show the panel.
    Browser,
    /// It does not show the token.
    NoToken,
    /// A page sends something else than JSON.
    NotJson,
}

/// Where a browser says that a request comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Site {
    /// It does not say, or is none.
    Unsaid,
    /// A page of this origin.
    Own,
    /// The person at the browser: an address that was typed, or a bookmark.
    Person,
}

impl Guard {
    /// Guards an API that listens on `bound`. `key` is drawn for each run: it makes the cookies.
    pub(crate) fn new(
        bound: SocketAddr,
        hosts: &[String],
        token: Option<Token>,
        panel: bool,
        key: &[u8],
    ) -> Self {
        let session = Session::new(bound.port(), token.as_ref(), key);
        Self { hosts: Hosts::new(bound.ip(), hosts), token, session, panel }
    }

    /// Returns true if the panel is served.
    pub(crate) const fn serves_panel(&self) -> bool {
        self.panel
    }

    /// Judges a request by its head. `routed` says whether there is anything at its path.
    pub(crate) fn judge(&self, parts: &Parts, routed: bool) -> Verdict {
        self.check(parts, routed).unwrap_or_else(Verdict::Refuse)
    }

    fn check(&self, parts: &Parts, routed: bool) -> Result<Verdict, Reason> {
        let headers = &parts.headers;
        let authority = self.authority(parts)?;
        let names_origin = own_origin(headers, authority)?;
        let site = site(headers)?;
        let is_page = parts.method == Method::GET && parts.uri.path() == PAGE;
        let asks = self.asker(headers, site, is_page, names_origin || !writes(&parts.method));
        // Toxiproxy says nothing of browsers where there is nothing to find.
        let asks = match asks {
            None if routed => return Err(Reason::Browser),
            asks => asks.unwrap_or(Origin::Api),
        };
        if let Some(token) = &self.token {
            let shown = is_page.then(|| parts.uri.query()).flatten().and_then(token::in_query);
            match shown {
                Some(shown) if self.panel && token.is(&shown) => return Ok(Verdict::SignIn),
                _ => {}
            }
            let has_cookie = asks == Origin::Panel && self.session.is_in(headers);
            if !has_cookie && !token.is_in(headers) {
                return Err(Reason::NoToken);
            }
        }
        // A page elsewhere can send a form or plain text without being asked; JSON it cannot.
        let from_page = names_origin || asks == Origin::Panel;
        if from_page && has_body(headers) && !is_json(headers) {
            return Err(Reason::NotJson);
        }
        Ok(Verdict::Allow(asks))
    }

    /// Returns the host and port that a request asks for, if they are ours; `None` if it says none,
    /// as HTTP/1.0 may.
    fn authority<'a>(&self, parts: &'a Parts) -> Result<Option<&'a str>, Reason> {
        let host = one(&parts.headers, header::HOST).map_err(|_| Reason::BadHost)?;
        if host.is_none() && parts.version > Version::HTTP_10 {
            return Err(Reason::BadHost);
        }
        // A target that is a whole URL goes before the header (RFC 9112, 3.2.2): both must be ours.
        for authority in parts.uri.authority().map(|one| one.as_str()).into_iter().chain(host) {
            let host = host_of(authority).ok_or(Reason::BadHost)?;
            if !self.hosts.contain(host) {
                return Err(Reason::OtherHost);
            }
        }
        Ok(host)
    }

    /// Returns who asks: `None` is a browser that does not show the panel.
    fn asker(
        &self,
        headers: &HeaderMap,
        site: Site,
        is_page: bool,
        is_harmless: bool,
    ) -> Option<Origin> {
        match site {
            Site::Unsaid if !is_mozilla(headers) => Some(Origin::Api),
            _ if !self.panel => None,
            Site::Own => Some(Origin::Panel),
            Site::Person => is_page.then_some(Origin::Panel),
            // Browsers say nothing of it to plain HTTP beyond loopback. A cookie for the same site
            // only, and the origin of whatever changes something, say as much.
            Site::Unsaid => {
                let signed_in = self.token.is_some() && self.session.is_in(headers);
                let may = is_page && self.token.is_some() || signed_in && is_harmless;
                may.then_some(Origin::Panel)
            }
        }
    }
}

/// Returns true if a method may change something.
fn writes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

/// Returns a header that there may be one of.
fn one(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(|value| value.to_str().map_err(|_| ())).transpose()?;
    if values.next().is_some() { Err(()) } else { Ok(first) }
}

/// Returns whether the request has an origin, which must be ours.
fn own_origin(headers: &HeaderMap, authority: Option<&str>) -> Result<bool, Reason> {
    let Some(origin) = one(headers, header::ORIGIN).map_err(|()| Reason::OtherOrigin)? else {
        return Ok(false);
    };
    // Whoever ends TLS in front of us is asked for the same host.
    let named = ["http://", "https://"].iter().find_map(|scheme| origin.strip_prefix(scheme));
    match (named, authority) {
        (Some(named), Some(authority)) if named.eq_ignore_ascii_case(authority) => Ok(true),
        _ => Err(Reason::OtherOrigin),
    }
}

/// Reads `Sec-Fetch-Site` (Fetch Metadata). What it may say besides is a page of others.
fn site(headers: &HeaderMap) -> Result<Site, Reason> {
    match one(headers, FETCH_SITE) {
        Ok(None) => Ok(Site::Unsaid),
        Ok(Some("same-origin")) => Ok(Site::Own),
        Ok(Some("none")) => Ok(Site::Person),
        _ => Err(Reason::OtherOrigin),
    }
}

/// Returns true for what every browser calls itself; Toxiproxy looks at no more.
fn is_mozilla(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT);
    agent.is_some_and(|agent| agent.as_bytes().starts_with(b"Mozilla/"))
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    headers.contains_key(header::TRANSFER_ENCODING)
        || length.is_some_and(|length| length.as_bytes() != b"0")
}

fn is_json(headers: &HeaderMap) -> bool {
    let Ok(Some(kind)) = one(headers, header::CONTENT_TYPE) else { return false };
    let essence = kind.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests;
