//! Taking over a configuration file that has been read again: what it changed, and nothing else,
//! all of it or none.
//!
//! What counts is the file as it was when it was last taken over. A route that the file says anew
//! becomes what it says; one that it left alone keeps what else was done to it; one that it left
//! out goes, and those that were never in it stay.

mod plan;

use super::{Deed, Entry, Origin, Registry, State, Table};
use jostle_common::time::Instant;
use jostle_engine::route::Route;
use jostle_proxy::{Began, Carried, OrderError, PreparedRoute, RouteId, RouteState, StartError};
use plan::{Step, by_name, plan};
use std::io;
use std::time::Duration;

/// How often a plan is made anew because the table changed while its names were looked up.
const PLANS_MAX: usize = 5;

/// How often an address that is still taken is tried for again when a step is undone, or when
/// another route has just left it.
const UNDO_TRIES: u32 = 200;

/// The time between.
const UNDO_PAUSE: Duration = Duration::from_millis(5);

/// What taking over a file changed, by the names of the routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Those that are new.
    pub added: Vec<String>,
    /// Those that are others than before.
    pub changed: Vec<String>,
    /// Those that are gone, and drain.
    pub removed: Vec<String>,
}

impl Reloaded {
    /// Returns true if nothing was to be done.
    pub const fn is_nothing(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// The reason why a file was not taken over. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// A route could not be carried out; the error names it.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// Others changed the same routes all the while.
    #[error("the routes changed while the file was taken over; try again")]
    Busy,
}

/// A step with its names looked up, and what it changes.
struct Prepared {
    step: Step,
    /// The new route, where one is added or replaced.
    route: Option<PreparedRoute>,
    /// The proxy as it is before, and the route that puts it back.
    before: Option<(Entry, PreparedRoute)>,
}

/// A step that was carried out.
struct Done {
    /// What is to be told of it.
    tell: Vec<(String, Deed, Instant, Began)>,
    /// The proxy that is there since.
    new: String,
    /// What was there before.
    before: Option<(Entry, PreparedRoute)>,
}

impl Registry {
    /// Notes what the configuration file says of the routes that the proxy started with.
    pub fn begin_with_file(&self, routes: &[Route]) {
        self.open(Origin::Start).state.file = by_name(routes);
    }

    /// Takes over a file that says `routes` now: all that changed in it, or nothing. What did not
    /// change keeps its connections and what it holds; what is removed drains for `drain` at most.
    /// May wait for names, and others may change things meanwhile.
    ///
    /// # Errors
    /// When a route cannot be carried out. What was done of it is undone.
    pub fn reload(&self, routes: &[Route], drain: Duration) -> Result<Reloaded, ReloadError> {
        for _ in 0..PLANS_MAX {
            let steps = self.prepare(routes)?;
            let mut table = self.open(Origin::File);
            let is_as_planned = steps.iter().all(|one| {
                let revision = one.before.as_ref().map(|(entry, _)| entry.revision);
                table.get(one.step.name()).map(|entry| entry.revision) == revision
            });
            if is_as_planned {
                let reloaded = table.carry_out(steps, drain)?;
                table.state.file = by_name(routes);
                return Ok(reloaded);
            }
        }
        Err(ReloadError::Busy)
    }

    /// Makes the plan, and looks up the names while nobody waits.
    fn prepare(&self, routes: &[Route]) -> Result<Vec<Prepared>, OrderError> {
        let steps: Vec<(Step, Option<Entry>)> = {
            let table = self.open(Origin::File);
            let State { file, proxies, .. } = &*table.state;
            let with_entry = |step: Step| {
                let before = proxies.get(step.name()).cloned();
                (step, before)
            };
            plan(file, routes, proxies).into_iter().map(with_entry).collect()
        };
        let prepare = |route: &Route| self.control.prepare(route.clone());
        let prepared = steps.into_iter().map(|(step, before)| {
            let route = match &step {
                Step::Add(route) | Step::Replace(route) => Some(prepare(route)?),
                Step::Profile(route) => {
                    route.check_rules().map_err(OrderError::Rules)?;
                    None
                }
                Step::Remove(_) => None,
            };
            let back = |entry: Entry| prepare(&entry.as_route()).map(|back| (entry, back));
            Ok(Prepared { step, route, before: before.map(back).transpose()? })
        });
        prepared.collect()
    }
}

/// Returns true if a route could not listen because somebody else does.
fn is_taken(error: &OrderError) -> bool {
    matches!(error, OrderError::Start(StartError::Listen { cause, .. })
        if cause.kind() == io::ErrorKind::AddrInUse)
}

impl Table<'_> {
    /// Carries the steps out: first what may fail, which is undone if something does.
    fn carry_out(&mut self, steps: Vec<Prepared>, drain: Duration) -> Result<Reloaded, OrderError> {
        let is_removal = |one: &Prepared| matches!(one.step, Step::Remove(_));
        let (mut leaving, coming): (Vec<_>, Vec<_>) = steps.into_iter().partition(is_removal);
        let may_fail = |one: &Prepared| one.route.is_some();
        let (coming, rules): (Vec<_>, Vec<_>) = coming.into_iter().partition(may_fail);
        let mut done = Vec::new();
        if let Err(error) = self.bring_in(coming, &mut leaving, &mut done, drain) {
            self.undo(done, drain);
            return Err(error);
        }
        for one in rules.into_iter().chain(leaving) {
            match self.finish(one.step, drain) {
                Ok(did) => done.extend(did),
                // Only a proxy that has ended refuses these.
                Err(error) => log::error!("the reload ends half done: {error}"),
            }
        }
        let mut reloaded = Reloaded::default();
        for (name, deed, at, began) in done.into_iter().flat_map(|did| did.tell) {
            self.done(&name, deed, at, began);
            match deed {
                Deed::Created => reloaded.added.push(name),
                Deed::Removed => reloaded.removed.push(name),
                _ => reloaded.changed.push(name),
            }
        }
        Ok(reloaded)
    }

