//! `jostle-server http`: serves files to any browser or program, and takes uploads when told to.

use super::{SiteSettings, serve};
use crate::http::PORT;
use crate::http::pace::Least;
use crate::http::server::{HttpEvent, HttpTotals, Limits};
use crate::options::{ListenOptions, span};
use crate::storage::Quota;
use clap::Args;
use jostle_common::units::{BitRate, ByteSize};
use jostle_common::words::grouped;
use jostle_console::exit::Usage;
use jostle_console::printing::Printing;
use jostle_console::stop::Stop;
use jostle_console::terminal::{escaped, note};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Descriptors that are not for connections: the runtime's, the folders, files that are open for a
/// moment.
const DESCRIPTORS_KEPT: usize = 96;

/// Serves the files of a folder over HTTP/1.1, with ranges, conditions and digests; with --uploads
/// it stores what is sent
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  jostle-server http --root public
  jostle-server http --root public --listing --uploads incoming     # browse to \
  http://127.0.0.1:12345/_jostle/upload
  curl http://127.0.0.1:12345/song.mp3 -O
  curl http://127.0.0.1:12345/ -T song.mp3                          # PUT: this name, or 409 when \
  it is taken
  curl http://127.0.0.1:12345/ -F file=@song.mp3                    # POST: song-2.mp3 when it is \
  taken")]
pub struct HttpServeArgs {
    /// The folder whose files are served. Hidden files are not, and nothing that a link leads to
    /// outside
    #[arg(long, value_name = "DIR", default_value = ".")]
    root: PathBuf,
    /// Store uploads in this folder; made if need be
    #[arg(long, value_name = "DIR")]
    uploads: Option<PathBuf>,
    /// Show what is in a folder without an index.html
    #[arg(long)]
    listing: bool,
    /// A public name by which the server may be asked for, besides addresses, localhost and the
    /// names of a local network; may be given again
    #[arg(long = "allow-host", alias = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Print every answer, and not only what is stored
    #[arg(long)]
    log: bool,
    /// End when the first connection has ended
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    serving: ListenOptions<PORT>,
    /// The largest upload
    #[arg(long, value_name = "SIZE", default_value = "4GiB", help_heading = "Limits")]
    max_size: ByteSize,
    /// The most to store in all, over the uploads of this run
    #[arg(long, value_name = "SIZE", default_value = Quota::DEFAULT, help_heading = "Limits")]
    max_total: ByteSize,
    /// How many connections are served at once; further ones wait
    #[arg(long, value_name = "N", default_value_t = Limits::CONNECTIONS as u32,
        value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "Limits")]
    max_clients: u32,
    /// The largest head of a request
    #[arg(long, value_name = "SIZE", default_value = "16KiB", help_heading = "Limits")]
    max_head: ByteSize,
    /// How long a request's head may take from its first byte
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = span,
        help_heading = "Limits")]
    head_time: Duration,
    /// How long a connection may ask nothing
    #[arg(long, value_name = "TIME", default_value = "75s", value_parser = span,
        help_heading = "Limits")]
    idle: Duration,
    /// The least rate of a client that sends a body or reads an answer …
    #[arg(long, value_name = "RATE", default_value = "1kbit/s", help_heading = "Limits")]
    min_rate: BitRate,
    /// … judged over so much time of waiting for it
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = span,
        help_heading = "Limits")]
    patience: Duration,
    /// How many threads serve; as many as the machine has processors by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256),
        help_heading = "Limits")]
    threads: Option<u16>,
}

impl HttpServeArgs {
    /// Serves until stopped. Returns false if `--once` served only what it had to refuse.
    ///
    /// # Errors
    /// When a folder cannot be opened, or the address not be taken.
    pub fn run(&self, stop: &Stop) -> anyhow::Result<bool> {
        let settings = self.settings()?;
        let listen = self.serving.address("http")?;
        let (server, remarks) = serve(listen, &settings)?;
        for remark in remarks {
            note(&format!("jostle-server: {remark}"));
        }
        let printer = self.serving.printer();
        printer.ready("http", &format!("http://{}", server.address()));
        let printing = Arc::new(Printing::start(printer)?);
        let lines = printing.clone();
        let totals = server.run(stop, move |event| print(&lines, &event));
        summary(&printing, &totals);
        Ok(!self.once || totals.succeeded > 0 || totals.requests == 0)
    }

