//! A client's TCP connection: each step waits for the socket, for the user who may stop it, and for
//! no longer than its patience.

use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_common::units::format_duration;
use jostle_console::stop::{Attached, Stop};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

const SOCKET: Token = Token(0);
/// What else wakes the loop.
const OTHER: Token = Token(1);

/// Why a connection came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The user stopped it.
    Stopped,
    /// It failed, for this reason.
    Failed(String),
}

impl Broken {
    /// The same, with what was tried in front of the reason.
    #[must_use]
    pub fn context(self, tried: impl FnOnce() -> String) -> Self {
        match self {
            Self::Stopped => Self::Stopped,
            Self::Failed(reason) => Self::Failed(format!("{}: {reason}", tried())),
        }
    }
}

/// A connection, and where it stands.
#[derive(Debug)]
pub struct Connection<'a> {
    stream: TcpStream,
    poll: Poll,
    events: Events,
    stop: &'a Stop,
    _attached: Attached,
    clock: Clock,
    patience: Duration,
    /// When something last moved.
    moved: Instant,
}

impl<'a> Connection<'a> {
    /// Connects to the first of `servers` that lets us; `tried` is the one that was tried last.
    ///
    /// # Errors
    /// When none does.
    pub fn connect(
        servers: &[SocketAddr],
        patience: Duration,
        stop: &'a Stop,
        clock: Clock,
        tried: &mut SocketAddr,
    ) -> Result<Self, Broken> {
        let mut last = Broken::Failed("no address to connect to".to_owned());
        for address in servers {
            *tried = *address;
            let connection = Self::open(*address, stop, clock, patience);
            match connection
                .and_then(|mut connection| connection.established().map(|()| connection))
            {
                Ok(connection) => return Ok(connection),
                Err(Broken::Stopped) => return Err(Broken::Stopped),
                Err(broken) => {
                    last = broken.context(|| format!("cannot connect to tcp://{address}"))
                }
            }
        }
        Err(last)
    }

    fn open(
        server: SocketAddr,
        stop: &'a Stop,
        clock: Clock,
        patience: Duration,
    ) -> Result<Self, Broken> {
        let mut stream = TcpStream::connect(server).map_err(failed)?;
        let poll = Poll::new().map_err(failed)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, SOCKET, interest).map_err(failed)?;
        let attached = stop.attach(&poll).map_err(failed)?;
        let (events, moved) = (Events::with_capacity(8), clock.now());
        Ok(Self { stream, poll, events, stop, _attached: attached, clock, patience, moved })
    }

    /// Lets `source` end a wait too.
    ///
    /// # Errors
    /// When the system cannot wait for it.
    pub fn watch(&mut self, source: &mut impl mio::event::Source) -> Result<(), Broken> {
        self.poll.registry().register(source, OTHER, Interest::READABLE).map_err(failed)
    }

    /// Waits until the connection stands.
    fn established(&mut self) -> Result<(), Broken> {
        self.drive(|stream| match stream.take_error()? {
            Some(error) => Err(error),
            // Not connected yet: wait for the next event.
            None => stream.peer_addr().map(drop).map_err(|_| io::ErrorKind::WouldBlock.into()),
        })?;
        // Questions are small and want to be there at once; whole pieces of a file go out as they
        // are anyway.
        let _ = self.stream.set_nodelay(true);
        Ok(())
    }

    /// Repeats `act` until the socket is ready for it, the user stops it, or nothing has moved for
    /// too long.
    ///
    /// # Errors
    /// When `act` fails otherwise than by [`io::ErrorKind::WouldBlock`].
    pub fn drive<T>(
        &mut self,
        mut act: impl FnMut(&mut TcpStream) -> io::Result<T>,
    ) -> Result<T, Broken> {
        loop {
            match self.attempt(&mut act)? {
                Some(value) => return Ok(value),
                None => self.wait(Some(self.moved + self.patience))?,
            }
            if self.is_silent() {
                return Err(self.silence());
            }
        }
    }

    /// Tries `act` once; `None` when the socket is not ready for it.
    ///
    /// # Errors
    /// When `act` fails otherwise.
    pub fn attempt<T>(
        &mut self,
        mut act: impl FnMut(&mut TcpStream) -> io::Result<T>,
    ) -> Result<Option<T>, Broken> {
        loop {
            if self.stop.is_requested() {
                return Err(Broken::Stopped);
            }
            match act(&mut self.stream) {
                Ok(value) => {
                    self.moved = self.clock.now();
                    return Ok(Some(value));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Waits for an event, or until then.
    ///
    /// # Errors
    /// When the system refuses to wait.
    pub fn wait(&mut self, until: Option<Instant>) -> Result<(), Broken> {
        let left = until.map(|until| until.since(self.clock.now()));
        match self.poll.poll(&mut self.events, left) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(failed(error)),
            _ => Ok(()),
        }
    }

    /// Lets time pass until then.
    ///
    /// # Errors
    /// When the user stops it.
    pub fn pause(&mut self, until: Instant) -> Result<(), Broken> {
        while self.clock.now() < until {
            if self.stop.is_requested() {
                return Err(Broken::Stopped);
            }
            self.wait(Some(until))?;
        }
        // The silence was ours.
        self.moved = self.clock.now();
        Ok(())
    }

    /// Writes all of `bytes`; `each` is told how many went at a time.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn write_all(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(usize),
    ) -> Result<(), Broken> {
        while !bytes.is_empty() {
            let written = self.drive(|stream| stream.write(bytes))?;
            bytes = &bytes[written..];
            each(written);
        }
        Ok(())
    }

    /// Ends our half of the stream.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn end(&mut self) -> Result<(), Broken> {
        self.stream
            .shutdown(Shutdown::Write)
            .map_err(|error| failed(error).context(|| "cannot end the stream".to_owned()))
    }

    /// When its patience ends, unless something moves before.
    pub fn patient_until(&self) -> Instant {
        self.moved + self.patience
    }

    /// Whether nothing has moved for too long.
    pub fn is_silent(&self) -> bool {
        self.patient_until() <= self.clock.now()
    }

    /// The failure when nothing has moved for too long.
    pub fn silence(&self) -> Broken {
        Broken::Failed(format!("nothing moved for {}", format_duration(self.patience)))
    }
}

fn failed(error: io::Error) -> Broken {
    Broken::Failed(error.to_string())
}
