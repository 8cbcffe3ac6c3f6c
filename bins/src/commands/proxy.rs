//! `jostle proxy`: routes real programs through bad weather until it is stopped, and says what it
//! did.

mod child;
mod plan;
mod report;

use anyhow::Context;
use clap::Args;
use jostle_common::units::Span;
use jostle_console::exit::Usage;
use jostle_console::keys;
use jostle_console::signals;
use jostle_console::terminal::Printer;
use jostle_engine::route::{TcpMode, Unit};
use jostle_proxy::{Control, Proxy, Settings, StartError};
use jostle_study::weather::Weather;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Relay UDP and TCP through bad weather
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  jostle proxy udp://127.0.0.1:5353=127.0.0.1:53 --drop 5% --delay 40ms
  jostle proxy tcp://localhost:8080=example.org:80 --profile coffee-shop-wifi
  jostle proxy both://127.0.0.1:15201=127.0.0.1:5201 --seed 7 --for 30s --events fates.jsonl
  jostle proxy tcp://127.0.0.1:9100=127.0.0.1:9000 --tcp raw --unit line --drop 10%
  jostle proxy --config configs/proxies/example.json
  jostle proxy tcp://127.0.0.1:8080=127.0.0.1:80 --rate 1Mbit/s -- curl -s http://127.0.0.1:8080/

While it runs, the space bar or SIGUSR1 switches all rules off and on again; Ctrl-C ends it: it
listens no more and finishes what is open (--drain); a second Ctrl-C ends it at once.")]
pub struct ProxyArgs {
    /// Where to listen and where to relay to: udp://, tcp:// or both://LISTEN=UPSTREAM
    #[arg(value_name = "ROUTE", required_unless_present = "config")]
    routes: Vec<String>,
    /// Run this while relaying, and end with its status. JOSTLE_LISTEN holds the addresses
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
    /// Take the routes from a JSON file
    #[arg(long, value_name = "FILE",
        conflicts_with_all = ["routes", "profile", "tcp", "unit", "follow"])]
    config: Option<PathBuf>,
    /// The weather: a JSON file or the name of a built-in profile
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    #[command(flatten)]
    weather: Weather,
    /// The seed of all draws; without it one is drawn and printed
    #[arg(long, value_name = "NUMBER", help_heading = "The run")]
    seed: Option<u64>,
    /// Write what became of each packet, a JSON object per line
    #[arg(long, value_name = "FILE", help_heading = "The run")]
    events: Option<PathBuf>,
    /// End after so long: 30s
    #[arg(long = "for", value_name = "TIME", help_heading = "The run")]
    limit: Option<Span>,
    /// After a signal or --for finish what is open for so long, then cut it; 2s after -- CMD
    #[arg(long, value_name = "TIME", default_value = "10s", help_heading = "The run")]
    drain: Span,
    /// Print objects, one per line, instead of text
    #[arg(long, help_heading = "The run")]
    json: bool,
    /// What loss means on TCP: it costs time (model; cubic, reno), or bytes of the stream vanish
    /// (raw)
    #[arg(long, value_name = "MODE", value_parser = plan::tcp_modes(), help_heading = "The relays")]
    tcp: Option<TcpMode>,
    /// What shares a fate on a raw route: line, read, or a size such as 4KiB
    #[arg(long, value_name = "UNIT", value_parser = jostle_engine::route::parse_unit,
        help_heading = "The relays")]
    unit: Option<Unit>,
    /// Relay answers from other ports of a UDP upstream, as TFTP gives
    #[arg(long, help_heading = "The relays")]
    follow: bool,
    /// Use nothing that only Linux has
    #[arg(long, help_heading = "The relays")]
    portable: bool,
}

