//! What ends the run: signals, and time.

use super::reload::{self, Wishes as Changes};
use anyhow::Context;
use jostle_common::transport::Transport;
use jostle_common::words::grouped;
use jostle_console::child::ChildEnd;
use jostle_console::terminal::note;
use jostle_console::{keys, signals, status};
use jostle_control::Origin;
use jostle_proxy::{Control, Summary};
use signal_hook::consts::{SIGHUP, SIGINT, SIGUSR1};
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

/// Ends the proxy, and the command that runs while it relays.
#[derive(Clone)]
pub(super) struct Stopper {
    control: Control,
    /// The time that what is open may take to finish.
    drain: Duration,
    /// Set before the command starts: it may be heard of before it has a name here.
    expects_command: Arc<AtomicBool>,
    /// Set when the signals' thread is about to end the process.
    abandoned: Arc<AtomicBool>,
    command: Arc<OnceLock<ChildEnd>>,
    changes: Changes,
    /// Whether there is a configuration file to be read again.
    has_file: bool,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Toggle,
    /// The configuration file is to be read again.
    Reload,
    /// The command has got the signal too, and it decides.
    LeaveToCommand,
    Stop,
    /// It was asked to end before, and that takes too long.
    Abandon,
    Nothing,
}

/// What signals have asked for so far.
#[derive(Debug, Default)]
struct Wishes {
    left_to_command: bool,
    stopping: bool,
}

impl Wishes {
    /// `reloads` says that SIGHUP is about the file.
    fn of(&mut self, signal: i32, command_runs: bool, reloads: bool) -> Wish {
        if signal == SIGUSR1 {
            return Wish::Toggle;
        }
        if signal == SIGHUP && reloads {
            return Wish::Reload;
        }
        if signal == SIGINT && command_runs && !self.left_to_command && !self.stopping {
            self.left_to_command = true;
            return Wish::LeaveToCommand;
        }
        if !std::mem::replace(&mut self.stopping, true) {
            return Wish::Stop;
        }
        // When a terminal goes away both the system and the shell may say so.
        if signal == SIGHUP { Wish::Nothing } else { Wish::Abandon }
    }
}

/// The time in which an end needs no explanation.
const QUICK: Duration = Duration::from_millis(500);

/// Returns what is still open, in words; `None` if nothing is.
fn left_open(summary: &Summary) -> Option<String> {
    let tcp = summary.sockets.iter().filter(|sockets| sockets.protocol == Transport::Tcp);
    let connections: u64 = tcp.filter_map(|sockets| sockets.counts.get("connections_open")).sum();
    let udp = summary.links.iter().filter(|link| link.protocol == Transport::Udp);
    let datagrams: u64 = udp.map(|link| link.held).sum();
    let counted = |count: u64, one: &str| {
        let plural = if count == 1 { "" } else { "s" };
        (count > 0).then(|| format!("{} {one}{plural}", grouped(count)))
    };
    let parts = [counted(connections, "connection"), counted(datagrams, "datagram")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" and "))
}

impl Stopper {
    /// Keys and signals that change the configuration make wishes among `changes`; `has_file` says
    /// that there is a file which SIGHUP is about.
    pub(super) fn new(control: Control, drain: Duration, changes: Changes, has_file: bool) -> Self {
        Self {
            control,
            drain,
            changes,
            has_file,
            expects_command: Arc::default(),
            abandoned: Arc::default(),
            command: Arc::default(),
        }
    }

    pub(super) fn control(&self) -> Control {
        self.control.clone()
    }

    /// Notes that a command is about to start.
    pub(super) fn expect_command(&self) {
        self.expects_command.store(true, Ordering::Relaxed);
    }

    /// Returns true if a command runs, or is about to.
    fn command_runs(&self) -> bool {
        let expected = || self.expects_command.load(Ordering::Relaxed);
        self.command.get().map_or_else(expected, ChildEnd::runs)
    }

    /// Does not return if a second signal is about to end the process: the status is the signal's
    /// then, not that of the command it has killed.
    pub(super) fn yield_to_signal(&self) {
        while self.abandoned.load(Ordering::SeqCst) {
            std::thread::park();
        }
    }

    /// Names the command, which is to end with the proxy.
    pub(super) fn set_command(&self, command: ChildEnd) {
        self.command.set(command).expect("one command is started");
    }

