//! A run of programs: a server that listens, a client that is timed, and a check that judges.

use super::listening::Listening;
use super::port::Reserved;
use super::processes::{Often, RunningPrograms, Setback};
use super::program::{ProgramReport, Role};
use super::proxy_thread::ProxyThread;
use crate::trial::{Commands, Trial};
use anyhow::{Context, bail};
use jostle_common::words::duration;
use jostle_console::exit::Usage;
use jostle_console::stop::Stop;
use jostle_engine::route::Transports;
use jostle_proxy::{Proxy, Settings, Summary};
use serde_json::{Map, Value};
use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

/// The time that a server may take until it listens.
const LISTENS_WITHIN: Duration = Duration::from_secs(10);

/// The time after which it is said what is waited for.
const SAY_AFTER: Duration = Duration::from_secs(2);

/// The time that a server of two transports may take for the second, once it has the first. It may
/// be one that never opens it before a client has come, so this is added to every such trial.
const SECOND_TRANSPORT: Duration = Duration::from_millis(100);

/// The time that a server may take to end by itself after the client: those that serve once write
/// their files then.
const SERVER_ENDS: Duration = Duration::from_secs(1);

/// The time that a server is given to listen on a system that does not show it.
const BLIND: Duration = Duration::from_secs(1);

/// The outcome.
#[derive(Debug, Default)]
pub(super) struct ProgramsOutcome {
    /// From the client's start to its end.
    pub(super) seconds: Option<f64>,
    /// The fault, if there was one.
    pub(super) error: Option<String>,
    /// Whose it is: `server`, `client`, `check`, or `limit`.
    pub(super) failed_at: Option<String>,
    /// The object that the check or the client ended its output with.
    pub(super) measured: Option<Map<String, Value>>,
    /// The proxy's summary of its own work.
    pub(super) summary: Summary,
}

/// Runs the programs of a trial.
///
/// # Errors
/// When the machine refuses, or the user stops it; that a program fails is an outcome.
pub(super) fn run_programs(
    trial: &Trial,
    programs: &Commands,
    stop: &Stop,
) -> anyhow::Result<ProgramsOutcome> {
    let reserved = match &programs.upstream {
        Some(_) => None,
        None => Some(Reserved::new(trial.job.transport())?),
    };
    let server = match (&programs.upstream, &reserved) {
        (Some(upstream), _) => resolved(upstream)?,
        (None, Some(reserved)) => SocketAddr::from((Ipv4Addr::LOCALHOST, reserved.port())),
        (None, None) => unreachable!("a port is reserved for a server that is started"),
    };
    let route = trial.route(server).map_err(|error| Usage::error(error.to_string()))?;
    let proxy = Proxy::bind(Settings::new(vec![route], trial.seed))?;
    let listener = proxy.listeners().first().expect("the route listens").address;
    let folder = tempfile::Builder::new()
        .prefix("jostle-trial-")
        .tempdir()
        .context("cannot make a folder")?;
    let mark = [b"JOSTLE_TEMP=", folder.path().as_os_str().as_encoded_bytes()].concat();
    let environment =
        vec![("JOSTLE_SEED", trial.seed.to_string().into()), ("JOSTLE_TEMP", folder.path().into())];
    let relay = ProxyThread::start(proxy)?;
    let run = ProgramsRun { programs, over: trial.job.transport(), server };
    let addresses = (server, listener);
    let mut running = RunningPrograms::new(environment, addresses, mark, trial.limit(), stop);
    // From here on the server can have the port.
    drop(reserved);
    let mut outcome = ProgramsOutcome::default();
    let result = run
        .serve_client(&mut running, relay, &mut outcome)
        .and_then(|reports| run.judge(&mut running, &reports, &mut outcome));
    // Whatever came of it, no program is left running.
    running.clear();
    match result {
        Ok(()) => {}
        Err(Setback::Limit(reason)) => {
            outcome.fail("limit", format!("not done after {}{reason}", duration(trial.limit())));
        }
        Err(Setback::Failed(role, problem)) => outcome.fail(role, problem),
        Err(Setback::Stopped) => bail!("stopped before the trial was done"),
        Err(Setback::Fault(error)) => return Err(error),
    }
    Ok(outcome)
}

/// The settings that all steps of a run share.
struct ProgramsRun<'a> {
    programs: &'a Commands,
    over: Transports,
    /// The address at which the server listens, or is to.
    server: SocketAddr,
}

impl ProgramsOutcome {
    /// Notes the fault of one of the programs, or that there was no time.
    fn fail(&mut self, whose: impl Display, problem: String) {
        (self.failed_at, self.error) = (Some(whose.to_string()), Some(problem));
    }
}

