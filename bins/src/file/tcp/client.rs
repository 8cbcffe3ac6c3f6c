//! The client: sends the file, ends the stream, and checks the server's line.

use super::PIECE;
use crate::ending::Ending;
use crate::stop::{Attached, Stop};
use anyhow::Context;
use jostle_common::clock::Clock;
use jostle_common::protocol::digest::{Digest, Hasher};
use jostle_common::protocol::storage::Source;
use jostle_common::time::Instant;
use jostle_common::units::format_duration;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

const SOCKET: Token = Token(0);
/// The longest line that is an answer: a name, a size and a digest.
const LINE_MAX: usize = 1024;

/// How a file is sent.
#[derive(Clone, Debug)]
pub struct SendSettings {
    /// The server's addresses; the next is tried when one cannot be connected to.
    pub server: Vec<SocketAddr>,
    /// After how long without any progress to give up.
    pub patience: Duration,
}

impl SendSettings {
    /// The defaults for a server.
    pub const fn new(server: Vec<SocketAddr>) -> Self {
        Self { server, patience: Duration::from_secs(60) }
    }
}

/// What the server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The name that the server gave the file; not to be printed without escaping.
    pub name: String,
    /// How many bytes it stored.
    pub size: u64,
    /// The digest of what it stored, in hex digits.
    pub digest: String,
}

/// What was sent, and what came of it.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The address that was connected to, or the last that was tried.
    pub server: SocketAddr,
    /// The bytes given to the connection.
    pub bytes: u64,
    /// The size of the file in bytes.
    pub size: u64,
    /// The digest of what was sent.
    pub digest: Digest,
    /// The server's line, if it came.
    pub answer: Option<Answer>,
    /// From the first attempt to connect until the server's line.
    pub elapsed: Duration,
    /// How it ended: done means that the server stored what was sent.
    pub ending: Ending,
}

/// Why a connection came to nothing.
enum Broken {
    Stopped,
    Failed(String),
}

/// A connection, and where it stands.
struct Connection<'a> {
    stream: TcpStream,
    poll: Poll,
    events: Events,
    server: SocketAddr,
    stop: &'a Stop,
    _attached: Attached,
    clock: Clock,
    patience: Duration,
    /// When something last moved.
    moved: Instant,
}

/// Sends a file, and waits for the server's line. `each_piece` is told how many bytes were given to the connection.
///
/// # Errors
/// When the file is empty, which over TCP looks like a port probe, or when the system refuses to wait for events. A file that does
/// not arrive is an [`Ending`].
pub fn send<F: Source>(
    settings: &SendSettings,
    source: &mut F,
    stop: &Stop,
    mut each_piece: impl FnMut(u64),
) -> anyhow::Result<Sent> {
    anyhow::ensure!(source.size() > 0, "an empty file cannot be sent over TCP: the stream is the bare file");
    let clock = Clock::start();
    let mut sent = Sent {
        server: *settings.server.first().context("no address to send to")?,
        bytes: 0,
        size: source.size(),
        digest: source.digest(),
        answer: None,
        elapsed: Duration::ZERO,
        ending: Ending::Stopped,
    };
    let result = connect(settings, stop, clock, &mut sent.server)
        .and_then(|mut connection| connection.transfer(source, &mut sent, &mut each_piece));
    sent.elapsed = clock.now().since(Instant::START);
    sent.ending = match result {
        Ok(()) => Ending::Done,
        Err(Broken::Stopped) => Ending::Stopped,
        Err(Broken::Failed(reason)) => Ending::Failed(reason),
    };
    Ok(sent)
}

/// Connects to the first address that lets us.
fn connect<'a>(
    settings: &SendSettings,
    stop: &'a Stop,
    clock: Clock,
    server: &mut SocketAddr,
) -> Result<Connection<'a>, Broken> {
    let mut last = Broken::Failed("no address to send to".to_owned());
    for address in &settings.server {
        *server = *address;
        let connection = Connection::open(*address, stop, clock, settings.patience);
        match connection.and_then(|mut connection| connection.established().map(|()| connection)) {
            Ok(connection) => return Ok(connection),
            Err(Broken::Stopped) => return Err(Broken::Stopped),
            Err(broken) => last = broken,
        }
    }
    Err(last)
}

