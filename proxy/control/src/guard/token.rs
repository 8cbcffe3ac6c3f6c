//! The token that a request shows, and the cookie that a browser shows in its place.

use axum::http::{HeaderMap, header};
use jostle_common::digest::Digest;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::borrow::Cow;
use std::fmt;
use subtle::ConstantTimeEq as _;

/// The fewest characters of a token: with fewer it can be guessed.
const TOKEN_LEAST: usize = 8;
const TOKEN_MOST: usize = 1024;

/// A secret that lets its holder change everything. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// A text that is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It can be guessed, or fills a request's head.
    #[error(
        "a token has {TOKEN_LEAST} to {TOKEN_MOST} characters; write what \"openssl rand -hex 16\" \
         prints, say"
    )]
    Length,
    /// A header cannot carry it.
    #[error("a token is of letters, digits and -._~+/= only")]
    Characters,
}

impl Token {
    /// Takes a secret.
    ///
    /// # Errors
    /// When it is too short, too long, or has characters that the header cannot carry (RFC 6750,
    /// 2.1).
    pub fn new(text: &str) -> Result<Self, TokenError> {
        if !(TOKEN_LEAST..=TOKEN_MOST).contains(&text.len()) {
            return Err(TokenError::Length);
        }
        let is_carried = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if !text.bytes().all(is_carried) {
            return Err(TokenError::Characters);
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the path and query under which a browser signs in.
    pub fn sign_in_path(&self) -> String {
        format!("/?token={}", utf8_percent_encode(&self.0, NON_ALPHANUMERIC))
    }

    /// Returns true if a text is the token, in a time that does not tell how much of it is right.
    pub(super) fn is(&self, shown: &str) -> bool {
        same(self.0.as_bytes(), shown.as_bytes())
    }

    /// Returns true if a request shows it as `Authorization: Bearer`.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let Ok(Some(text)) = super::one(headers, header::AUTHORIZATION) else { return false };
        let Some((scheme, shown)) = text.split_once(' ') else { return false };
        scheme.eq_ignore_ascii_case("bearer") && self.is(shown.trim())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Compares digests, so that neither the length nor what is right of it shows.
fn same(one: &[u8], other: &[u8]) -> bool {
    Digest::of(one).0.ct_eq(&Digest::of(other).0).into()
}

/// Returns the token that stands in a query.
pub(super) fn in_query(query: &str) -> Option<Cow<'_, str>> {
    let shown = query.split('&').find_map(|pair| pair.strip_prefix("token="))?;
    percent_decode_str(shown).decode_utf8().ok()
}

/// The cookie of a browser that has shown the token. It holds for this run, and is not the token:
/// browsers send cookies to every port of a host.
#[derive(Debug)]
pub(super) struct Session {
    name: String,
    value: String,
}

impl Session {
    pub(super) fn new(port: u16, token: Option<&Token>, key: &[u8]) -> Self {
        let token = token.map_or("", |token| &token.0).as_bytes();
        let secret = [b"jostle session".as_slice(), key, token].concat();
        Self { name: format!("jostle-{port}"), value: Digest::of(&secret).to_string() }
    }

    /// Returns what sets it.
    pub(super) fn to_set(&self) -> String {
        format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.name, self.value)
    }

    /// Returns true if a request shows it.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let texts = headers.get_all(header::COOKIE).iter().filter_map(|text| text.to_str().ok());
        let mut pairs =
            texts.flat_map(|text| text.split(';')).filter_map(|one| one.split_once('='));
        pairs.any(|(name, value)| {
            name.trim() == self.name && same(value.trim().as_bytes(), self.value.as_bytes())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_long_enough_and_can_be_sent() {
        for (text, is) in [
            ("", Err(TokenError::Length)),
            ("short-7", Err(TokenError::Length)),
            (&"x".repeat(1025), Err(TokenError::Length)),
            ("with a space", Err(TokenError::Characters)),
            ("with\u{e9}accent", Err(TokenError::Characters)),
            ("line\nfeed-it-is", Err(TokenError::Characters)),
            ("AZaz09-._~+/=", Ok(())),
        ] {
            assert_eq!(Token::new(text).map(|_| ()), is, "{text:?}");
        }
        assert_eq!(format!("{:?}", Token::new("secret-secret").unwrap()), "Token(…)");
    }

    #[test]
    fn what_a_query_shows_is_decoded() {
        let token = Token::new("a+b/c=d-e").unwrap();
        let path = token.sign_in_path();
        let (_, query) = path.split_once('?').unwrap();
        assert!(token.is(&in_query(query).unwrap()), "{path}");
        assert!(token.is(&in_query("x=1&token=a+b/c=d-e&y").unwrap()));
        assert_eq!(in_query("x=1"), None);
        assert_eq!(in_query("token=%ff"), None);
    }

    #[test]
    fn a_cookie_is_of_one_run_one_port_and_one_token() {
        let token = Token::new("secret-secret").unwrap();
        let session = Session::new(1, Some(&token), b"key");
        let shows = |session: &Session| {
            let set = session.to_set();
            let pair = set.split(';').next().unwrap();
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, format!("a=b; {pair}").parse().unwrap());
            headers
        };
        assert!(session.is_in(&shows(&session)));
        let other = Token::new("another-secret").unwrap();
        for else_ in [
            Session::new(1, Some(&token), b"yek"),
            Session::new(2, Some(&token), b"key"),
            Session::new(1, Some(&other), b"key"),
            Session::new(1, None, b"key"),
        ] {
            assert!(!session.is_in(&shows(&else_)));
        }
        assert!(!session.to_set().contains("secret"));
    }
}
