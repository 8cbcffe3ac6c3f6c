//! What a command line asks the proxy to do: its routes and its seed, checked before anything
//! starts.

use super::ProxyArgs;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use jostle_common::chance::fresh_seed;
use jostle_common::units::{ByteSize, Span};
use jostle_console::exit::Usage;
use jostle_console::files;
use jostle_console::terminal::{escaped, note};
use jostle_engine::profile::Profile;
use jostle_engine::route::{
    Configuration, Destination, Forward, Listening, Route, RouteWorkers, TcpMode, parse_route,
};
use jostle_proxy::Settings;
use jostle_study::profiles::{self, ProfileFiles};
use jostle_study::weather::ChosenWeather;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};

/// Returns the values of `--tcp`, each with what it means.
pub(super) fn tcp_modes() -> impl TypedValueParser<Value = TcpMode> {
    let modes = [
        PossibleValue::new("model")
            .alias("cubic")
            .help("Loss costs time, as with the CUBIC of Linux"),
        PossibleValue::new("reno").help("Loss costs time, as with Reno"),
        PossibleValue::new("cubic-ecn").help("CUBIC whose segments are marked instead of lost"),
        PossibleValue::new("reno-ecn").help("Reno whose segments are marked instead of lost"),
        PossibleValue::new("dctcp").help("DCTCP: the window shrinks by the share that is marked"),
        PossibleValue::new("prague").help("The same for low latency (L4S)"),
        PossibleValue::new("raw").help("Bytes of the stream vanish, flip and double"),
    ];
    PossibleValuesParser::new(modes).try_map(|name| name.parse())
}

/// The limit on what a UDP client gets that has not shown that it is there; `None`: no limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amplification(pub(super) Option<u32>);

/// Reads a value of `--amplification`.
pub(super) fn amplification(text: &str) -> Result<Amplification, String> {
    if text == "off" {
        return Ok(Amplification(None));
    }
    let factor = text.parse().ok().filter(|factor| *factor > 0);
    factor
        .map(|factor| Amplification(Some(factor)))
        .ok_or_else(|| "write a whole number from 1, or off".to_owned())
}

/// Reads a value of `--workers`: a number, or `auto` for as many as there are cores.
pub(super) fn workers(text: &str) -> Result<usize, String> {
    if text == "auto" {
        return Ok(cores().min(Settings::WORKERS_MAX));
    }
    let count = text.parse().ok().filter(|count| (1..=Settings::WORKERS_MAX).contains(count));
    count.ok_or_else(|| {
        format!("write a whole number from 1 to {}, or auto: one per core", Settings::WORKERS_MAX)
    })
}

/// Returns how many threads can run at once.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Says what is allowed about event loops and is probably not meant.
pub(super) fn remarks_on_workers(workers: usize, routes: &[Route]) -> Vec<String> {
    remarks_with(workers, cores(), routes)
}

fn remarks_with(workers: usize, cores: usize, routes: &[Route]) -> Vec<String> {
    let mut remarks = Vec::new();
    if workers > cores {
        remarks.push(format!(
            "--workers {workers}: there are {cores} cores, and more workers than these wait for \
             each other; auto has one for each"
        ));
    }
    let is_spread = |route: &Route| route.workers.among(workers) > 1;
    if workers > routes.len() && !routes.is_empty() && !routes.iter().any(is_spread) {
        let (count, noun) = (routes.len(), if routes.len() == 1 { "route" } else { "routes" });
        remarks.push(format!(
            "--workers {workers}: {count} {noun} can use {count}; --spread lets all workers share \
             each route (in a file: \"workers\": \"all\")"
        ));
    }
    let wants_more = |route: &&Route| match route.workers {
        RouteWorkers::Of(count) => usize::from(count) > workers,
        RouteWorkers::All => workers == 1,
    };
    if let Some(route) = routes.iter().find(wants_more) {
        remarks.push(format!(
            "route {}: it is to have several workers, and there are {workers}; --workers \
             says how many",
            route.name
        ));
    }
    remarks
}

/// The routes and the seed that a command line asks for.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) routes: Vec<Route>,
    pub(super) seed: u64,
    /// Whether the seed was drawn just now.
    pub(super) drawn: bool,
    /// The file of the routes, if they are from one.
    pub(super) source: Option<Source>,
}

/// A configuration file, and what the command line adds to it.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    weather: ChosenWeather,
    /// All routes may be disabled, as others may come.
    may_be_idle: bool,
    /// The file and those that it named when it was last read.
    pub(super) files: Vec<PathBuf>,
}

impl Source {
    /// Reads the file: the seed, and the routes with the command line's rules in front. What it
    /// reads over is noted.
    ///
    /// # Errors
    /// When it cannot be read, or says something impossible; with the place and the remedy.
    pub(super) fn read(&mut self) -> anyhow::Result<(Option<u64>, Vec<Route>)> {
        let path = &self.path;
        self.files = vec![path.clone()];
        let text = files::read_text(path)
            .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", path.display()))?;
        // Profiles named in the file stand beside it.
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let files = ProfileFiles::new(folder);
        let configuration = Configuration::from_json(&text, &|name| files.read(name));
        self.files.extend(files.looked_for());
        let configuration =
            configuration.map_err(|error| files.judge(&format!("{}: ", path.display()), &error))?;
        for remark in &configuration.remarks {
            note(&escaped(&format!("jostle: {}: {remark}", path.display())));
        }
        let mut routes = configuration.routes;
        self.put_in_front(&mut routes)?;
        Ok((configuration.seed, routes))
    }

