//! A request to a proxy becomes a request to the server that it is for.

use super::{Expected, PORT, Refusal, Request, bad};
use crate::target::Target;
use crate::{Asked, Malformed};
use http::StatusCode;
use jostle_common::http1::BodyFraming;

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

/// A protocol that no request is taken to: its streams could ask for anything else.
const HTTP_2: &[u8] = b"h2c";

/// Reads a request in absolute form, whose body is so long.
pub(super) fn fetch(request: &Request<'_>, body: BodyFraming) -> Result<Asked, Refusal> {
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
    let nominated = nominated(request)?;
    let protocols = upgrade(request, &nominated).filter(|_| body == BodyFraming::Length(0));
    let expected = Expected {
        no_body: request.method == b"HEAD",
        upgrade: protocols.is_some(),
        last: is_last(request, &nominated),
    };
    let mut head = head(request, &nominated, &target, &path);
    if let Some(protocols) = protocols {
        head.extend([b"Connection: upgrade\r\nUpgrade: ", &protocols[..], b"\r\n"].concat());
    } else if expected.last {
        head.extend(b"Connection: close\r\n");
    }
    head.extend(b"\r\n");
    Ok(Asked::Fetch { target, head, expected })
}

/// Returns true if the client makes no other request on its connection. A proxy keeps none of
/// HTTP/1.0 (RFC 9112, section 9.3).
fn is_last(request: &Request<'_>, nominated: &[&[u8]]) -> bool {
    let says_close = |words: &[u8]| {
        words
            .split(|byte| *byte == b',')
            .any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"))
    };
    request.version == b"HTTP/1.0"
        || nominated.iter().any(|word| says_close(word))
        || request.all("proxy-connection").any(says_close)
}

/// Returns the protocols that the client asks for in place of HTTP/1.1 (RFC 9110, section 7.8).
fn upgrade(request: &Request<'_>, nominated: &[&[u8]]) -> Option<Vec<u8>> {
    let is_meant = request.version == b"HTTP/1.1"
        && nominated.iter().any(|word| word.eq_ignore_ascii_case(b"upgrade"));
    let all: Vec<&[u8]> = request.all("upgrade").collect();
    let protocols = all.join(&b", "[..]);
    let mut each = protocols.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let is_http = each.any(|one| one.eq_ignore_ascii_case(HTTP_2));
    (is_meant && !protocols.is_empty() && !is_http).then_some(protocols)
}

/// Writes the head for the server, up to what it says of the connection to it.
fn head(request: &Request<'_>, nominated: &[&[u8]], target: &Target, path: &str) -> Vec<u8> {
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
    head.extend(b"Via: 1.1 jostle\r\n");
    head
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
