//! What is to be done where a configuration file says something else than before.

use crate::registry::Entry;
use jostle_engine::route::Route;
use std::collections::{BTreeMap, BTreeSet};

/// A step from what is there to what the file says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Adds a route.
    Add(Route),
    /// Sets other rules; nothing else differs.
    Profile(Route),
    /// Puts a route in the place of another of its name.
    Replace(Route),
    /// Lets a route drain.
    Remove(String),
}

impl Step {
    /// Returns the name of the proxy that it is about.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Add(route) | Self::Profile(route) | Self::Replace(route) => &route.name,
            Self::Remove(name) => name,
        }
    }
}

/// Says what is to be done where a file that said `before` says `after`, and `proxies` are there.
pub(super) fn plan(
    before: &BTreeMap<String, Route>,
    after: &[Route],
    proxies: &BTreeMap<String, Entry>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for route in after.iter().filter(|route| before.get(&route.name) != Some(route)) {
        let Some(entry) = proxies.get(&route.name) else {
            steps.push(Step::Add(route.clone()));
            continue;
        };
        let is_profile = is_but_for_rules(entry, route);
        if is_profile && entry.route.profile != route.profile {
            steps.push(Step::Profile(route.clone()));
        } else if !is_profile {
            steps.push(Step::Replace(route.clone()));
        }
    }
    let stay: BTreeSet<&str> = after.iter().map(|route| route.name.as_str()).collect();
    let goes = |name: &&String| !stay.contains(name.as_str()) && proxies.contains_key(*name);
    let gone = before.keys().filter(goes);
    steps.extend(gone.cloned().map(Step::Remove));
    steps
}

/// Returns true if a proxy is what a route says, its rules aside.
fn is_but_for_rules(entry: &Entry, route: &Route) -> bool {
    let there =
        Route { profile: route.profile.clone(), enabled: route.enabled, ..entry.route.clone() };
    there == *route
        && entry.is_enabled() == route.enabled
        && entry.leads_to() == route.destination.to_string()
}

/// Returns routes by their names.
pub(super) fn by_name(routes: &[Route]) -> BTreeMap<String, Route> {
    routes.iter().map(|route| (route.name.clone(), route.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_engine::route::Configuration;

    fn routes(text: &str) -> Vec<Route> {
        let text = format!(r#"{{ "proxies": [ {text} ] }}"#);
        Configuration::from_json(&text, &|name| Err(name.into())).unwrap().routes
    }

    /// A route with a port, a delay in milliseconds, and something more.
    fn route(name: &str, port: u16, delay: u32, more: &str) -> String {
        format!(
            r#"{{ "name": "{name}", "listen": "tcp://127.0.0.1:{port}", "upstream": "127.0.0.1:9",
                "profile": {{ "up": [ {{ "rule": "delay", "time": "{delay}ms" }} ] }} {more} }}"#
        )
    }

    fn there(text: &str) -> BTreeMap<String, Entry> {
        let entry = |route: Route| {
            let bound = format!("127.0.0.1:{}", route.listen.port).parse().unwrap();
            let (listen, upstream) = (route.listen.to_string(), route.destination.to_string());
            let bound = Some(bound).filter(|_| route.enabled);
            (
                route.name.clone(),
                Entry { revision: 1, bound, ..Entry::of_route(route, &listen, &upstream) },
            )
        };
        routes(text).into_iter().map(entry).collect()
    }

    /// What is done, in words: `+a`, `~a` (rules), `=a` (replaced), `-a`.
    fn planned(before: &str, after: &str, proxies: &str) -> String {
        let steps = plan(&by_name(&routes(before)), &routes(after), &there(proxies));
        let word = |step: &Step| {
            let sign = match step {
                Step::Add(_) => '+',
                Step::Profile(_) => '~',
                Step::Replace(_) => '=',
                Step::Remove(_) => '-',
            };
            format!("{sign}{}", step.name())
        };
        steps.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_the_file_changed_is_done_and_nothing_else() {
        let [a, b] = [route("a", 1, 10, ""), route("b", 2, 10, "")];
        let both = format!("{a}, {b}");
        let slow = route("a", 1, 20, "");
        let moved = route("a", 3, 10, "");
        let off = route("a", 1, 10, r#", "enabled": false"#);
        for (before, after, proxies, done) in [
            (&both, &both, &both, ""),
            (&a, &both, &a, "+b"),
            (&both, &a, &both, "-b"),
            (&a, &slow, &a, "~a"),
            (&a, &moved, &a, "=a"),
            (&a, &off, &a, "=a"),
            (&off, &a, &off, "=a"),
            // Something else did what the file says now.
            (&a, &slow, &slow, ""),
            (&a, &off, &off, ""),
            // What the file left alone keeps what was done to it, removal included.
            (&a, &a, &slow, ""),
            (&a, &both, &b, ""),
            (&both, &both, &a, ""),
            (&both, &a, &a, ""),
            // What it changed becomes what it says, whatever was done to it.
            (&a, &moved, &slow, "=a"),
            (&a, &slow, &b, "+a"),
            // What was never in it stays.
            (&a, &a, &both, ""),
        ] {
            assert_eq!(planned(before, after, proxies), done, "{before} {after} {proxies}");
        }
    }
}
