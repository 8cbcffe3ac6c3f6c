//! The client: connects, and sends what its input gives until all is acknowledged.

use super::input::{Entry, Input};
use crate::ending::Ending;
use crate::protocol::messages::{Acknowledged, Client, ClientSettings, Report};
use crate::streams::{Conversation, PIECE, Step, TURN};
use anyhow::Context;
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_console::stop::Stop;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

const SOCKET: Token = Token(0);
const INPUT: Token = Token(1);
/// After how long without a first reply the user is told.
const REMARK: Duration = Duration::from_secs(2);
/// How long one address may take to accept the connection before the next is tried.
const CONNECT: Duration = Duration::from_secs(10);

/// How messages are sent.
#[derive(Clone, Debug)]
pub struct SendSettings {
    /// The server's addresses; the next is tried when one cannot be connected to.
    pub server: Vec<SocketAddr>,
    /// Timeouts and patience.
    pub protocol: ClientSettings,
}

impl SendSettings {
    /// The defaults for a server.
    pub fn new(server: Vec<SocketAddr>) -> Self {
        Self { server, protocol: ClientSettings::default() }
    }
}

/// What is told while messages are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The connection stands.
    Connected(SocketAddr),
    /// The first message has had no reply for a while: the server may be full.
    Waiting,
    /// A message is acknowledged.
    Acknowledged(Acknowledged),
}

/// What was sent, and what came of it.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The address that was connected to, or the last that was tried.
    pub server: SocketAddr,
    /// The counts.
    pub report: Report,
    /// How it ended: done means that every message was acknowledged.
    pub ending: Ending,
}

/// Sends every message of `input`, in order; `tell` hears of each that is acknowledged.
///
/// # Errors
/// When the system refuses to wait for events. A message that is not acknowledged is an [`Ending`].
pub fn send(
    settings: &SendSettings,
    input: Input,
    stop: &Stop,
    mut tell: impl FnMut(Notice),
) -> anyhow::Result<Sent> {
    let mut poll = Poll::new()?;
    let _attached = stop.attach(&poll)?;
    let clock = Clock::start();
    let mut server = *settings.server.first().context("no address to send to")?;
    let mut last = Ending::Stopped;
    for address in &settings.server {
        server = *address;
        match connect(server, &mut poll, stop, &clock) {
            Ok(stream) => {
                tell(Notice::Connected(server));
                let client = Client::new(settings.protocol);
                let patience = settings.protocol.patience;
                let conversation = Conversation::new(clock.now(), stream, client, patience);
                let mut sending =
                    Sending { poll, conversation, input, remark: Some(REMARK), broken: None };
                sending.run(stop, &clock, &mut tell)?;
                return Ok(sending.finish(server, clock.now()));
            }
            Err(ending) => last = ending,
        }
        if stop.is_requested() {
            break;
        }
    }
    Ok(Sent { server, report: Report::default(), ending: last })
}

/// Waits until a connection stands, or says why it does not.
fn connect(
    server: SocketAddr,
    poll: &mut Poll,
    stop: &Stop,
    clock: &Clock,
) -> Result<TcpStream, Ending> {
    let failed =
        |error: io::Error| Ending::Failed(format!("cannot connect to tcp://{server}: {error}"));
    let mut stream = TcpStream::connect(server).map_err(failed)?;
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut stream, SOCKET, interest).map_err(failed)?;
    let mut events = Events::with_capacity(8);
    let until = clock.now() + CONNECT;
    loop {
        if stop.is_requested() {
            return Err(Ending::Stopped);
        }
        if let Some(error) = stream.take_error().map_err(failed)? {
            return Err(failed(error));
        }
        if stream.peer_addr().is_ok() {
            return Ok(stream);
        }
        let left = until.since(clock.now());
        if left.is_zero() {
            return Err(failed(io::ErrorKind::TimedOut.into()));
        }
        match poll.poll(&mut events, Some(left)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(failed(error)),
            _ => {}
        }
    }
}

/// A connection on which messages are sent.
struct Sending {
    poll: Poll,
    conversation: Conversation<Client>,
    input: Input,
    /// After how long to tell that no reply came; `None` when that is told or one came.
    remark: Option<Duration>,
    /// What is wrong with the input.
    broken: Option<String>,
}

impl Sending {
    fn run(&mut self, stop: &Stop, clock: &Clock, tell: &mut impl FnMut(Notice)) -> io::Result<()> {
        self.input.register(self.poll.registry(), INPUT)?;
        let mut events = Events::with_capacity(8);
        let mut buffer = vec![0; PIECE];
        while !stop.is_requested() {
            self.take_input();
            if self.turn(clock.now(), &mut buffer, tell) == Step::Over {
                return Ok(());
            }
            let deadline = self.conversation.deadline().into_iter().chain(self.remark_at()).min();
            let wait = deadline.map(|deadline| deadline.since(clock.now()));
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            if events.iter().any(|event| event.token() == SOCKET) {
                self.conversation.ready();
            }
        }
        Ok(())
    }

    fn turn(&mut self, now: Instant, buffer: &mut [u8], tell: &mut impl FnMut(Notice)) -> Step {
        let mut step = Step::Moved;
        for _ in 0..TURN {
            step = self.conversation.step(now, buffer);
            if let Some(acknowledged) = self.conversation.endpoint().take_acknowledged() {
                tell(Notice::Acknowledged(acknowledged));
                self.take_input();
            }
            if step != Step::Moved {
                break;
            }
        }
        if self.remark_at().is_some_and(|at| at <= now) {
            self.remark = None;
            tell(Notice::Waiting);
        }
        step
    }

    /// Hands the client as many messages as it has room for.
    fn take_input(&mut self) {
        let client = self.conversation.endpoint();
        while client.has_room() {
            match self.input.next_entry() {
                Entry::Message(message) => client.push(message),
                Entry::Waits => return,
                Entry::End => client.close(),
                Entry::TooLong(line) => {
                    self.broken = Some(format!(
                        "a message on line {line} is too long; the messages before it were sent. A message has at most {} bytes",
                        crate::protocol::messages::MESSAGE_BYTES_MAX
                    ));
                    client.close();
                }
            }
        }
    }

    fn remark_at(&mut self) -> Option<Instant> {
        let client = self.conversation.endpoint();
        let remark = self.remark.filter(|_| !client.has_heard())?;
        client.report().started.map(|started| started + remark)
    }

    fn finish(self, server: SocketAddr, now: Instant) -> Sent {
        let client = self.conversation.into_endpoint();
        let ending = match (client.outcome(), self.broken) {
            (None, _) => Ending::Stopped,
            (Some(Err(failure)), _) => Ending::Failed(failure.to_string()),
            (Some(Ok(())), Some(broken)) => Ending::Failed(broken),
            (Some(Ok(())), None) => Ending::Done,
        };
        let mut report = client.report().clone();
        if report.started.is_some() {
            // A client does not learn that it was stopped.
            report.ended.get_or_insert(now);
        }
        Sent { server, report, ending }
    }
}
