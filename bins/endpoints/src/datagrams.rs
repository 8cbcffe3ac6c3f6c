//! Drives a protocol's state machine over a UDP socket, in real time: a server, or a client and the
//! servers that it tries.

mod driver;

use crate::ending::LoopEnd;
use crate::protocol::{Endpoint, Redirect};
use crate::way::Way;
use anyhow::Context as _;
use driver::Driver;
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_console::stop::Stop;
use mio::event::Source;
use std::io;
use std::net::SocketAddr;

/// An endpoint that listens on a socket.
#[derive(Debug)]
pub struct DatagramServer<E> {
    driver: Driver,
    address: SocketAddr,
    endpoint: E,
}

impl<E: Endpoint> DatagramServer<E> {
    /// Listens on `listen` with the endpoint that `make` makes for the address; port 0 lets the
    /// system pick one.
    ///
    /// # Errors
    /// When the address cannot be taken; the error names it.
    pub fn bind(listen: SocketAddr, make: impl FnOnce(SocketAddr) -> E) -> io::Result<Self> {
        let driver = Driver::bind(listen)?;
        let address = driver.address()?;
        Ok(Self { driver, address, endpoint: make(address) })
    }

    /// Returns the address that it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the endpoint.
    pub const fn endpoint(&self) -> &E {
        &self.endpoint
    }

    /// Runs until the endpoint has finished or `stop` is requested, and returns it. `each_turn`
    /// sees it at least once per wake-up.
    ///
    /// # Errors
    /// When the system refuses to wait for events.
    pub fn run(mut self, stop: &Stop, mut each_turn: impl FnMut(&mut E)) -> io::Result<E> {
        let clock = Clock::start();
        let end = self.driver.drive(&mut self.endpoint, stop, &clock, &mut each_turn)?;
        if end == LoopEnd::Stopped {
            self.endpoint.handle_stop(clock.now());
            each_turn(&mut self.endpoint);
        }
        Ok(self.endpoint)
    }
}

/// A client that has talked, its server, and its ending.
#[derive(Debug)]
pub struct Talk<C> {
    /// The address that was talked to, or the last that was tried.
    pub server: SocketAddr,
    /// The client, at its end.
    pub client: C,
    /// The end, on the clock of the talk.
    pub ended: Instant,
}

/// A watcher that sees a client at least once per wake-up of its loop.
pub trait Watcher<C> {
    /// Sees the client, which talks to `server`.
    fn watch(&mut self, server: SocketAddr, client: &mut C);

    /// Returns the source that wakes the loop besides the socket, such as stdin.
    fn source(&mut self) -> Option<&mut dyn Source> {
        None
    }
}

impl<C, F: FnMut(SocketAddr, &mut C)> Watcher<C> for F {
    fn watch(&mut self, server: SocketAddr, client: &mut C) {
        self(server, client);
    }
}

/// Drives `client`, whose server is the first of `servers`, until it has finished or `stop` is
/// requested; while nothing listens at one address it is redirected to the next. By a proxy nobody
/// tells that nothing listens.
///
/// # Errors
/// When there is no way to any server, or the system refuses to wait for events. What the network
/// does is the client's to know.
pub fn talk<C: Redirect>(
    servers: &Way,
    mut client: C,
    stop: &Stop,
    mut watcher: impl Watcher<C>,
) -> anyhow::Result<Talk<C>> {
    let clock = Clock::start();
    let mut addresses = servers.iter().copied().peekable();
    loop {
        let server = addresses.next().context("no address to talk to")?;
        let driver = match servers.proxy() {
            None => Driver::connect(server),
            Some(proxy) => match Driver::associate(proxy, server, stop, clock)? {
                Some(driver) => Ok(driver),
                None => return Ok(Talk { server, client, ended: clock.now() }),
            },
        };
        let run = driver.and_then(|mut driver| {
            if let Some(source) = watcher.source() {
                driver.watch(source)?;
            }
            driver.drive(&mut client, stop, &clock, |client| watcher.watch(server, client))?;
            watcher.source().map_or(Ok(()), |source| driver.release(source))
        });
        match addresses.peek() {
            Some(next) if run.is_err() || client.is_refused() => client = client.redirected(*next),
            _ => {
                return run
                    .map(|()| Talk { server, client, ended: clock.now() })
                    .map_err(Into::into);
            }
        }
    }
}
