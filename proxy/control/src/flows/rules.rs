//! Rules for one flow alone, and their end with the flow.
//!
//! They are rules of the proxy's profile that look at this flow only, so whoever looks at the
//! profile sees them. Each second the flows that were given some are looked for; those of one that
//! is gone are removed, and nobody is asked while there are none.

use super::{Address, route, told};
use crate::context::Context;
use crate::registry::{Origin, Registry};
use crate::toxiproxy::Refusal;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jostle_common::setting::parse_json;
use jostle_common::transport::Transport;
use jostle_engine::profile::{Profile, no_files};
use jostle_proxy::{FlowId, FlowState, OrderError, RouteId};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// The time from one look for the flows to the next.
const PERIOD: Duration = Duration::from_secs(1);

/// Returns the rules that a flow has for itself.
pub(super) async fn show(State(context): State<Context>, address: Address) -> Response {
    let registry = Arc::clone(&context.registry);
    let shown = context.with_table(move |table| {
        let (_, flow) = address.find(registry.control(), route(table, &address.proxy)?)?;
        let profile = table.get(&address.proxy).map(|entry| &entry.route.profile);
        Ok(profile.map(|profile| profile.flow_rules(flow.id.number)).unwrap_or_default())
    });
    answer(shown.await.and_then(|result| result))
}

/// Gives a flow these rules in place of those that it has for itself.
pub(super) async fn set(State(context): State<Context>, address: Address, body: Bytes) -> Response {
    let (registry, kept) = (Arc::clone(&context.registry), Arc::clone(&context.flow_rules));
    let control = registry.control().clone();
    let done = context.with_table(move |table| {
        let found = address.find(&control, route(table, &address.proxy)?)?;
        let (route, FlowState { id: FlowId { number, .. }, .. }) = found;
        let rules = read(&body)?;
        let Some(entry) = table.get(&address.proxy) else { return Err(address.missing()) };
        let mut profile = entry.route.profile.clone();
        let set = profile.set_flow_rules(number, &rules);
        set.map_err(|error| Refusal::bad(error.to_string()))?;
        let rules = profile.flow_rules(number);
        table.set_profile(&address.proxy, profile).map_err(super::refused)?;
        Ok((rules, Owner { proxy: address.proxy, route, number }))
    });
    let done = done.await.and_then(|result| result);
    answer(done.map(|(rules, owner)| {
        kept.watch(owner, registry);
        rules
    }))
}

fn answer(rules: Result<Profile, Refusal>) -> Response {
    match rules {
        Ok(rules) => Json(rules.to_value()).into_response(),
        Err(refusal) => told(&refusal),
    }
}

/// Reads the rules that a body has. Nothing that came over the wire reads a file.
fn read(body: &Bytes) -> Result<Profile, Refusal> {
    const REMEDY: &str = r#"write {"up": [...], "down": [...]}, or {} for none"#;
    let text = std::str::from_utf8(body)
        .map_err(|_| Refusal::bad(format!("the body is not UTF-8; {REMEDY}")))?;
    if text.trim().is_empty() {
        return Err(Refusal::bad(format!("the body is empty; {REMEDY}")));
    }
    let read = parse_json(text).and_then(|value| Profile::from_value("", value, &no_files));
    read.map_err(|error| Refusal::bad(error.to_string()))
}

/// A flow that has rules for itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Owner {
    proxy: String,
    route: RouteId,
    number: u32,
}

/// The flows that were given rules.
#[derive(Debug, Default)]
pub(crate) struct FlowRules {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    owners: BTreeSet<Owner>,
    /// Set while somebody looks for them.
    is_looked_for: bool,
}

impl FlowRules {
    /// Looks for a flow until it is gone. Must be called on the API's runtime.
    fn watch(self: &Arc<Self>, owner: Owner, registry: Arc<Registry>) {
        let mut known = self.known();
        known.owners.insert(owner);
        if !std::mem::replace(&mut known.is_looked_for, true) {
            tokio::spawn(look(Arc::clone(self), registry));
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // None of the changes can be left half done.
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Removes the rules of those that are gone; may wait for the proxy.
    fn sweep(&self, registry: &Registry) {
        let owners = self.known().owners.clone();
        for owner in owners.iter().filter(|owner| owner.is_gone(registry)) {
            if owner.lose_rules(registry) {
                self.known().owners.remove(owner);
            }
        }
    }

    /// Returns true if there are none, and nobody needs to look any more.
    fn is_over(&self) -> bool {
        let mut known = self.known();
        known.is_looked_for = !known.owners.is_empty();
        !known.is_looked_for
    }
}

impl Owner {
    /// Returns true if there is no flow of this number any more.
    fn is_gone(&self, registry: &Registry) -> bool {
        let flow = |transport| FlowId { number: self.number, transport };
        Transport::ALL.into_iter().all(|transport| {
            let found = registry.control().flow(self.route, flow(transport));
            matches!(found, Err(OrderError::NoFlow(_) | OrderError::NoRoute(_) | OrderError::Ended))
        })
    }

    /// Removes its rules from the profile; true if they are gone. On another route of the proxy its
    /// number is another flow's.
    fn lose_rules(&self, registry: &Registry) -> bool {
        let mut table = registry.open(Origin::Api);
        let Some(entry) = table.get(&self.proxy).filter(|one| one.id == Some(self.route)) else {
            return true;
        };
        let mut profile = entry.route.profile.clone();
        let changed = profile.remove_flow_rules(self.number);
        let done = !changed || table.set_profile(&self.proxy, profile).is_ok();
        if !done {
            log::debug!("proxy {}: flow {} keeps its rules", self.proxy, self.number);
        }
        done
    }
}

/// Looks each second whether the flows with rules are still there.
#[expect(clippy::disallowed_methods, reason = "the rules of a flow that is gone choose nothing")]
async fn look(rules: Arc<FlowRules>, registry: Arc<Registry>) {
    while !rules.is_over() {
        tokio::time::sleep(PERIOD).await;
        let (swept, registry) = (Arc::clone(&rules), Arc::clone(&registry));
        if tokio::task::spawn_blocking(move || swept.sweep(&registry)).await.is_err() {
            log::error!("the rules of flows that are gone stay");
            return;
        }
    }
}
