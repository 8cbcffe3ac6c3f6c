//! `jostle-server saw` and `jostle-client saw`.

use super::{FetchSettings, Fetched, PORT, fetch, serve};
use crate::ending::Ending;
use crate::options::{ListenOptions, Patience};
use crate::protocol::saw::SawServerReport;
use crate::protocol::storage::Source as _;
use crate::protocol::timer::Timing;
use crate::storage::{OutputFile, WatchedFile};
use crate::way::WayOptions;
use anyhow::Context;
use clap::Args;
use jostle_common::units::ByteSize;
use jostle_common::words::grouped;
use jostle_console::exit::Usage;
use jostle_console::progress;
use jostle_console::stop::Stop;
use jostle_console::terminal::{self, Printer, escaped};
use serde_json::json;
use std::path::PathBuf;

/// Serves a file by stop-and-wait over UDP, to any number of clients at once.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  jostle-server saw song.mp3
  jostle-server saw song.mp3 --listen '[::1]:0' --once --json

A datagram with a bare number, as text (0) or as an integer of 4 bytes, is answered with the bare
packet; beyond the end with an empty one.")]
pub struct SawServeArgs {
    /// The file to serve
    file: PathBuf,
    /// End when one client has the whole file
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    serving: ListenOptions<PORT>,
}

impl SawServeArgs {
    /// Serves until stopped. Returns true if all went well.
    ///
    /// # Errors
    /// When the file cannot be read, or the address not be taken.
    pub fn run(&self, stop: &Stop) -> anyhow::Result<bool> {
        let listen = self.serving.address("udp")?;
        let source = WatchedFile::open(&self.file)?;
        let printer = self.serving.printer();
        let server = serve(listen, source, self.once)?;
        printer.ready("saw", &format!("udp://{}", server.address()));
        if !self.serving.json {
            let (path, source) = (self.file.display().to_string(), server.endpoint().source());
            terminal::note(&format!(
                "{}: {} bytes, sha256 {}",
                escaped(&path),
                grouped(source.size()),
                source.digest().map_or_else(String::new, |digest| digest.to_string())
            ));
        }
        print_served(printer, server.run(stop, |_| {})?.report());
        Ok(true)
    }
}

fn print_served(printer: Printer, report: &SawServerReport) {
    let SawServerReport {
        requests,
        plain,
        answers,
        finished,
        damaged,
        ignored,
        too_short,
        unanswered,
    } = *report;
    let fields = json!({ "kind": "saw", "requests": requests, "plain": plain, "answers": answers,
        "finished": finished, "damaged": damaged,
        "ignored": ignored, "too_short": too_short, "unanswered": unanswered });
    printer.event("summary", fields, || {
        format!(
            "requests {requests}{} answers {answers} finished {finished} damaged {damaged} ignored \
             {ignored} \
             too_short {too_short} unanswered {unanswered}",
            if plain > 0 { format!(" (bare numbers {plain})") } else { String::new() }
        )
    });
}

/// Fetches a file by stop-and-wait over UDP: whole and in order under any loss below 100%.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  jostle-client saw 127.0.0.1:9001 -o song.mp3
  jostle-client saw server.example -o song.mp3 --timeout fixed:200ms --json")]
pub struct SawFetchArgs {
    /// The server; the port is 9001 unless given
    #[arg(value_name = "HOST:PORT")]
    server: String,
    /// Where the file goes; it is called OUT.part until it is whole
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// When to ask again: from measured round trips, or always after the same time ("fixed:200ms")
    #[arg(long, value_name = "adaptive|fixed:T", default_value = "adaptive")]
    timeout: Timing,
    /// Give up after so long without any valid answer, or "never" [default: 60s and 500 requests,
    /// whichever is later]
    #[arg(long, value_name = "TIME")]
    patience: Option<Patience>,
    /// The largest file to accept
    #[arg(long, value_name = "SIZE", default_value = "4GiB")]
    max_size: ByteSize,
    /// Print an object per line instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    way: WayOptions,
}

