//! The table of who may ask what.

use super::*;
use axum::http::Request;

const TOKEN: &str = "secret-secret";
const CHROMIUM: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/140";
const HOST: &str = "Host: 127.0.0.1:8474";
const ORIGIN: &str = "Origin: http://127.0.0.1:8474";
const SAME: &str = "Sec-Fetch-Site: same-origin";
const TYPED: &str = "Sec-Fetch-Site: none";
const BEARER: &str = "Authorization: Bearer secret-secret";
const JSON: &str = "Content-Type: application/json; charset=utf-8";
const LENGTH: &str = "Content-Length: 2";

/// An API on loopback, one with a panel, and one with both and a token.
fn guards() -> [Guard; 3] {
    let bound = "127.0.0.1:8474".parse().unwrap();
    let token = Token::new(TOKEN).unwrap();
    [
        Guard::new(bound, &["named.test".into()], None, false, b"key"),
        Guard::new(bound, &[], None, true, b"key"),
        Guard::new(bound, &[], Some(token), true, b"key"),
    ]
}

fn parts(request: &str, lines: &[&str]) -> Parts {
    let (method, target) = request.split_once(' ').unwrap();
    let mut builder = Request::builder().method(method).uri(target);
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        builder = builder.header(name, value);
    }
    builder.body(()).unwrap().into_parts().0
}

fn cookie() -> String {
    let [.., guard] = guards();
    format!("Cookie: x=y; {}", guard.session.to_set().split(';').next().unwrap())
}

const API: Verdict = Verdict::Allow(Origin::Api);
const PANEL: Verdict = Verdict::Allow(Origin::Panel);

#[test]
fn an_api_without_a_panel_answers_programs_and_no_browser() {
    use Reason::*;
    let [api, ..] = guards();
    let no = Verdict::Refuse;
    let rows: &[(&str, &[&str], Verdict)] = &[
        // Hosts, on every method.
        ("GET /proxies", &[HOST], API),
        ("GET /proxies", &["Host: localhost"], API),
        ("GET /proxies", &["Host: LocalHost:9999"], API),
        ("GET /proxies", &["Host: [::1]:8474"], API),
        ("POST /proxies", &["Host: named.test:8474"], API),
        ("GET /proxies", &["Host: evil.test"], no(OtherHost)),
        ("POST /proxies", &["Host: evil.test:8474"], no(OtherHost)),
        ("DELETE /proxies/a", &["Host: 127.0.0.1.evil.test"], no(OtherHost)),
        ("OPTIONS /proxies", &["Host: evil.test"], no(OtherHost)),
        ("GET /nope", &["Host: evil.test"], no(OtherHost)),
        ("GET /version", &["Host: 192.0.2.1:8474"], no(OtherHost)),
        ("GET /version", &["Host: 0.0.0.0:8474"], no(OtherHost)),
        ("GET /version", &[], no(BadHost)),
        ("GET /version", &["Host: "], no(BadHost)),
        ("GET /version", &[HOST, "Host: evil.test"], no(BadHost)),
        ("GET /version", &["Host: a@127.0.0.1"], no(BadHost)),
        ("GET http://evil.test/version", &[HOST], no(OtherHost)),
        ("GET http://localhost/version", &[HOST], API),
        // Browsers.
        ("GET /proxies", &[HOST, CHROMIUM], no(Browser)),
        ("GET /proxies", &[HOST, CHROMIUM, SAME], no(Browser)),
        ("GET /proxies", &[HOST, CHROMIUM, TYPED], no(Browser)),
        ("POST /reset", &[HOST, CHROMIUM, SAME, ORIGIN], no(Browser)),
        ("GET /proxies", &[HOST, "User-Agent: else", SAME], no(Browser)),
        ("GET /proxies", &[HOST, "User-Agent: mozilla/5.0"], API),
        ("GET /proxies", &[HOST, "User-Agent: x Mozilla/5.0"], API),
        ("GET /proxies", &[HOST, "User-Agent: Mozilla"], API),
        ("GET /proxies", &[HOST, "User-Agent: toxiproxy-cli/2.12.0"], API),
        // Other origins, whatever calls itself what.
        ("GET /proxies", &[HOST, "Origin: http://evil.test"], no(OtherOrigin)),
        ("POST /reset", &[HOST, "Origin: http://evil.test"], no(OtherOrigin)),
        ("OPTIONS /reset", &[HOST, "Origin: http://evil.test"], no(OtherOrigin)),
        ("GET /nope", &[HOST, "Origin: http://evil.test"], no(OtherOrigin)),
        ("POST /reset", &[HOST, "Origin: null"], no(OtherOrigin)),
        ("POST /reset", &[HOST, "Origin: http://127.0.0.1:8475"], no(OtherOrigin)),
        ("POST /reset", &[HOST, "Origin: http://localhost:8474"], no(OtherOrigin)),
        ("POST /reset", &[HOST, "Origin: file://"], no(OtherOrigin)),
        ("POST /reset", &[HOST, "Origin: chrome-extension://abc"], no(OtherOrigin)),
        ("POST /reset", &[HOST, ORIGIN, "Origin: http://evil.test"], no(OtherOrigin)),
        ("POST /reset", &["Host: evil.test", "Origin: http://evil.test"], no(OtherHost)),
        ("POST /reset", &[HOST, ORIGIN], API),
        ("GET /proxies", &[HOST, "Sec-Fetch-Site: cross-site"], no(OtherOrigin)),
        ("GET /proxies", &[HOST, "Sec-Fetch-Site: same-site"], no(OtherOrigin)),
        ("GET /proxies", &[HOST, "Sec-Fetch-Site: "], no(OtherOrigin)),
        ("GET /proxies", &[HOST, SAME, "Sec-Fetch-Site: cross-site"], no(OtherOrigin)),
        // JSON only, from a page; programs send what they like.
        ("POST /proxies", &[HOST, LENGTH], API),
        ("POST /proxies", &[HOST, LENGTH, "Content-Type: text/plain"], API),
        ("POST /proxies", &[HOST, ORIGIN, LENGTH, JSON], API),
        ("POST /proxies", &[HOST, ORIGIN, LENGTH, "Content-Type: text/plain"], no(NotJson)),
        ("POST /proxies", &[HOST, ORIGIN, LENGTH], no(NotJson)),
        ("POST /proxies", &[HOST, ORIGIN, "Transfer-Encoding: chunked"], no(NotJson)),
        ("POST /reset", &[HOST, ORIGIN, "Content-Length: 0"], API),
    ];
    for (request, lines, verdict) in rows {
        assert_eq!(api.judge(&parts(request, lines), true), *verdict, "{request} {lines:?}");
    }
    assert!(rows.len() > 45);
    // Where there is nothing, a browser is told so.
    assert_eq!(api.judge(&parts("GET /nope", &[HOST, CHROMIUM]), false), API);
    // HTTP/1.0 need not name a host, and no browser speaks it.
    let mut old = parts("GET /version", &[]);
    old.version = Version::HTTP_10;
    assert_eq!(api.judge(&old, true), API);
}

