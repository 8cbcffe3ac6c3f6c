//! How many event loops a route has, and which routes may have several.
//!
//! The kernel parts the clients of such a route among the loops by their addresses and ports, so
//! each flow is on one loop, and no loop knows all packets. What looks at single flows does the
//! same on any number of loops; what counts or holds the packets of all flows as one has no place
//! there.

use super::{ForwardProtocol, Route};
use crate::rules::{Per, Rule};
use jostle_common::setting::SettingError;
use schemars::JsonSchema;
use serde_json::Value;

/// The most event loops of a process.
const WORKERS_MAX: u64 = 256;

/// The word for as many loops as there are.
const ALL: &str = "all";

/// The event loops that a route is to have. Where there are fewer it has all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteWorkers {
    /// So many, from 1.
    Of(u16),
    /// As many as the process has.
    All,
}

impl Default for RouteWorkers {
    fn default() -> Self {
        Self::Of(1)
    }
}

/// The same as it is written.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is of use")]
pub(super) enum RawWorkers {
    /// So many, from 1.
    Of(#[schemars(range(min = 1, max = 256))] u16),
    /// As many as there are.
    All(RawAll),
}

/// As many as there are.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is of use")]
pub(super) enum RawAll {
    #[serde(rename = "all")]
    All,
}

impl RouteWorkers {
    /// Reads what stands at `place`.
    pub(super) fn read(place: &str, value: &Value) -> Result<Self, SettingError> {
        if value.as_str() == Some(ALL) {
            return Ok(Self::All);
        }
        let count = value.as_u64().filter(|count| (1..=WORKERS_MAX).contains(count));
        let count = count.and_then(|count| u16::try_from(count).ok());
        count.map(Self::Of).ok_or_else(|| {
            let problem = format!(
                "{value} event loops are not to be had; write 1 to {WORKERS_MAX}, or \"all\" of \
                 those that --workers says"
            );
            SettingError::new(place, problem)
        })
    }

    /// Returns what is written; `None` for one, as without it.
    pub(super) fn written(self) -> Option<Value> {
        match self {
            Self::Of(1) => None,
            Self::Of(count) => Some(count.into()),
            Self::All => Some(ALL.into()),
        }
    }

    /// Returns true if it is to have several, where there are as many.
    pub const fn are_several(self) -> bool {
        !matches!(self, Self::Of(1))
    }

    /// Returns how many it has of so many.
    pub fn among(self, loops: usize) -> usize {
        match self {
            Self::Of(count) => usize::from(count).min(loops),
            Self::All => loops,
        }
    }
}

impl Route {
    /// Lets the rules that a command line puts in front of its profile count each flow for itself,
    /// if several loops are to have it.
    pub fn spread_shorthands(&mut self) {
        if !self.workers.are_several() {
            return;
        }
        for timeline in [&mut self.profile.up, &mut self.profile.down] {
            let rules = timeline.phases.iter_mut().flat_map(|phase| &mut phase.rules);
            for rule in rules.filter(|rule| rule.key.starts_with(Rule::SHORTHAND)) {
                rule.selection.per = Per::Flow;
            }
        }
    }

    /// Checks that several loops can have it, if they are to.
    pub(super) fn check_workers(&self) -> Result<(), String> {
        if !self.workers.are_several() {
            return Ok(());
        }
        let remedy = "or leave \"workers\" (--spread) out";
        let refuse = |problem: String| Err(format!("route \"{}\": {problem}", self.name));
        let mut rules = self.profile.up.rules().chain(self.profile.down.rules());
        let is_of_all = |rule: &&Rule| rule.enabled && rule.selection.per == Per::Link;
        if let Some(rule) = rules.find(is_of_all) {
            let (key, kind) = (&rule.key, rule.kind.name());
            return refuse(match rule.kind.timing() {
                crate::rules::Timing::Sending => format!(
                    "rule \"{key}\" sends packets among those of all flows, and several workers \
                     have these; leave {kind} out, {remedy}"
                ),
                _ => format!(
                    "rule \"{key}\" takes the packets of all flows as one, and several workers \
                     have these; add \"per\": \"flow\" to it, {remedy}"
                ),
            });
        }
        let associates = |forward: &super::Forward| forward.protocol == ForwardProtocol::Socks5;
        if self.destination.forward().is_some_and(associates) {
            return refuse(format!(
                "datagrams of socks5:// need what their client's connection has asked for, which \
                 one worker knows; listen on http-proxy://, {remedy}"
            ));
        }
        for (word, is_said) in
            [("open", self.listening.with_upstream), ("accept", self.listening.accept.is_some())]
        {
            if is_said {
                return refuse(format!(
                    "\"{word}\" is about one listening socket, and each worker has its own; leave \
                     it out, {remedy}"
                ));
            }
        }
        Ok(())
    }
}