impl<'a> Connection<'a> {
    fn open(server: SocketAddr, stop: &'a Stop, clock: Clock, patience: Duration) -> Result<Self, Broken> {
        let failed = |error: io::Error| Broken::Failed(format!("cannot connect to tcp://{server}: {error}"));
        let mut stream = TcpStream::connect(server).map_err(failed)?;
        let poll = Poll::new().map_err(failed)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, SOCKET, interest).map_err(failed)?;
        let attached = stop.attach(&poll).map_err(failed)?;
        let (events, moved) = (Events::with_capacity(8), clock.now());
        Ok(Self { stream, poll, events, server, stop, _attached: attached, clock, patience, moved })
    }

    /// Waits until the connection stands.
    fn established(&mut self) -> Result<(), Broken> {
        let server = self.server;
        self.drive(|stream| match stream.take_error()? {
            Some(error) => Err(error),
            // Not connected yet: wait for the next event.
            None => stream.peer_addr().map(drop).map_err(|_| io::ErrorKind::WouldBlock.into()),
        })
        .map_err(|broken| match broken {
            Broken::Failed(reason) => Broken::Failed(format!("cannot connect to tcp://{server}: {reason}")),
            Broken::Stopped => Broken::Stopped,
        })
    }

    fn transfer<F: Source>(
        &mut self,
        source: &mut F,
        sent: &mut Sent,
        each_piece: &mut impl FnMut(u64),
    ) -> Result<(), Broken> {
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; PIECE];
        while sent.bytes < sent.size {
            let length = (sent.size - sent.bytes).min(PIECE as u64) as usize;
            let piece = &mut buffer[..length];
            source
                .read_at(sent.bytes, piece)
                .map_err(|error| Broken::Failed(format!("cannot read the file: {error}")))?;
            hasher.update(piece);
            self.write_all(piece, sent, each_piece)?;
        }
        sent.digest = hasher.finish();
        let named = |error: io::Error| Broken::Failed(format!("cannot end the stream: {error}"));
        self.stream.shutdown(Shutdown::Write).map_err(named)?;
        let line = self.read_line()?;
        let answer = parse(&line)
            .ok_or_else(|| Broken::Failed("the server did not say that it stored the file".to_owned()))?;
        let is_equal = answer.size == sent.size && answer.digest == sent.digest.to_string();
        sent.answer = Some(answer);
        if is_equal {
            Ok(())
        } else {
            Err(Broken::Failed("the server stored something else than was sent".to_owned()))
        }
    }

    fn write_all(
        &mut self,
        mut piece: &[u8],
        sent: &mut Sent,
        each_piece: &mut impl FnMut(u64),
    ) -> Result<(), Broken> {
        while !piece.is_empty() {
            let written = self.drive(|stream| stream.write(piece)).map_err(|broken| match broken {
                Broken::Failed(reason) => {
                    Broken::Failed(format!("the connection broke after {} bytes: {reason}", sent.bytes))
                }
                Broken::Stopped => Broken::Stopped,
            })?;
            piece = &piece[written..];
            sent.bytes += written as u64;
            each_piece(sent.bytes);
        }
        Ok(())
    }

    fn read_line(&mut self) -> Result<Vec<u8>, Broken> {
        let mut line = Vec::new();
        let mut buffer = [0; LINE_MAX];
        while line.len() < LINE_MAX && !line.contains(&b'\n') {
            let length = self.drive(|stream| stream.read(&mut buffer)).map_err(|broken| match broken {
                Broken::Failed(reason) => Broken::Failed(format!("no answer from the server: {reason}")),
                Broken::Stopped => Broken::Stopped,
            })?;
            if length == 0 {
                break;
            }
            line.extend_from_slice(&buffer[..length]);
        }
        Ok(line)
    }

    /// Repeats `act` until the socket is ready for it, the user stops it, or nothing has moved for too long.
    fn drive<T>(&mut self, mut act: impl FnMut(&mut TcpStream) -> io::Result<T>) -> Result<T, Broken> {
        let failed = |error: io::Error| Broken::Failed(error.to_string());
        loop {
            if self.stop.is_requested() {
                return Err(Broken::Stopped);
            }
            match act(&mut self.stream) {
                Ok(value) => {
                    self.moved = self.clock.now();
                    return Ok(value);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(failed(error)),
            }
            let left = (self.moved + self.patience).since(self.clock.now());
            if left.is_zero() {
                return Err(Broken::Failed(format!("nothing moved for {}", format_duration(self.patience))));
            }
            match self.poll.poll(&mut self.events, Some(left)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(failed(error)),
                _ => {}
            }
        }
    }
}

/// Reads `NAME SIZE SHA256`; a name may contain spaces.
fn parse(line: &[u8]) -> Option<Answer> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (rest, digest) = line.rsplit_once(' ')?;
    let (name, size) = rest.rsplit_once(' ')?;
    let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    let answer =
        Answer { name: name.to_owned(), size: size.parse().ok()?, digest: digest.to_ascii_lowercase() };
    is_digest.then_some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_name_a_size_and_a_digest() {
        let digest = Digest::of(b"").to_string();
        let line = format!("my song.mp3 12 {digest}\n");
        assert_eq!(
            parse(line.as_bytes()),
            Some(Answer { name: "my song.mp3".to_owned(), size: 12, digest: digest.clone() })
        );
        for wrong in [
            "",
            "\n",
            "x 1\n",
            &format!("x 1 {digest}"),
            &format!("x y {digest}\n"),
            "x 1 abc\n",
            "x 1 \u{fc}\n",
        ] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(parse(b"\xff 1 2\n"), None);
    }
}
