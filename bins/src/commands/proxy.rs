//! `jostle proxy`: routes real programs through bad weather until it is stopped, and says what it
//! did.

mod access;
mod child;
mod dials;
mod events;
mod first;
mod journal;
mod output;
mod outputs;
mod panel;
mod pcap;
mod plan;
mod ready;
mod realtime;
mod reload;
mod report;
mod status;
mod stopping;

pub(crate) use ready::weather;

use access::Access;
use anyhow::Context;
use child::RouteAddresses;
use clap::Args;
use events::EventArgs;
use jostle_common::transport::Transport;
use jostle_common::units::{ByteSize, Span, parse_seconds, parse_seed};
use jostle_console::exit::{self, Usage};
use jostle_console::keys;
use jostle_console::terminal::{Printer, note};
use jostle_control::{Journal, Origin, Registry, Server, ServerError, ServerSettings};
use jostle_engine::profile::Profile;
use jostle_engine::route::{Route, TcpMode, Unit};
use jostle_forward::{Allowed, Credentials};
use jostle_proxy::capture::Capture;
use jostle_proxy::{Listener, Proxy, Selection, Settings, StartError};
use jostle_study::profiles;
use jostle_study::weather::ChosenWeather;
use outputs::Outputs;
use pcap::{Pcap, PcapArgs};
use realtime::Timing;
use reload::{Changer, Wishes};
use serde_json::json;
use status::Status;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use stopping::Stopper;

/// Relay UDP and TCP through bad weather
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  jostle proxy udp://127.0.0.1:5353=127.0.0.1:53 --drop 5% --delay 40ms
  jostle proxy tcp://localhost:8080=example.org:80 --profile coffee-shop-wifi
  jostle proxy socks5://127.0.0.1:1080 --profile webpagetest-lte
  jostle proxy http-proxy://127.0.0.1:8080 --allow 'example.org,*.example.org:443' --drop 1%
  jostle proxy both://127.0.0.1:15201=127.0.0.1:5201 --seed 7 --for 30s --events fates.jsonl
  jostle proxy tcp://127.0.0.1:9100=127.0.0.1:9000 --tcp raw --unit line --drop 10%
  jostle proxy tcp://127.0.0.1:9100=127.0.0.1:9000 --reset 0s --only flow=3
  jostle proxy --config configs/proxies/example.json
  jostle proxy --api
  jostle proxy udp://127.0.0.1:5353=127.0.0.1:53 --panel --open
  jostle proxy tcp://127.0.0.1:8080=127.0.0.1:80 --rate 1Mbit/s -- curl -s http://127.0.0.1:8080/

A client's connect succeeds at once, as the system answers it: rules act on what follows. In a file
of --config, \"open\": \"with upstream\" and \"accept\": \"5s\" change what it sees.

