//! The client: what is typed goes out, what comes back is recognised, over either transport.

use super::{EchoInput, Given};
use crate::datagrams::{self, Watcher};
use crate::ending::Ending;
use crate::protocol::echo::{EchoClient, EchoClientSettings, EchoEvent, EchoReport, EchoStream};
use crate::streams::Connection;
use crate::way::Way;
use anyhow::Context as _;
use jostle_common::clock::Clock;
use jostle_common::transport::Transport;
use jostle_console::stop::Stop;
use mio::event::Source;
use std::net::SocketAddr;
use std::time::Duration;

/// Over TCP: the time that the server may take to let us in, or to read what we write.
const PATIENCE: Duration = Duration::from_secs(30);

/// The settings for talking to an echo server.
#[derive(Clone, Debug)]
pub struct EchoSettings {
    /// The way to the server.
    pub server: Way,
    /// The transport.
    pub over: Transport,
    /// The time for which missing answers are waited for at the end.
    pub linger: Duration,
}

impl EchoSettings {
    /// Returns the defaults for a server. A stream brings every answer, if late: lost segments cost
    /// it up to some seconds.
    pub fn new(server: impl Into<Way>, over: Transport) -> Self {
        let linger = match over {
            Transport::Tcp => Duration::from_secs(30),
            Transport::Udp => EchoClientSettings::LINGER,
        };
        Self { server: server.into(), over, linger }
    }
}

/// An event of the conversation.
#[derive(Clone, Copy, Debug)]
pub enum EchoNotice<'a> {
    /// An answer came.
    Answer(&'a EchoEvent),
    /// A line was too long for a message, and was not sent.
    TooLong,
}

/// The result of the conversation.
#[derive(Clone, Debug)]
pub struct EchoTalked {
    /// The address that was talked to, or the last that was tried.
    pub server: SocketAddr,
    /// The counts.
    pub report: EchoReport,
    /// The ending: done means that something came back, or nothing was sent.
    pub ending: Ending,
}

/// Sends each message of `input`, and tells `told` of each answer.
///
/// # Errors
/// When there is no way to the server, or the system refuses to wait for events. Silence is an
/// [`Ending`].
pub fn talk(
    settings: &EchoSettings,
    mut input: EchoInput,
    stop: &Stop,
    mut told: impl FnMut(EchoNotice<'_>),
) -> anyhow::Result<EchoTalked> {
    let server = *settings.server.first().context("no address to talk to")?;
    let client = EchoClient::new(EchoClientSettings { server, linger: settings.linger });
    match settings.over {
        Transport::Udp => over_udp(settings, client, input, stop, &mut told),
        Transport::Tcp => over_tcp(settings, client, &mut input, stop, &mut told),
    }
}

fn over_udp(
    settings: &EchoSettings,
    client: EchoClient,
    input: EchoInput,
    stop: &Stop,
    told: &mut impl FnMut(EchoNotice<'_>),
) -> anyhow::Result<EchoTalked> {
    let watcher = EchoWatcher { input, told };
    let talk = datagrams::talk(&settings.server, client, stop, watcher)?;
    let (server, (report, outcome)) = (talk.server, talk.client.into_parts());
    Ok(EchoTalked { server, report, ending: Ending::of(outcome) })
}

fn over_tcp(
    settings: &EchoSettings,
    client: EchoClient,
    input: &mut EchoInput,
    stop: &Stop,
    told: &mut impl FnMut(EchoNotice<'_>),
) -> anyhow::Result<EchoTalked> {
    let servers = &settings.server;
    let mut server = *servers.first().context("no address to talk to")?;
    let (clock, patience) = (Clock::start(), Some(PATIENCE));
    let mut stream = EchoStream::new(client);
    let broken = match Connection::open(servers, PATIENCE, patience, stop, clock, &mut server) {
        Ok(mut connection) => {
            connection.watch(input.source())?;
            connection.drive(&mut stream, |_, stream| {
                exchange(stream.client(), input, told);
                None
            })?;
            let broken = stream.broken().or_else(|| {
                connection.is_cut_short().then_some("the server closed the connection")
            });
            broken.map(|reason| Ending::Failed(reason.to_owned()))
        }
        Err(ending) => Some(ending),
    };
    let (report, outcome) = stream.into_client().into_parts();
    Ok(EchoTalked { server, report, ending: broken.unwrap_or_else(|| Ending::of(outcome)) })
}

/// Watches a client over UDP.
struct EchoWatcher<'a, T> {
    input: EchoInput,
    told: &'a mut T,
}

impl<T: FnMut(EchoNotice<'_>)> Watcher<EchoClient> for EchoWatcher<'_, T> {
    fn watch(&mut self, _server: SocketAddr, client: &mut EchoClient) {
        exchange(client, &mut self.input, self.told);
    }

    fn source(&mut self) -> Option<&mut dyn Source> {
        Some(self.input.source())
    }
}

/// Gives the client what it wants of the input, and tells of the answers.
fn exchange(client: &mut EchoClient, input: &mut EchoInput, told: &mut impl FnMut(EchoNotice<'_>)) {
    while let Some(event) = client.next_event() {
        told(EchoNotice::Answer(&event));
    }
    while client.wants_message() {
        match input.next_given() {
            Given::Message(message) => client.push(message),
            Given::TooLong => told(EchoNotice::TooLong),
            Given::Nothing => return,
            Given::End => client.close(),
        }
    }
}
