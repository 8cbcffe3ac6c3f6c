//! A trial of anyone's programs: a server, a client that reaches it through the proxy, and a check that judges what they did.
//!
//! Each is a line for the shell. They learn from their environment where to listen (`JOSTLE_LISTEN`) and where to connect
//! (`JOSTLE_SERVER`, the proxy), and have a folder of the trial's own (`JOSTLE_TEMP`). Nobody touches the server before the client.

mod family;
mod listening;
mod output;
mod port;
mod program;
mod relay;
mod stage;

#[cfg(test)]
mod tests;

use crate::stop::Stop;
use crate::words::duration;
use anyhow::{Context, bail};
use jostle_common::profile::Profile;
use jostle_common::route::{HostPort, Route, TcpMode, Transport};
use jostle_proxy::{Proxy, Settings, Summary};
use listening::Listening;
use port::Reserved;
use program::{Report, Role};
use relay::Relay;
use serde_json::{Map, Value};
use stage::{Often, Setback, Stage};
use std::time::Duration;

/// How long the server may take until it listens.
const LISTENS_WITHIN: Duration = Duration::from_secs(10);

/// How long a server of two transports may take for the second, once it has the first. It may be one that never opens it before a
/// client has come, so this is added to every such trial.
const SECOND_TRANSPORT: Duration = Duration::from_millis(100);

/// How long a server may take to end by itself after the client: those that serve once write their files then.
const SERVER_ENDS: Duration = Duration::from_secs(1);

/// How long a server is given to listen on a system that does not show who does.
const BLIND: Duration = Duration::from_secs(1);

/// What is to be played.
#[derive(Clone, Debug)]
struct Job<'a> {
    server: &'a str,
    client: &'a str,
    check: Option<&'a str>,
    over: Transport,
    profile: Profile,
    tcp: TcpMode,
    seed: u64,
    limit: Duration,
}

/// What came of it.
#[derive(Debug, Default)]
struct Played {
    /// From the client's start to its end.
    seconds: Option<f64>,
    /// What went wrong, if so.
    error: Option<String>,
    /// The object that the check or the client ended its output with.
    measured: Option<Map<String, Value>>,
    /// What the proxy did.
    summary: Summary,
}

/// Plays it.
///
/// # Errors
/// When the machine refuses, or the user stops it; that a program fails is an outcome.
fn play(job: &Job<'_>, stop: &Stop) -> anyhow::Result<Played> {
    let reserved = Reserved::new(job.over)?;
    let server = HostPort { host: "127.0.0.1".to_owned(), port: reserved.port() };
    let proxy = Proxy::bind(Settings::new(vec![route(job, server.clone())], job.seed))?;
    let door = proxy.listeners().first().expect("the route listens").address;
    let folder =
        tempfile::Builder::new().prefix("jostle-trial-").tempdir().context("cannot make a folder")?;
    let mark = [b"JOSTLE_TEMP=", folder.path().as_os_str().as_encoded_bytes()].concat();
    let environment = vec![
        ("JOSTLE_LISTEN", server.to_string().into()),
        ("JOSTLE_SERVER", door.to_string().into()),
        ("JOSTLE_SEED", job.seed.to_string().into()),
        ("JOSTLE_TEMP", folder.path().into()),
    ];
    let relay = Relay::start(proxy)?;
    let mut stage = Stage::new(environment, mark, job.limit, stop);
    drop(reserved);
    let mut played = Played::default();
    let result = main_scene(job, server.port, &mut stage, relay, &mut played)
        .and_then(|reports| judge(job, &mut stage, &reports, &mut played));
    stage.clear();
    match result {
        Ok(()) => {}
        Err(Setback::Limit(reason)) => {
            played.error = Some(format!("not done after {}{reason}", duration(job.limit)));
        }
        Err(Setback::Failed(problem)) => played.error = Some(problem),
        Err(Setback::Stopped) => bail!("stopped before the trial was done"),
        Err(Setback::Fault(error)) => return Err(error),
    }
    Ok(played)
}

