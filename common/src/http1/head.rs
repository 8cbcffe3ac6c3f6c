//! The head of a request, line by line: what of it could be read in two ways, and how long the body
//! behind it is.

use http::StatusCode;

/// A request that is refused before it is one, with the connection: nothing behind it can be
/// trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRequest {
    /// What it is answered with.
    pub status: StatusCode,
    /// What is wrong.
    pub reason: &'static str,
    /// True if its head was right, and has been passed on.
    pub is_in_body: bool,
}

impl BadRequest {
    /// Refuses a head.
    pub const fn new(status: StatusCode, reason: &'static str) -> Self {
        Self { status, reason, is_in_body: false }
    }

    /// Refuses it as a bad request (400).
    pub const fn bad(reason: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }
}

/// The length of a request's body (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    /// So many bytes.
    Length(u64),
    /// Chunks, up to one of no bytes.
    Chunked,
}

/// The fields that have been read, which say how long the body is and whom the request is for.
#[derive(Clone, Debug, Default)]
pub struct Head {
    bytes: usize,
    begun: bool,
    is_http_1_0: bool,
    hosts: usize,
    length: Option<u64>,
    /// The transfer codings, in order.
    codings: Option<Codings>,
}

/// The transfer codings of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codings {
    /// `chunked` and nothing else.
    Chunked,
    /// Others, and `chunked` at the end.
    Others,
    /// Something that tells nobody where the body ends.
    Endless,
}

impl Head {
    /// Returns how many bytes it has so far.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts bytes of it.
    pub const fn count(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Returns the refusal of a head that does not fit.
    pub const fn too_large(&self) -> BadRequest {
        match self.begun {
            true => BadRequest::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the head is too large",
            ),
            false => BadRequest::new(StatusCode::URI_TOO_LONG, "the request line is too long"),
        }
    }

    /// Takes a line without its end. Returns how long the body is when the line was the last.
    ///
    /// # Errors
    /// When two readers could read it differently.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<BodyFraming>, BadRequest> {
        if !self.begun {
            // A client may send an empty line behind the last body (RFC 9112, section 2.2).
            if !line.is_empty() {
                self.is_http_1_0 = request_line(line)?;
                self.begun = true;
            }
            return Ok(None);
        }
        if line.is_empty() {
            return self.end().map(Some);
        }
        let (name, value) = field(line)?;
        if name.eq_ignore_ascii_case(b"host") {
            self.hosts += 1;
            if self.hosts > 1 {
                return Err(BadRequest::bad("a request has one Host (RFC 9112, section 3.2)"));
            }
            if !is_authority(value) {
                return Err(BadRequest::bad("the Host cannot be read"));
            }
        } else if name.eq_ignore_ascii_case(b"content-length") {
            if self.length.is_some() {
                return Err(BadRequest::bad("a request has one Content-Length"));
            }
            self.length = Some(length(value)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.codings = Some(codings(value, self.codings));
        }
        Ok(None)
    }

    fn end(&self) -> Result<BodyFraming, BadRequest> {
        if self.hosts == 0 && !self.is_http_1_0 {
            return Err(BadRequest::bad("a request has one Host (RFC 9112, section 3.2)"));
        }
        match (self.codings, self.length) {
            (None, length) => Ok(BodyFraming::Length(length.unwrap_or(0))),
            (Some(_), Some(_)) => {
                Err(BadRequest::bad("Content-Length beside Transfer-Encoding (RFC 9112, 6.1)"))
            }
            (Some(_), None) if self.is_http_1_0 => {
                Err(BadRequest::bad("HTTP/1.0 has no Transfer-Encoding"))
            }
            (Some(Codings::Chunked), None) => Ok(BodyFraming::Chunked),
            // What gzip packed on the way would be stored packed.
            (Some(Codings::Others), None) => Err(BadRequest::new(
                StatusCode::NOT_IMPLEMENTED,
                "of transfer codings only chunked is known here (RFC 9112, section 6.1)",
            )),
            (Some(Codings::Endless), None) => {
                Err(BadRequest::bad("the Transfer-Encoding does not say where the body ends"))
            }
        }
    }
}