#[test]
fn with_a_panel_its_own_page_is_answered_and_no_other() {
    use Reason::*;
    let [_, panel, _] = guards();
    let no = Verdict::Refuse;
    let rows: &[(&str, &[&str], Verdict)] = &[
        ("GET /", &[HOST, CHROMIUM, TYPED], PANEL),
        ("GET /", &[HOST, CHROMIUM, SAME], PANEL),
        ("GET /?x=1", &[HOST, CHROMIUM, TYPED], PANEL),
        ("GET /", &[HOST, CHROMIUM], no(Browser)),
        ("GET /", &[HOST], API),
        ("GET /", &[HOST, CHROMIUM, "Sec-Fetch-Site: cross-site"], no(OtherOrigin)),
        ("GET /", &["Host: evil.test", CHROMIUM, TYPED], no(OtherHost)),
        ("POST /", &[HOST, CHROMIUM, TYPED], no(Browser)),
        ("GET /proxies", &[HOST, CHROMIUM, TYPED], no(Browser)),
        ("GET /live", &[HOST, CHROMIUM, SAME], PANEL),
        ("GET /live", &[HOST, CHROMIUM], no(Browser)),
        ("POST /reset", &[HOST, CHROMIUM, SAME, ORIGIN, "Content-Length: 0"], PANEL),
        ("POST /rules", &[HOST, CHROMIUM, SAME, ORIGIN, LENGTH, JSON], PANEL),
        ("POST /rules", &[HOST, CHROMIUM, SAME, ORIGIN, LENGTH], no(NotJson)),
        ("POST /rules", &[HOST, CHROMIUM, SAME, LENGTH], no(NotJson)),
        ("POST /rules", &[HOST, CHROMIUM, ORIGIN, LENGTH, JSON], no(Browser)),
        ("POST /rules", &[HOST, CHROMIUM, SAME, "Origin: null", LENGTH, JSON], no(OtherOrigin)),
        ("POST /proxies", &[HOST, LENGTH, "Content-Type: text/plain"], API),
        // Without a token a cookie says nothing.
        ("GET /proxies", &[HOST, CHROMIUM, &cookie()], no(Browser)),
    ];
    for (request, lines, verdict) in rows {
        assert_eq!(panel.judge(&parts(request, lines), true), *verdict, "{request} {lines:?}");
    }
}