impl ProxyArgs {
    /// Runs the proxy until it is stopped.
    ///
    /// # Errors
    /// A [`jostle_console::exit::Usage`] when the command line or a file says something impossible;
    /// another error when the proxy cannot start.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let plan = plan::plan(&self)?;
        let printer = Printer::new(self.json);
        let mut settings = Settings::new(plan.routes, plan.seed);
        settings.portable = self.portable;
        let events = self.events.as_deref().map(EventsFile::open).transpose()?;
        if let Some(events) = &events {
            let file = events.file.try_clone().context("the event log")?;
            settings.events = Some(Box::new(file));
        }
        let proxy = match Proxy::bind(settings) {
            Ok(proxy) => proxy,
            Err(error) => {
                if let Some(events) = events {
                    events.withdraw();
                }
                return Err(match error {
                    StartError::Circle { .. } => Usage::error(error.to_string()),
                    error => error.into(),
                });
            }
        };
        if let Some(events) = &events {
            events.begin();
        }
        if plan.drawn {
            eprintln!("seed {}", plan.seed);
        }
        let control = proxy.control();
        let Span(drain) = self.drain;
        listen_to_signals(&control, drain)?;
        let keys = if self.command.is_empty() { keys::on_space(toggler(&control)) } else { None };
        let urls: Vec<String> = proxy
            .listeners()
            .iter()
            .map(|one| format!("{}://{}", one.protocol, one.address))
            .collect();
        for (listener, url) in proxy.listeners().iter().zip(&urls) {
            printer.ready(&listener.route, url);
        }
        let child = match self.command.as_slice() {
            [] => None,
            command => Some(child::start(command, &urls, control.clone())?),
        };
        if let Some(Span(limit)) = self.limit {
            stop_after(limit, drain, control)?;
        }
        let summary = proxy.run();
        drop(keys);
        // Whoever ended first, the command's status is ours.
        let status = child.map_or(ExitCode::SUCCESS, child::finish);
        report::print(printer, &summary);
        Ok(status)
    }
}

/// The event log's file, which keeps what it held until the proxy has started.
struct EventsFile {
    path: PathBuf,
    file: File,
    is_new: bool,
}

impl EventsFile {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let open = |new: bool| File::options().write(true).create_new(new).open(path);
        let (file, is_new) = match open(true) {
            Ok(file) => (file, true),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                (open(false).with_context(|| format!("cannot write {}", path.display()))?, false)
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot write {}", path.display()));
            }
        };
        Ok(Self { path: path.to_owned(), file, is_new })
    }

    /// Empties it.
    fn begin(&self) {
        // A pipe or a terminal has no length.
        if let Err(error) = self.file.set_len(0) {
            log::debug!("{}: {error}", self.path.display());
        }
    }

    /// The proxy has not started: leaves things as they were.
    fn withdraw(self) {
        if self.is_new
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            log::debug!("{}: {error}", self.path.display());
        }
    }
}

fn toggler(control: &Control) -> impl Fn() + Send + 'static {
    let control = control.clone();
    move || eprintln!("rules {}", if control.toggle() { "on" } else { "off" })
}

/// SIGINT and SIGTERM end the run, a second one at once; SIGUSR1 switches the rules.
fn listen_to_signals(control: &Control, drain: Duration) -> anyhow::Result<()> {
    let (toggle, control) = (toggler(control), control.clone());
    let stopping = Arc::new(AtomicBool::new(false));
    signals::on(&[SIGINT, SIGTERM, SIGUSR1], move |signal| {
        if signal == SIGUSR1 {
            toggle();
        } else if stopping.swap(true, Ordering::Relaxed) {
            keys::restore();
            std::process::exit(128 + signal);
        } else {
            control.stop_within(drain);
        }
    })
    .context("cannot listen to signals")
}

fn stop_after(limit: Duration, drain: Duration, control: Control) -> anyhow::Result<()> {
    let wait = move || {
        // Nobody sends: it is a sleep that needs no clock.
        let (_sender, receiver) = mpsc::channel::<()>();
        let _ = receiver.recv_timeout(limit);
        control.stop_within(drain);
    };
    std::thread::Builder::new()
        .name("limit".into())
        .spawn(wait)
        .context("cannot start a thread")?;
    Ok(())
}
