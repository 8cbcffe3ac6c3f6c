//! Rules that stand on a path of several: each path has a stage of its own. So packets of one path
//! keep their order among themselves, and what takes a shorter new one overtakes what is still on
//! the longer old one.

use super::setting::{HoldingRule, RuleSetting, Setup, of_kind};
use crate::packet::Packet;
use crate::stage::{Output, Stage};
use jostle_common::setting::SettingError;
use jostle_common::time::Instant;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::Arc;

/// The name of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathName {
    name: Arc<str>,
    id: u32,
}

/// The most paths that a rule takes over the phases of a profile, the one without a name included.
pub(crate) const PATHS_MAX: usize = 16;

/// The longest name, in characters.
const NAME_MAX: usize = 64;

/// The setting of a kind of rule that may stand on paths.
pub(super) trait PathSetting: RuleSetting {
    /// What the rule is at work on one path.
    type Stage: HoldingRule;

    /// Returns the path.
    fn path(&self) -> Option<&PathName>;

    /// Builds what works on it.
    fn stage(&self, setup: Setup<'_>) -> Self::Stage;
}

/// Reads the name of the path of a rule, from the field at `place`.
pub(super) fn read(place: &str, name: Option<String>) -> Result<Option<PathName>, SettingError> {
    let Some(name) = name else { return Ok(None) };
    let length = name.chars().count();
    if !(1..=NAME_MAX).contains(&length) || name.chars().any(char::is_control) {
        let problem = format!(
            "{name:?} is no name of a path; write 1 to {NAME_MAX} characters that can be printed"
        );
        return Err(SettingError::new(place, problem));
    }
    Ok(Some(PathName { id: id(&name), name: name.into() }))
}

/// The mark of packets on the path without a name. 0 are those that no path is known of.
const UNNAMED: u32 = 1;

/// Returns the number of a name: FNV-1a, in 32 bits. Packets carry it.
fn id(name: &str) -> u32 {
    let fold = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(16_777_619);
    name.bytes().fold(2_166_136_261, fold).max(UNNAMED + 1)
}

impl PathName {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Returns true if packets cannot tell two paths apart.
    pub(crate) fn is_mistaken_for(&self, other: &Self) -> bool {
        self.id == other.id && self.name != other.name
    }
}

/// A rule at work on one path, and on those that were taken before.
#[derive(Debug)]
pub(super) struct OnPaths<K: PathSetting> {
    current: OnPath<K::Stage>,
    /// Those before, the longest left first. They stay when they are empty: packets of them may be
    /// in rules in front of this one.
    before: Vec<OnPath<K::Stage>>,
    /// Marks, which overtake nothing: they wait for all that is on the paths before.
    marks: VecDeque<Packet>,
}

/// A rule at work on one path.
#[derive(Debug)]
struct OnPath<S> {
    name: Option<PathName>,
    stage: S,
}

impl<S> OnPath<S> {
    fn id(&self) -> u32 {
        self.name.as_ref().map_or(UNNAMED, |name| name.id)
    }
}

impl<K: PathSetting> OnPaths<K> {
    pub(super) fn new(setting: &K, setup: Setup<'_>) -> Self {
        let current = OnPath { name: setting.path().cloned(), stage: setting.stage(setup) };
        Self { current, before: Vec::new(), marks: VecDeque::new() }
    }

    /// Takes the path of `setting`, on which nothing may be yet. Returns false if there are as many
    /// as there may be: then the packets to come queue behind those of the path that is left.
    fn take_path(&mut self, now: Instant, setting: &K, setup: Setup<'_>) -> bool {
        let known = self.before.iter().position(|path| path.name.as_ref() == setting.path());
        let mut next = match known {
            Some(index) => self.before.remove(index),
            None => {
                if self.before.len() + 1 == PATHS_MAX {
                    let empty = self.before.iter().position(|path| path.stage.held() == 0);
                    let Some(index) = empty else { return false };
                    self.before.remove(index);
                }
                OnPath { name: setting.path().cloned(), stage: setting.stage(setup) }
            }
        };
        if known.is_some() {
            next.stage.retune(now, Some(setting), setup);
        }
        self.before.push(std::mem::replace(&mut self.current, next));
        true
    }

    /// Returns the stage that a packet has to go through: that of the path on which it left a rule in
    /// front of this one, and else of the one that is taken now.
    fn stage_of(&mut self, packet: &Packet) -> &mut K::Stage {
        let id = packet.path();
        let before = match id {
            0 => None,
            id if id == self.current.id() => None,
            id => self.before.iter_mut().find(|path| path.id() == id),
        };
        before.map_or(&mut self.current.stage, |path| &mut path.stage)
    }