#[test]
fn with_a_token_nothing_is_answered_without_it() {
    use Reason::*;
    let [.., guard] = guards();
    let no = Verdict::Refuse;
    let cookie = cookie();
    let rows: &[(&str, &[&str], Verdict)] = &[
        ("GET /proxies", &[HOST], no(NoToken)),
        ("GET /nope", &[HOST], no(NoToken)),
        ("GET /proxies", &[HOST, BEARER], API),
        ("GET /proxies", &[HOST, "Authorization: bearer  secret-secret"], API),
        ("GET /proxies", &[HOST, "Authorization: Bearer secret-secreT"], no(NoToken)),
        ("GET /proxies", &[HOST, "Authorization: Bearer secret-secre"], no(NoToken)),
        ("GET /proxies", &[HOST, "Authorization: Bearer secret-secret2"], no(NoToken)),
        ("GET /proxies", &[HOST, "Authorization: Bearer "], no(NoToken)),
        ("GET /proxies", &[HOST, "Authorization: Basic secret-secret"], no(NoToken)),
        ("GET /proxies", &[HOST, "Authorization: secret-secret"], no(NoToken)),
        ("GET /proxies", &[HOST, BEARER, "Authorization: Bearer x"], no(NoToken)),
        ("GET /proxies?token=secret-secret", &[HOST], no(NoToken)),
        // A browser signs in at the page, and only there.
        ("GET /", &[HOST, CHROMIUM, TYPED], no(NoToken)),
        ("GET /?token=secret-secret", &[HOST, CHROMIUM, TYPED], Verdict::SignIn),
        ("GET /?token=secret%2Dsecret", &[HOST, CHROMIUM, TYPED], Verdict::SignIn),
        ("GET /?token=secret-wrong", &[HOST, CHROMIUM, TYPED], no(NoToken)),
        ("POST /?token=secret-secret", &[HOST, CHROMIUM, SAME, ORIGIN], no(NoToken)),
        (
            "GET /?token=secret-secret",
            &[HOST, CHROMIUM, "Sec-Fetch-Site: cross-site"],
            no(OtherOrigin),
        ),
        ("GET /", &[HOST, CHROMIUM, TYPED, &cookie], PANEL),
        ("GET /live", &[HOST, CHROMIUM, SAME, &cookie], PANEL),
        ("GET /live", &[HOST, CHROMIUM, SAME], no(NoToken)),
        ("GET /live", &[HOST, CHROMIUM, SAME, "Cookie: jostle-8474=0"], no(NoToken)),
        ("POST /rules", &[HOST, CHROMIUM, SAME, ORIGIN, LENGTH, JSON, &cookie], PANEL),
        // The cookie is a browser's.
        ("GET /proxies", &[HOST, &cookie], no(NoToken)),
        // Beyond loopback browsers do not say where a request comes from.
        ("GET /", &[HOST, CHROMIUM], no(NoToken)),
        ("GET /?token=secret-secret", &[HOST, CHROMIUM], Verdict::SignIn),
        ("GET /", &[HOST, CHROMIUM, &cookie], PANEL),
        ("GET /live", &[HOST, CHROMIUM, &cookie], PANEL),
        ("GET /live", &[HOST, CHROMIUM], no(Browser)),
        ("GET /live", &[HOST, CHROMIUM, BEARER], no(Browser)),
        ("POST /rules", &[HOST, CHROMIUM, ORIGIN, LENGTH, JSON, &cookie], PANEL),
        ("POST /rules", &[HOST, CHROMIUM, LENGTH, JSON, &cookie], no(Browser)),
        ("POST /rules", &[HOST, CHROMIUM, ORIGIN, LENGTH, &cookie], no(NotJson)),
        (
            "POST /rules",
            &[HOST, CHROMIUM, "Origin: http://evil.test", LENGTH, JSON, &cookie],
            no(OtherOrigin),
        ),
        ("GET /", &["Host: evil.test", CHROMIUM, &cookie], no(OtherHost)),
        ("POST /rules", &["Host: evil.test", BEARER], no(OtherHost)),
    ];
    for (request, lines, verdict) in rows {
        assert_eq!(guard.judge(&parts(request, lines), true), *verdict, "{request} {lines:?}");
    }
}
