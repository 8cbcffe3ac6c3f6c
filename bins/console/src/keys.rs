//! Keys at a terminal, without Enter.
//!
//! The terminal is shared with the shell: it is set for keys only while the program is in its
//! foreground, and given back when Ctrl-Z stops the program. In the background nothing is read from
//! it and nothing set, as either would stop the program again.

use crate::{signals, status};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcgetpgrp, tcsetattr,
};
use signal_hook::consts::{SIGCONT, SIGTSTP};
use signal_hook::low_level::emulate_default_handler;
use std::io::{self, Stdin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The time between two looks whether the program is in the foreground: a shell does not tell one
/// that runs when it brings it there.
const LOOK: Duration = Duration::from_millis(200);

/// How the terminal is set.
static MODES: Mutex<Modes> = Mutex::new(Modes { wanted: false, before: None });

struct Modes {
    /// True while keys are to be read.
    wanted: bool,
    /// How the terminal was set before, while it is set for keys.
    before: Option<Termios>,
}

/// Keeps keys being read; dropping it gives the terminal back as it was.
#[derive(Debug)]
pub struct Keys(());

/// Calls `act` with each key that is pressed, if stdin is a terminal and ours to read; otherwise
/// does nothing. A key that sends several bytes is several keys.
pub fn on(act: impl Fn(u8) + Send + 'static) -> Option<Keys> {
    let stdin = io::stdin();
    if !isatty(&stdin) || !is_ours(&stdin) {
        return None;
    }
    modes().wanted = true;
    // Dropped where something fails below.
    let keys = Keys(());
    modes().set();
    if !signals::is_ignored(SIGTSTP) {
        signals::on(&[SIGTSTP, SIGCONT], stop_or_go_on).ok()?;
    }
    let read = move || {
        while let Some(keys) = next_keys(&stdin) {
            keys.iter().for_each(|key| act(*key));
        }
    };
    std::thread::Builder::new().name("keys".into()).spawn(read).ok()?;
    Some(keys)
}

/// Gives the terminal back as it was.
pub fn restore() {
    let mut modes = modes();
    modes.wanted = false;
    modes.give_back();
}

impl Drop for Keys {
    fn drop(&mut self) {
        restore();
    }
}

/// Returns true if the program is in the foreground of its terminal.
fn is_ours(stdin: &Stdin) -> bool {
    tcgetpgrp(stdin).ok() == Some(getpgrp())
}

fn modes() -> MutexGuard<'static, Modes> {
    // Each step leaves the modes whole.
    MODES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Modes {
    fn set(&mut self) {
        let stdin = io::stdin();
        if !self.wanted || !is_ours(&stdin) {
            return;
        }
        let Ok(now) = tcgetattr(&stdin) else { return };
        let mut keys = now.clone();
        // Keys come at once and are not echoed; Ctrl-C still sends its signal.
        keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        self.before.get_or_insert(now);
        let _ = tcsetattr(&stdin, OptionalActions::Now, &keys);
    }

    /// Sets the terminal where that is yet to be done.
    fn set_if_due(&mut self) {
        if self.before.is_none() {
            self.set();
        }
    }

    fn give_back(&mut self) {
        let stdin = io::stdin();
        // In the background it is the shell's, which has set it as it likes.
        if let Some(before) = self.before.take()
            && is_ours(&stdin)
        {
            let _ = tcsetattr(&stdin, OptionalActions::Now, &before);
        }
    }
}

fn stop_or_go_on(signal: i32) {
    if signal == SIGTSTP {
        modes().give_back();
        status::clear();
        // Stops here until SIGCONT.
        let _ = emulate_default_handler(SIGTSTP);
    } else {
        modes().set();
    }
}

/// Returns keys that were pressed; `None` when the terminal has gone, or was given back.
fn next_keys(stdin: &Stdin) -> Option<Vec<u8>> {
    let look = Timespec { tv_sec: 0, tv_nsec: LOOK.subsec_nanos().into() };
    loop {
        modes().set_if_due();
        let mut terminal = [PollFd::new(stdin, PollFlags::IN)];
        match poll(&mut terminal, Some(&look)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(_) => return None,
        }
        // What is typed belongs to the shell.
        if !is_ours(stdin) {
            if terminal[0].revents().contains(PollFlags::HUP) {
                return None;
            }
            std::thread::park_timeout(LOOK);
            continue;
        }
        // Once the terminal is given back, what is typed is for whoever comes next: held until it
        // is read, so that nobody gives it back in between.
        let modes = modes();
        if !modes.wanted {
            return None;
        }
        let mut keys = vec![0; 64];
        let count = rustix::io::read(stdin, &mut keys).ok()?;
        keys.truncate(count);
        return (count > 0).then_some(keys);
    }
}
