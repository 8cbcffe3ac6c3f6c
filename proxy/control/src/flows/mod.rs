//! The flows and connections of a proxy: listed with what they did, closed, reset, and given rules
//! of their own.

mod list;
mod rules;

pub(crate) use rules::FlowRules;

use crate::context::Context;
use crate::registry::{Origin, Registry, Table};
use crate::routes::only;
use crate::toxiproxy::Refusal;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jostle_common::transport::Transport;
use jostle_proxy::{Control, FlowId, FlowPage, FlowState, OrderError, RouteId};
use list::Asked;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The fields behind the question mark.
type Fields = BTreeMap<String, String>;

/// Returns the routes.
pub(crate) fn routes() -> Router<Context> {
    Router::new()
        .route("/proxies/{proxy}/flows", only(get(list)))
        .route("/proxies/{proxy}/flows/{flow}", only(get(show).delete(close)))
        .route("/proxies/{proxy}/flows/{flow}/reset", only(post(reset)))
        .route("/proxies/{proxy}/flows/{flow}/profile", only(get(rules::show).put(rules::set)))
}

async fn list(
    State(context): State<Context>,
    Path(proxy): Path<String>,
    Query(fields): Query<Fields>,
) -> Response {
    answered(context, move |registry| {
        let asked = Asked::read(&fields)?;
        let route = route(&registry.open(Origin::Api), &proxy)?;
        let FlowPage { flows, next } = match route {
            Some(route) => asked.collect(|after| registry.control().flows(route, after))?,
            None => FlowPage::default(),
        };
        let flows: Vec<Value> = flows.iter().map(list::to_json).collect();
        Ok(Json(json!({ "flows": flows, "next": next })).into_response())
    })
    .await
}

async fn show(State(context): State<Context>, address: Address) -> Response {
    answered(context, move |registry| {
        let (_, flow) = address.look_up(registry)?;
        Ok(Json(list::to_json(&flow)).into_response())
    })
    .await
}

async fn close(State(context): State<Context>, address: Address) -> Response {
    end(context, address, Control::close_flow).await
}

async fn reset(State(context): State<Context>, address: Address) -> Response {
    end(context, address, Control::reset_flow).await
}

async fn end(
    context: Context,
    address: Address,
    order: impl FnOnce(&Control, RouteId, FlowId) -> Result<(), OrderError> + Send + 'static,
) -> Response {
    answered(context, move |registry| {
        let (route, flow) = address.look_up(registry)?;
        order(registry.control(), route, flow.id).map_err(|error| match error {
            // It ended by itself in between.
            OrderError::NoFlow(_) | OrderError::NoRoute(_) => address.missing(),
            error => refused(error),
        })?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// Answers with what comes of some work, done on a thread that may wait.
async fn answered(
    context: Context,
    work: impl FnOnce(&Registry) -> Result<Response, Refusal> + Send + 'static,
) -> Response {
    let failed = |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the request failed");
    let done = tokio::task::spawn_blocking(move || work(&context.registry)).await.map_err(failed);
    done.and_then(|result| result).unwrap_or_else(|refusal| told(&refusal))
}

/// Writes a refusal.
fn told(refusal: &Refusal) -> Response {
    (refusal.status, Json(refusal.to_json())).into_response()
}

/// Returns the route of a proxy; `None` when it is disabled.
fn route(table: &Table<'_>, proxy: &str) -> Result<Option<RouteId>, Refusal> {
    table.get(proxy).map(|entry| entry.id).ok_or_else(|| {
        let text = format!("there is no proxy \"{proxy}\"; GET /proxies lists those there are");
        Refusal::new(StatusCode::NOT_FOUND, text)
    })
}

/// The address of a flow: its proxy, its number, and what is behind the question mark.
struct Address {
    proxy: String,
    number: String,
    fields: Fields,
}

impl FromRequestParts<Context> for Address {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Self, Response> {
        let path = Path::from_request_parts(parts, context).await;
        let Path((proxy, number)) = path.map_err(IntoResponse::into_response)?;
        let query = Query::from_request_parts(parts, context).await;
        let Query(fields) = query.map_err(IntoResponse::into_response)?;
        Ok(Self { proxy, number, fields })
    }
}

impl Address {
    fn missing(&self) -> Refusal {
        let Self { proxy, number, .. } = self;
        let text = format!(
            "proxy \"{proxy}\" has no flow {number}, or not any more; \
             GET /proxies/{proxy}/flows lists those there are"
        );
        Refusal::new(StatusCode::NOT_FOUND, text)
    }

    /// Finds the flow on the route that its proxy has.
    fn find(
        &self,
        control: &Control,
        route: Option<RouteId>,
    ) -> Result<(RouteId, FlowState), Refusal> {
        let Self { proxy, number, fields } = self;
        let missing = || self.missing();
        let protocol = list::protocol(fields)?;
        let (route, number) = (route.ok_or_else(missing)?, number.parse().map_err(|_| missing())?);
        let mut found = Vec::new();
        for transport in Transport::ALL {
            if protocol.is_some_and(|protocol| protocol != transport) {
                continue;
            }
            match control.flow(route, FlowId { number, transport }) {
                Ok(flow) => found.push(flow),
                Err(OrderError::NoFlow(_)) => {}
                Err(OrderError::NoRoute(_)) => return Err(missing()),
                Err(error) => return Err(refused(error)),
            }
        }
        match found.as_slice() {
            [] => Err(missing()),
            [flow] => Ok((route, flow.clone())),
            [..] => {
                let text = format!(
                    "proxy \"{proxy}\" has a flow {number} of UDP and one of TCP; \
                     add ?protocol=udp or ?protocol=tcp"
                );
                Err(Refusal::new(StatusCode::CONFLICT, text))
            }
        }
    }

    /// The same without the lock of the table while the proxy is asked.
    fn look_up(&self, registry: &Registry) -> Result<(RouteId, FlowState), Refusal> {
        let route = route(&registry.open(Origin::Api), &self.proxy)?;
        self.find(registry.control(), route)
    }
}

/// Says why the proxy did not carry something out.
fn refused(error: OrderError) -> Refusal {
    let status = match error {
        OrderError::NoRoute(_) | OrderError::NoFlow(_) => StatusCode::NOT_FOUND,
        OrderError::Full | OrderError::Ended => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    Refusal::new(status, error.to_string())
}