    /// Returns what switches the rules, and says so.
    pub(super) fn toggler(&self, origin: Origin) -> impl Fn() + Send + 'static {
        let changes = self.changes.clone();
        move || changes.make(reload::Wish::Toggle(origin))
    }

    /// Returns what does what a key is for.
    pub(super) fn presser(&self) -> impl Fn(u8) + Send + 'static {
        let changes = self.changes.clone();
        move |key| match key {
            b' ' => changes.make(reload::Wish::Toggle(Origin::Key)),
            b'1'..=b'9' | b'+' | b'=' | b'-' => changes.make(reload::Wish::Press(key)),
            _ => {}
        }
    }

    fn stop(&self) {
        if let Some(command) = self.command.get() {
            command.ask();
        }
        self.control.stop_within(self.drain);
        self.tell_of_wait();
    }

    /// Says once what the end waits for, if it is not there at once.
    fn tell_of_wait(&self) {
        let (control, drain) = (self.control(), self.drain);
        let tell = move || {
            // Nothing is ever sent: it is a sleep that needs no clock.
            let (_sender, receiver) = mpsc::channel::<()>();
            let _ = receiver.recv_timeout(QUICK);
            // A proxy that has ended has no counters.
            let open = control.counters().ok().and_then(|summary| left_open(&summary));
            if let Some(open) = open {
                note(&format!(
                    "waiting up to {drain:?} for {open}; a second signal ends it at once"
                ));
            }
        };
        if drain > QUICK
            && let Err(error) = std::thread::Builder::new().name("drain".into()).spawn(tell)
        {
            log::debug!("nobody says what the end waits for: {error}");
        }
    }

    /// SIGINT, SIGTERM and SIGHUP end the run, a second SIGINT or SIGTERM at once; SIGUSR1 switches
    /// the rules. With a configuration file SIGHUP has it read again, unless the terminal has gone
    /// that the run was started from. The first SIGINT is the command's while one runs: Ctrl-C at a
    /// terminal reaches both.
    pub(super) fn listen_to_signals(&self) -> anyhow::Result<()> {
        let (toggle, stopper) = (self.toggler(Origin::Signal), self.clone());
        let mut wishes = Wishes::default();
        let mut signals = [signals::ending(), vec![SIGUSR1]].concat();
        let hangs_up = signals.contains(&SIGHUP) && has_terminal();
        if self.has_file && !signals.contains(&SIGHUP) {
            signals.push(SIGHUP);
        }
        let reloads = move |stopper: &Self| stopper.has_file && (!hangs_up || has_terminal());
        let act = move |signal| match wishes.of(signal, stopper.command_runs(), reloads(&stopper)) {
            Wish::Toggle => toggle(),
            Wish::Reload => stopper.changes.make(reload::Wish::Reload),
            Wish::LeaveToCommand | Wish::Nothing => {}
            Wish::Stop => stopper.stop(),
            Wish::Abandon => {
                keys::restore();
                status::clear();
                stopper.abandoned.store(true, Ordering::SeqCst);
                if let Some(command) = stopper.command.get() {
                    command.kill();
                }
                std::process::exit(128 + signal);
            }
        };
        signals::on(&signals, act).context("cannot listen to signals")
    }

    /// Ends the run after a time.
    pub(super) fn stop_after(&self, limit: Duration) -> anyhow::Result<()> {
        let stopper = self.clone();
        let wait = move || {
            // Nothing is ever sent: it is a sleep that needs no clock.
            let (_sender, receiver) = mpsc::channel::<()>();
            let _ = receiver.recv_timeout(limit);
            stopper.stop();
        };
        std::thread::Builder::new()
            .name("limit".into())
            .spawn(wait)
            .context("cannot start a thread")?;
        Ok(())
    }
}

/// Returns true if the process has a terminal, whatever its output is.
fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use signal_hook::consts::SIGTERM;

    #[test]
    fn the_first_interrupt_is_the_command_s_and_the_second_ends_it() {
        let mut wishes = Wishes::default();
        let told = [SIGINT, SIGINT, SIGINT].map(|signal| wishes.of(signal, true, false));
        assert_eq!(told, [Wish::LeaveToCommand, Wish::Stop, Wish::Abandon]);
        let mut wishes = Wishes::default();
        let told = [SIGINT, SIGTERM, SIGHUP].map(|signal| wishes.of(signal, true, false));
        assert_eq!(told, [Wish::LeaveToCommand, Wish::Stop, Wish::Nothing]);
    }

    #[test]
    fn without_a_command_the_first_signal_ends_it_and_the_second_at_once() {
        for signal in [SIGINT, SIGTERM] {
            let mut wishes = Wishes::default();
            let told = [SIGUSR1, SIGHUP, SIGHUP, signal];
            let told = told.map(|signal| wishes.of(signal, false, false));
            assert_eq!(told, [Wish::Toggle, Wish::Stop, Wish::Nothing, Wish::Abandon]);
        }
    }

    #[test]
    fn with_a_file_a_hang_up_is_about_the_file_and_ends_nothing() {
        let mut wishes = Wishes::default();
        let told = [SIGHUP, SIGHUP, SIGTERM].map(|signal| wishes.of(signal, true, true));
        assert_eq!(told, [Wish::Reload, Wish::Reload, Wish::Stop]);
        assert_eq!(wishes.of(SIGHUP, true, false), Wish::Nothing, "the terminal goes, too");
    }
}
