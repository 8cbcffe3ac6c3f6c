//! The run: every row at once, each over its own route of one proxy, until it is done or its time
//! is up.

use super::folder::{EVENTS, Folder};
use super::plan::{ComparisonPlan, PlannedRow};
use crate::subject::Subject;
use crate::trial::ROUTE;
use crate::trial::real::{Outcome, Transfer, TransferSettings};
use anyhow::{Context, anyhow};
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_console::progress;
use jostle_console::stop::Stop;
use jostle_endpoints::protocol::storage::Source as _;
use jostle_engine::route::Route;
use jostle_proxy::{Proxy, Settings, Summary};
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::Scope;
use std::time::Duration;

/// The time between two looks at the progress and at the user's wish to stop.
const TICK: Duration = Duration::from_millis(100);

/// The outcome of a run.
pub(super) struct ComparisonRun {
    /// The outcome of each row, in the order of the plan; an error is a fault of the machine.
    pub(super) outcomes: Vec<anyhow::Result<Outcome>>,
    /// The proxy's summary of its own work.
    pub(super) summary: Summary,
    /// True if the user ended it before.
    pub(super) interrupted: bool,
}

/// Runs every row of the plan.
///
/// # Errors
/// When a server or the proxy cannot be started.
pub(super) fn run(
    plan: &ComparisonPlan,
    subject: &Subject,
    folder: &Folder,
    events: bool,
    interrupt: &Stop,
) -> anyhow::Result<ComparisonRun> {
    let transfers = plan
        .rows
        .iter()
        .map(|row| {
            let settings = TransferSettings::of(&row.trial, row.protocol);
            Transfer::open(settings, subject, folder.incoming(&row.name)?)
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let routes = plan.rows.iter().zip(&transfers);
    let routes = routes
        .map(|(row, transfer)| route(row, transfer.address()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut settings = Settings::new(routes, plan.seed);
    settings.tells_of_upstreams = false;
    if events {
        let path = folder.join(EVENTS);
        let file =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        settings.events = Some(Box::new(file) as Box<dyn Write + Send>);
    }
    let proxy = Proxy::bind(settings)?;
    let listeners: Vec<SocketAddr> =
        proxy.listeners().iter().map(|listener| listener.address).collect();
    let control = proxy.control();
    std::thread::scope(|scope| {
        let relaying = scope.spawn(move || proxy.run());
        let (outcomes, interrupted) =
            await_all(scope, plan, subject, transfers, &listeners, interrupt);
        // No client is left: the proxy delivers what it holds, and ends.
        control.stop();
        let summary = relaying.join().map_err(|_| anyhow!("the proxy has failed"))?;
        Ok(ComparisonRun { outcomes, summary, interrupted })
    })
}

/// Returns a row's route: that of its trial, under a name of its own.
fn route(row: &PlannedRow, server: SocketAddr) -> anyhow::Result<Route> {
    // Every row draws as the trial of its cell does, so all meet the same chances: what 1 % loses,
    // 5 % loses too.
    let paired = Some(ROUTE.to_owned());
    Ok(Route { name: row.name.clone(), paired, ..row.trial.route(server)? })
}

/// Starts every client at once, and waits for all of them.
fn await_all<'scope>(
    scope: &'scope Scope<'scope, '_>,
    plan: &'scope ComparisonPlan,
    subject: &'scope Subject,
    transfers: Vec<Transfer<'scope>>,
    listeners: &[SocketAddr],
    interrupt: &Stop,
) -> (Vec<anyhow::Result<Outcome>>, bool) {
    let rows = transfers.len();
    let (done, finished) = mpsc::channel();
    let stop = Stop::new();
    let counters: Vec<_> = (0..rows).map(|_| std::sync::Arc::new(AtomicU64::new(0))).collect();
    for (row, (transfer, &listener)) in transfers.into_iter().zip(listeners).enumerate() {
        let (done, stop, counter) = (done.clone(), stop.clone(), counters[row].clone());
        scope.spawn(move || {
            let outcome =
                transfer.run(listener, &stop, |bytes| counter.store(bytes, Ordering::Relaxed));
            // The receiver waits for every row.
            let _ = done.send((row, outcome));
        });
    }
    // The threads have the other senders: without this one the channel ends with them.
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
