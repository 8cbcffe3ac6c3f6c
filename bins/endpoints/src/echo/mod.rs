//! Echo over TCP and UDP, on real sockets.
//!
//! ```
//! use jostle_endpoints::echo::{self, EchoInput};
//! use jostle_common::transport::Transport;
//! use jostle_console::stop::Stop;
//! use std::io::Write;
//!
//! for over in Transport::ALL {
//!     let settings = echo::EchoServerSettings::default();
//!     let server = echo::EchoServer::bind("127.0.0.1:0".parse()?, over, settings)?;
//!     let address = server.address();
//!     let stop = Stop::new();
//!     let stopped = stop.clone();
//!     let serving = std::thread::spawn(move || server.run(&stopped, |_, _| {}));
//!     let (mut sender, receiver) = mio::unix::pipe::new()?;
//!     sender.write_all(b"hello\nworld\n")?;
//!     drop(sender);
//!     let settings = echo::EchoSettings::new(vec![address], over);
//!     let talked = echo::talk(&settings, EchoInput::new(receiver), &Stop::new(), |_| {})?;
//!     assert_eq!((talked.report.sent, talked.report.intact), (2, 2));
//!     stop.request();
//!     assert_eq!(serving.join().unwrap()?.messages, 2);
//! }
//! # anyhow::Ok(())
//! ```

mod client;
pub mod command;
mod input;

pub use client::{EchoNotice, EchoSettings, EchoTalked, talk};
pub use input::{EchoInput, Given};

use crate::datagrams::DatagramServer;
use crate::protocol::echo::EchoService;
use crate::protocol::line_server::LineServer;
use crate::protocol::reflector::{Reflector, ReflectorSettings};
use crate::streams::{StreamServer, StreamServerSettings};
use jostle_common::transport::Transport;
use jostle_console::stop::Stop;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::Duration;

/// With `once` over UDP: the silence after which the client is taken to be done; it says no
/// goodbye.
const ONCE_SILENCE: Duration = Duration::from_secs(2);

/// The settings of an [`EchoServer`].
#[derive(Clone, Copy, Debug)]
pub struct EchoServerSettings {
    /// Over TCP: the number of clients that may be connected at once; further ones wait.
    pub clients_max: usize,
    /// Over TCP: the silence after which a connection is closed.
    pub idle: Duration,
    /// True if it ends after one client.
    pub once: bool,
}

impl Default for EchoServerSettings {
    fn default() -> Self {
        Self { clients_max: 1000, idle: Duration::from_secs(600), once: false }
    }
}

/// The totals of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EchoServerReport {
    /// Messages answered.
    pub messages: u64,
    /// Over TCP: connections that were taken.
    pub connections: u64,
    /// Over TCP: connections that had long been silent and gave their place to another.
    pub yielded: u64,
    /// Over UDP: datagrams that were not answered, because they came from the port of another
    /// service, or too many at once.
    pub unanswered: u64,
}

/// A server with its socket.
#[derive(Debug)]
pub struct EchoServer {
    settings: EchoServerSettings,
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    Tcp(StreamServer),
    Udp(Box<DatagramServer<Reflector>>),
}

impl EchoServer {
    /// Listens on `listen`; port 0 lets the system pick one.
    ///
    /// # Errors
    /// When the address cannot be taken.
    pub fn bind(
        listen: SocketAddr,
        over: Transport,
        settings: EchoServerSettings,
    ) -> io::Result<Self> {
        let EchoServerSettings { clients_max, idle, once } = settings;
        let socket = match over {
            Transport::Tcp => {
                let clients_max = if once { 1 } else { clients_max };
                let listening =
                    StreamServerSettings { clients_max, patience: Some(idle), yields: !once };
                Socket::Tcp(StreamServer::bind(listen, listening)?)
            }
            Transport::Udp => {
                let once = once.then_some(ONCE_SILENCE);
                Socket::Udp(Box::new(DatagramServer::bind(listen, |address| {
                    Reflector::new(ReflectorSettings { port: address.port(), once, tell: true })
                })?))
            }
        };
        Ok(Self { settings, socket })
    }

    /// Returns the address that it listens on.
    pub const fn address(&self) -> SocketAddr {
        match &self.socket {
            Socket::Tcp(server) => server.address(),
            Socket::Udp(server) => server.address(),
        }
    }

    /// Answers until `stop` is requested, or until one client has gone when it was set so. `told`
    /// sees each message, which may be anything.
    ///
    /// # Errors
    /// When the system refuses to wait for events.
    pub fn run(
        self,
        stop: &Stop,
        mut told: impl FnMut(SocketAddr, &[u8]),
    ) -> io::Result<EchoServerReport> {
        let EchoServerSettings { idle, once, .. } = self.settings;
        match self.socket {
            Socket::Tcp(server) => {
                let mut report = EchoServerReport::default();
                let open = |now| LineServer::new(EchoService::default(), now, idle);
                let served = server.run(stop, open, |visit| {
                    for message in visit.endpoint.service().take_messages() {
                        report.messages += 1;
                        told(visit.peer, &message);
                    }
                    report.connections += u64::from(visit.is_over);
                    if once && visit.is_over {
                        return ControlFlow::Break(());
                    }
                    ControlFlow::Continue(())
                })?;
                Ok(EchoServerReport { yielded: served.yielded, ..report })
            }
            Socket::Udp(server) => {
                let machine = server.run(stop, |machine| {
                    while let Some(message) = machine.next_message() {
                        told(message.from, &message.payload);
                    }
                })?;
                let report = machine.report();
                let unanswered = report.refused + report.circling + report.unanswered;
                let messages = report.answered;
                Ok(EchoServerReport { messages, unanswered, ..EchoServerReport::default() })
            }
        }
    }
}
