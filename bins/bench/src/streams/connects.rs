//! Connections that come and go: `jostle-load connects`.

use super::pairs::Sink;
use crate::measure::{MeasureArgs, Meter};
use anyhow::{Context, bail};
use jostle_common::clock::Clock;
use jostle_console::terminal;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use serde_json::json;
use slab::Slab;
use std::io::{self, Read, Write};
use std::net::SocketAddr;

const LISTENER: Token = Token(usize::MAX - 1);

/// Connections that come and go, one after the other in each of several places: connect, send a
/// byte, have it back, close
#[derive(Debug, clap::Args)]
pub(crate) struct ConnectsArgs {
    /// Where the relay listens
    #[arg(long, value_name = "ADDR")]
    to: SocketAddr,

    /// Where it leads: connections are accepted here
    #[arg(long, value_name = "ADDR")]
    sink: SocketAddr,

    /// So many at once
    #[arg(long, value_name = "COUNT", default_value_t = 32)]
    at_once: usize,

    #[command(flatten)]
    measure: MeasureArgs,
}

/// One end of a connection.
enum End {
    /// A client; true once its byte was sent.
    Client(TcpStream, bool),
    Served(TcpStream),
}

struct Load {
    poll: Poll,
    to: SocketAddr,
    listener: TcpListener,
    ends: Slab<End>,
    done: u64,
}

impl Load {
    fn connect(&mut self) -> anyhow::Result<()> {
        let stream = TcpStream::connect(self.to).context("connecting to the relay")?;
        self.add(End::Client(stream, false))
    }

    fn add(&mut self, end: End) -> anyhow::Result<()> {
        let entry = self.ends.vacant_entry();
        let token = Token(entry.key());
        let (End::Client(stream, _) | End::Served(stream)) = entry.insert(end);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(stream, token, interest)?;
        Ok(())
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.add(End::Served(stream))?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("accepting behind the relay"),
            }
        }
    }

    /// Does what an end can do now.
    fn ready(&mut self, key: usize, writable: bool) -> anyhow::Result<()> {
        let mut byte = [0];
        match self.ends.get_mut(key) {
            // Closed while an event of it was still in hand.
            None => Ok(()),
            Some(End::Client(stream, sent)) => {
                if writable && !*sent {
                    if let Some(error) = stream.take_error()? {
                        return Err(error).context("connecting to the relay");
                    }
                    // The event may be that of an end that had this place before.
                    match stream.write(b"x") {
                        Ok(_) => *sent = true,
                        Err(error) if not_yet(&error) => return Ok(()),
                        Err(error) => return Err(error).context("sending the byte"),
                    }
                }
                match stream.read(&mut byte) {
                    Ok(0) => bail!("the relay closed a connection before the byte was back"),
                    Ok(_) => {
                        self.ends.remove(key);
                        self.done += 1;
                        self.connect()
                    }
                    Err(error) if not_yet(&error) => Ok(()),
                    Err(error) => Err(error).context("waiting for the byte"),
                }
            }
            Some(End::Served(stream)) => loop {
                match stream.read(&mut byte) {
                    Ok(0) => break Ok(drop(self.ends.remove(key))),
                    Ok(_) => stream.write_all(&byte).context("answering")?,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                    // A relay may close the hard way what its client has closed.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                        break Ok(drop(self.ends.remove(key)));
                    }
                    Err(error) => break Err(error).context("behind the relay"),
                }
            },
        }
    }
}

fn not_yet(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}

impl ConnectsArgs {
    /// Runs it and prints the result.
    ///
    /// # Errors
    /// When a connection cannot be had, or the relay closes one.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let sink = Sink::new(self.sink)?;
        // The way works.
        drop(sink.pair(self.to)?);
        let listener = sink.into_listener();
        listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(listener);
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let mut load = Load { poll, to: self.to, listener, ends: Slab::new(), done: 0 };
        let clock = Clock::start();
        let mut meter = Meter::start(&self.measure, clock.now());
        for _ in 0..self.at_once.max(1) {
            load.connect()?;
        }
        let mut events = Events::with_capacity(1024);
        let measured = loop {
            let now = clock.now();
            if let Some(measured) = meter.turn(now, load.done)? {
                break measured;
            }
            match load.poll.poll(&mut events, Some(meter.deadline().since(now))) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(error.into());
                }
                _ => {}
            }
            for event in &events {
                match event.token() {
                    LISTENER => load.accept()?,
                    Token(key) => load.ready(key, event.is_writable())?,
                }
            }
        };
        let mut fields = measured.fields("connection");
        fields["at_once"] = json!(self.at_once);
        terminal::line(&fields.to_string());
        Ok(())
    }
}
