//! A byte there and back: `jostle-load ping-pong`.

use super::pairs::{Pair, Sink};
use crate::measure::{MeasureArgs, Meter};
use crate::percentiles;
use anyhow::{Context, ensure};
use jostle_common::clock::Clock;
use jostle_console::terminal;
use serde_json::json;
use std::hint;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A byte there and back over one connection, one at a time
#[derive(Debug, clap::Args)]
pub(crate) struct PingPongArgs {
    /// Where the relay listens
    #[arg(long, value_name = "ADDR")]
    to: SocketAddr,

    /// Where it leads: the connection is accepted here
    #[arg(long, value_name = "ADDR")]
    sink: SocketAddr,

    /// Both ends ask again and again, and do not sleep until a byte is there
    #[arg(long)]
    spin: bool,

    #[command(flatten)]
    measure: MeasureArgs,
}

impl PingPongArgs {
    /// Runs it and prints the result.
    ///
    /// # Errors
    /// When the connection cannot be had, or the relay closes it.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let Pair { client, served } = Sink::new(self.sink)?.pair(self.to)?;
        client.set_nonblocking(self.spin)?;
        served.set_nonblocking(self.spin)?;
        let clock = Clock::start();
        let mut meter = Meter::start(&self.measure, clock.now());
        let begin = meter.deadline();
        let (mut times, mut trips) = (Vec::new(), 0);
        let measured = loop {
            let now = clock.now();
            if let Some(measured) = meter.turn(now, trips)? {
                break measured;
            }
            pass(&client, &served)?;
            pass(&served, &client)?;
            trips += 1;
            if now >= begin {
                times.push(i64::try_from(clock.now().since(now).as_nanos())?);
            }
        };
        let mut fields = measured.fields("round_trip");
        fields["times"] = percentiles::fields(&mut times).context("no byte came back")?;
        fields["spin"] = json!(self.spin);
        terminal::line(&fields.to_string());
        Ok(())
    }
}

/// Sends a byte and waits for it at the other end.
fn pass(mut from: &TcpStream, mut to: &TcpStream) -> anyhow::Result<()> {
    from.write_all(b"x").context("sending a byte")?;
    loop {
        match to.read(&mut [0]) {
            Ok(read) => {
                ensure!(read == 1, "the relay closed the connection");
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => hint::spin_loop(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("waiting for a byte"),
        }
    }
}