    fn put_in_front(&self, routes: &mut [Route]) -> anyhow::Result<()> {
        put_in_front(&self.weather, routes)?;
        if !self.may_be_idle && !routes.iter().any(|route| route.enabled) {
            return Err(Usage::error("every route is disabled; set \"enabled\": true in one"));
        }
        Ok(())
    }
}

/// Puts the rules of the command line in front of the routes' own, and checks that they can act
/// there.
fn put_in_front(weather: &ChosenWeather, routes: &mut [Route]) -> anyhow::Result<()> {
    for route in routes {
        let profile = std::mem::take(&mut route.profile);
        route.profile =
            weather.in_front_of(profile).map_err(|error| Usage::error(error.to_string()))?;
        route.spread_shorthands();
        route.check_rules().map_err(Usage::error)?;
    }
    Ok(())
}

/// Checks the command line and reads the files it names.
pub(super) fn plan(args: &ProxyArgs) -> anyhow::Result<Plan> {
    let mut source = args.config.as_ref().map(|path| Source {
        path: path.clone(),
        weather: args.weather.clone(),
        may_be_idle: args.api.is_some() || args.panel.is_served(),
        files: Vec::new(),
    });
    let (seed, routes) = match &mut source {
        Some(source) => source.read()?,
        None => {
            let mut routes = from_arguments(args)?;
            put_in_front(&args.weather, &mut routes)?;
            (None, routes)
        }
    };
    let given = args.seed.or(seed);
    let seed = given.unwrap_or_else(fresh_seed);
    Ok(Plan { routes, seed, drawn: given.is_none(), source })
}

fn from_arguments(args: &ProxyArgs) -> anyhow::Result<Vec<Route>> {
    let profile = match &args.profile {
        None => Profile::default(),
        Some(name) => profiles::load(&format!("--profile {name}: "), name)?,
    };
    let tcp = tcp_mode(args)?;
    if args.idle.is_some_and(|Span(idle)| idle.is_zero()) {
        return Err(Usage::error(
            "what is forgotten at once never gets an answer; write 120s, say",
        ));
    }
    let answers = args.api.is_some() || args.panel.is_served();
    if args.routes.is_empty() && !answers {
        return Err(Usage::error(
            "there is no route; write udp://127.0.0.1:5353=127.0.0.1:53, say, or name a file with \
             --config, or let routes come later with --api or --panel (jostle proxy -h)",
        ));
    }
    let mut routes = Vec::new();
    for (index, text) in args.routes.iter().enumerate() {
        let (scheme, listen, upstream) = parse_route(text).map_err(|problem| {
            let may_be_address = answers && text.parse::<SocketAddr>().is_ok();
            let meant = if args.panel.is_served() { "--panel" } else { "--api" };
            Usage::error(match may_be_address {
                true => {
                    format!("\"{text}\" is no route; if it is of {meant}, write {meant}={text}")
                }
                false => problem,
            })
        })?;
        let forward = |protocol| Forward {
            protocol,
            allowed: args.allow.clone().unwrap_or_default(),
            user: args.user.clone(),
        };
        let asked = scheme.forward().map(|protocol| Destination::Asked(forward(protocol)));
        let Some(destination) = upstream.map(Destination::Upstream).or(asked) else {
            return Err(Usage::error(format!("\"{text}\" does not say where the packets go")));
        };
        routes.push(Route {
            name: (index + 1).to_string(),
            transport: scheme.transports(),
            listen,
            destination,
            profile: profile.clone(),
            seed: None,
            paired: None,
            enabled: true,
            tcp,
            follow: args.follow && scheme.forward().is_none() && scheme.transports().has_udp(),
            idle: args.idle.map(|Span(idle)| idle),
            listening: Listening::default(),
            workers: if args.spread { RouteWorkers::All } else { RouteWorkers::default() },
        });
    }
    if routes.is_empty() {
        return Ok(routes);
    }
    if args.tcp.is_some() && !routes.iter().any(|route| route.transport.has_tcp()) {
        return Err(Usage::error("--tcp is for TCP, and no route relays it; leave it out"));
    }
    let is_forward = |route: &Route| route.scheme().forward().is_some();
    for (option, is_said) in [("--allow", args.allow.is_some()), ("--user", args.user.is_some())] {
        if is_said && !routes.iter().any(is_forward) {
            return Err(Usage::error(format!(
                "{option} is for clients that say where they want to go, and every route leads to \
                 its upstream; leave it out, or listen on socks5:// or http-proxy://"
            )));
        }
    }
    if args.follow && !routes.iter().any(|route| route.follow) {
        return Err(Usage::error(
            "--follow is for UDP, and no route relays it to an upstream; leave it out",
        ));
    }
    Ok(routes)
}

/// Checks the bound on what is held.
pub(super) fn memory(size: ByteSize) -> anyhow::Result<u64> {
    let least = ByteSize::new(Settings::MEMORY_LEAST);
    if size.bytes() < least.bytes() {
        let problem =
            format!("--memory {size}: too little for a connection; write {least} or more");
        return Err(Usage::error(problem));
    }
    Ok(size.bytes())
}

fn tcp_mode(args: &ProxyArgs) -> anyhow::Result<TcpMode> {
    match (args.tcp, args.unit) {
        (mode, None) => Ok(mode.unwrap_or_default()),
        (Some(TcpMode::Raw(_)), Some(unit)) => Ok(TcpMode::Raw(unit)),
        (_, Some(_)) => Err(Usage::error("--unit is for raw streams; add --tcp raw")),
    }
}
