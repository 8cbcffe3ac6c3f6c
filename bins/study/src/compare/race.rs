//! The run: every row at once, each over its own route of one proxy, until it is done or its time
//! is up.

use super::folder::{EVENTS, Folder};
use super::plan::{Cell, Plan};
use crate::subject::Subject;
use crate::trial::real::{Outcome, Transfer, TransferSettings};
use anyhow::{Context, anyhow};
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_console::progress;
use jostle_console::stop::Stop;
use jostle_endpoints::protocol::storage::Source as _;
use jostle_endpoints::protocol::timer::Timing;
use jostle_engine::route::{HostPort, Route, TcpMode, Transports as Carrier};
use jostle_proxy::{Proxy, Settings, Summary};
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::Scope;
use std::time::Duration;

/// How often the progress is drawn, and the user's wish to stop is looked at.
const TICK: Duration = Duration::from_millis(100);

/// What the run has found out.
pub(super) struct Run {
    /// What came of each row, in the order of the plan; an error is a fault of the machine.
    pub(super) outcomes: Vec<anyhow::Result<Outcome>>,
    /// What the proxy did.
    pub(super) summary: Summary,
    /// Whether the user ended it before.
    pub(super) interrupted: bool,
}

/// Runs every row of the plan.
///
/// # Errors
/// When a server or the proxy cannot be started.
pub(super) fn run(
    plan: &Plan,
    subject: &Subject,
    folder: &Folder,
    events: bool,
    interrupt: &Stop,
) -> anyhow::Result<Run> {
    let transfers = plan
        .cells
        .iter()
        .map(|cell| Transfer::open(settings(plan, cell), subject, folder.incoming(&cell.name)?))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let routes =
        plan.cells.iter().zip(&transfers).map(|(cell, transfer)| route(cell, transfer.address()));
    let mut settings = Settings::new(routes.collect(), plan.seed);
    if events {
        let path = folder.join(EVENTS);
        let file =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        settings.events = Some(Box::new(file) as Box<dyn Write + Send>);
    }
    let proxy = Proxy::bind(settings)?;
    let doors: Vec<SocketAddr> =
        proxy.listeners().iter().map(|listener| listener.address).collect();
    let control = proxy.control();
    std::thread::scope(|scope| {
        let relaying = scope.spawn(move || proxy.run());
        let (outcomes, interrupted) = race(scope, plan, subject, transfers, &doors, interrupt);
        control.stop();
        let summary = relaying.join().map_err(|_| anyhow!("the proxy has failed"))?;
        Ok(Run { outcomes, summary, interrupted })
    })
}

fn settings(plan: &Plan, cell: &Cell) -> TransferSettings {
    let (transport, limit) = (cell.transport, plan.limit);
    TransferSettings { transport, pace: plan.pace, timing: Timing::Adaptive, limit }
}

/// A row's route: from a port of its own to the row's server.
fn route(cell: &Cell, server: SocketAddr) -> Route {
    let loopback = || "127.0.0.1".to_owned();
    Route {
        name: cell.name.clone(),
        transport: if cell.transport == super::finished::Transport::Tcp {
            Carrier::Tcp
        } else {
            Carrier::Udp
        },
        listen: HostPort { host: loopback(), port: 0 },
        upstream: HostPort { host: loopback(), port: server.port() },
        profile: cell.profile.clone(),
        seed: None,
        // Every row meets the same chances: what 1 % loses, 5 % loses too.
        paired: Some("compare".to_owned()),
        enabled: true,
        tcp: TcpMode::default(),
        follow: false,
        idle: Route::IDLE_DEFAULT,
    }
}

/// Starts every client at once, and waits for all of them.
fn race<'scope>(
    scope: &'scope Scope<'scope, '_>,
    plan: &'scope Plan,
    subject: &'scope Subject,
    transfers: Vec<Transfer<'scope>>,
    doors: &[SocketAddr],
    interrupt: &Stop,
) -> (Vec<anyhow::Result<Outcome>>, bool) {
    let rows = transfers.len();
    let (done, finished) = mpsc::channel();
    let stop = Stop::new();
    let counters: Vec<_> = (0..rows).map(|_| std::sync::Arc::new(AtomicU64::new(0))).collect();
    for (row, (transfer, &door)) in transfers.into_iter().zip(doors).enumerate() {
        let (done, stop, counter) = (done.clone(), stop.clone(), counters[row].clone());
        scope.spawn(move || {
            let outcome =
                transfer.run(door, &stop, |bytes| counter.store(bytes, Ordering::Relaxed));
            // The receiver waits for every row.
            let _ = done.send((row, outcome));
        });
    }
    drop(done);
    let size = subject.content.size();
    let bar = progress::bytes(size * rows as u64, "compare");
    let clock = Clock::start();
    let mut outcomes: Vec<Option<anyhow::Result<Outcome>>> = (0..rows).map(|_| None).collect();
    let mut left = rows;
    while left > 0 {
        match finished.recv_timeout(TICK) {
            Ok((row, outcome)) => {
                outcomes[row] = Some(outcome);
                left -= 1;
            }
            Err(RecvTimeoutError::Timeout) => {}
            // A row whose thread has panicked sends nothing.
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if interrupt.is_requested() || clock.now() >= Instant::START + plan.limit {
            stop.request();
        }
        bar.set_position(
            counters.iter().map(|counter| counter.load(Ordering::Relaxed).min(size)).sum(),
        );
        bar.set_message(format!("{} of {rows} rows done", rows - left));
    }
    bar.finish_and_clear();
    let outcomes = outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_or_else(|| Err(anyhow!("the row has failed"))));
    (outcomes.collect(), interrupt.is_requested())
}
