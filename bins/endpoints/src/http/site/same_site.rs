//! The check that an upload comes from the site that it names: a page of another site must not make
//! a visitor's browser store files here.

use hyper::header::{HOST, HeaderMap, ORIGIN};

/// Refuses what a browser sends for another site's page. Programs that are no browsers send no
/// `Origin` and pass; the names of hosts are checked by [`super::hosts`].
///
/// # Errors
/// The reason, for the client.
pub(super) fn check(headers: &HeaderMap) -> Result<(), String> {
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
    match authority.is_empty() || bare(authority) != bare(host) {
        true => Err(format!("a page of {origin} may not upload to {host}")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_allowed(origin: Option<&str>, host: &str, site: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        origin.map(|origin| headers.insert(ORIGIN, origin.parse().unwrap()));
        site.map(|site| headers.insert("sec-fetch-site", site.parse().unwrap()));
        check(&headers).is_ok()
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
            (Some("http://evil.example"), "evil.example:12345", false),
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
