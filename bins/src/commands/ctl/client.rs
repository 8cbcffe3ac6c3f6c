//! The client of the API: a request, and what came back.

use anyhow::{Context as _, anyhow};
use jostle_console::exit::Usage;
use jostle_console::terminal::escaped as escape_controls;
use jostle_engine::route::ToxicError;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::time::Duration;
use ureq::Agent;
use ureq::http::{Method, Request, Response};
use ureq::{Body, Error};

/// The time that the API has to answer: it gives up by itself after 25 s.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most bytes of an answer.
const ANSWER_MAX: u64 = 256 << 20;

/// Where the API answers, and who asks.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    base: String,
    token: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// `Null` when there is no body.
    pub(super) body: Value,
    pub(super) etag: Option<String>,
}

impl Client {
    /// Makes a client of the API at `address`: a host and port, or a URL.
    ///
    /// # Errors
    /// When that is no address.
    pub(super) fn new(address: &str, token: Option<String>) -> anyhow::Result<Self> {
        let wrong = |why: &str| {
            Usage::error(format!("the API at {address}: {why}; write 127.0.0.1:8474, say"))
        };
        let host = match address.split_once("://") {
            Some(("http", host)) => host,
            Some(_) => return Err(wrong("it speaks plain HTTP only")),
            None => address,
        };
        let host = host.trim_end_matches('/');
        let base = match host.starts_with(':') {
            true => format!("http://127.0.0.1{host}"),
            false => format!("http://{host}"),
        };
        let uri: ureq::http::Uri = base.parse().map_err(|_| wrong("that is no address"))?;
        if uri.host().is_none_or(str::is_empty) {
            return Err(wrong("that is no address"));
        }
        let token = token.map(read_token).transpose()?;
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // The API is near; a proxy of the environment is for the web.
            .proxy(None)
            .user_agent(concat!("jostle-ctl/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_recv_response(Some(PATIENCE))
            .build()
            .into();
        Ok(Self { agent, base, token })
    }

    /// Asks, and returns the answer if it is a success.
    ///
    /// # Errors
    /// When nothing answers, or the answer is a refusal.
    pub(super) fn ask(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let answer = self.call(method, path, body, None)?;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        let said = answer.refusal();
        Err(remedy(&said.to_string(), path, body).map_or(said, |text| anyhow!(text)))
    }

    pub(super) fn get(&self, path: &[&str]) -> anyhow::Result<Value> {
        Ok(self.ask(Method::GET, path, None)?.body)
    }

    /// Asks, and returns the answer whatever it is.
    ///
    /// # Errors
    /// When nothing answers, or what answers is something else.
    pub(super) fn call(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
        if_match: Option<&str>,
    ) -> anyhow::Result<Answer> {
        let mut response = self.send(method, path, body, if_match)?;
        let etag = response.headers().get("etag").and_then(|tag| tag.to_str().ok());
        let etag = etag.map(str::to_owned);
        let status = response.status().as_u16();
        let text = response.body_mut().with_config().limit(ANSWER_MAX).read_to_string();
        let text = text.with_context(|| format!("the answer of {}", self.base))?;
        // What is no JSON is a text of the server's: its 404, say.
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or_else(|_| text.trim().into())
        };
        Ok(Answer { status, body, etag })
    }

    /// Asks for server-sent events, and calls `take` with the name and the data of each until it
    /// says that it has enough, or there are no more.
    ///
    /// # Errors
    /// When nothing answers, the answer is a refusal, or `take` fails.
    pub(super) fn events(
        &self,
        path: &[&str],
        mut take: impl FnMut(&str, &str) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let mut response = self.send(Method::GET, path, None, None)?;
        let status = response.status().as_u16();
        if status != 200 {
            let text = response.body_mut().read_to_string().unwrap_or_default();
            let body = serde_json::from_str(&text).unwrap_or_else(|_| text.trim().into());
            return Err(Answer { status, body, etag: None }.refusal());
        }
        let mut name = String::new();
        let reader = response.into_body().into_with_config().limit(u64::MAX).reader();
        for line in BufReader::new(reader).lines() {
            let line = line.with_context(|| format!("{} has ended", self.base))?;
            if let Some(event) = line.strip_prefix("event: ") {
                event.clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data: ")
                && !take(&name, data)?
            {
                return Ok(());
            }
        }
        Ok(())
    }

    fn send(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
        if_match: Option<&str>,
    ) -> anyhow::Result<Response<Body>> {
        let mut url = self.base.clone();
        for part in path {
            url.push('/');
            url.push_str(&escaped(part));
        }
        let mut request = Request::builder().method(method).uri(&url);
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if let Some(tag) = if_match {
            request = request.header("If-Match", tag);
        }
        let sent = match body {
            Some(body) => {
                let request = request.header("Content-Type", "application/json");
                let request = request.body(body.to_string()).context("the request")?;
                self.agent.run(request)
            }
            None => self.agent.run(request.body(()).context("the request")?),
        };
        sent.map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &Error) -> anyhow::Error {
        let Self { base, .. } = self;
        match error {
            Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                anyhow!(
                    "nothing answers at {base}; start `jostle proxy --api`, or name another \
                    address by --api"
                )
            }
            Error::Timeout(_) => anyhow!("{base} does not answer"),
            error => anyhow!("{base}: {error}"),
        }
    }
}

impl Answer {
    /// Returns what a refusal says.
    pub(super) fn refusal(&self) -> anyhow::Error {
        let said = match (&self.body["error"], &self.body) {
            (Value::String(error), _) | (_, Value::String(error)) => error.clone(),
            _ => format!("status {}", self.status),
        };
        match self.status {
            401 => anyhow!("{said}; give the token by --token or JOSTLE_API_TOKEN"),
            _ => anyhow!("{said}"),
        }
    }
}

/// Says what Toxiproxy's own words leave out: which name, and what to do about it. `path` and
/// `body` are what was asked.
fn remedy(said: &str, path: &[&str], body: Option<&Value>) -> Option<String> {
    let of_body = |key: &str| body.and_then(|body| body[key].as_str()).map(escape_controls);
    let of_path = |place: usize| path.get(place).copied().map(escape_controls);
    let proxy = of_path(1);
    Some(match (said, proxy) {
        ("proxy not found", Some(proxy)) => {
            format!("there is no proxy \"{proxy}\"; `jostle ctl list` lists those there are")
        }
        ("toxic not found", Some(proxy)) => format!(
            "proxy \"{proxy}\" has no toxic \"{}\"; `jostle ctl inspect {proxy}` lists \
             those it has",
            of_path(3)?
        ),
        ("proxy already exists", _) => format!(
            "there is a proxy \"{}\" already; delete it first, or take another name",
            of_body("name")?
        ),
        ("toxic already exists", Some(proxy)) => format!(
            "proxy \"{proxy}\" has a toxic of that name already; say another one by --name, or \
             `jostle ctl toxic update` it"
        ),
        ("invalid toxic type", _) => {
            let kinds = ToxicError::Kind.remedy();
            format!(
                "\"{}\" is no type of toxic; {}",
                of_body("type")?,
                kinds.replace("\"type\": ", "")
            )
        }
        (said, _) if said.starts_with("stream was invalid") => format!(
            "\"{}\" is no direction; write --stream upstream, downstream or both",
            of_body("stream")?
        ),
        _ => return None,
    })
}

/// Escapes a part of a path: a slash in a name is no separator.
fn escaped(part: &str) -> String {
    let mut safe = String::new();
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            safe.push(char::from(byte));
        } else {
            safe.push_str(&format!("%{byte:02X}"));
        }
    }
    safe
}

/// Reads a token: the text, or what is in the file behind an `@`.
fn read_token(token: String) -> anyhow::Result<String> {
    let Some(path) = token.strip_prefix('@') else { return Ok(token) };
    let text = jostle_console::files::read_text(path.as_ref())
        .map_err(|error| Usage::error(format!("--token @{path}: {error}")))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hosts_or_urls() {
        for (given, base) in [
            ("127.0.0.1:8474", "http://127.0.0.1:8474"),
            (":9", "http://127.0.0.1:9"),
            ("http://localhost:8474/", "http://localhost:8474"),
            ("[::1]:8474", "http://[::1]:8474"),
        ] {
            assert_eq!(Client::new(given, None).unwrap().base, base);
        }
        for given in ["https://127.0.0.1:1", "", "http://", "a b"] {
            let error = Client::new(given, None).unwrap_err().to_string();
            assert!(error.ends_with("; write 127.0.0.1:8474, say"), "{given}: {error}");
        }
    }

    #[test]
    fn names_are_one_part_of_a_path() {
        assert_eq!(escaped("a/b c"), "a%2Fb%20c");
        assert_eq!(escaped("ü.x~"), "%C3%BC.x~");
    }
}