fn route(job: &Job<'_>, upstream: HostPort) -> Route {
    Route {
        name: "trial".to_owned(),
        transport: job.over,
        listen: HostPort { host: upstream.host.clone(), port: 0 },
        upstream,
        profile: job.profile.clone(),
        seed: None,
        paired: None,
        enabled: true,
        tcp: job.tcp,
        follow: false,
        idle: Route::IDLE_DEFAULT,
    }
}

/// Server and client: what came of them when both have ended.
fn main_scene(
    job: &Job<'_>,
    port: u16,
    stage: &mut Stage<'_>,
    relay: Relay,
    played: &mut Played,
) -> Result<Vec<Report>, Setback> {
    let client = server_listens(job, port, stage).and_then(|()| {
        let began = stage.now();
        stage.start(Role::Client, job.client)?;
        stage.ended(Role::Client)?;
        played.seconds = Some(stage.now().since(began).as_secs_f64());
        Ok(())
    });
    if let Err(setback) = client {
        // Those who are connected end first, so that the proxy need not wait for them.
        let reports = stage.clear();
        played.summary = relay.finish()?;
        return Err(setback.explained(&reports));
    }
    // What is under way may be what the server waits for.
    played.summary = relay.finish()?;
    let until = stage.now() + SERVER_ENDS;
    stage.wait(Some(until), None, |stage| stage.status(Role::Server))?;
    Ok(stage.clear())
}

/// Starts the server and waits until it listens.
fn server_listens(job: &Job<'_>, port: u16, stage: &mut Stage<'_>) -> Result<(), Setback> {
    stage.start(Role::Server, job.server)?;
    let mut complete_by = None;
    let until = stage.now() + LISTENS_WITHIN;
    let listens = stage.wait(Some(until), Some(Often), |stage| {
        if stage.status(Role::Server).is_some() {
            return Some(false);
        }
        let now = stage.now();
        let Some(found) = Listening::on(port) else {
            return (until.since(now) + BLIND <= LISTENS_WITHIN).then_some(true);
        };
        if found.is_begun(job.over) {
            let by = *complete_by.get_or_insert(now + SECOND_TRANSPORT);
            return (found.is_complete(job.over) || by <= now).then_some(true);
        }
        None
    })?;
    let scheme = match job.over {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
        Transport::Both => "TCP or UDP",
    };
    match listens {
        Some(true) => Ok(()),
        Some(false) => {
            let reports = stage.clear();
            Err(Setback::Failed(format!("before it listened, {}", reports[0])))
        }
        None => Err(Setback::Failed(format!(
            "the server does not listen for {scheme} after {}; let it listen on $JOSTLE_LISTEN",
            duration(LISTENS_WITHIN)
        ))),
    }
}

/// The verdict: the client's status, and the check's if there is one.
fn judge(
    job: &Job<'_>,
    stage: &mut Stage<'_>,
    reports: &[Report],
    played: &mut Played,
) -> Result<(), Setback> {
    let of = |role| reports.iter().find(|report| report.role == role).expect("it has run");
    let (server, client) = (of(Role::Server), of(Role::Client));
    played.measured = client.measured();
    if client.has_failed() {
        played.error = Some(format!("{client}{}", server.aside()));
    }
    let Some(check) = job.check else { return Ok(()) };
    stage.set("JOSTLE_CLIENT_STATUS", client.status.unwrap_or(1).to_string());
    stage.start(Role::Check, check)?;
    stage.ended(Role::Check)?;
    let reports = stage.clear();
    let [check] = reports.as_slice() else { unreachable!("only the check has run") };
    played.measured = check.measured().or_else(|| played.measured.take());
    if check.has_failed() && played.error.is_none() {
        played.error = Some(check.to_string());
    }
    Ok(())
}
