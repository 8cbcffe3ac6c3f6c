//! What all handlers share.

use crate::live::Live;
use crate::registry::{Origin, Registry, Table};
use crate::toxiproxy::{Refusal, RequestIds};
use axum::http::StatusCode;
use std::sync::Arc;

/// The state behind every route.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) registry: Arc<Registry>,
    pub(crate) request_ids: Arc<RequestIds>,
    pub(crate) live: Arc<Live>,
}

impl Context {
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        let live = Arc::new(Live::new(Arc::clone(&registry)));
        Self { registry, request_ids: Arc::new(RequestIds::new()), live }
    }

    /// Does something with the table on a thread that may wait.
    pub(crate) async fn with_table<T: Send + 'static>(
        self,
        work: impl FnOnce(&mut Table<'_>) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let registry = self.registry;
        let done = tokio::task::spawn_blocking(move || work(&mut registry.open(Origin::Api)));
        let failed = |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the request failed");
        done.await.map_err(failed)
    }
}
