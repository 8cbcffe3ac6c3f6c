//! The client: what is typed goes out, what comes back is recognised, over either transport.

use super::{Given, Input};
use crate::connection::{Broken, Connection};
use crate::datagrams::Driver;
use crate::ending::Ending;
use crate::protocol::Endpoint as _;
use crate::protocol::echo::{Client, ClientSettings, Event, Failure, MESSAGE_BYTES_MAX, Report};
use crate::protocol::lines::{Lines, Overlong};
use jostle_common::clock::Clock;
use jostle_common::transport::Transport;
use jostle_console::stop::Stop;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

/// How much is read at once, and waits to be written at the most.
const PIECE: usize = 16 * 1024;
/// Over TCP: how long the server may take to let us in, or to read what we write.
const PATIENCE: Duration = Duration::from_secs(30);

/// How one talks to an echo server.
#[derive(Clone, Debug)]
pub struct TalkSettings {
    /// The server's addresses; the next is tried when nobody listens at one.
    pub server: Vec<SocketAddr>,
    /// The transport.
    pub over: Transport,
    /// How long answers that are missing are waited for at the end.
    pub linger: Duration,
}

impl TalkSettings {
    /// The defaults for a server. A stream brings every answer, if late: lost segments cost it up
    /// to some seconds.
    pub const fn new(server: Vec<SocketAddr>, over: Transport) -> Self {
        let linger = match over {
            Transport::Tcp => Duration::from_secs(30),
            Transport::Udp => ClientSettings::LINGER,
        };
        Self { server, over, linger }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Told<'a> {
    /// An answer came.
    Answer(&'a Event),
    /// A line was too long for a message, and was not sent.
    TooLong,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Talked {
    /// The address that was talked to, or the last that was tried.
    pub server: SocketAddr,
    /// The counts.
    pub report: Report,
    /// How it ended: done means that something came back, or nothing was sent.
    pub ending: Ending,
}

/// Sends each message of `input`, and tells `told` of each answer.
///
/// # Errors
/// When there is no way to the server, or the system refuses to wait for events. Silence is an
/// [`Ending`].
pub fn talk(
    settings: &TalkSettings,
    mut input: Input,
    stop: &Stop,
    mut told: impl FnMut(Told<'_>),
) -> anyhow::Result<Talked> {
    let mut server =
        *settings.server.first().ok_or_else(|| anyhow::anyhow!("no address to talk to"))?;
    let begin = |server| Client::new(ClientSettings { server, linger: settings.linger });
    let (client, broken) = match settings.over {
        Transport::Udp => {
            let mut client = begin(server);
            let mut others = settings.server.iter().skip(1);
            loop {
                let run = over_udp(server, &mut client, &mut input, stop, &mut told);
                let is_unreachable = run.is_err() || client.is_refused();
                match others.next().filter(|_| is_unreachable) {
                    Some(next) => (server, client) = (*next, client.redirected(*next)),
                    None => {
                        run?;
                        break (client, None);
                    }
                }
            }
        }
        Transport::Tcp => {
            let clock = Clock::start();
            match Connection::connect(&settings.server, PATIENCE, stop, clock, &mut server) {
                Err(broken) => (begin(server), Some(broken)),
                Ok(mut connection) => {
                    let mut client = begin(server);
                    let run = over_tcp(
                        &mut connection,
                        clock,
                        server,
                        &mut client,
                        &mut input,
                        &mut told,
                    );
                    (client, run.err())
                }
            }
        }
    };
    let (report, outcome) = client.into_parts();
    let ending = match (broken, outcome) {
        (Some(Broken::Failed(reason)), _) => Ending::Failed(reason),
        (None, Some(Ok(()))) => Ending::Done,
        (None, Some(Err(failure @ (Failure::Refused(_) | Failure::Silence { .. })))) => {
            Ending::Failed(failure.to_string())
        }
        (Some(Broken::Stopped), _) | (None, None) => Ending::Stopped,
    };
    Ok(Talked { server, report, ending })
}

fn over_udp(
    server: SocketAddr,
    client: &mut Client,
    input: &mut Input,
    stop: &Stop,
    told: &mut impl FnMut(Told<'_>),
) -> io::Result<()> {
    let mut driver = Driver::connect(server)?;
    driver.watch(input.source())?;
    driver.run(client, stop, &Clock::start(), |client| {
        take(client, input, told);
        tell(client, told);
    })?;
    driver.release(input.source())
}

fn over_tcp(
    connection: &mut Connection<'_>,
    clock: Clock,
    server: SocketAddr,
    client: &mut Client,
    input: &mut Input,
    told: &mut impl FnMut(Told<'_>),
) -> Result<(), Broken> {
    connection.watch(input.source())?;
    let mut lines = Lines::new(MESSAGE_BYTES_MAX + 1, Overlong::Cut);
    let (mut waiting, mut buffer) = (Vec::new(), vec![0; PIECE]);
    let mut has_ended = false;
    loop {
        take(client, input, told);
        while waiting.len() < PIECE
            && let Some(message) = client.poll(clock.now())
        {
            waiting.extend_from_slice(&message.payload);
            waiting.push(b'\n');
            take(client, input, told);
        }
        if client.is_finished() {
            return Ok(());
        }
        let written = match waiting.is_empty() {
            true => None,
            false => connection.attempt(|stream| stream.write(&waiting))?,
        };
        waiting.drain(..written.unwrap_or(0));
        if client.has_said_all() && waiting.is_empty() && !has_ended {
            connection.end()?;
            has_ended = true;
        }
        let read = connection.attempt(|stream| stream.read(&mut buffer))?;
        let now = clock.now();
        match read {
            Some(0) => {
                if let Some(rest) = lines.finish() {
                    client.handle(now, server, &rest);
                }
                client.end();
            }
            Some(length) => lines.push(&buffer[..length], |line| {
                client.handle(now, server, line.text().unwrap_or_default());
            }),
            None => {}
        }
        tell(client, told);
        if read == Some(0) {
            let is_early = !client.has_said_all() || !waiting.is_empty();
            let closed = || Broken::Failed("the server closed the connection".to_owned());
            return if is_early { Err(closed()) } else { Ok(()) };
        }
        if written.is_none() && read.is_none() {
            // A server that does not read is the only thing to wait for, and not for ever.
            let is_blocked = !waiting.is_empty();
            if is_blocked && connection.is_silent() {
                return Err(connection.silence());
            }
            connection.wait(if is_blocked {
                Some(connection.patient_until())
            } else {
                client.deadline()
            })?;
        }
    }
}

/// Gives the client what it wants of the input.
fn take(client: &mut Client, input: &mut Input, told: &mut impl FnMut(Told<'_>)) {
    while client.wants_message() {
        match input.next_given() {
            Given::Message(message) => client.push(message),
            Given::TooLong => told(Told::TooLong),
            Given::Nothing => return,
            Given::End => client.close(),
        }
    }
}

fn tell(client: &mut Client, told: &mut impl FnMut(Told<'_>)) {
    while let Some(event) = client.next_event() {
        told(Told::Answer(&event));
    }
}