    /// Lets new routes listen, and others elsewhere. An address may become free by another step, so
    /// those that find it taken are tried again as long as others succeed; or it may be that of a
    /// route which leaves, and hands its sockets over.
    fn bring_in(
        &mut self,
        mut coming: Vec<Prepared>,
        leaving: &mut Vec<Prepared>,
        done: &mut Vec<Done>,
        drain: Duration,
    ) -> Result<(), OrderError> {
        let mut tries = 0..UNDO_TRIES;
        while !coming.is_empty() {
            let (before, mut refused) = (coming.len(), None);
            for one in std::mem::take(&mut coming) {
                match self.enter(&one, drain) {
                    Ok(did) => done.push(did),
                    Err(error) if is_taken(&error) => {
                        coming.push(one);
                        refused = Some(error);
                    }
                    Err(error) => return Err(error),
                }
            }
            let Some(refused) = refused.filter(|_| coming.len() == before) else {
                tries = 0..UNDO_TRIES;
                continue;
            };
            // What a route has left may be taken for a few turns of the loop yet.
            let is_left = |one: &Prepared| {
                let wanted = one.route.as_ref().map(|route| route.route().listen.port);
                done.iter()
                    .filter_map(|did| did.before.as_ref()?.0.bound)
                    .any(|bound| wanted == Some(bound.port()))
            };
            if coming.iter().any(is_left) && tries.next().is_some() {
                std::thread::park_timeout(UNDO_PAUSE);
                continue;
            }
            let pair = coming.iter().enumerate().find_map(|(place, one)| {
                let route = one.route.as_ref()?.route();
                let new = one.before.is_none();
                let is_there = |leaves: &Prepared| {
                    let entry = leaves.before.as_ref().map(|(entry, _)| entry);
                    let bound = entry.and_then(|entry| entry.bound);
                    new && bound.is_some_and(|bound| bound.port() == route.listen.port)
                };
                Some((place, leaving.iter().position(is_there)?))
            });
            if let Some((place, leaves)) = pair {
                let (new, old) = (coming.swap_remove(place), leaving.swap_remove(leaves));
                done.push(self.succeed(new, old, drain)?);
                continue;
            }
            let stands_in_the_way = |one: &Prepared| {
                let wanted =
                    |other: &Prepared| other.route.as_ref().map(|route| route.route().listen.port);
                let bound = one.before.as_ref().and_then(|(entry, _)| entry.bound);
                bound.is_some_and(|bound| {
                    let port = Some(bound.port());
                    coming.iter().any(|other| !std::ptr::eq(one, other) && wanted(other) == port)
                })
            };
            let Some(place) = coming.iter().position(stands_in_the_way) else {
                return Err(refused);
            };
            let one = coming.remove(place);
            coming.push(self.step_aside(one, done, drain)?);
            tries = 0..UNDO_TRIES;
        }
        Ok(())
    }

    /// Lets a route wait on another port, as routes that exchange theirs wait for each other. Its
    /// connections go on. Returns the step that leads from there to where it belongs.
    fn step_aside(
        &mut self,
        one: Prepared,
        done: &mut Vec<Done>,
        drain: Duration,
    ) -> Result<Prepared, OrderError> {
        let Prepared { step, route, before } = one;
        let (entry, back) = before.expect("only a route that listens stands in the way");
        let id = entry.id.expect("it listens");
        let aside = back.aside();
        let Carried { outcome: (state, _), .. } =
            self.control.replace_prepared(id, &aside, drain)?;
        let waits = Entry { id: Some(state.id), bound: None, ..entry.clone() };
        let name = entry.route.name.clone();
        done.push(Done { tell: Vec::new(), new: name, before: Some((entry, back)) });
        Ok(Prepared { step, route, before: Some((waits, aside)) })
    }