While it runs, the space bar or SIGUSR1 switches all rules off and on again, and SIGHUP reads the
file of --config again; Ctrl-C ends it: it listens no more and finishes what is open (--drain); a
second Ctrl-C ends it at once. With -- CMD stdout is the command's, and what the proxy says goes to
stderr. Ctrl-C is then the command's too: the proxy ends when the command does, and a second Ctrl-C
ends both. The status is CMD's; 125 when the proxy fails, 126 when CMD cannot be run, 127 when there
is no such CMD.")]
pub struct ProxyArgs {
    /// Where to listen and where to relay to: udp://, tcp:// or both://LISTEN=UPSTREAM; or, for
    /// clients that say where they want to go, socks5:// or http-proxy://LISTEN
    #[arg(value_name = "ROUTE")]
    routes: Vec<String>,
    /// Run this while relaying, and end with its status. It finds JOSTLE_PROXY, where the first
    /// route listens, and JOSTLE_SERVER, where it leads, both also with _HOST and _PORT;
    /// JOSTLE_LISTEN holds the addresses of all routes, with their schemes
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
    /// Take the routes from a JSON file: { "seed": 7, "proxies": [ { "listen":
    /// "tcp://127.0.0.1:8080", "upstream": "127.0.0.1:80", "profile": "geo-satellite" } ] }
    /// (docs/config.md; "profile schema --config" prints its schema)
    #[arg(long, value_name = "FILE",
        conflicts_with_all = ["routes", "profile", "tcp", "unit", "follow", "idle", "allow", "user",
            "spread"])]
    config: Option<PathBuf>,
    /// Read the file of --config again whenever it is written, and each profile that it names;
    /// SIGHUP has it read again without that. What did not change goes on undisturbed
    #[arg(long, requires = "config", help_heading = "The run")]
    watch: bool,
    /// The weather: a JSON file or the name of a built-in profile
    #[arg(long, value_name = "PROFILE", add = profiles::completer())]
    profile: Option<String>,
    #[command(flatten)]
    weather: ChosenWeather,
    /// The seed of all draws; without it one is drawn and printed
    #[arg(long, value_name = "NUMBER", value_parser = parse_seed, help_heading = "The run")]
    seed: Option<u64>,
    /// Write what became of each packet, a JSON object per line; "-" is stdout (some of them:
    /// --help)
    #[arg(long, value_name = "FILE", help_heading = "The run")]
    events: Option<PathBuf>,
    #[command(flatten)]
    event_choice: EventArgs,
    #[command(flatten)]
    pcap: PcapArgs,
    /// Write each change of the configuration, who asked for it and what holds since, a JSON object
    /// per line; "profile from-journal" makes a profile of it
    #[arg(long, value_name = "FILE", hide_short_help = true, help_heading = "The run")]
    journal: Option<PathBuf>,
    /// Write the summary to a file instead of printing it
    #[arg(long, value_name = "FILE", help_heading = "The run")]
    summary: Option<PathBuf>,
    /// End after so long: 30s
    #[arg(long = "for", value_name = "TIME", value_parser = parse_seconds,
        help_heading = "The run")]
    limit: Option<Span>,
    /// After a signal or --for finish what is open for so long, then cut it; 2s after -- CMD
    #[arg(long, value_name = "TIME", default_value = "10s", help_heading = "The run")]
    drain: Span,
    /// Print objects, one per line, instead of text
    #[arg(long, help_heading = "The run")]
    json: bool,
    /// What loss means on TCP: it costs time (model; cubic, reno, and those that take marks), or
    /// bytes of the stream vanish (raw)
    #[arg(long, value_name = "MODE", value_parser = plan::tcp_modes(), help_heading = "The relays")]
    tcp: Option<TcpMode>,
    /// What shares a fate on a raw route: line, read, or a size such as 4KiB
    #[arg(long, value_name = "UNIT", value_parser = jostle_engine::route::parse_unit,
        help_heading = "The relays")]
    unit: Option<Unit>,
    /// Relay answers from other ports of a UDP upstream, as TFTP gives
    #[arg(long, help_heading = "The relays")]
    follow: bool,
    /// Let clients of socks5:// and http-proxy:// reach these targets alone, between commas:
    /// example.org, *.example.org, 10.0.0.0/8, [2001:db8::]/32 or *, with :PORT or :PORT-PORT if not
    /// all. Unless stated they reach all, but no private address from beyond loopback
    #[arg(long, value_name = "LIST", value_parser = jostle_engine::route::parse_targets,
        help_heading = "The relays")]
    allow: Option<Allowed>,
    /// Let clients of socks5:// and http-proxy:// in that name this user
    #[arg(long, value_name = "NAME:PASSWORD", value_parser = jostle_engine::route::parse_user,
        help_heading = "The relays")]
    user: Option<Credentials>,
    /// Forget a UDP flow (unless stated after 120s) and tear a TCP connection down (never) after so
    /// much silence
    #[arg(long, value_name = "TIME", help_heading = "The relays")]
    idle: Option<Span>,
    /// Refuse a TCP client whose upstream has not answered the connect for so long
    #[arg(
        long,
        value_name = "TIME",
        default_value = "10s",
        hide_short_help = true,
        help_heading = "The relays"
    )]
    connect_timeout: Span,
    /// Hold at most so much of what is under way: further datagrams are lost (no_room), TCP senders
    /// wait
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "1GiB",
        hide_short_help = true,
        help_heading = "The relays"
    )]
    memory: ByteSize,
    /// Let one address have at most so many UDP flows, and as many TCP connections; unless stated,
    /// half of the places while few are left
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..),
        hide_short_help = true, help_heading = "The relays")]
    per_source: Option<u32>,
    /// Send a UDP client no more than so many times what it sent, until it has answered something;
    /// or "off". Clients on loopback need not show that they are there
    #[arg(long, value_name = "FACTOR", default_value = "3", value_parser = plan::amplification,
        hide_short_help = true, help_heading = "The relays")]
    amplification: plan::Amplification,
    /// Spread the routes over so many event loops, each on a thread of its own; or "auto", one for
    /// each core. What happens to a packet does not depend on it
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = plan::workers,
        hide_short_help = true, help_heading = "The relays")]
    workers: usize,
    /// Let all workers share each route, client by client. Its rules have to be "per": "flow";
    /// those of the command line are, then
    #[arg(long, hide_short_help = true, help_heading = "The relays")]
    spread: bool,
    /// Answer Toxiproxy's API, so that its clients create, change and remove routes, on
    /// 127.0.0.1:8474 or at another address of this machine: --api=127.0.0.1:9000
    #[arg(long, value_name = "ADDR", num_args = 0..=1, require_equals = true,
        default_missing_value = "127.0.0.1:8474", help_heading = "The run")]
    api: Option<SocketAddr>,
    #[command(flatten)]
    panel: panel::PanelOptions,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    timing: Timing,
    /// Use nothing that only Linux has
    #[arg(long, hide_short_help = true, help_heading = "The relays")]
    portable: bool,
}

