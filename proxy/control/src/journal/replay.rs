//! What was done to a proxy, as the phases of a profile.
//!
//! Packets are numbered anew whenever a proxy begins to listen, and so are its draws; what can be
//! played again is one such life of it, the last one. Its phases count from where the time of its
//! rules began: from the first packet, or from the start of the run. So the rules that follow the
//! time by themselves meet the same time again, too.

use super::history::{Event, History, Recorded};
use crate::registry::Deed;
use jostle_common::time::Instant;
use jostle_engine::link::Schedule;
use jostle_engine::profile::{Phase, Profile, ReadFile, Start, Then, Timeline};
use jostle_engine::route::Route;
use jostle_engine::rules::Per;
use jostle_proxy::Began;
use std::collections::BTreeMap;
use std::time::Duration;

/// More phases than a profile may have are not made.
const PHASES_MAX: usize = 10_000;

/// What was done to a proxy, to be done again.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// The proxy as it was last, under the profile of all that was done.
    pub route: Route,
    /// What the profile does not say.
    pub remarks: Vec<String>,
}

/// The reason why something cannot be played again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// No proxy had this name.
    #[error("the journal has no proxy \"{name}\"; it has {names}")]
    NoProxy {
        /// The name.
        name: String,
        /// Those that there are.
        names: String,
    },
    /// It changed too often.
    #[error(
        "proxy \"{0}\" changed more often than a profile can say: it has at most {PHASES_MAX} phases"
    )]
    Phases(String),
    /// The profile cannot be written.
    #[error("proxy \"{name}\": {problem}")]
    Profile {
        /// The proxy.
        name: String,
        /// The problem.
        problem: String,
    },
}

/// The time from when a proxy listened until it did no more, under one numbering of packets.
#[derive(Clone, Debug)]
struct Life {
    /// When it ended; `None` if it lasted as long as the journal.
    until: Option<Instant>,
    route: Route,
    /// The rules in force, each from a moment on; none while they were switched off.
    spans: Vec<(Instant, Profile)>,
    began: Began,
}

/// A proxy over the whole journal.
#[derive(Clone, Debug, Default)]
struct Past {
    lives: Vec<Life>,
    /// The proxy as it is; `None` while it is gone.
    route: Option<Route>,
}

impl History {
    /// Returns the names of the proxies that ever were, and whether they are there at the end.
    pub fn proxies(&self) -> BTreeMap<String, bool> {
        self.pasts().into_iter().map(|(name, past)| (name, past.route.is_some())).collect()
    }

    /// Returns the proxy called `name` with a profile of what was done to it; `read` finds the
    /// files that its rules were read from.
    ///
    /// # Errors
    /// When there was none, or no profile can say it.
    pub fn replay(&self, name: &str, read: ReadFile<'_>) -> Result<Replay, ReplayError> {
        let mut pasts = self.pasts();
        let Some(past) = pasts.remove(name) else {
            let names: Vec<String> = pasts.into_keys().collect();
            let names = if names.is_empty() { "none".into() } else { names.join(", ") };
            return Err(ReplayError::NoProxy { name: name.into(), names });
        };
        let mut remarks = self.remarks(&past);
        let end = self.recorded.last().map_or(Instant::START, |last| last.at);
        let route = match (past.lives.last(), past.route) {
            (Some(life), _) => {
                Route { profile: profile(life, end, &mut remarks)?, ..life.route.clone() }
            }
            (None, Some(route)) => route,
            (None, None) => {
                let problem = "it never listened".into();
                return Err(ReplayError::Profile { name: name.into(), problem });
            }
        };
        let profile = written(&route.profile, &remarks, read)
            .map_err(|problem| ReplayError::Profile { name: name.into(), problem })?;
        Ok(Replay { route: Route { profile, ..route }, remarks })
    }

    /// Follows all proxies through the journal.
    fn pasts(&self) -> BTreeMap<String, Past> {
        let mut pasts: BTreeMap<String, Past> = BTreeMap::new();
        let mut rules_on = self.rules_on;
        for (name, route) in &self.routes {
            pasts.entry(name.clone()).or_default().be(Instant::START, route, rules_on);
        }
        for Recorded { at, event, .. } in &self.recorded {
            match event {
                Event::Proxy { name, deed, began, route } => {
                    let past = pasts.entry(name.clone()).or_default();
                    past.learn(*began);
                    if *deed == Deed::Created || route.is_none() {
                        past.end(*at);
                    }
                    match route {
                        Some(route) => past.be(*at, route, rules_on),
                        None => past.route = None,
                    }
                }
                Event::Rules { on, began } => {
                    rules_on = *on;
                    for (name, past) in &mut pasts {
                        past.learn(began.get(name).copied().unwrap_or_default());
                        if let Some(route) = past.route.clone() {
                            past.be(*at, &route, rules_on);
                        }
                    }
                }
                Event::Lost { rules_on: on, routes, .. } => {
                    rules_on = *on;
                    for (name, past) in &mut pasts {
                        if !routes.contains_key(name) {
                            past.end(*at);
                            past.route = None;
                        }
                    }
                    for (name, route) in routes {
                        pasts.entry(name.clone()).or_default().be(*at, route, rules_on);
                    }
                }
                Event::End { .. } => {}
            }
        }
        pasts
    }

