//! The client: connects, and sends what its input gives until all is acknowledged.

use super::input::{Input, InputEntry};
use crate::ending::Ending;
use crate::protocol::messages::{
    Acknowledged, MESSAGE_BYTES_MAX, MessagesClient, MessagesClientSettings, MessagesReport,
};
use crate::streams::Connection;
use crate::way::Way;
use anyhow::Context as _;
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_console::stop::Stop;
use std::net::SocketAddr;
use std::time::Duration;

/// The time without a first reply after which the user is told.
const REMARK: Duration = Duration::from_secs(2);
/// The time that one address may take to accept the connection before the next is tried.
const CONNECT: Duration = Duration::from_secs(10);

/// The settings for sending messages.
#[derive(Clone, Debug)]
pub struct MessagesSettings {
    /// The way to the server.
    pub server: Way,
    /// Timeouts and patience.
    pub protocol: MessagesClientSettings,
}

impl MessagesSettings {
    /// Returns the defaults for a server.
    pub fn new(server: impl Into<Way>) -> Self {
        Self { server: server.into(), protocol: MessagesClientSettings::default() }
    }
}

/// An event while messages are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The connection stands.
    Connected(SocketAddr),
    /// The first message has had no reply for a while: the server may be full.
    Waiting,
    /// A message is acknowledged.
    Acknowledged(Acknowledged),
}

/// The result of sending messages.
#[derive(Clone, Debug)]
pub struct MessagesSent {
    /// The address that was connected to, or the last that was tried.
    pub server: SocketAddr,
    /// The counts.
    pub report: MessagesReport,
    /// The ending: done means that every message was acknowledged.
    pub ending: Ending,
}

/// Sends every message of `input`, in order; `tell` hears of each that is acknowledged.
///
/// # Errors
/// When the system refuses to wait for events. A message that is not acknowledged is an [`Ending`].
pub fn send(
    settings: &MessagesSettings,
    mut input: Input,
    stop: &Stop,
    mut tell: impl FnMut(Notice),
) -> anyhow::Result<MessagesSent> {
    let mut server = *settings.server.first().context("no address to send to")?;
    let (clock, patience) = (Clock::start(), settings.protocol.patience);
    let opened = Connection::open(&settings.server, CONNECT, patience, stop, clock, &mut server);
    let mut connection = match opened {
        Ok(connection) => connection,
        Err(ending) => {
            return Ok(MessagesSent { server, report: MessagesReport::default(), ending });
        }
    };
    tell(Notice::Connected(server));
    input.watch(&connection)?;
    let mut client = MessagesClient::new(settings.protocol);
    let mut feed = Feed { input, remark: Some(REMARK), broken: None };
    connection.drive(&mut client, |now, client| feed.step(now, client, &mut tell))?;
    let ending = match (Ending::of(client.outcome().copied()), feed.broken) {
        (Ending::Done, Some(broken)) => Ending::Failed(broken),
        (ending, _) => ending,
    };
    let mut report = client.report().clone();
    if report.started.is_some() {
        // A client does not learn that it was stopped.
        report.ended.get_or_insert_with(|| clock.now());
    }
    Ok(MessagesSent { server, report, ending })
}

/// The input of a client, and the listener for its events.
struct Feed {
    input: Input,
    /// The time after which to tell that no reply came; `None` when that is told or one came.
    remark: Option<Duration>,
    /// The fault of the input.
    broken: Option<String>,
}

impl Feed {
    /// Tells what happened and hands the client more messages. Returns the latest time to come
    /// again.
    fn step(
        &mut self,
        now: Instant,
        client: &mut MessagesClient,
        tell: &mut impl FnMut(Notice),
    ) -> Option<Instant> {
        if let Some(acknowledged) = client.take_acknowledged() {
            tell(Notice::Acknowledged(acknowledged));
        }
        self.take_input(client);
        let remark_at = self.remark_at(client)?;
        if remark_at > now {
            return Some(remark_at);
        }
        self.remark = None;
        tell(Notice::Waiting);
        None
    }

    /// Hands the client as many messages as it has room for.
    fn take_input(&mut self, client: &mut MessagesClient) {
        while client.has_room() {
            match self.input.next_entry() {
                InputEntry::Message(message) => client.push(message),
                InputEntry::Waits => return,
                InputEntry::End => client.close(),
                InputEntry::TooLong(line) => {
                    self.broken = Some(format!(
                        "a message on line {line} is too long; the messages before it were sent. \
                         A message has at most {MESSAGE_BYTES_MAX} bytes"
                    ));
                    client.close();
                }
            }
        }
    }

    fn remark_at(&self, client: &MessagesClient) -> Option<Instant> {
        let remark = self.remark.filter(|_| !client.has_heard())?;
        client.report().started.map(|started| started + remark)
    }
}
