//! As many bytes as the relay carries: `jostle-load streams`.

use super::pairs::{Pair, Sink};
use crate::measure::{MeasureArgs, Measurement, Meter};
use anyhow::Context;
use jostle_common::clock::Clock;
use jostle_common::units::ByteSize;
use jostle_console::terminal;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustix::net::RecvFlags;
use serde_json::json;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

/// The most bytes that one read discards.
const READ_BYTES: usize = 1 << 20;

/// As many bytes as the relay carries, one way; the receiver discards them unread
#[derive(Debug, clap::Args)]
pub(crate) struct StreamsArgs {
    /// Where the relay listens
    #[arg(long, value_name = "ADDR")]
    to: SocketAddr,

    /// Where it leads: connections are accepted here
    #[arg(long, value_name = "ADDR")]
    sink: SocketAddr,

    /// Over so many connections at once
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    connections: usize,

    /// Write so many bytes at once
    #[arg(long, value_name = "SIZE", default_value = "256KiB")]
    write: ByteSize,

    #[command(flatten)]
    measure: MeasureArgs,
}

/// Sockets that may be written or read further, in turn. Even numbers are clients, odd ones served.
struct Load {
    poll: Poll,
    sockets: Vec<TcpStream>,
    ready: VecDeque<usize>,
    is_ready: Vec<bool>,
    source: Vec<u8>,
    scratch: Vec<u8>,
    arrived: u64,
}

impl Load {
    fn new(pairs: Vec<Pair>, write_bytes: usize) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let mut sockets = Vec::with_capacity(2 * pairs.len());
        for Pair { client, served } in pairs {
            for (end, interest) in [(client, Interest::WRITABLE), (served, Interest::READABLE)] {
                end.set_nonblocking(true)?;
                let mut end = TcpStream::from_std(end);
                poll.registry().register(&mut end, Token(sockets.len()), interest)?;
                sockets.push(end);
            }
        }
        let is_ready = vec![false; sockets.len()];
        let (source, scratch) = (vec![b'j'; write_bytes], vec![0; READ_BYTES]);
        Ok(Self { poll, sockets, ready: VecDeque::new(), is_ready, source, scratch, arrived: 0 })
    }

    /// Notes who is ready, and waits for so long at most when nobody is.
    fn wait(&mut self, events: &mut Events, time: Duration) -> io::Result<()> {
        let timeout = if self.ready.is_empty() { time } else { Duration::ZERO };
        match self.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for Token(index) in events.iter().map(mio::event::Event::token) {
            if !std::mem::replace(&mut self.is_ready[index], true) {
                self.ready.push_back(index);
            }
        }
        Ok(())
    }

    /// Gives each that is ready one call; who can go on stays ready.
    fn turn(&mut self) -> anyhow::Result<()> {
        for _ in 0..self.ready.len() {
            let Some(index) = self.ready.pop_front() else { break };
            let served = index % 2 == 1;
            let moved = if !served {
                (&self.sockets[index]).write(&self.source)
            } else {
                // Of a stream, the kernel throws away what it would copy (tcp(7), MSG_TRUNC).
                let flags = RecvFlags::TRUNC;
                rustix::net::recv(&self.sockets[index], &mut self.scratch[..], flags)
                    .map(|(_, bytes)| bytes)
                    .map_err(io::Error::from)
            };
            match moved {
                Ok(0) => anyhow::bail!("the relay closed a connection"),
                Ok(bytes) => {
                    if served {
                        self.arrived += bytes as u64;
                    }
                    self.ready.push_back(index);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_ready[index] = false;
                }
                Err(error) if served => return Err(error).context("reading behind the relay"),
                Err(error) => return Err(error).context("writing to the relay"),
            }
        }
        Ok(())
    }

    fn run(&mut self, args: &MeasureArgs) -> anyhow::Result<Measurement> {
        let clock = Clock::start();
        let mut meter = Meter::start(args, clock.now());
        let mut events = Events::with_capacity(1024);
        loop {
            let now = clock.now();
            if let Some(measured) = meter.turn(now, self.arrived)? {
                return Ok(measured);
            }
            self.wait(&mut events, meter.deadline().since(now))?;
            self.turn()?;
        }
    }
}

impl StreamsArgs {
    /// Runs it and prints the result.
    ///
    /// # Errors
    /// When a connection cannot be had, or the relay closes one.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let pairs = Sink::new(self.sink)?.pairs(self.to, self.connections)?;
        let mut load = Load::new(pairs, usize::try_from(self.write.bytes())?.max(1))?;
        let mut measured = load.run(&self.measure)?;
        let bytes = measured.units;
        measured.units /= 1024;
        let mut fields = measured.fields("kib");
        fields["mb_per_second"] =
            crate::measure::rounded(bytes as f64 / measured.time.as_secs_f64() / 1e6).into();
        fields["connections"] = json!(self.connections);
        terminal::line(&fields.to_string());
        Ok(())
    }
}
