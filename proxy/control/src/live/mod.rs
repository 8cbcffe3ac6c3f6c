//! What happens, live: each second in numbers, the configuration whenever it changes, the fates of
//! packets, and the counters for Prometheus.
//!
//! A sampler reads the counters once a second, on the API's threads and only while somebody
//! watches, unless it is told to [keep the history](Live::keep_history). Watchers are told by
//! channels that forget what they do not take in time, so a slow one costs itself alone.

mod endings;
mod events;
mod families;
mod feed;
mod history;
mod hits;
mod hub;
mod metrics;
mod second;
mod state;
mod stream;

use crate::context::Context;
use crate::routes::only;
use axum::Router;
use axum::routing::get;

pub(crate) use hub::Live;
pub(crate) use state::current as current_state;

/// Returns the routes of what happens.
pub(crate) fn routes(_: &Context) -> Router<Context> {
    Router::new()
        .route("/live", only(get(feed::live)))
        .route("/events", only(get(events::events)))
        .route("/metrics", only(get(metrics::metrics)))
}