    /// Adds a route, or puts it in the place of the one of its name.
    fn enter(&mut self, one: &Prepared, drain: Duration) -> Result<Done, OrderError> {
        let route = one.route.as_ref().expect("only such steps come here");
        let name = one.step.name().to_owned();
        let id = one.before.as_ref().and_then(|(entry, _)| entry.id);
        let (at, state, began) = match id {
            Some(id) => {
                let Carried { at, outcome: (state, began) } =
                    self.control.replace_prepared(id, route, drain)?;
                (at, state, began)
            }
            None => {
                let Carried { at, outcome } = self.control.add_prepared(route)?;
                (at, outcome, Began::default())
            }
        };
        let deed = if one.before.is_some() { Deed::Replaced } else { Deed::Created };
        self.put_in(state);
        let tell = vec![(name.clone(), deed, at, began)];
        Ok(Done { tell, new: name, before: one.before.clone() })
    }

    /// Adds a route that takes over the sockets of another one, which leaves.
    fn succeed(
        &mut self,
        new: Prepared,
        old: Prepared,
        drain: Duration,
    ) -> Result<Done, OrderError> {
        let route = new.route.as_ref().expect("only such steps come here");
        let id = old.before.as_ref().and_then(|(entry, _)| entry.id).expect("it listens");
        let Carried { at, outcome: (state, began) } =
            self.control.replace_prepared(id, route, drain)?;
        let (gone, name) = (old.step.name().to_owned(), new.step.name().to_owned());
        self.take_out(&gone);
        self.put_in(state);
        let tell = vec![
            (gone, Deed::Removed, at, began),
            (name.clone(), Deed::Created, at, Began::default()),
        ];
        Ok(Done { tell, new: name, before: old.before })
    }

    /// Sets rules, or lets a route go.
    fn finish(&mut self, step: Step, drain: Duration) -> Result<Option<Done>, OrderError> {
        let Some(entry) = self.state.proxies.get_mut(step.name()) else { return Ok(None) };
        let (id, now) = (entry.id, self.control.now());
        let nothing = Carried { at: now, outcome: Began::default() };
        let (carried, deed) = match &step {
            Step::Profile(Route { profile, .. }) => {
                entry.route.profile = profile.clone();
                let set = id.map(|id| self.control.set_profile(id, profile.clone()));
                (set.transpose()?, Deed::Profile)
            }
            _ => {
                let gone = id.map(|id| self.control.remove(id, drain)).transpose()?;
                self.take_out(step.name());
                (gone, Deed::Removed)
            }
        };
        let Carried { at, outcome } = carried.unwrap_or(nothing);
        let name = step.name().to_owned();
        Ok(Some(Done { tell: vec![(name.clone(), deed, at, outcome)], new: name, before: None }))
    }

    /// Undoes steps, the last one first. What cannot be undone stays as it is, and the next reload
    /// takes it for changed.
    fn undo(&mut self, done: Vec<Done>, drain: Duration) {
        for Done { new, before, .. } in done.into_iter().rev() {
            let there = self.state.proxies.remove(&new);
            let id = there.as_ref().and_then(|entry| entry.id);
            let undone = match (&before, id) {
                (Some((entry, back)), Some(id)) if entry.id.is_some() => {
                    self.put_back(id, back, drain)
                }
                (_, Some(id)) => self.control.close(id).map(drop),
                (_, None) => Ok(()),
            };
            match (undone, before) {
                (Ok(()), Some((entry, _))) => {
                    self.state.proxies.insert(entry.route.name.clone(), entry);
                }
                (Ok(()), None) => {}
                (Err(error), before) => {
                    log::error!("route {new}: the reload could not be undone: {error}");
                    let names = before.map(|(entry, _)| entry.route.name);
                    for name in names.into_iter().chain([new.clone()]) {
                        self.state.file.remove(&name);
                    }
                    self.state.proxies.extend(there.map(|entry| (new, entry)));
                }
            }
        }
    }

    /// Puts a route back in the place of another. Its sockets of datagrams are read out before they
    /// are closed, so its address may be taken for a few turns of the loop yet.
    fn put_back(
        &self,
        id: RouteId,
        back: &PreparedRoute,
        drain: Duration,
    ) -> Result<(), OrderError> {
        let mut tries = 0..UNDO_TRIES;
        loop {
            match self.control.replace_prepared(id, back, drain) {
                Err(error) if is_taken(&error) && tries.next().is_some() => {
                    std::thread::park_timeout(UNDO_PAUSE);
                }
                result => return result.map(drop),
            }
        }
    }

    /// Puts a route into the table, under the number of the one that was there.
    fn put_in(&mut self, state: RouteState) {
        let name = state.route.name.clone();
        let revision = self.revision_of(&name);
        self.state.proxies.insert(name, Entry::of(state, revision));
    }

    fn take_out(&mut self, name: &str) {
        if let Some(entry) = self.state.proxies.remove(name) {
            self.state.revision_gone = self.state.revision_gone.max(entry.revision);
        }
    }
}
