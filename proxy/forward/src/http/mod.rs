//! The HTTP side of a forward proxy: tunnels (`CONNECT`), and single requests in absolute form as
//! clients write them for `http://` (RFC 9110, section 9.3.6; RFC 9112, section 3.2).
//!
//! A [`Negotiation`] hears one request, up to the end of its head. What a client goes on to ask for
//! on the same connection, and where each answer ends, is followed by [`Requests`].

mod answer;
mod exchange;
mod rewrite;

pub use answer::{ESTABLISHED, failed};
pub use exchange::{Expected, Intake, NextRequest, Requests, Taken, Turned};

use crate::credentials::Credentials;
use crate::target::Target;
use crate::{Asked, Malformed, Progress};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;
use jostle_common::http1::{BadRequest, BodyFraming, Head, RequestFraming, field};

/// The largest head that is read, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// The port that `http://` means.
const PORT: u16 = 80;

/// The negotiation with a client, up to the end of its request's head.
#[derive(Debug)]
pub struct Negotiation {
    credentials: Option<Credentials>,
    head: Head,
    /// The whole lines so far, without their ends.
    lines: Vec<Vec<u8>>,
    /// The bytes of a line that has not ended; once done, what stands behind the head.
    held: Vec<u8>,
    body: Option<BodyFraming>,
}

/// A request's head, taken apart.
struct Request<'a> {
    method: &'a [u8],
    target: &'a str,
    version: &'a [u8],
    fields: Vec<(&'a [u8], &'a [u8])>,
}

impl Negotiation {
    /// Stands before the request. With credentials the client must name them.
    pub fn new(credentials: Option<Credentials>) -> Self {
        let (head, lines, held, body) = (Head::default(), Vec::new(), Vec::new(), None);
        Self { credentials, head, lines, held, body }
    }

    /// Takes bytes of the client, and adds to `answer` what is to be written to it. Once something
    /// was asked for, what stands behind the head is left in [`rest`](Self::rest).
    pub fn handle(&mut self, bytes: &[u8], answer: &mut Vec<u8>) -> Progress {
        if self.body.is_some() {
            self.held.extend_from_slice(bytes);
            return Progress::More;
        }
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, behind) = rest.split_at(end + 1);
            rest = behind;
            self.held.extend_from_slice(line);
            let line = std::mem::take(&mut self.held);
            match self.line(&line) {
                Ok(None) => {}
                Ok(Some(body)) => {
                    self.body = Some(body);
                    self.held = rest.to_vec();
                    return match self.conclude(body) {
                        Ok(asked) => Progress::Asked(asked),
                        Err(refusal) => refusal.said(answer),
                    };
                }
                Err(wrong) => return Refusal::from(wrong).said(answer),
            }
        }
        self.held.extend_from_slice(rest);
        if self.head.bytes() + self.held.len() >= HEAD_BYTES_MAX {
            return Refusal::from(self.head.too_large()).said(answer);
        }
        Progress::More
    }

    /// Returns true if nothing was said so far.
    pub const fn is_untouched(&self) -> bool {
        self.head.bytes() == 0 && self.held.is_empty()
    }

    /// Returns the bytes behind the head: the first of the tunnel, or of the body.
    pub fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// Returns the framing of the body behind the head, which says what of the following bytes may
    /// be passed on.
    pub fn body(&self) -> RequestFraming {
        RequestFraming::of_body(self.body.unwrap_or(BodyFraming::Length(0)))
    }

    fn line(&mut self, line: &[u8]) -> Result<Option<BodyFraming>, BadRequest> {
        self.head.count(line.len());
        if self.head.bytes() >= HEAD_BYTES_MAX {
            return Err(self.head.too_large());
        }
        let text = line.strip_suffix(b"\r\n").filter(|text| !text.contains(&b'\r'));
        let text = text.ok_or(BadRequest::bad("a line does not end with CR LF"))?;
        let body = self.head.line(text)?;
        if !text.is_empty() {
            self.lines.push(text.to_vec());
        }
        Ok(body)
    }

    /// Reads the whole head.
    fn conclude(&self, body: BodyFraming) -> Result<Asked, Refusal> {
        let request = self.request()?;
        if self.credentials.as_ref().is_some_and(|known| !is_known(known, &request)) {
            return Err(Refusal {
                status: StatusCode::PROXY_AUTHENTICATION_REQUIRED,
                reason: "name the user and password of this proxy",
                why: Malformed::Credentials,
            });
        }
        if request.method == b"CONNECT" {
            if body != BodyFraming::Length(0) {
                return Err(bad("a request for a tunnel has no body (RFC 9110, section 9.3.6)"));
            }
            let target = request.target.parse::<Target>();
            let target = target.map_err(|_| bad("CONNECT wants HOST:PORT"))?;
            return Ok(Asked::Connect(target));
        }
        rewrite::fetch(&request, body)
    }

    fn request(&self) -> Result<Request<'_>, BadRequest> {
        let (line, fields) = self.lines.split_first().expect("a head has a first line");
        let mut words = line.split(|byte| *byte == b' ');
        let mut word = || words.next().expect("the line was checked");
        let (method, target, version) = (word(), word(), word());
        let target = std::str::from_utf8(target)
            .map_err(|_| BadRequest::bad("the target cannot be read"))?;
        let fields = fields.iter().map(|line| field(line)).collect::<Result<_, _>>()?;
        Ok(Request { method, target, version, fields })
    }
}

/// Returns true if a request names the right user and password (RFC 7617).
fn is_known(known: &Credentials, request: &Request<'_>) -> bool {
    let mut said = request.all("proxy-authorization");
    let (Some(value), None) = (said.next(), said.next()) else { return false };
    let Some((scheme, code)) = value.split_at_checked(6) else { return false };
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return false;
    }
    let Ok(text) = BASE64_STANDARD.decode(code.trim_ascii()) else { return false };
    let colon = text.iter().position(|byte| *byte == b':');
    colon.is_some_and(|colon| known.are(&text[..colon], &text[colon + 1..]))
}

impl<'a> Request<'a> {
    /// Returns the values of all fields of a name.
    fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let named = |(key, _): &&(&[u8], &[u8])| key.eq_ignore_ascii_case(name.as_bytes());
        self.fields.iter().filter(named).map(|(_, value)| *value)
    }
}

/// The refusal of a request: what is answered, and the reason for the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Refusal {
    status: StatusCode,
    reason: &'static str,
    why: Malformed,
}

const fn bad(reason: &'static str) -> Refusal {
    Refusal { status: StatusCode::BAD_REQUEST, reason, why: Malformed::Bytes }
}

impl From<BadRequest> for Refusal {
    fn from(BadRequest { status, reason, .. }: BadRequest) -> Self {
        Self { status, reason, why: Malformed::Bytes }
    }
}

impl Refusal {
    fn said(self, out: &mut Vec<u8>) -> Progress {
        out.extend(answer::refusal(self.status, self.reason));
        Progress::Refused(self.why)
    }
}

#[cfg(test)]
mod exchange_tests;
#[cfg(test)]
mod tests;