    /// Says what no profile of a proxy says.
    fn remarks(&self, past: &Past) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Some(line) = self.cut {
            remarks.push(format!("line {line} of the journal has no end, and is left out"));
        }
        for Recorded { line, at, event } in &self.recorded {
            if let Event::Lost { lost, .. } = event {
                remarks.push(format!("{lost} changes before {at} s are missing (line {line})"));
            }
        }
        if let [before @ .., last] = past.lives.as_slice()
            && !before.is_empty()
        {
            let from = last.spans.first().map_or(Instant::START, |(at, _)| *at);
            remarks.push(format!(
                "the proxy listened {} times, and packets are numbered anew each time; this is \
                 what was done since {from} s",
                past.lives.len()
            ));
        }
        if let Some(until) = past.lives.last().and_then(|life| life.until) {
            remarks.push(format!("the proxy listened until {until} s; here it does not end"));
        }
        if past.lives.is_empty() {
            remarks.push("the proxy never listened".into());
        }
        remarks
    }
}

impl Past {
    /// Takes over what the proxy is from `at` on.
    fn be(&mut self, at: Instant, route: &Route, rules_on: bool) {
        let goes_on = self.living().is_some_and(|life| goes_on(&life.route, route));
        if !goes_on {
            self.end(at);
        }
        if route.enabled {
            let rules = if rules_on { route.profile.clone() } else { Profile::default() };
            match self.lives.last_mut().filter(|_| goes_on) {
                Some(life) => {
                    life.route = route.clone();
                    life.spans.push((at, rules));
                }
                None => self.lives.push(Life {
                    until: None,
                    route: route.clone(),
                    spans: vec![(at, rules)],
                    began: Began::default(),
                }),
            }
        }
        self.route = Some(route.clone());
    }

    fn living(&mut self) -> Option<&mut Life> {
        self.lives.last_mut().filter(|life| life.until.is_none())
    }

    fn end(&mut self, at: Instant) {
        if let Some(life) = self.living() {
            life.until = Some(at);
        }
    }

    /// Notes when the time of its rules began.
    fn learn(&mut self, Began { udp, tcp }: Began) {
        if let Some(life) = self.living() {
            life.began.udp = life.began.udp.or(udp);
            life.began.tcp = life.began.tcp.or(tcp);
        }
    }
}

/// Returns true if packets are numbered on, and drawn for as before, when one route becomes
/// another.
fn goes_on(before: &Route, after: &Route) -> bool {
    let key = |route: &Route| (route.enabled, route.name.clone(), route.seed, route.tcp);
    let kept = !after.transport.has_udp() || before.transport.has_udp();
    key(before) == key(after) && kept && (!after.transport.has_tcp() || before.transport.has_tcp())
}