impl ProxyArgs {
    /// Runs the proxy until it is stopped.
    ///
    /// # Errors
    /// A [`jostle_console::exit::Usage`] when the command line or a file says something impossible;
    /// another error when the proxy cannot start.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let wraps = !self.command.is_empty();
        match self.relay() {
            // A lower status would be taken for the command's.
            Err(error) if wraps => Ok(exit::failed("jostle", &error, child::status_of(&error))),
            result => result,
        }
    }

    fn relay(self) -> anyhow::Result<ExitCode> {
        let printer = self.printer()?;
        let plan = plan::plan(&self)?;
        let api = self.api_plan()?;
        let (routes, seed) = (plan.routes, plan.seed);
        let settings = self.settings(&routes, seed, &api)?;
        let mut outputs = Outputs::open(&self)?;
        let started = match start(settings, &api, &outputs, self.event_choice.selection()) {
            Ok(started) => started,
            Err(error) => {
                outputs.withdraw();
                return Err(error);
            }
        };
        let Started { mut proxy, registry, server, capture } = started;
        let has_file = plan.source.is_some();
        if has_file {
            registry.begin_with_file(&routes);
        }
        outputs.begin();
        let journal = outputs.journal.as_ref().map(|file| -> anyhow::Result<Journal> {
            let file = file.writer().context("the journal")?;
            Journal::start(&registry, seed, file).context("the journal")
        });
        let journal = journal.transpose()?;
        let remarks = plan::remarks_on_workers(self.workers, &routes);
        remarks.iter().for_each(|remark| note(remark));
        if plan.drawn {
            note(&format!("seed {seed}"));
        }
        let changer =
            Changer::new(Arc::clone(&registry), plan.source, seed, self.watch, self.drain.0);
        let dials = changer.dials();
        let stopper =
            Stopper::new(proxy.control(), self.drain.0, Wishes::start(changer)?, has_file);
        stopper.listen_to_signals()?;
        let wraps = !self.command.is_empty();
        let keys = if wraps { None } else { keys::on(stopper.presser()) };
        let listening = announce(printer, &proxy, &routes);
        if let Some(server) = &server {
            let address = server.address().to_string();
            printer.event("api", json!({ "address": address }), || format!("API http://{address}"));
            self.panel.ready(printer, server.address(), api.settings.token.as_ref());
        }
        if keys.is_some() && !self.json {
            note(status::KEYS);
        }
        let child = match self.command.as_slice() {
            [] => None,
            command => Some(child::start(command, &listening, &stopper)?),
        };
        if let Some(Span(limit)) = self.limit {
            stopper.stop_after(limit)?;
        }
        // A command prints to the terminal as it likes.
        let status = (!wraps && !self.json).then(|| Status::start(&stopper, &registry, dials));
        self.timing.take_precedence(&mut proxy, printer);
        let mut summary = proxy.run();
        let captured = capture.map(Capture::finish).unwrap_or_default();
        summary.capture_lost = captured.lost;
        drop(server);
        let journal = journal.map(Journal::finish);
        drop(status);
        drop(keys);
        // Whichever ended first, the command's status is ours.
        let status = child.map_or(ExitCode::SUCCESS, child::finish);
        stopper.yield_to_signal();
        let routes = as_asked(routes, &registry);
        let mut text = report::summary(printer, &summary, &routes);
        if let Some(end) = &journal {
            text = format!("{text}\n{}", journal::summary(printer, end));
        }
        match &mut outputs.summary {
            Some(file) => file.write(&(text + "\n"))?,
            None => printer.line(&text),
        }
        report::warnings(&summary, &routes).iter().for_each(|warning| note(warning));
        let errors = [
            ("the event log", summary.events_error),
            ("the journal", journal.and_then(|end| end.error)),
            ("the capture", captured.error),
        ];
        let error = errors.into_iter().find_map(|(what, error)| Some((what, error?)));
        match error {
            // A command that has failed has more to say.
            Some((what, error)) if status == ExitCode::SUCCESS => {
                Err(anyhow::anyhow!("{what} is not whole: {error}"))
            }
            _ => Ok(status),
        }
    }

    /// Returns where the API is to answer, and how.
    fn api_plan(&self) -> anyhow::Result<ApiPlan> {
        let address = self.panel.address(self.api)?;
        if address.is_none() && self.access.is_said() {
            return Err(Usage::error("--api-token and --api-host are for the API; add --api"));
        }
        // The API's are its own: neither it nor the traffic can take the other's.
        let descriptors = ServerSettings::descriptors(jostle_sys::raise_descriptor_limit());
        let mut settings = self.access.settings(descriptors)?;
        settings.panel = self.panel.is_served();
        Ok(ApiPlan { address, descriptors, settings })
    }

    fn settings(&self, routes: &[Route], seed: u64, api: &ApiPlan) -> anyhow::Result<Settings> {
        let mut settings = Settings::new(routes.to_vec(), seed);
        // Machines count; people want to see that anything comes at all.
        settings.on_client = if self.json { None } else { first::hook() };
        settings.portable = self.portable;
        settings.spin = self.timing.spin.0;
        settings.coalesce = self.timing.coalesce.0;
        settings.connect_timeout = self.connect_timeout.0;
        settings.amplification = self.amplification.0;
        settings.memory = plan::memory(self.memory)?;
        settings.per_source = self.per_source.map(|most| most as usize);
        settings.workers = self.workers;
        if api.address.is_some() {
            settings.kept_descriptors = api.descriptors;
        }
        Ok(settings)
    }

    /// Returns where results go: not to stdout when that is the command's or the event log's.
    fn printer(&self) -> anyhow::Result<Printer> {
        if self.journal.as_deref().is_some_and(output::is_stdout) {
            return Err(Usage::error("--journal -: stdout has the summary; write it to a file"));
        }
        let printer = Printer::new(self.json);
        let events = self.events.as_deref().is_some_and(output::is_stdout);
        match (events, self.command.is_empty()) {
            (true, false) => {
                Err(Usage::error("--events -: stdout is the command's; write the events to a file"))
            }
            (true, true) if self.json => Err(Usage::error(
                "--events -: stdout has the objects of --json; write the events to a file",
            )),
            (true, true) | (false, false) => Ok(printer.on_stderr()),
            (false, true) => Ok(printer),
        }
    }
}

