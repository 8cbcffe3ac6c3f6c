//! The check that an upload comes from the site that it names: a page of another site must not make
//! a visitor's browser store files here.

use hyper::header::{HOST, HeaderMap, ORIGIN};
use std::net::IpAddr;

/// Refuses what a browser sends for another site's page. Programs that are no browsers send no
/// `Origin` and pass.
///
/// # Errors
/// The reason, for the client.
pub(super) fn check(headers: &HeaderMap, hosts: &[String]) -> Result<(), String> {
    let text =
        |name| headers.get(name).and_then(|value: &hyper::header::HeaderValue| value.to_str().ok());
    if matches!(
        text("sec-fetch-site".parse().expect("a header's name")),
        Some("cross-site" | "same-site")
    ) {
        return Err("this upload was asked for by a page of another site".to_owned());
    }
    if !headers.contains_key(ORIGIN) {
        return Ok(());
    }
    let (origin, host) = (text(ORIGIN).unwrap_or_default(), text(HOST).unwrap_or_default());
    let (scheme, authority) = origin.split_once("://").unwrap_or(("", ""));
    let port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let bare = |authority: &str| {
        let lower = authority.to_ascii_lowercase();
        lower.strip_suffix(port).map(str::to_owned).unwrap_or(lower)
    };
    if authority.is_empty() || bare(authority) != bare(host) {
        return Err(format!("a page of {origin} may not upload to {host}"));
    }
    // A name that another site points at us for a moment (DNS rebinding) would be its own origin.
    let name = host_name(host);
    let is_ours = |ours: &String| ours.eq_ignore_ascii_case(&name);
    match is_local(&name) || hosts.iter().any(is_ours) {
        true => Ok(()),
        false => Err(format!(
            "this server does not know itself as {name}; start it with --host {name} to upload \
             from there"
        )),
    }
}

fn host_name(host: &str) -> String {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.to_ascii_lowercase()
}

/// Returns true for an address, or a name that no resolver may point elsewhere (RFC 6761).
fn is_local(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_allowed(origin: Option<&str>, host: &str, site: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        origin.map(|origin| headers.insert(ORIGIN, origin.parse().unwrap()));
        site.map(|site| headers.insert("sec-fetch-site", site.parse().unwrap()));
        check(&headers, &["files.example".to_owned()]).is_ok()
    }

    #[test]
    fn only_our_own_pages_and_programs_upload() {
        for (origin, host, expected) in [
            (None, "anything.example", true),
            (Some("http://127.0.0.1:12345"), "127.0.0.1:12345", true),
            (Some("http://localhost:8080"), "localhost:8080", true),
            (Some("http://LOCALHOST"), "localhost:80", true),
            (Some("http://[::1]:12345"), "[::1]:12345", true),
            (Some("https://files.example"), "files.example:443", true),
            (Some("http://127.0.0.1:8080"), "127.0.0.1:12345", false),
            (Some("http://evil.example"), "127.0.0.1:12345", false),
            (Some("http://evil.example:12345"), "evil.example:12345", false),
            (Some("http://localhost.evil.example"), "localhost.evil.example", false),
            (Some("null"), "127.0.0.1:12345", false),
            (Some(""), "", false),
            (Some("http://"), "", false),
        ] {
            assert_eq!(is_allowed(origin, host, None), expected, "{origin:?} {host}");
        }
    }

    #[test]
    fn the_browser_s_own_word_counts() {
        for (site, expected) in
            [("same-origin", true), ("none", true), ("cross-site", false), ("same-site", false)]
        {
            assert_eq!(is_allowed(None, "127.0.0.1", Some(site)), expected, "{site}");
        }
    }
}
