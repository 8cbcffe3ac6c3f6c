//! A request to a proxy becomes a request to the server that it is for.

use super::{PORT, Refusal, Request, bad};
use crate::target::Target;
use crate::{Asked, Malformed};
use http::StatusCode;

/// The fields that are between two neighbours (RFC 9110, section 7.6.1), and what older clients say
/// to proxies.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "upgrade",
    "http2-settings",
];

/// The fields that say where a request ends and whom it is for: nobody may have them taken away.
const NEEDED: [&str; 3] = ["content-length", "transfer-encoding", "host"];

/// Reads a request in absolute form.
pub(super) fn fetch(request: &Request<'_>) -> Result<Asked, Refusal> {
    let Some((scheme, rest)) = request.target.split_once("://") else {
        return Err(bad("this is a proxy: it is asked for http://HOST/…, or for a tunnel"));
    };
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(Refusal {
            status: StatusCode::NOT_IMPLEMENTED,
            reason: "of URLs only http:// is fetched here; ask for a tunnel (CONNECT)",
            why: Malformed::Unsupported,
        });
    }
    if rest.contains('#') {
        return Err(bad("a URL is asked for without its fragment"));
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        return Err(bad("a URL is asked for without a user (RFC 9110, section 4.2.4)"));
    }
    let target =
        Target::read(authority, Some(PORT)).map_err(|_| bad("the URL's host cannot be read"))?;
    let path = match (path.chars().next(), request.method) {
        (None, b"OPTIONS") => "*".to_owned(),
        (None, _) => "/".to_owned(),
        (Some('?'), _) => format!("/{path}"),
        (Some(_), _) => path.to_owned(),
    };
    let head = head(request, &target, &path)?;
    Ok(Asked::Fetch { target, head })
}

/// Writes the head for the server.
fn head(request: &Request<'_>, target: &Target, path: &str) -> Result<Vec<u8>, Refusal> {
    let nominated = nominated(request)?;
    let mut head = [request.method, b" ", path.as_bytes(), b" ", request.version].concat();
    // The URL says whom it is for, whatever the Host says (RFC 9112, section 3.2.2).
    let host = match target.port {
        PORT => target.host.to_string(),
        _ => target.to_string(),
    };
    head.extend(format!("\r\nHost: {host}\r\n").bytes());
    for (name, value) in &request.fields {
        let is_one_of =
            |names: &[&str]| names.iter().any(|one| name.eq_ignore_ascii_case(one.as_bytes()));
        let is_nominated = nominated.iter().any(|one| one.eq_ignore_ascii_case(name));
        if is_nominated || is_one_of(&HOP_BY_HOP) || is_one_of(&["host"]) {
            continue;
        }
        head.extend([*name, b": ", *value, b"\r\n"].concat());
    }
    head.extend(b"Via: 1.1 jostle\r\nConnection: close\r\n\r\n");
    Ok(head)
}

/// Returns the fields that the client says are between it and us.
fn nominated<'a>(request: &Request<'a>) -> Result<Vec<&'a [u8]>, Refusal> {
    let values = request.all("connection").flat_map(|value| value.split(|byte| *byte == b','));
    let names: Vec<&[u8]> = values.map(<[u8]>::trim_ascii).collect();
    let takes_needed =
        |name: &&[u8]| NEEDED.iter().any(|one| name.eq_ignore_ascii_case(one.as_bytes()));
    if names.iter().any(takes_needed) {
        return Err(bad(
            "Connection names a field that the request needs (RFC 9110, section 7.6.1)",
        ));
    }
    Ok(names)
}
