//! The address of a file: `http://HOST:PORT/PATH`.

use super::failure::HttpFailure;
use crate::http::names;
use hyper::Uri;
use jostle_console::exit::Usage;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use std::fmt;

/// The characters that people write into a URL and that do not belong there; the rest is left as it
/// is.
const STRAY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// An address of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    host: String,
    port: u16,
    /// Path and query, as they are sent.
    path: String,
}

impl Url {
    /// Reads a URL; `http://` may be left out. Spaces and letters beyond ASCII are encoded.
    ///
    /// # Errors
    /// A [`Usage`] that says what is wrong with it.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        Self::read(text).map_err(|problem| Usage::error(format!("\"{text}\" {problem}")))
    }

    fn read(text: &str) -> Result<Self, String> {
        const REMEDY: &str = "is not a URL; write http://HOST:PORT/PATH";
        let bare = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some((scheme, rest)) => {
                return Err(format!("is {scheme}, which is not spoken here; write http://{rest}"));
            }
            None => text,
        };
        let bare = bare.split('#').next().unwrap_or_default();
        let encoded = utf8_percent_encode(bare, STRAY).to_string();
        let uri: Uri = format!("http://{encoded}").parse().map_err(|_| REMEDY.to_owned())?;
        let authority = uri.authority().ok_or(REMEDY)?;
        if authority.as_str().contains('@') {
            return Err("carries a name or a password, which this client does not send".to_owned());
        }
        let is_numbered = authority
            .as_str()
            .rsplit_once(':')
            .is_none_or(|(_, port)| port.ends_with(']') || port.parse::<u16>().is_ok());
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() || !is_numbered {
            return Err(REMEDY.to_owned());
        }
        let path = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        Ok(Self { host, port: authority.port_u16().unwrap_or(80), path })
    }

    /// Returns the address that a redirection leads to.
    pub(super) fn join(&self, location: &str) -> Result<Self, HttpFailure> {
        let refused =
            |problem| HttpFailure::Final(format!("the redirection to \"{location}\" {problem}"));
        if location.contains("://") {
            return Self::read(location).map_err(refused);
        }
        let path = match location {
            other_host if other_host.starts_with("//") => {
                return Self::read(&location[2..]).map_err(refused);
            }
            absolute if absolute.starts_with('/') => absolute.to_owned(),
            relative => {
                let folder = self
                    .path
                    .split('?')
                    .next()
                    .unwrap_or_default()
                    .rsplit_once('/')
                    .map_or("", |(folder, _)| folder);
                format!("{folder}/{relative}")
            }
        };
        Self::read(&format!("{}{path}", self.authority())).map_err(refused)
    }

    /// Returns the same place with a file name behind a final slash.
    #[must_use]
    pub fn with_name(&self, name: &str) -> Self {
        let mut named = self.clone();
        if named.path.ends_with('/') {
            named.path.push_str(&names::encoded(name));
        }
        named
    }

    /// Returns the name that the path ends with, made safe.
    pub(super) fn name(&self) -> Option<String> {
        let path = self.path.split('?').next().unwrap_or_default();
        let last = path.rsplit('/').next().unwrap_or_default();
        names::safe(&percent_decode_str(last).decode_utf8_lossy())
    }

    /// Returns `HOST:PORT` as in a `Host` header.
    pub(super) fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
    }

    pub(super) fn host(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_people_write_them() {
        for (text, url, name) in [
            (
                "http://127.0.0.1:12345/song.mp3",
                "http://127.0.0.1:12345/song.mp3",
                Some("song.mp3"),
            ),
            ("localhost:8000", "http://localhost:8000/", None),
            ("HTTP://host/a b/ü.txt?x=1#top", "http://host/a%20b/%C3%BC.txt?x=1", Some("ü.txt")),
            ("[::1]:80/", "http://[::1]/", None),
            (
                "http://[::1]:8080/..%2f..%2fetc%2fpasswd",
                "http://[::1]:8080/..%2f..%2fetc%2fpasswd",
                Some("passwd"),
            ),
            ("host?q", "http://host/?q", None),
        ] {
            let read = Url::parse(text).unwrap();
            assert_eq!((read.to_string().as_str(), read.name().as_deref()), (url, name), "{text}");
        }
        for wrong in [
            "",
            "http://",
            "https://host/",
            "ftp://host",
            "http://user:secret@host/",
            "host:port/",
            "host:99999",
            "http:///a",
        ] {
            assert!(Url::parse(wrong).unwrap_err().is::<Usage>(), "{wrong}");
        }
    }

    #[test]
    fn redirections_lead_on() {
        let here = Url::parse("http://host:81/a/b?c").unwrap();
        for (location, there) in [
            ("/x", "http://host:81/x"),
            ("x/", "http://host:81/a/x/"),
            ("//other/x", "http://other/x"),
            ("http://other:82/x", "http://other:82/x"),
        ] {
            assert_eq!(here.join(location).unwrap().to_string(), there);
        }
        assert!(here.join("https://host/").is_err());
        assert_eq!(here.with_name("n").to_string(), here.to_string());
        assert_eq!(
            Url::parse("host/in/").unwrap().with_name("a b").to_string(),
            "http://host/in/a%20b"
        );
    }
}