    /// Returns the earlier path that has work first, and the time.
    fn first_before(&self) -> Option<(Instant, usize)> {
        let due = |(index, path): (usize, &OnPath<K::Stage>)| Some((path.stage.deadline()?, index));
        self.before.iter().enumerate().filter_map(due).min()
    }

    /// Does what is due on all paths; what came earlier goes first at the same time.
    fn poll_all(&mut self, now: Instant) -> Option<Output> {
        loop {
            let current = self.current.stage.deadline().filter(|due| *due <= now);
            let before = self.first_before().filter(|(due, _)| *due <= now);
            let output = match (before, current) {
                (Some((due, index)), current) if current.is_none_or(|current| due <= current) => {
                    self.poll_before(due, index)
                }
                (_, Some(due)) => self.current.stage.poll(due),
                (_, None) => return None,
            };
            if output.is_some() {
                return output;
            }
        }
    }

    /// Does what is due on an earlier path. Who leaves it stays on that path in the rules behind.
    fn poll_before(&mut self, due: Instant, index: usize) -> Option<Output> {
        let path = &mut self.before[index];
        let mut output = path.stage.poll(due);
        if let Some(output) = &mut output {
            output.packet_mut().set_path(path.id());
        }
        self.let_marks_go(due);
        output
    }

    /// Lets the marks that waited for the earlier paths go on, unless something is still there.
    fn let_marks_go(&mut self, now: Instant) {
        if !self.marks.is_empty() && self.before.iter().all(|path| path.stage.held() == 0) {
            for mark in self.marks.drain(..) {
                self.current.stage.handle(mark.moved_to(now));
            }
        }
    }
}

impl<K: PathSetting> HoldingRule for OnPaths<K> {
    #[inline]
    fn take(&mut self, packet: &mut Packet) -> Option<Instant> {
        if self.before.is_empty() {
            return self.current.stage.take(packet);
        }
        self.handle(packet.take());
        self.deadline()
    }

    #[inline]
    fn give(&mut self, now: Instant, next: &mut Option<Instant>) -> Option<Output> {
        if self.before.is_empty() {
            return self.current.stage.give(now, next);
        }
        let output = self.poll_all(now);
        *next = self.deadline();
        output
    }

    /// Changes the setting. On the same path that is what the stage makes of it; on another one,
    /// what is inside goes on as if nothing had changed.
    fn retune(&mut self, now: Instant, setting: Option<&dyn RuleSetting>, setup: Setup<'_>) {
        match of_kind::<K>(setting) {
            Some(changed) if changed.path() != self.current.name.as_ref() => {
                if !self.take_path(now, changed, setup) {
                    self.current.stage.retune(now, setting, setup);
                    self.current.name = changed.path().cloned();
                }
            }
            Some(_) => self.current.stage.retune(now, setting, setup),
            None => {
                for path in self.before.iter_mut().chain([&mut self.current]) {
                    path.stage.retune(now, None, setup);
                }
            }
        }
        self.let_marks_go(now);
    }

    fn takes_run(&mut self, run: &Packet) -> bool {
        self.stage_of(run).takes_run(run)
    }

    fn room(&self, flow: u32) -> Option<usize> {
        self.current.stage.room(flow)
    }

    #[cfg(test)]
    fn shares_tables(&self, tables: &super::setting::Tables) -> bool {
        self.current.stage.shares_tables(tables)
    }
}

impl<K: PathSetting> Stage for OnPaths<K> {
    #[inline]
    fn handle(&mut self, packet: Packet) {
        if self.before.is_empty() {
            self.current.stage.handle(packet);
        } else if packet.is_mark() {
            self.marks.push_back(packet);
            let now = self.marks.back().expect("it was just pushed").at;
            self.let_marks_go(now);
        } else {
            self.stage_of(&packet).handle(packet);
        }
    }

    #[inline]
    fn poll(&mut self, now: Instant) -> Option<Output> {
        if self.before.is_empty() { self.current.stage.poll(now) } else { self.poll_all(now) }
    }

    #[inline]
    fn deadline(&self) -> Option<Instant> {
        let current = self.current.stage.deadline();
        if self.before.is_empty() {
            return current;
        }
        let before = self.first_before().map(|(due, _)| due);
        before.into_iter().chain(current).min()
    }

    fn held(&self) -> usize {
        let before: usize = self.before.iter().map(|path| path.stage.held()).sum();
        self.current.stage.held() + before + self.marks.len()
    }
}
