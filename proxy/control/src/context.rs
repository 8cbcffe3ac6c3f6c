//! What all handlers share.

use crate::flows::FlowRules;
use crate::guard::{Bodies, Guard};
use crate::live::Live;
use crate::registry::{Origin, Registry, Table};
use crate::toxiproxy::{Refusal, RequestIds};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use jostle_common::clock::Clock;
use std::sync::Arc;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-toxiproxy-request-id");

tokio::task_local! {
    /// Who asks, as the guard has found, while a request is answered. No handler hands it on, so
    /// none can forget to.
    pub(crate) static ORIGIN: Origin;
}

/// The state behind every route.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) registry: Arc<Registry>,
    pub(crate) request_ids: Arc<RequestIds>,
    pub(crate) live: Arc<Live>,
    pub(crate) flow_rules: Arc<FlowRules>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) bodies: Bodies,
}

impl Context {
    /// `connections` are those that are served at once.
    pub(crate) fn new(
        registry: Arc<Registry>,
        guard: Guard,
        bodies: Bodies,
        connections: usize,
    ) -> Self {
        let request_ids = Arc::new(RequestIds::new());
        let live = Arc::new(Live::new(Arc::clone(&registry), connections));
        let flow_rules = Arc::default();
        Self { registry, request_ids, live, flow_rules, guard: Arc::new(guard), bodies }
    }

    /// Gives an answer its number.
    pub(crate) fn numbered(&self, mut response: Response) -> Response {
        let id = self.request_ids.next(Clock::wall().as_secs());
        let id = HeaderValue::from_str(&id).expect("its digits are letters and numbers");
        response.headers_mut().insert(REQUEST_ID, id);
        response
    }

    /// Does something with the table on a thread that may wait.
    pub(crate) async fn with_table<T: Send + 'static>(
        self,
        work: impl FnOnce(&mut Table<'_>) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let registry = self.registry;
        let origin = ORIGIN.try_with(|origin| *origin).unwrap_or(Origin::Api);
        let done = tokio::task::spawn_blocking(move || work(&mut registry.open(origin)));
        let failed = |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the request failed");
        done.await.map_err(failed)
    }
}