/// Checks a request line. Returns true for HTTP/1.0.
fn request_line(line: &[u8]) -> Result<bool, BadRequest> {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(BadRequest::bad("the request line is not METHOD TARGET HTTP/1.1"));
    };
    if !is_token(method) {
        return Err(BadRequest::bad("the method cannot be read"));
    }
    // Of the forms of a target only a proxy is asked for one without a path (RFC 9112, 3.2.3).
    let has_path = target.starts_with(b"/")
        || target == b"*"
        || target.windows(3).any(|mark| mark == b"://")
        || method == b"CONNECT";
    if !has_path || !target.iter().all(|byte| matches!(byte, 0x21..=0x7e | 0x80..)) {
        return Err(BadRequest::bad("the target cannot be read"));
    }
    match version {
        b"HTTP/1.0" => Ok(true),
        b"HTTP/1.1" => Ok(false),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            let status = StatusCode::HTTP_VERSION_NOT_SUPPORTED;
            Err(BadRequest::new(status, "HTTP/1.1 and 1.0 are spoken here"))
        }
        _ => Err(BadRequest::bad("the request line is not METHOD TARGET HTTP/1.1")),
    }
}

/// Splits a field line: a token, a colon, and a value without control characters. A line that goes
/// on the one before (RFC 9112, section 5.2) has no token.
///
/// # Errors
/// When it is no field line.
pub fn field(line: &[u8]) -> Result<(&[u8], &[u8]), BadRequest> {
    let colon = line.iter().position(|byte| *byte == b':');
    let (name, value) = colon
        .map(|colon| (&line[..colon], line[colon + 1..].trim_ascii()))
        .filter(|(name, _)| is_token(name))
        .ok_or(BadRequest::bad("a field's name cannot be read"))?;
    let is_text = value.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control());
    if is_text { Ok((name, value)) } else { Err(BadRequest::bad("a field's value cannot be read")) }
}

/// Reads a length: digits alone.
pub(super) fn length(value: &[u8]) -> Result<u64, BadRequest> {
    let is_plain = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| is_plain);
    // hyper keeps the two largest numbers for meanings of its own.
    text.and_then(|text| text.parse().ok())
        .filter(|length| *length < u64::MAX - 1)
        .ok_or(BadRequest::bad("the Content-Length cannot be read"))
}

/// Returns what the codings come to, with those of a field before.
pub(super) fn codings(value: &[u8], before: Option<Codings>) -> Codings {
    let mut names: Vec<_> = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).collect();
    // Empty members of a list mean nothing (RFC 9110, section 5.6.1).
    names.retain(|name| !name.is_empty());
    let is_chunked = |name: &&[u8]| name.eq_ignore_ascii_case(b"chunked");
    let chunks = names.iter().filter(|name| is_chunked(name)).count();
    match before {
        _ if names.is_empty() => before.unwrap_or(Codings::Endless),
        // Nothing may come behind chunked, and chunked not twice.
        Some(Codings::Chunked | Codings::Others) => Codings::Endless,
        _ if chunks != 1 || !names.last().is_some_and(is_chunked) => Codings::Endless,
        None if names.len() == 1 => Codings::Chunked,
        _ => Codings::Others,
    }
}

/// Returns true for `HOST` or `HOST:PORT`, with IPv6 in brackets. Nobody's password, and never
/// empty: every client of ours has an address to name.
fn is_authority(value: &[u8]) -> bool {
    let (host, port) = match value.iter().position(|byte| *byte == b']') {
        Some(end) if value.starts_with(b"[") => (&value[1..end], &value[end + 1..]),
        _ => {
            let colon = value.iter().position(|byte| *byte == b':').unwrap_or(value.len());
            value.split_at(colon)
        }
    };
    let is_address = value.starts_with(b"[");
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte);
    let is_part = |byte: &u8| is_name(byte) || (is_address && *byte == b':');
    let is_port = match port {
        [] | [b':'] => true,
        [b':', digits @ ..] => {
            let text = std::str::from_utf8(digits).unwrap_or_default();
            digits.iter().all(u8::is_ascii_digit) && text.parse::<u16>().is_ok()
        }
        _ => false,
    };
    !host.is_empty() && host.iter().all(is_part) && is_port
}

/// Returns true for a token (RFC 9110, section 5.6.2).
fn is_token(bytes: &[u8]) -> bool {
    let is_mark = |byte: &u8| b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || is_mark(byte))
}