/// Looks up the address of a server that runs already.
fn resolved(upstream: &str) -> anyhow::Result<SocketAddr> {
    let found = upstream.to_socket_addrs();
    let found = found.with_context(|| format!("--upstream: cannot look up {upstream}"))?;
    let mut found: Vec<SocketAddr> = found.collect();
    // The proxy reaches either; most servers on a machine of two families listen on IPv4.
    found.sort_by_key(SocketAddr::is_ipv6);
    found.into_iter().next().with_context(|| format!("--upstream: {upstream} has no address"))
}

impl ProgramsRun<'_> {
    /// Runs server and client, and returns what came of them when both have ended.
    fn serve_client(
        &self,
        running: &mut RunningPrograms<'_>,
        relay: ProxyThread,
        outcome: &mut ProgramsOutcome,
    ) -> Result<Vec<ProgramReport>, Setback> {
        let client = self.server_listens(running).and_then(|()| {
            let began = running.now();
            running.start(Role::Client, &self.programs.client)?;
            running.ended(Role::Client)?;
            outcome.seconds = Some(running.now().since(began).as_secs_f64());
            Ok(())
        });
        if let Err(setback) = client {
            // Those who are connected end first, so that the proxy need not wait for them.
            let reports = running.clear();
            outcome.summary = relay.finish()?;
            return Err(setback.explained(&reports));
        }
        // What is under way may be what the server waits for.
        outcome.summary = relay.finish()?;
        let until = running.now() + SERVER_ENDS;
        if self.programs.upstream.is_none() {
            running.wait(Some(until), None, |running| running.status(Role::Server))?;
        }
        Ok(running.clear())
    }

    /// Starts the server and waits until it listens.
    fn server_listens(&self, running: &mut RunningPrograms<'_>) -> Result<(), Setback> {
        if self.programs.upstream.is_some() {
            return Ok(());
        }
        running.start(Role::Server, &self.programs.server)?;
        let server = self.server;
        let scheme = match self.over {
            Transports::Tcp => "TCP",
            Transports::Udp => "UDP",
            Transports::Both => "TCP or UDP",
        };
        let mut said = false;
        let say_at = running.now() + SAY_AFTER;
        let mut complete_by = None;
        let until = running.now() + LISTENS_WITHIN;
        let listens = running.wait(Some(until), Some(Often), |running| {
            if running.status(Role::Server).is_some() {
                return Some(false);
            }
            let now = running.now();
            if say_at <= now && !std::mem::replace(&mut said, true) {
                log::warn!(
                    "waiting for the server to listen for {scheme} on {server} (its $JOSTLE_SERVER)"
                );
            }
            // A system that does not show its sockets: the server is given a fixed time instead.
            let Some(found) = Listening::on(server.port()) else {
                return (until.since(now) + BLIND <= LISTENS_WITHIN).then_some(true);
            };
            // The second transport may never be opened, so it is waited for only so long.
            if found.is_begun(self.over) {
                let by = *complete_by.get_or_insert(now + SECOND_TRANSPORT);
                return (found.is_complete(self.over) || by <= now).then_some(true);
            }
            None
        })?;
        match listens {
            Some(true) => Ok(()),
            Some(false) => {
                let reports = running.clear();
                Err(Setback::Failed(Role::Server, format!("before it listened, {}", reports[0])))
            }
            None => {
                let reports = running.clear();
                Err(Setback::Failed(
                    Role::Server,
                    format!(
                        "the server does not listen for {scheme} on {server} after {}; let it \
                         listen on $JOSTLE_SERVER, or name one that runs with --upstream{}",
                        duration(LISTENS_WITHIN),
                        reports[0].words()
                    ),
                ))
            }
        }
    }

    /// Judges by the client's status, and by the check's if there is one.
    fn judge(
        &self,
        running: &mut RunningPrograms<'_>,
        reports: &[ProgramReport],
        outcome: &mut ProgramsOutcome,
    ) -> Result<(), Setback> {
        let of = |role| reports.iter().find(|report| report.role == role);
        let (server, client) = (of(Role::Server), of(Role::Client).expect("it has run"));
        outcome.measured = client.measured();
        if client.has_failed() {
            let aside = server.map(ProgramReport::aside).unwrap_or_default();
            outcome.fail(Role::Client, format!("{client}{aside}"));
        }
        let Some(check) = &self.programs.check else { return Ok(()) };
        running.set("JOSTLE_CLIENT_STATUS", client.status.unwrap_or(1).to_string());
        running.start(Role::Check, check)?;
        running.ended(Role::Check)?;
        let reports = running.clear();
        let [check] = reports.as_slice() else { unreachable!("only the check has run") };
        // The check has the last word, also on what was measured.
        outcome.measured = check.measured().or_else(|| outcome.measured.take());
        if check.has_failed() && outcome.error.is_none() {
            outcome.fail(Role::Check, check.to_string());
        }
        Ok(())
    }
}
