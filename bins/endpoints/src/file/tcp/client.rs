//! The client: sends the file, ends the stream, and checks the server's line.

use super::PIECE;
use crate::connection::{Broken, Connection};
use crate::ending::Ending;
use crate::protocol::storage::Source;
use anyhow::Context;
use jostle_common::clock::Clock;
use jostle_common::digest::{Digest, Hasher};
use jostle_common::time::Instant;
use jostle_console::stop::Stop;
use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

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

/// Sends a file, and waits for the server's line. `each_piece` is told how many bytes were given to
/// the connection.
///
/// # Errors
/// When the file is empty, which over TCP looks like a port probe, or when the system refuses to
/// wait for events. A file that does not arrive is an [`Ending`].
pub fn send<F: Source>(
    settings: &SendSettings,
    source: &mut F,
    stop: &Stop,
    mut each_piece: impl FnMut(u64),
) -> anyhow::Result<Sent> {
    anyhow::ensure!(
        source.size() > 0,
        "an empty file cannot be sent over TCP: the stream is the bare file"
    );
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
    let result =
        Connection::connect(&settings.server, settings.patience, stop, clock, &mut sent.server)
            .and_then(|mut connection| {
                transfer(&mut connection, source, &mut sent, &mut each_piece)
            });
    sent.elapsed = clock.now().since(Instant::START);
    sent.ending = match result {
        Ok(()) => Ending::Done,
        Err(Broken::Stopped) => Ending::Stopped,
        Err(Broken::Failed(reason)) => Ending::Failed(reason),
    };
    Ok(sent)
}

fn transfer<F: Source>(
    connection: &mut Connection<'_>,
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
        let written = connection.write_all(piece, |bytes| {
            sent.bytes += bytes as u64;
            each_piece(sent.bytes);
        });
        written.map_err(|broken| {
            broken.context(|| format!("the connection broke after {} bytes", sent.bytes))
        })?;
    }
    sent.digest = hasher.finish();
    connection.end()?;
    let line = read_line(connection)
        .map_err(|broken| broken.context(|| "no answer from the server".to_owned()))?;
    let answer = parse(&line).ok_or_else(|| {
        Broken::Failed("the server did not say that it stored the file".to_owned())
    })?;
    let is_equal = answer.size == sent.size && answer.digest == sent.digest.to_string();
    sent.answer = Some(answer);
    if is_equal {
        Ok(())
    } else {
        Err(Broken::Failed("the server stored something else than was sent".to_owned()))
    }
}

fn read_line(connection: &mut Connection<'_>) -> Result<Vec<u8>, Broken> {
    let mut line = Vec::new();
    let mut buffer = [0; LINE_MAX];
    while line.len() < LINE_MAX && !line.contains(&b'\n') {
        let length = connection.drive(|stream| stream.read(&mut buffer))?;
        if length == 0 {
            break;
        }
        line.extend_from_slice(&buffer[..length]);
    }
    Ok(line)
}

/// Reads `NAME SIZE SHA256`; a name may contain spaces.
fn parse(line: &[u8]) -> Option<Answer> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (rest, digest) = line.rsplit_once(' ')?;
    let (name, size) = rest.rsplit_once(' ')?;
    let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    let answer = Answer {
        name: name.to_owned(),
        size: size.parse().ok()?,
        digest: digest.to_ascii_lowercase(),
    };
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
