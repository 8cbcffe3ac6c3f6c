//! The thread that changes the configuration for keys, signals and files: nobody who listens to
//! those waits for it.

use super::dials::Dials;
use super::plan::Source;
use anyhow::Context;
use jostle_common::time::Instant;
use jostle_console::terminal::{escaped, note};
use jostle_control::{
    BROKEN_AFTER, FileWatch, LOOK_EVERY, Look, Origin, Registry, Reloaded, Sighting,
};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

/// The most wishes that wait.
const WISHES_MAX: usize = 64;

/// What somebody wants of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// All rules off, or on again.
    Toggle(Origin),
    /// What the file says.
    Reload,
    /// What a key for a single rule says.
    Press(u8),
}

/// Takes wishes, from any thread, and waits for nothing.
#[derive(Clone)]
pub(super) struct Wishes(SyncSender<Wish>);

impl Wishes {
    /// Starts the thread that carries wishes out. It ends with the last taker of them.
    pub(super) fn start(changer: Changer) -> anyhow::Result<Self> {
        let (wishes, made) = mpsc::sync_channel(WISHES_MAX);
        std::thread::Builder::new()
            .name("changes".into())
            .spawn(move || changer.run(&made))
            .context("cannot start a thread")?;
        Ok(Self(wishes))
    }

    /// Makes a wish. With many that wait there is no need of one more.
    pub(super) fn make(&self, wish: Wish) {
        if let Err(error) = self.0.try_send(wish) {
            log::warn!("{wish:?}: {error}");
        }
    }
}

/// Changes the configuration.
pub(super) struct Changer {
    registry: Arc<Registry>,
    /// The configuration file, if there is one.
    source: Option<Source>,
    /// The seed of the run.
    seed: u64,
    /// Whether the file is watched.
    watches: bool,
    /// The time that routes may take to finish which the file has no more.
    drain: Duration,
    watch: FileWatch,
    dials: Dials,
    /// Set from when the file was asked for until it could be read.
    asked: Option<Instant>,
}

impl Changer {
    /// `source` is as it was read for the routes that the proxy starts with.
    pub(super) fn new(
        registry: Arc<Registry>,
        source: Option<Source>,
        seed: u64,
        watches: bool,
        drain: Duration,
    ) -> Self {
        let seen = source.as_ref().map(|source| Sighting::of(&source.files)).unwrap_or_default();
        let watch = FileWatch::new(registry.control().now(), seen);
        let dials = Dials::default();
        Self { registry, source, seed, watches, drain, watch, dials, asked: None }
    }

    /// Returns the rules that have keys.
    pub(super) fn dials(&self) -> Dials {
        self.dials.clone()
    }

    fn run(mut self, wishes: &Receiver<Wish>) {
        loop {
            let wish = if self.watches || self.asked.is_some() {
                wishes.recv_timeout(LOOK_EVERY)
            } else {
                wishes.recv().map_err(RecvTimeoutError::from)
            };
            match wish {
                Ok(Wish::Toggle(origin)) => self.toggle(origin),
                Ok(Wish::Press(key)) => self.dials.press(key, &self.registry),
                Ok(Wish::Reload) => {
                    self.asked.get_or_insert_with(|| self.registry.control().now());
                    self.look();
                }
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn toggle(&self, origin: Origin) {
        let mut table = self.registry.open(origin);
        let on = !table.rules_are_on();
        match table.set_rules_on(on) {
            Ok(()) => note(if on { "rules on" } else { "rules off" }),
            // The proxy has ended.
            Err(error) => log::debug!("the rules stay as they are: {error}"),
        }
    }

    /// Takes the file over if that was asked for, or if it is another than before.
    fn look(&mut self) {
        let Some(source) = &mut self.source else { return };
        let (now, mut seen) = (self.registry.control().now(), Sighting::of(&source.files));
        let seen_for = self.watch.look(now, seen.clone());
        let waited = match (self.asked, seen_for) {
            (Some(asked), _) => now.since(asked),
            (None, Look::Settled(settled)) if self.watches => settled,
            (None, _) => return,
        };
        let before = source.files.clone();
        let read = match source.files.iter().find(|path| path.exists() && !path.is_file()) {
            // Who opens a pipe waits for its writer.
            Some(path) => Err(anyhow::anyhow!("{} is no regular file", path.display())),
            None => source.read(),
        };
        if source.files != before {
            seen = Sighting::of(&source.files);
        }
        match read {
            Ok((seed, routes)) => {
                if seed.is_some_and(|seed| seed != self.seed) {
                    note(&format!("the seed stays {} until the run ends", self.seed));
                }
                match self.registry.reload(&routes, self.drain) {
                    Ok(reloaded) => note(&self.said(&reloaded)),
                    Err(error) => note(&self.refused(&error.to_string())),
                }
            }
            // It may be half written.
            Err(_) if waited < BROKEN_AFTER => return,
            Err(error) => note(&self.refused(&format!("{error:#}"))),
        }
        self.asked = None;
        self.watch.take(now, seen);
    }

    fn path(&self) -> String {
        self.source.as_ref().map(|source| source.path.display().to_string()).unwrap_or_default()
    }

    fn said(&self, reloaded: &Reloaded) -> String {
        let Reloaded { added, changed, removed } = reloaded;
        let parts = [("added", added), ("changed", changed), ("removed", removed)];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what} {}", names.join(", ")))
            .collect();
        let done = if parts.is_empty() { "nothing has changed".into() } else { parts.join("; ") };
        escaped(&format!("read {} again: {done}", self.path()))
    }

    fn refused(&self, problem: &str) -> String {
        escaped(&format!("read {} again, and changed nothing: {problem}", self.path()))
    }
}
