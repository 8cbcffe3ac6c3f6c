//! `jostle-client file`: sends a file over TCP or over plain UDP.

use super::{counts_json, counts_text, goodput, map_text, ranges};
use crate::ending::Ending;
use crate::file::{PORT, tcp, udp};
use crate::options::{span, transport};
use crate::protocol::CHUNK_BYTES;
use crate::protocol::file::{ChunkState, UdpFileSenderSettings, intact_bytes};
use crate::protocol::storage::Source as _;
use crate::storage::FileSource;
use crate::way::WayOptions;
use clap::Args;
use jostle_common::digest::Digest;
use jostle_common::transport::Transport;
use jostle_common::units::BitRate;
use jostle_common::words::grouped;
use jostle_console::exit::Usage;
use jostle_console::progress;
use jostle_console::stop::Stop;
use jostle_console::terminal::{self, Printer, escaped};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// The number of ranges of missing or damaged chunks that are listed for people; `--json` has them
/// all.
const RANGES_MAX: usize = 12;

/// Sends a file: over TCP it arrives whole or not at all, over UDP what is lost stays lost and is
/// accounted for.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  jostle-client file 127.0.0.1:9003 song.mp3 --over tcp
  jostle-client file 127.0.0.1:9003 song.mp3 --over udp --rate 5Mbit/s
  jostle-client file 127.0.0.1:9003 song.mp3 --over udp --strict --json")]
pub struct FileSendArgs {
    /// The server; the port is 9003 unless given
    #[arg(value_name = "HOST:PORT")]
    server: String,
    /// The file to send
    file: PathBuf,
    /// The transport
    #[arg(long, value_parser = transport(), value_name = "TRANSPORT")]
    over: Transport,
    /// Over UDP: how fast data go [default: 10Mbit/s]
    #[arg(long, value_name = "RATE")]
    rate: Option<BitRate>,
    /// Give up after so long without a sign of the server [default: 60s over TCP, 30s over UDP]
    #[arg(long, value_name = "TIME", value_parser = span)]
    patience: Option<Duration>,
    /// End with status 1 unless the file arrived undamaged
    #[arg(long)]
    strict: bool,
    /// Print an object per line instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    way: WayOptions,
}

/// The summary that both transports report.
struct SendSummary<'a> {
    ending: &'a Ending,
    size: u64,
    digest: Option<Digest>,
    seconds: f64,
    bytes: u64,
    /// The part that only one of them has, as fields and as text.
    fields: Value,
    text: String,
}

impl FileSendArgs {
    /// Sends the file. Returns false if it arrived damaged and `--strict` minds.
    ///
    /// # Errors
    /// When the file cannot be read, or the server does not report that it stored it.
    pub fn run(&self, stop: &Stop) -> anyhow::Result<bool> {
        if self.over == Transport::Tcp && self.rate.is_some() {
            return Err(Usage::error("--rate paces UDP; TCP finds its own rate"));
        }
        let server = self.way.to(&self.server, self.over.name(), PORT)?;
        let mut source = FileSource::open(&self.file)?;
        let bar = progress::bytes(source.size(), &self.file.display().to_string());
        let (ending, is_equal) = match self.over {
            Transport::Tcp => {
                let mut settings = tcp::TcpFileSettings::new(server);
                settings.patience = self.patience.unwrap_or(settings.patience);
                let sent = tcp::send(&settings, &mut source, stop, |bytes| bar.set_position(bytes));
                bar.finish_and_clear();
                self.report_tcp(sent?)
            }
            Transport::Udp => {
                let mut settings = udp::UdpFileSettings::new(server);
                settings.rate = self.rate.unwrap_or(UdpFileSenderSettings::RATE);
                settings.patience = self.patience.unwrap_or(settings.patience);
                let size = source.size();
                let sent = udp::send(&settings, &mut source, stop, |report| {
                    bar.set_position((report.packets * CHUNK_BYTES).min(size));
                });
                bar.finish_and_clear();
                self.report_udp(sent?)
            }
        };
        let is_bad = ending.is_done() && self.strict && !is_equal;
        Ok(ending.status()? && !is_bad)
    }