/// Returns the profile of all that was in force during a life, in a journal that ends at `end`.
fn profile(life: &Life, end: Instant, remarks: &mut Vec<String>) -> Result<Profile, ReplayError> {
    let Life { route, spans, began, .. } = life;
    let (udp, tcp) = (route.transport.has_udp(), route.transport.has_tcp());
    let moments = [began.udp.filter(|_| udp), began.tcp.filter(|_| tcp)];
    let mut moments: Vec<Instant> = moments.into_iter().flatten().collect();
    moments.dedup();
    let last = || spans.last().map(|(_, profile)| profile.clone()).unwrap_or_default();
    let (start, epoch) = match moments.as_slice() {
        // No packet came before the last change, so all met what holds since.
        [] => return Ok(last()),
        [Instant::START] => (Start::Run, Instant::START),
        [epoch] => (Start::Packet, *epoch),
        _ => {
            remarks.push(
                "UDP and TCP began at different moments, so the phases count from the start of the \
                 run; rules that follow the time by themselves may do so otherwise"
                    .into(),
            );
            (Start::Run, Instant::START)
        }
    };
    // What was in force before the time began met no packet.
    let first = spans.iter().rposition(|(at, _)| *at <= epoch).unwrap_or(0);
    let spans = &spans[first..];
    if spans.iter().all(|(_, profile)| *profile == spans[0].1) {
        return Ok(last());
    }
    if spans.iter().any(|(_, profile)| counts_flows(profile)) && !counts_flows(&spans[0].1) {
        remarks.push(
            "a rule that counts the packets of each flow came later; here they are counted from \
             the start"
                .into(),
        );
    }
    let mut lists = [Vec::new(), Vec::new()];
    for (index, (at, profile)) in spans.iter().enumerate() {
        let from = at.since(epoch);
        let until = spans.get(index + 1).map(|(next, _)| next.since(epoch));
        if until.is_some_and(|until| until <= from) {
            continue;
        }
        let known = end.since(epoch).max(from);
        if until.is_none() && profile.up.then == Then::Repeat && profile.up.phases.len() > 1 {
            remarks.push(format!(
                "what holds in the end repeats for ever; here until {} s after the start",
                Instant::START + known
            ));
        }
        if !unroll(&mut lists, profile, from, until, known) {
            return Err(ReplayError::Phases(route.name.clone()));
        }
    }
    let [up, down] = merged(lists).map(|phases| Timeline { start, then: Then::Stay, phases });
    Ok(Profile { about: about(route, spans), up, down })
}

/// Returns true if a rule counts the packets of each flow for itself.
fn counts_flows(profile: &Profile) -> bool {
    let mut rules = profile.up.rules().chain(profile.down.rules());
    rules.any(|rule| rule.selection.per == Per::Flow && rule.kind.is_for_packets())
}

fn about(route: &Route, spans: &[(Instant, Profile)]) -> String {
    let from = spans.first().map_or(Instant::START, |(at, _)| *at);
    let to = spans.last().map_or(Instant::START, |(at, _)| *at);
    format!("What was done to proxy \"{}\" from {from} s to {to} s of a run.", route.name)
}

/// Adds the phases that a profile has between two times since its beginning; without an end, up to
/// the last that stays, or up to `known` if they repeat. Returns false if they are too many.
fn unroll(
    lists: &mut [Vec<Phase>; 2],
    profile: &Profile,
    from: Duration,
    until: Option<Duration>,
    known: Duration,
) -> bool {
    let schedules = [&profile.up, &profile.down].map(|timeline| Schedule::new(timeline.clone()));
    let mut at = from;
    loop {
        if lists[0].len() > PHASES_MAX {
            return false;
        }
        let found = schedules.each_ref().map(|schedule| schedule.at(nanos(at)));
        let next = found.iter().filter_map(|(_, next)| *next).min().map(Duration::from_nanos);
        let next = next.filter(|next| {
            let repeats = profile.up.then == Then::Repeat || profile.down.then == Then::Repeat;
            until.map_or(!repeats || at < known, |until| *next < until)
        });
        let end = next.or(until);
        for (list, (rules, _)) in lists.iter_mut().zip(found) {
            let length = end.map(|end| end.saturating_sub(at));
            list.push(Phase { length, rules: rules.to_vec() });
        }
        match next {
            Some(next) => at = next,
            None => return true,
        }
    }
}

fn nanos(time: Duration) -> u64 {
    jostle_common::time::nanos(time)
}

/// Makes one phase of those that follow each other and do the same.
fn merged([up, down]: [Vec<Phase>; 2]) -> [Vec<Phase>; 2] {
    let mut merged = [Vec::<Phase>::new(), Vec::<Phase>::new()];
    for (up, down) in up.into_iter().zip(down) {
        let same = |list: &[Phase], phase: &Phase| {
            list.last().is_some_and(|last| last.rules == phase.rules)
        };
        if same(&merged[0], &up) && same(&merged[1], &down) {
            for (list, phase) in merged.iter_mut().zip([up, down]) {
                let last = list.last_mut().expect("it was just looked at");
                last.length = last.length.zip(phase.length).map(|(one, more)| one + more);
            }
        } else {
            merged[0].push(up);
            merged[1].push(down);
        }
    }
    merged
}

/// Returns the profile as it reads when it is written, with the remarks in what it is about.
fn written(profile: &Profile, remarks: &[String], read: ReadFile<'_>) -> Result<Profile, String> {
    let mut profile = profile.clone();
    for remark in remarks {
        let space = if profile.about.is_empty() { "" } else { " " };
        profile.about.push_str(&format!("{space}({remark})"));
    }
    Profile::from_value("", profile.to_value(), read).map_err(|error| error.to_string())
}
