//! Where each request of a connection begins and ends.

use super::head::{self, BadRequest, BodyFraming, Head};
use http::StatusCode;

/// The longest line of a chunk's size with its extensions, and all trailers together.
const CHUNK_LINES_BYTES_MAX: usize = 16 << 10;

/// The place in the requests of a connection.
///
/// It looks at the bytes in passing and holds none of them back but those of the first request that
/// is wrong, so whoever reads behind it never sees that one whole.
#[derive(Debug)]
pub struct RequestFraming {
    head_bytes_max: usize,
    place: Place,
    /// The line that is not complete yet, without what has been dealt with.
    line: Vec<u8>,
    wrong: Option<BadRequest>,
}

#[derive(Debug)]
enum Place {
    Head(Head),
    /// In a body of known length, or in a chunk: so many bytes to go.
    Body(u64),
    /// In the data of a chunk.
    Chunk(u64),
    /// At the end of a chunk's data, or at the size of the next.
    ChunkEnd,
    ChunkSize,
    /// In the trailers, of which so many bytes have come.
    Trailers(usize),
}

impl RequestFraming {
    /// Stands before the first request of a connection. A head has at most so many bytes.
    pub fn new(head_bytes_max: usize) -> Self {
        Self { head_bytes_max, place: Place::Head(Head::default()), line: Vec::new(), wrong: None }
    }

    /// Stands behind a head, in front of a body of this length.
    pub fn of_body(body: BodyFraming) -> Self {
        let place = match body {
            BodyFraming::Length(0) => Place::Head(Head::default()),
            BodyFraming::Length(length) => Place::Body(length),
            BodyFraming::Chunked => Place::ChunkSize,
        };
        Self { place, ..Self::new(0) }
    }

    /// Returns the request that is wrong, once its bytes have come.
    pub const fn wrong(&self) -> Option<BadRequest> {
        self.wrong
    }

    /// Follows bytes that have come, and returns how many of them may be passed on: all, or those
    /// in front of what is wrong. Nothing more may be passed on after that.
    pub fn follow(&mut self, bytes: &[u8]) -> usize {
        self.follow_while(bytes, |_| true)
    }

    /// Follows bytes up to the end of the request that they belong to, and returns how many these
    /// are.
    pub fn follow_one(&mut self, bytes: &[u8]) -> usize {
        self.follow_while(bytes, |framing| !framing.is_between())
    }

    /// Returns how many bytes may be read without reading more than `slack` behind the request:
    /// those of the body, or of the chunk, that are still to come.
    pub fn wanted(&self, slack: usize) -> usize {
        match &self.place {
            Place::Body(left) => usize::try_from(*left).unwrap_or(usize::MAX),
            Place::Chunk(left) => usize::try_from(*left).unwrap_or(usize::MAX).max(slack),
            _ => slack,
        }
    }

    /// Returns true where no request has begun, or the last one has ended.
    pub fn is_between(&self) -> bool {
        matches!(&self.place, Place::Head(head) if head.bytes() == 0) && self.line.is_empty()
    }

    fn follow_while(&mut self, bytes: &[u8], go_on: impl Fn(&Self) -> bool) -> usize {
        let mut passed = 0;
        while passed < bytes.len() && self.wrong.is_none() && go_on(self) {
            let rest = &bytes[passed..];
            match &mut self.place {
                Place::Body(left) | Place::Chunk(left) => {
                    let taken = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= taken as u64;
                    passed += taken;
                    if *left == 0 {
                        self.place = match self.place {
                            Place::Chunk(_) => Place::ChunkEnd,
                            _ => Place::Head(Head::default()),
                        };
                    }
                }
                _ => match self.line(rest) {
                    Ok(taken) => passed += taken,
                    Err(wrong) => {
                        let is_in_body = !matches!(self.place, Place::Head(_));
                        self.wrong = Some(BadRequest { is_in_body, ..wrong });
                    }
                },
            }
        }
        passed
    }

    /// Takes bytes up to the end of a line, and what the line says when it is whole. Returns how
    /// many it took.
    fn line(&mut self, rest: &[u8]) -> Result<usize, BadRequest> {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(rest.len(), |end| end + 1);
        self.line.extend_from_slice(&rest[..taken]);
        self.check_size()?;
        if end.is_none() {
            return Ok(taken);
        }
        let line = std::mem::take(&mut self.line);
        let Some(text) = line.strip_suffix(b"\r\n").filter(|text| !text.contains(&b'\r')) else {
            return Err(BadRequest::bad("a line does not end with CR LF"));
        };
        self.place = match &mut self.place {
            Place::Head(head) => {
                head.count(line.len());
                match head.line(text)? {
                    None => return Ok(taken),
                    Some(body) => Self::of_body(body).place,
                }
            }
            Place::ChunkEnd if text.is_empty() => Place::ChunkSize,
            Place::ChunkEnd => return Err(BadRequest::bad("a chunk is longer than its size")),
            Place::ChunkSize => match chunk_size(text)? {
                0 => Place::Trailers(0),
                size => Place::Chunk(size),
            },
            Place::Trailers(_) if text.is_empty() => Place::Head(Head::default()),
            Place::Trailers(bytes) => {
                head::field(text)?;
                Place::Trailers(*bytes + line.len())
            }
            Place::Body(_) | Place::Chunk(_) => unreachable!("these are no lines"),
        };
        Ok(taken)
    }

    fn check_size(&self) -> Result<(), BadRequest> {
        let length = self.line.len();
        match &self.place {
            Place::Head(head) if head.bytes() + length < self.head_bytes_max => Ok(()),
            Place::Head(head) => Err(head.too_large()),
            Place::ChunkEnd | Place::ChunkSize if length <= CHUNK_LINES_BYTES_MAX => Ok(()),
            Place::Trailers(bytes) if bytes + length <= CHUNK_LINES_BYTES_MAX => Ok(()),
            _ => Err(BadRequest::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "a chunk's extensions or the trailers are too long",
            )),
        }
    }
}

/// Reads the size of a chunk: hexadecimal digits, then perhaps extensions, which mean nothing here.
fn chunk_size(line: &[u8]) -> Result<u64, BadRequest> {
    let bad = BadRequest::bad("the size of a chunk cannot be read");
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, rest) = line.split_at(digits);
    // BWS may stand in front of an extension, and nothing else behind the size.
    let rest = rest.trim_ascii_start();
    let is_text = rest.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control());
    if !(rest.is_empty() || rest.starts_with(b";")) || !is_text {
        return Err(bad);
    }
    let text = std::str::from_utf8(size).map_err(|_| bad)?;
    u64::from_str_radix(text, 16).map_err(|_| bad)
}