    fn report_tcp(&self, sent: tcp::TcpFileSent) -> (Ending, bool) {
        let name = sent.stored.as_ref().map(|stored| stored.name.clone());
        let text =
            name.as_ref().map_or_else(String::new, |name| format!("stored as {}", escaped(name)));
        let is_equal = sent.ending.is_done();
        self.print(SendSummary {
            ending: &sent.ending,
            size: sent.size,
            digest: sent.digest,
            seconds: sent.elapsed.as_secs_f64(),
            bytes: if is_equal { sent.size } else { 0 },
            fields: json!({ "server": sent.server.to_string(), "name": name,
                "digest_equal": is_equal }),
            text,
        });
        (sent.ending, is_equal)
    }

    fn report_udp(&self, sent: udp::UdpFileSent) -> (Ending, bool) {
        let is_equal = sent.is_equal();
        let report = &sent.report;
        let mut fields = json!({ "server": sent.server.to_string(),
            "name": report.arrival.as_ref().map(|arrival| &arrival.name),
            "digest_equal": is_equal, "packets": report.packets, "control": report.control });
        let mut text = format!("packets {} control {}", report.packets, report.control);
        let (mut seconds, mut bytes) = (0.0, 0);
        if let Some(arrival) = &report.arrival {
            let counts = arrival.counts;
            seconds = arrival.elapsed.as_secs_f64();
            bytes = intact_bytes(sent.size, arrival.cells.iter().copied());
            if let Some(fields) = fields.as_object_mut() {
                fields.extend(counts_json(&counts).as_object().cloned().unwrap_or_default());
                fields.insert("map".to_owned(), map_text(arrival.cells.iter().copied()).into());
            }
            text = format!("{text}\n{}", counts_text(&counts));
            for (state, name) in
                [(ChunkState::Missing, "missing"), (ChunkState::Damaged, "damaged")]
            {
                let ranges = ranges(&arrival.cells, state, RANGES_MAX);
                if !ranges.is_empty() {
                    text = format!("{text}\n{name} chunks: {ranges}");
                }
            }
            let stored = match (is_equal, escaped(&arrival.name)) {
                (_, name) if name.is_empty() => "nothing of it arrived".to_owned(),
                (Some(true), name) => format!("stored as {name}, whole"),
                (_, name) => format!("stored as {name}, damaged"),
            };
            text = format!("{text}\n{stored}: sha256 {}", arrival.digest);
        }
        let summary = SendSummary {
            ending: &sent.ending,
            size: sent.size,
            digest: sent.digest,
            seconds,
            bytes,
            fields,
            text,
        };
        self.print(summary);
        (sent.ending, is_equal == Some(true))
    }

    fn print(&self, summary: SendSummary<'_>) {
        let SendSummary { ending, size, digest, seconds, bytes, fields, text } = summary;
        let rate = goodput(bytes, seconds);
        let mut all = json!({ "kind": "file", "over": self.over.name(), "ok": ending.is_done(),
            "stopped": *ending == Ending::Stopped, "error": ending.failure(), "size": size,
            "sha256": digest, "seconds": seconds,
            "goodput_bps": rate });
        if let (Some(all), Value::Object(fields)) = (all.as_object_mut(), fields) {
            all.extend(fields);
        }
        Printer::new(self.json).event("summary", all, || {
            let name = escaped(&self.file.display().to_string());
            let state = match ending {
                Ending::Done => "sent",
                Ending::Stopped => "stopped",
                Ending::Failed(_) => "failed",
            };
            let text = if text.is_empty() { text } else { format!("{text}\n") };
            let digest = digest.map_or_else(String::new, |digest| format!("sha256 {digest}\n"));
            format!(
                "{name}: {} bytes, {state}\n{digest}{text}time {seconds:.3} s, goodput {}",
                grouped(size),
                terminal::rate(rate)
            )
        });
    }
}
