//! `jostle-server file`: receives files over TCP, over plain UDP, or as bare datagrams.

use super::{counts_json, counts_text, goodput, map_text};
use crate::file::PORT;
use crate::file::tcp::{TcpFileServer, TcpFileServerSettings};
use crate::file::udp::UdpFileServer;
use crate::options::{ListenOptions, span, transport};
use crate::protocol::file::{NaiveSettings, ReceivedFile, UdpFileReceiverSettings, intact_bytes};
use crate::storage::{Directory, Quota, remove_stale_parts};
use clap::Args;
use jostle_common::transport::Transport;
use jostle_common::units::ByteSize;
use jostle_common::words::grouped;
use jostle_console::exit::Usage;
use jostle_console::printing::Printing;
use jostle_console::stop::Stop;
use jostle_console::terminal::{self, escaped};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

/// Receives files into a folder: received.mp3, then received-2.mp3. What is incomplete leaves
/// nothing.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  jostle-server file --over tcp --dir incoming
  jostle-server file --over udp --dir incoming --once --json
  jostle-server file --over udp --naive       # bare datagrams from any script")]
pub struct FileReceiveArgs {
    /// The transport
    #[arg(long, value_parser = transport(), value_name = "TRANSPORT")]
    over: Transport,
    /// The folder for what arrives; made if need be
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// What received files are called
    #[arg(long, value_name = "NAME", default_value = crate::storage::NAME)]
    name: String,
    /// Over UDP: append bare datagrams as they come, a file per sender
    #[arg(long)]
    naive: bool,
    /// Give a sender up after so long a silence (60s; with --naive the end of the file, 2s)
    #[arg(long, value_name = "TIME", value_parser = span)]
    idle: Option<Duration>,
    /// The largest file to accept
    #[arg(long, value_name = "SIZE", default_value = "4GiB")]
    max_size: ByteSize,
    /// The most to store in all, over the files of this run
    #[arg(long, value_name = "SIZE", default_value = Quota::DEFAULT)]
    max_total: ByteSize,
    /// How many senders may be served at once
    #[arg(long, value_name = "N", default_value = "64",
        value_parser = clap::value_parser!(u16).range(1..))]
    max_clients: u16,
    /// Over UDP: how many files one source may send at once
    #[arg(long, value_name = "N", default_value = "16",
        value_parser = clap::value_parser!(u16).range(1..))]
    max_per_source: u16,
    /// End after one file; the status tells whether it was stored
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    serving: ListenOptions<PORT>,
}

impl FileReceiveArgs {
    /// Receives until stopped. Returns false if the one file of `--once` was not stored.
    ///
    /// # Errors
    /// When the folder cannot be made, or the address not be taken.
    pub fn run(&self, stop: &Stop) -> anyhow::Result<bool> {
        if self.naive && self.over == Transport::Tcp {
            return Err(Usage::error("--naive takes bare datagrams; write --over udp --naive"));
        }
        let listen = self.serving.address(self.over.name())?;
        let folder =
            Directory::open(&self.dir, &self.name)?.within(Quota::new(self.max_total.bytes()));
        remove_stale_parts(&self.dir);
        let printer = self.serving.printer();
        let printing = Printing::start(printer)?;
        let tell = |received: &ReceivedFile| self.print(&printing, received);
        let ready = |address| printer.ready("file", &format!("{}://{address}", self.over.name()));
        let (stored, failed, yielded) = match self.over {
            Transport::Tcp => {
                let server = TcpFileServer::bind(listen, self.tcp_settings(), folder)?;
                ready(server.address());
                let totals = server.run(stop, tell)?;
                (totals.stored, totals.failed, totals.yielded)
            }
            Transport::Udp => {
                let report = if self.naive {
                    let server = UdpFileServer::bind_naive(listen, self.naive_settings(), folder)?;
                    ready(server.address());
                    server.run(stop, tell)?
                } else {
                    let server = UdpFileServer::bind(listen, self.udp_settings(), folder)?;
                    ready(server.address());
                    server.run(stop, tell)?
                };
                (report.stored, report.failed, report.yielded)
            }
        };
        let fields = json!({ "kind": "file", "over": self.over.name(), "stored": stored, "failed": failed,
            "yielded": yielded });
        printing.finish("summary", fields, || format!("stored {stored} failed {failed}"));
        Ok(!self.once || failed == 0)
    }

    fn tcp_settings(&self) -> TcpFileServerSettings {
        let defaults = TcpFileServerSettings::default();
        TcpFileServerSettings {
            size_max: self.max_size.bytes(),
            clients_max: self.max_clients.into(),
            idle: self.idle.unwrap_or(defaults.idle),
            once: self.once,
        }
    }

    fn udp_settings(&self) -> UdpFileReceiverSettings {
        let defaults = UdpFileReceiverSettings::default();
        UdpFileReceiverSettings {
            size_max: self.max_size.bytes(),
            transfers_max: self.max_clients.into(),
            per_source_max: self.max_per_source.into(),
            idle: self.idle.unwrap_or(defaults.idle),
            once: self.once,
            ..defaults
        }
    }

    fn naive_settings(&self) -> NaiveSettings {
        NaiveSettings {
            size_max: self.max_size.bytes(),
            transfers_max: self.max_clients.into(),
            idle: self.idle.unwrap_or_else(|| NaiveSettings::default().idle),
            once: self.once,
        }
    }

    fn print(&self, printing: &Printing, received: &ReceivedFile) {
        let seconds = received.elapsed.as_secs_f64();
        let (name, digest) = match &received.stored {
            Ok((name, digest)) => (Some(name), Some(digest)),
            Err(_) => (None, None),
        };
        let counts = received.counts();
        let bytes = match (&received.stored, &received.account) {
            (Err(_), _) => 0,
            (Ok(_), Some(account)) => intact_bytes(received.size, account.cells()),
            (Ok(_), None) => received.size,
        };
        let goodput = goodput(bytes, seconds);
        let mut fields = json!({
            "ok": name.is_some(), "error": received.stored.as_ref().err(),
            "peer": received.peer.to_string(), "file": name,
            "size": received.size, "sha256": digest,
            "digest_equal": received.sent.map(|_| received.is_equal()),
            "seconds": seconds, "goodput_bps": goodput,
        });
        if let (Some(fields), Some(account)) = (fields.as_object_mut(), &received.account) {
            fields.extend(counts_json(&account.counts()).as_object().cloned().unwrap_or_default());
            fields.insert("map".to_owned(), map_text(account.cells()).into());
        }
        printing.event("received", fields, || {
            let size = grouped(received.size);
            let mut text = match (&received.stored, received.sent) {
                (Err(reason), _) => {
                    format!("{}: {size} bytes, incomplete: {}", received.peer, escaped(reason))
                }
                (Ok((name, _)), None) => {
                    format!("{}: {size} bytes from {}", escaped(name), received.peer)
                }
                (Ok((name, _)), Some(_)) => {
                    let state = if received.is_equal() { "whole" } else { "damaged" };
                    format!("{}: {size} bytes from {}, {state}", escaped(name), received.peer)
                }
            };
            if name.is_some() {
                text.push_str(&format!(" in {seconds:.3} s, goodput {}", terminal::rate(goodput)));
            }
            digest.into_iter().for_each(|digest| text.push_str(&format!("\nsha256 {digest}")));
            counts.iter().for_each(|counts| text.push_str(&format!("\n{}", counts_text(counts))));
            text
        });
    }
}
