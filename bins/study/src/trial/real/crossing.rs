//! One crossing: a server, the proxy in front of it, a client, and a time by which it is over.

use super::judge::failure;
use crate::trial::Trial;
use anyhow::{Context, anyhow};
use jostle_console::stop::Stop;
use jostle_endpoints::ending::Ending;
use jostle_proxy::{Control, Proxy, Settings, Summary};
use std::net::SocketAddr;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// The results of both ends and the proxy when all has ended.
#[derive(Debug)]
pub(super) struct Crossed<C, S> {
    pub(super) client: C,
    pub(super) server: S,
    pub(super) summary: Summary,
    pub(super) interrupted: bool,
    limit: Duration,
}

impl<C, S> Crossed<C, S> {
    /// Returns the reason why the client is not done, if so.
    pub(super) fn failure(&self, ending: &Ending) -> Option<String> {
        failure(ending, self.interrupted, self.limit)
    }
}

/// Runs `client` by way of the trial's route to `server`, which listens already and is served by
/// `serve`. The client is asked to stop when the trial's time is up, or when the user says so. Then
/// the proxy delivers what it holds, and last the server is asked to stop.
///
/// # Errors
/// When the proxy cannot be started, or the client meets a fault of the machine.
pub(super) fn cross<C, S: Send>(
    trial: &Trial,
    server: SocketAddr,
    interrupt: &Stop,
    serve: impl FnOnce(&Stop) -> S + Send,
    client: impl FnOnce(SocketAddr, &Stop) -> anyhow::Result<C>,
) -> anyhow::Result<Crossed<C, S>> {
    let mut settings = Settings::new(vec![trial.route(server)?], trial.seed);
    settings.tells_of_upstreams = false;
    let proxy = Proxy::bind(settings)?;
    let door = proxy.listeners().first().context("a route has a listener")?.address;
    let (limit, served) = (trial.limit(), Stop::new());
    std::thread::scope(|scope| {
        let ends = Ends { proxy: proxy.control(), server: served.clone() };
        let relaying = scope.spawn(move || proxy.run());
        let serving = scope.spawn(|| serve(&served));
        let outcome = in_time(limit, interrupt, |stop| client(door, stop));
        ends.proxy.stop();
        let summary = relaying.join().map_err(|_| anyhow!("the proxy has failed"));
        // Nothing can reach the server any more, so it is asked to stop.
        drop(ends);
        let server = serving.join().map_err(|_| anyhow!("the server has failed"))?;
        // Errors are passed on only now that everything has ended.
        let (client, summary, interrupted) = (outcome?, summary?, interrupt.is_requested());
        Ok(Crossed { client, server, summary, interrupted, limit })
    })
}

/// Ends the proxy and the server, also when the client panics: nothing else would.
struct Ends {
    proxy: Control,
    server: Stop,
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.proxy.stop();
        self.server.request();
    }
}

/// Runs `job` with a request to stop that is made after `limit`, or with `interrupt`.
fn in_time<T>(limit: Duration, interrupt: &Stop, job: impl FnOnce(&Stop) -> T) -> T {
    let stop = Stop::new();
    let (passed_on, in_time) = (stop.clone(), stop.clone());
    let _held = interrupt.attach_with(move || passed_on.request());
    let (done, finished) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // Nothing is ever sent: the channel closes when the job is done.
            if finished.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                in_time.request();
            }
        });
        let _done = done;
        job(&stop)
    })
}
