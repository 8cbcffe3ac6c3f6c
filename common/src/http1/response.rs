//! Where the answer to a request ends.

use super::framing::RequestFraming;
use super::head::{BodyFraming, Codings, codings, field, length};

/// The largest head of an answer that is followed, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// The place in the answer to one request, interim answers (1xx) in front of it included.
///
/// It looks at the bytes in passing. What two readers could see differently is followed no further:
/// such an answer ends when its server closes, whatever it says, and nothing comes behind it.
#[derive(Debug)]
pub struct ResponseFraming {
    place: Place,
    /// The line that is not complete yet.
    line: Vec<u8>,
    /// Set for an answer to HEAD.
    has_no_body: bool,
    /// Set if the request asked for another protocol.
    may_upgrade: bool,
    /// Set once it is known that its server closes behind it.
    closes: bool,
}

#[derive(Debug)]
enum Place {
    Head(Head),
    Body(RequestFraming),
    /// In a body, or in bytes that are not understood, up to the end of the connection.
    ToClose,
    Ended,
    Upgraded,
}

/// The head of an answer so far.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    bytes: usize,
    /// The status; `None` before the first line.
    status: Option<u16>,
    is_http_1_0: bool,
    length: Option<u64>,
    codings: Option<Codings>,
    says_close: bool,
    says_keep_alive: bool,
}

/// What an answer has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseState {
    /// More of it is to come, and an end that is known.
    UnderWay,
    /// It has ended, and its server answers further requests on this connection.
    Ended,
    /// It ends, or has ended, with the connection.
    Last,
    /// The connection speaks another protocol from here on (101).
    Upgraded,
}

/// The answer cannot be followed further.
struct Unclear;

impl ResponseFraming {
    /// Stands before the answer to a request: to HEAD, or to one that may have a body; and one that
    /// asked for another protocol or not.
    pub fn new(is_head: bool, may_upgrade: bool) -> Self {
        let (place, line) = (Place::Head(Head::default()), Vec::new());
        Self { place, line, has_no_body: is_head, may_upgrade, closes: false }
    }

    /// Returns what the answer has come to.
    pub const fn state(&self) -> ResponseState {
        match self.place {
            Place::Upgraded => ResponseState::Upgraded,
            _ if self.closes => ResponseState::Last,
            Place::Ended => ResponseState::Ended,
            _ => ResponseState::UnderWay,
        }
    }

    /// Follows bytes that have come, and returns how many of them belong to the answer.
    pub fn follow(&mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        while passed < bytes.len() {
            let rest = &bytes[passed..];
            passed += match &mut self.place {
                Place::Ended => return passed,
                Place::ToClose | Place::Upgraded => rest.len(),
                Place::Body(body) => {
                    let taken = body.follow_one(rest);
                    if body.wrong().is_some() {
                        self.give_up();
                    } else if body.is_between() {
                        self.place = Place::Ended;
                    }
                    taken
                }
                Place::Head(_) => self.line(rest).unwrap_or_else(|Unclear| {
                    self.give_up();
                    rest.len()
                }),
            };
        }
        passed
    }

    /// Follows it no further.
    fn give_up(&mut self) {
        (self.place, self.closes) = (Place::ToClose, true);
        self.line = Vec::new();
    }

    /// Takes bytes up to the end of a line of the head. Returns how many it took.
    fn line(&mut self, rest: &[u8]) -> Result<usize, Unclear> {
        let Place::Head(head) = &mut self.place else { return Ok(0) };
        let end = rest.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(rest.len(), |end| end + 1);
        head.bytes += taken;
        if head.bytes > HEAD_BYTES_MAX {
            return Err(Unclear);
        }
        self.line.extend_from_slice(&rest[..taken]);
        if end.is_none() {
            return Ok(taken);
        }
        let line = std::mem::take(&mut self.line);
        let text = line.strip_suffix(b"\r\n").filter(|text| !text.contains(&b'\r'));
        let text = text.ok_or(Unclear)?;
        match head.status {
            None => head.read_status(text)?,
            Some(_) if !text.is_empty() => head.read_field(text)?,
            Some(status) => {
                let head = *head;
                self.conclude(head, status)?;
            }
        }
        Ok(taken)
    }

    /// Reads on behind a whole head.
    fn conclude(&mut self, head: Head, status: u16) -> Result<(), Unclear> {
        let is_bare = head.length.is_none() && head.codings.is_none();
        if (100..200).contains(&status) {
            // Neither may frame anything there (RFC 9110, section 15.2; RFC 9112, section 6.1).
            if !is_bare || (status == 101 && !self.may_upgrade) {
                return Err(Unclear);
            }
            self.place = match status {
                101 => Place::Upgraded,
                _ => Place::Head(Head::default()),
            };
            return Ok(());
        }
        self.closes = head.says_close || (head.is_http_1_0 && !head.says_keep_alive);
        self.place = match head.body(status, self.has_no_body)? {
            Some(BodyFraming::Length(0)) => Place::Ended,
            Some(body) => Place::Body(RequestFraming::of_body(body)),
            None => {
                self.closes = true;
                Place::ToClose
            }
        };
        Ok(())
    }
}

impl Head {
    fn read_status(&mut self, line: &[u8]) -> Result<(), Unclear> {
        let (version, rest) = line.split_at_checked(9).ok_or(Unclear)?;
        self.is_http_1_0 = match version {
            b"HTTP/1.0 " => true,
            b"HTTP/1.1 " => false,
            _ => return Err(Unclear),
        };
        let (digits, reason) = rest.split_at_checked(3).ok_or(Unclear)?;
        let is_read = digits.iter().all(u8::is_ascii_digit)
            && matches!(reason, [] | [b' ', ..])
            && reason.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control());
        let status = digits.iter().fold(0, |sum, digit| 10 * sum + u16::from(digit & 15));
        if !is_read || status < 100 {
            return Err(Unclear);
        }
        self.status = Some(status);
        Ok(())
    }

    fn read_field(&mut self, line: &[u8]) -> Result<(), Unclear> {
        let (name, value) = field(line).map_err(|_| Unclear)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            if self.length.is_some() {
                return Err(Unclear);
            }
            self.length = Some(length(value).map_err(|_| Unclear)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.codings = Some(codings(value, self.codings));
        } else if name.eq_ignore_ascii_case(b"connection") {
            for word in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                self.says_close |= word.eq_ignore_ascii_case(b"close");
                self.says_keep_alive |= word.eq_ignore_ascii_case(b"keep-alive");
            }
        }
        Ok(())
    }

    /// Returns the length of the body (RFC 9112, section 6.3); `None`: up to the end of the
    /// connection.
    fn body(&self, status: u16, is_to_head: bool) -> Result<Option<BodyFraming>, Unclear> {
        let none = Ok(Some(BodyFraming::Length(0)));
        match (self.codings, self.length) {
            // Which of both a client goes by is its own affair.
            (Some(_), Some(_)) => Err(Unclear),
            (Some(_), None) if self.is_http_1_0 => Err(Unclear),
            // What they say is what a GET would have had.
            _ if is_to_head || status == 304 => none,
            (None, None | Some(0)) if status == 204 => none,
            _ if status == 204 => Err(Unclear),
            (Some(Codings::Chunked | Codings::Others), None) => Ok(Some(BodyFraming::Chunked)),
            (Some(Codings::Endless), None) => Ok(None),
            (None, length) => Ok(length.map(BodyFraming::Length)),
        }
    }
}
