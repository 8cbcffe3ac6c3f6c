//! System 6, echo over TCP and UDP, on real sockets.
//!
//! ```
//! use jostle_endpoints::echo::{self, Input};
//! use jostle_common::transport::Transport;
//! use jostle_console::stop::Stop;
//! use std::io::Write;
//!
//! for over in Transport::ALL {
//!     let server = echo::Server::bind("127.0.0.1:0".parse()?, over, echo::ServerSettings::default())?;
//!     let address = server.address();
//!     let stop = Stop::new();
//!     let stopped = stop.clone();
//!     let serving = std::thread::spawn(move || server.run(&stopped, |_, _| {}));
//!     let (mut sender, receiver) = mio::unix::pipe::new()?;
//!     sender.write_all(b"hello\nworld\n")?;
//!     drop(sender);
//!     let talked = echo::talk(&echo::TalkSettings::new(vec![address], over), Input::new(receiver), &Stop::new(), |_| {})?;
//!     assert_eq!((talked.report.sent, talked.report.intact), (2, 2));
//!     stop.request();
//!     assert_eq!(serving.join().unwrap()?.messages, 2);
//! }
//! # anyhow::Ok(())
//! ```

mod client;
pub mod command;
mod input;

pub use client::{TalkSettings, Talked, Told, talk};
pub use input::{Given, Input};

use crate::datagrams::Driver;
use crate::lines;
use crate::protocol::echo::MESSAGE_BYTES_MAX;
use crate::protocol::lines::{Line, Overlong};
use crate::protocol::reflector::{Reflector, ReflectorSettings};
use jostle_common::clock::Clock;
use jostle_common::transport::Transport;
use jostle_console::stop::Stop;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// With `once` over UDP: after how long a silence the client is taken to be done; it says no
/// goodbye.
const ONCE_SILENCE: Duration = Duration::from_secs(2);

/// How a [`Server`] serves.
#[derive(Clone, Copy, Debug)]
pub struct ServerSettings {
    /// Over TCP: how many clients may be connected at once; further ones wait.
    pub clients_max: usize,
    /// Over TCP: after how long a silence a connection is closed.
    pub idle: Duration,
    /// Whether it ends after one client.
    pub once: bool,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self { clients_max: 1000, idle: Duration::from_secs(600), once: false }
    }
}

/// What a server has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerReport {
    /// Messages answered.
    pub messages: u64,
    /// Over TCP: connections that were taken.
    pub connections: u64,
    /// Over UDP: datagrams that were not answered, because they came from the port of another
    /// service, or too many at once.
    pub unanswered: u64,
}

/// A server with its socket.
#[derive(Debug)]
pub struct Server {
    socket: Socket,
    address: SocketAddr,
}

#[derive(Debug)]
enum Socket {
    Tcp(lines::Server),
    Udp(Driver, Box<Reflector>),
}

impl Server {
    /// A server on `listen`; port 0 lets the system pick one.
    ///
    /// # Errors
    /// When the address cannot be taken.
    pub fn bind(listen: SocketAddr, over: Transport, settings: ServerSettings) -> io::Result<Self> {
        let ServerSettings { clients_max, idle, once } = settings;
        match over {
            Transport::Tcp => {
                let (line_bytes_max, overlong) = (MESSAGE_BYTES_MAX + 1, Overlong::Cut);
                let settings =
                    lines::ServerSettings { line_bytes_max, overlong, clients_max, idle, once };
                let server = lines::Server::bind(listen, settings)?;
                Ok(Self { address: server.address(), socket: Socket::Tcp(server) })
            }
            Transport::Udp => {
                let driver = Driver::bind(listen)?;
                let address = driver.address()?;
                let once = once.then_some(ONCE_SILENCE);
                let settings = ReflectorSettings { port: address.port(), once, tell: true };
                let machine = Box::new(Reflector::new(settings));
                Ok(Self { address, socket: Socket::Udp(driver, machine) })
            }
        }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
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
    ) -> io::Result<ServerReport> {
        match self.socket {
            Socket::Tcp(server) => {
                let totals = server.run(stop, |peer, line, answers| {
                    told(peer, line.text().unwrap_or_default());
                    if let Line::Whole(line) = line {
                        answers.extend_from_slice(line);
                    }
                })?;
                let (messages, connections) = (totals.lines, totals.connections);
                Ok(ServerReport { messages, connections, unanswered: 0 })
            }
            Socket::Udp(mut driver, mut machine) => {
                driver.run(&mut *machine, stop, &Clock::start(), |machine| {
                    while let Some(message) = machine.next_message() {
                        told(message.from, &message.payload);
                    }
                })?;
                let report = machine.report();
                let unanswered = report.refused + report.unanswered;
                Ok(ServerReport { messages: report.answered, connections: 0, unanswered })
            }
        }
    }
}
