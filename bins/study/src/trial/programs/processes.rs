//! The processes of a trial's programs: they are started, waited for, and all ended, whatever
//! happens.

use super::descendants::Descendants;
use super::environment::addresses;
use super::program::{Program, ProgramReport, Role};
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_console::child::PATIENCE;
use jostle_console::stop::{Attached, Stop};
use rustix::process::Signal;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

/// The time between two looks at what has no event, at first and once that has lasted.
const TICK: Duration = Duration::from_millis(10);
const TICK_LATER: Duration = Duration::from_millis(100);

/// The time for which it is looked as often as at first.
const HURRY: Duration = Duration::from_secs(1);

/// The time that programs may take to end when the user waits for it.
const PATIENCE_STOPPED: Duration = Duration::from_secs(2);

/// The time that a killed program may take to vanish: one that waits for a broken disk is not ours
/// to wait for.
const PATIENCE_KILLED: Duration = Duration::from_secs(5);

/// The reason why a trial does not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Setback {
    /// Its time is up, and this may be why.
    #[error("its time is up{0}")]
    Limit(String),
    /// The user ends it.
    #[error("stopped")]
    Stopped,
    /// One of the programs does not do its part.
    #[error("{1}")]
    Failed(Role, String),
    /// The machine refuses.
    #[error(transparent)]
    Fault(#[from] anyhow::Error),
}

impl Setback {
    /// Adds what the server's end may explain.
    pub(super) fn explained(self, reports: &[ProgramReport]) -> Self {
        let server = reports.iter().find(|report| report.role == Role::Server);
        match (self, server) {
            (Self::Limit(_), Some(server)) => Self::Limit(server.aside()),
            (setback, _) => setback,
        }
    }
}

/// The programs that run. Dropping it ends them.
pub(super) struct RunningPrograms<'a> {
    environment: Vec<(&'static str, OsString)>,
    /// The addresses of the server and of the proxy.
    addresses: (SocketAddr, SocketAddr),
    programs: Vec<Program>,
    descendants: Descendants,
    clock: Clock,
    /// The end of the trial's time.
    end: Instant,
    stop: &'a Stop,
    /// Something has happened: a program has ended, or the user wants to stop.
    events: Receiver<()>,
    wake: Sender<()>,
    _attached: Attached,
}

impl<'a> RunningPrograms<'a> {
    /// Returns a run of no program yet, which may take so long. `mark` is an entry of `environment`
    /// that no other program has.
    pub(super) fn new(
        environment: Vec<(&'static str, OsString)>,
        addresses: (SocketAddr, SocketAddr),
        mark: Vec<u8>,
        limit: Duration,
        stop: &'a Stop,
    ) -> Self {
        let (wake, events) = mpsc::channel();
        let stopped = wake.clone();
        let attached = stop.attach_with(move || {
            // The run may have ended.
            let _ = stopped.send(());
        });
        Self {
            environment,
            addresses,
            programs: Vec::new(),
            descendants: Descendants { mark, groups: Vec::new() },
            clock: Clock::start(),
            end: Instant::START + limit,
            stop,
            events,
            wake,
            _attached: attached,
        }
    }

    /// Returns the time since it was opened.
    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Adds an entry to the environment of the programs that follow.
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.environment.push((name, value.into()));
    }

    /// Starts a program.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn start(&mut self, role: Role, script: &str) -> Result<(), Setback> {
        let wake = self.wake.clone();
        let when_ended = move || {
            let _ = wake.send(());
        };
        let (server, proxy) = self.addresses;
        let mut environment = addresses(role, server, proxy);
        environment.extend(self.environment.iter().cloned());
        let program = Program::start(role, script, &environment, when_ended)?;
        self.descendants.groups.push(program.child.pid());
        self.programs.push(program);
        Ok(())
    }

    /// Returns the status of a program that has ended.
    pub(super) fn status(&mut self, role: Role) -> Option<i32> {
        self.programs.iter_mut().find(|program| program.role == role)?.child.status()
    }

    /// Waits for a program to end.
    ///
    /// # Errors
    /// When it does not in the trial's time, or the user stops it.
    pub(super) fn ended(&mut self, role: Role) -> Result<i32, Setback> {
        let status = self.wait(None, None, |running| running.status(role))?;
        Ok(status.expect("it is waited for without a time of its own"))
    }

    /// Waits until `look` finds something, or `None` at the time `until`. It looks when something
    /// has happened, and with `often` every few milliseconds, later ever so often a second.
    ///
    /// # Errors
    /// When the trial's time is up before, or the user stops it.
    pub(super) fn wait<T>(
        &mut self,
        until: Option<Instant>,
        often: Option<Often>,
        mut look: impl FnMut(&mut Self) -> Option<T>,
    ) -> Result<Option<T>, Setback> {
        let hurry = self.now() + HURRY;
        loop {
            if self.stop.is_requested() {
                return Err(Setback::Stopped);
            }
            // It looks before it judges the time: what has happened by the last moment counts.
            if let Some(found) = look(self) {
                return Ok(Some(found));
            }
            let now = self.now();
            if self.end <= now {
                return Err(Setback::Limit(String::new()));
            }
            if until.is_some_and(|until| until <= now) {
                return Ok(None);
            }
            let deadline = until.map_or(self.end, |until| until.min(self.end));
            let tick = if now < hurry { TICK } else { TICK_LATER };
            self.pause(deadline.since(now), often.map(|Often| tick));
        }
    }

    /// Waits until something happens, or for so long.
    fn pause(&self, most: Duration, tick: Option<Duration>) {
        let most = tick.map_or(most, |tick| most.min(tick));
        // That the time is over is as good a reason to look again.
        let _ = self.events.recv_timeout(most);
    }

    /// Ends all that runs, and says what came of each program.
    pub(super) fn clear(&mut self) -> Vec<ProgramReport> {
        let by_itself: Vec<bool> =
            self.programs.iter_mut().map(|program| program.child.status().is_some()).collect();
        if !self.is_empty() {
            self.signal(Signal::TERM);
            if !self.empties(PATIENCE) {
                self.signal(Signal::KILL);
                if !self.empties(PATIENCE_KILLED) {
                    log::error!("a program does not end, though it was killed");
                }
            }
        }
        self.descendants.groups.clear();
        let programs = self.programs.drain(..).zip(by_itself);
        programs.map(|(program, is_by_itself)| program.report(is_by_itself)).collect()
    }

    fn signal(&self, signal: Signal) {
        self.programs.iter().for_each(|program| program.child.signal(signal));
        self.descendants.signal(signal);
    }

    /// Returns true if no process is left within so long.
    fn empties(&mut self, patience: Duration) -> bool {
        let began = self.now();
        loop {
            if self.is_empty() {
                return true;
            }
            let patience =
                if self.stop.is_requested() { patience.min(PATIENCE_STOPPED) } else { patience };
            let (now, end) = (self.now(), began + patience);
            if end <= now {
                return false;
            }
            // Our own children's end is told; that of theirs is not.
            let often = self.have_ended().then_some(TICK);
            self.pause(end.since(now), often);
        }
    }

    fn have_ended(&mut self) -> bool {
        self.programs.iter_mut().all(|program| program.child.status().is_some())
    }

    fn is_empty(&mut self) -> bool {
        self.have_ended() && self.descendants.members().is_empty()
    }
}

/// A mark of what has to be looked for, as no event tells of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Often;

impl Drop for RunningPrograms<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}