    fn settings(&self) -> anyhow::Result<SiteSettings> {
        // The parser wants room for a line at least, and a head is held in memory.
        if !(1024..=1 << 20).contains(&self.max_head.bytes()) {
            return Err(Usage::error(format!(
                "--max-head {} is out of bounds; write 1KiB to 1MiB",
                self.max_head
            )));
        }
        let defaults = Limits::default();
        // An answer needs a file besides its connection, and ends faster than connections do.
        let most = jostle_sys::raise_descriptor_limit().saturating_sub(DESCRIPTORS_KEPT) * 2 / 3;
        let wanted = self.max_clients as usize;
        if most < wanted && wanted != Limits::CONNECTIONS {
            log::warn!(
                "only {most} connections are served at once: more need a higher `ulimit -n`"
            );
        }
        let limits = Limits {
            connections: wanted.min(most.max(1)),
            head_bytes: self.max_head.bytes() as usize,
            head_time: self.head_time,
            idle: self.idle,
            read_ahead_bytes: defaults.read_ahead_bytes,
            least: Least { bytes: self.min_rate.bytes_in(self.patience), within: self.patience },
            body_bytes: self.max_size.bytes(),
            stored_bytes: self.max_total.bytes(),
            threads: self.threads.map_or(defaults.threads, Into::into),
            once: self.once,
            log: self.log,
        };
        let Self { root, uploads, listing, hosts, .. } = self;
        Ok(SiteSettings {
            root: root.clone(),
            uploads: uploads.clone(),
            listing: *listing,
            hosts: hosts.clone(),
            limits,
        })
    }
}

fn print(printing: &Printing, event: &HttpEvent) {
    match event {
        HttpEvent::Answered { peer, method, target, status, bytes } => {
            let fields = json!({ "peer": peer, "method": method, "target": target, "status": status,
                "bytes": bytes });
            printing.event("answered", fields, || {
                format!(
                    "{peer} {} {} {status} {}",
                    escaped(method),
                    escaped(target),
                    grouped(*bytes)
                )
            });
        }
        HttpEvent::Stored { peer, name, size, digest } => {
            let fields = json!({ "peer": peer, "file": name, "size": size, "sha256": digest });
            printing.event("stored", fields, || {
                format!("{}: {} bytes from {peer}, sha256 {digest}", escaped(name), grouped(*size))
            });
        }
    }
}

fn summary(printing: &Printing, totals: &HttpTotals) {
    let HttpTotals {
        connections,
        requests,
        succeeded,
        redirected,
        refused,
        failed,
        bytes,
        stored,
        unstored,
        ..
    } = *totals;
    let HttpTotals { panics, idle, yielded, malformed, .. } = *totals;
    let HttpTotals { slow_heads, slow_bodies, slow_readers, .. } = *totals;
    let HttpTotals { undigested, read_ahead_full, accept_paused, .. } = *totals;
    let fields = json!({ "kind": "http", "connections": connections, "requests": requests,
        "succeeded": succeeded,
        "redirected": redirected, "refused": refused, "failed": failed, "bytes": bytes,
        "stored": stored, "unstored": unstored,
        "panics": panics, "idle": idle, "yielded": yielded,
        "malformed": malformed, "slow_heads": slow_heads,
        "slow_bodies": slow_bodies, "slow_readers": slow_readers, "undigested": undigested,
        "read_ahead_full": read_ahead_full, "accept_paused": accept_paused });
    printing.finish("summary", fields, || {
        let mut text = format!(
            "connections {connections} requests {requests}: succeeded {succeeded} redirected \
             {redirected} refused {refused} failed {failed}\n\
             bytes {} stored {stored} unstored {unstored}",
            grouped(bytes)
        );
        let odd = [
            ("idle", idle),
            ("yielded", yielded),
            ("malformed", malformed),
            ("slow heads", slow_heads),
            ("slow bodies", slow_bodies),
            ("slow readers", slow_readers),
            ("without digest", undigested),
            ("read-ahead full", read_ahead_full),
            ("panics", panics),
            ("accept paused", accept_paused),
        ];
        for (name, count) in odd.into_iter().filter(|(_, count)| *count > 0) {
            text.push_str(&format!(" {name} {count}"));
        }
        text
    });
}