/// The API as it is asked for.
struct ApiPlan {
    address: Option<SocketAddr>,
    descriptors: usize,
    settings: ServerSettings,
}

/// A proxy that listens, and what was started with it.
struct Started {
    proxy: Proxy,
    registry: Arc<Registry>,
    server: Option<Server>,
    capture: Option<Capture>,
}

/// Starts all that may fail before the files of the run are touched.
fn start(
    mut settings: Settings,
    api: &ApiPlan,
    outputs: &Outputs,
    events_only: Selection,
) -> anyhow::Result<Started> {
    if let Some(events) = &outputs.events {
        settings.events = Some(events.writer().context("the event log")?);
        settings.events_only = events_only;
    }
    let capture = outputs.pcap.as_ref().map(Pcap::start).transpose()?.map(|(capture, sink)| {
        settings.sinks.push(sink);
        capture
    });
    let proxy = Proxy::bind(settings).map_err(|error| match error {
        StartError::Circle { .. } => Usage::error(error.to_string()),
        error => error.into(),
    })?;
    let registry = Arc::new(Registry::new(proxy.control(), proxy.routes()));
    let listen = |address| Server::start_with(address, Arc::clone(&registry), api.settings.clone());
    let server = api.address.map(listen).transpose().map_err(|error| match error {
        ServerError::Open { .. } => Usage::error(error.to_string()),
        error => error.into(),
    })?;
    Ok(Started { proxy, registry, server, capture })
}

/// Takes the rules out of the routes that were changed since: what the summary is compared with did
/// not hold all the time.
fn as_asked(mut routes: Vec<Route>, registry: &Registry) -> Vec<Route> {
    let table = registry.open(Origin::Start);
    for route in &mut routes {
        if table.get(&route.name).is_none_or(|entry| entry.revision > 1) {
            route.profile = Profile::default();
        }
    }
    routes
}

/// Says where each route listens, and returns the same for a command.
fn announce(printer: Printer, proxy: &Proxy, routes: &[Route]) -> Vec<RouteAddresses> {
    let route_of = |name: &str| routes.iter().find(|route| route.name == name);
    // Of a forward listener people are told where connections go; datagrams are told by it.
    let is_told = |listener: &&Listener| {
        listener.protocol == Transport::Tcp
            || route_of(&listener.route).is_none_or(|route| route.scheme().forward().is_none())
    };
    let listeners = proxy.listeners();
    let addresses = listeners.iter().filter(is_told).map(|listener| {
        let route = route_of(&listener.route);
        let scheme = route.and_then(|route| route.scheme().forward()).map(|one| one.scheme());
        let scheme = scheme.unwrap_or_else(|| listener.protocol.name());
        let url = format!("{scheme}://{}", listener.address);
        printer.ready_as(&listener.route, &url, || {
            route.map_or_else(|| url.clone(), |route| ready::line(route, &url))
        });
        RouteAddresses {
            url,
            listen: listener.address.to_string(),
            upstream: route
                .and_then(|route| route.destination.upstream())
                .map(|upstream| upstream.to_string()),
        }
    });
    addresses.collect()
}