impl SawFetchArgs {
    /// Fetches the file. Returns true if it arrived whole, or if the user ended it before.
    ///
    /// # Errors
    /// When the file does not arrive or cannot be written.
    pub fn run(&self, stop: &Stop) -> anyhow::Result<bool> {
        if self.output.as_os_str().is_empty() {
            return Err(Usage::error("-o names no file"));
        }
        let mut settings = FetchSettings::new(self.way.to(&self.server, "udp", PORT)?);
        settings.timing = self.timeout;
        settings.size_max = self.max_size.bytes();
        if let Some(Patience(patience)) = self.patience {
            (settings.patience, settings.attempts_min) = (patience, 0);
        }
        let output = OutputFile::create(&self.output)?;
        let bar = progress::bytes(0, &self.server);
        let fetched = fetch(&settings, output, stop, |report| {
            bar.set_length(report.file.map_or(0, |(size, _)| size));
            bar.set_position(report.bytes);
        });
        bar.finish_and_clear();
        let (fetched, output) = fetched?;
        let kept = if fetched.ending.is_done() {
            output.finish().context("the file arrived and cannot be kept")?;
            Some(self.output.clone())
        } else {
            output.abandon()
        };
        self.print(&fetched, kept.as_ref());
        fetched.ending.status()
    }

    fn print(&self, fetched: &Fetched, kept: Option<&PathBuf>) {
        let Fetched { server, report, ending } = fetched;
        let seconds = report.elapsed().as_secs_f64();
        let goodput = if seconds > 0.0 { report.bytes as f64 * 8.0 / seconds } else { 0.0 };
        let (size, digest) =
            report.file.map_or((None, None), |(size, digest)| (Some(size), Some(digest)));
        let rtt =
            |percent| report.round_trips.percentile(percent).map(|time| time.as_secs_f64() * 1e3);
        let most = report.round_trips.most().map(|time| time.as_secs_f64() * 1e3);
        let kept = kept.map(|path| path.display().to_string());
        let fields = json!({
            "kind": "saw", "server": server.to_string(), "ok": ending.is_done(),
            "stopped": *ending == Ending::Stopped,
            "error": ending.failure(), "file": kept, "size": size, "bytes": report.bytes,
            "sha256": digest, "digest_equal": ending.is_done(), "seconds": seconds,
            "goodput_bps": goodput,
            "packets": report.packets, "requests": report.requests,
            "retransmissions": report.retransmissions,
            "duplicates": report.duplicates, "damaged": report.damaged, "ignored": report.ignored,
            "rtt_ms": { "samples": report.round_trips.count(), "p50": rtt(50.0), "p90": rtt(90.0),
                "p99": rtt(99.0), "max": most },
        });
        Printer::new(self.json).event("summary", fields, || {
            let state = match ending {
                Ending::Done => "whole",
                Ending::Stopped => "incomplete: stopped",
                Ending::Failed(_) => "incomplete: failed",
            };
            let name = kept.map_or_else(|| "nothing".to_owned(), |name| escaped(&name));
            let of = size.map_or_else(String::new, |size| format!(" of {}", grouped(size)));
            let digest = digest.map_or_else(String::new, |digest| format!("sha256 {digest}\n"));
            let ms = |time: Option<f64>| {
                time.map_or_else(|| "-".to_owned(), |time| format!("{time:.2} ms"))
            };
            format!(
                "{name}: {}{of} bytes, {state}\n{digest}packets {} requests {} retransmissions {} \
                 duplicates {} damaged {} \
                 ignored {}\nrtt p50 {} p90 {} p99 {} max {}\ntime {seconds:.3} s, goodput {}",
                grouped(report.bytes),
                report.packets,
                report.requests,
                report.retransmissions,
                report.duplicates,
                report.damaged,
                report.ignored,
                ms(rtt(50.0)),
                ms(rtt(90.0)),
                ms(rtt(99.0)),
                ms(most),
                terminal::rate(goodput),
            )
        });
    }
}
