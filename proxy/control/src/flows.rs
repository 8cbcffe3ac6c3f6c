//! The flows and connections of a proxy: listed with what they did, closed, reset.

use crate::context::Context;
use crate::routes::only;
use crate::toxiproxy::Refusal;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_proxy::{Control, FlowId, FlowPage, FlowState, OrderError, RouteId};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many flows a list has unless more are asked for, and the most that may be.
const LIMIT_DEFAULT: usize = 1000;
const LIMIT_MAX: usize = 10_000;

/// The fields behind the question mark.
type Fields = Query<BTreeMap<String, String>>;

/// Returns the routes.
pub(crate) fn routes() -> Router<Context> {
    Router::new()
        .route("/proxies/{proxy}/flows", only(get(list)))
        .route("/proxies/{proxy}/flows/{flow}", only(get(show).merge(delete(close))))
        .route("/proxies/{proxy}/flows/{flow}/reset", only(post(reset)))
}

async fn list(
    State(context): State<Context>,
    Path(proxy): Path<String>,
    Query(fields): Fields,
) -> Response {
    answered(context, move |context| {
        let asked = Asked::read(&fields)?;
        let FlowPage { flows, next } = match context.route(&proxy)? {
            Some(route) => asked.collect(|after| context.control().flows(route, after))?,
            None => FlowPage::default(),
        };
        let flows: Vec<Value> = flows.iter().map(to_json).collect();
        Ok(Json(json!({ "flows": flows, "next": next })).into_response())
    })
    .await
}

async fn show(
    State(context): State<Context>,
    Path((proxy, flow)): Path<(String, String)>,
    Query(fields): Fields,
) -> Response {
    answered(context, move |context| {
        let (_, found) = context.flow(&proxy, &flow, &fields)?;
        Ok(Json(to_json(&found)).into_response())
    })
    .await
}

async fn close(
    State(context): State<Context>,
    Path((proxy, flow)): Path<(String, String)>,
    Query(fields): Fields,
) -> Response {
    end(context, (proxy, flow, fields), Control::close_flow).await
}

async fn reset(
    State(context): State<Context>,
    Path((proxy, flow)): Path<(String, String)>,
    Query(fields): Fields,
) -> Response {
    end(context, (proxy, flow, fields), Control::reset_flow).await
}

async fn end(
    context: Context,
    (proxy, flow, fields): (String, String, BTreeMap<String, String>),
    order: impl FnOnce(&Control, RouteId, FlowId) -> Result<(), OrderError> + Send + 'static,
) -> Response {
    answered(context, move |context| {
        let (route, found) = context.flow(&proxy, &flow, &fields)?;
        order(context.control(), route, found.id).map_err(refused)?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// Answers with what comes of some work, done on a thread that may wait.
async fn answered(
    context: Context,
    work: impl FnOnce(&Context) -> Result<Response, Refusal> + Send + 'static,
) -> Response {
    let failed = |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the request failed");
    let done = tokio::task::spawn_blocking(move || work(&context)).await.map_err(failed);
    done.and_then(|result| result)
        .unwrap_or_else(|refusal| (refusal.status, Json(refusal.to_json())).into_response())
}

impl Context {
    fn control(&self) -> &Control {
        self.registry.control()
    }

    /// Returns the route of a proxy; `None` when it is disabled.
    fn route(&self, proxy: &str) -> Result<Option<RouteId>, Refusal> {
        let table = self.registry.open(crate::registry::Origin::Api);
        table.get(proxy).map(|entry| entry.id).ok_or_else(|| {
            let text = format!("there is no proxy \"{proxy}\"; GET /proxies lists those there are");
            Refusal::new(StatusCode::NOT_FOUND, text)
        })
    }

    /// Finds a flow of a proxy by its number, and by its protocol if that is said.
    fn flow(
        &self,
        proxy: &str,
        number: &str,
        fields: &BTreeMap<String, String>,
    ) -> Result<(RouteId, FlowState), Refusal> {
        let missing = || {
            let text = format!(
                "proxy \"{proxy}\" has no flow {number}, or not any more; \
                 GET /proxies/{proxy}/flows lists those there are"
            );
            Refusal::new(StatusCode::NOT_FOUND, text)
        };
        let protocol = protocol(fields)?;
        let route = self.route(proxy)?.ok_or_else(missing)?;
        let number: u32 = number.parse().map_err(|_| missing())?;
        let mut found = Vec::new();
        for transport in
            Transport::ALL.into_iter().filter(|one| protocol.is_none_or(|is| is == *one))
        {
            match self.control().flow(route, FlowId { number, transport }) {
                Ok(flow) => found.push(flow),
                Err(OrderError::NoFlow(_)) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        let flow = found.pop().ok_or_else(missing)?;
        if !found.is_empty() {
            let text = format!(
                "proxy \"{proxy}\" has a flow {number} of UDP and one of TCP; \
                 add ?protocol=udp or ?protocol=tcp"
            );
            return Err(Refusal::new(StatusCode::CONFLICT, text));
        }
        Ok((route, flow))
    }
}

/// What a list is to have.
struct Asked {
    after: u32,
    limit: usize,
    protocol: Option<Transport>,
}

impl Asked {
    fn read(fields: &BTreeMap<String, String>) -> Result<Self, Refusal> {
        Ok(Self {
            after: number(fields, "after", 0..=u32::MAX)?.unwrap_or(0),
            limit: number(fields, "limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT),
            protocol: protocol(fields)?,
        })
    }

    /// Puts the list together from pages. Those of one number are listed together, so it may have
    /// one more.
    fn collect(
        &self,
        mut page: impl FnMut(u32) -> Result<FlowPage, OrderError>,
    ) -> Result<FlowPage, Refusal> {
        let mut all = FlowPage { flows: Vec::new(), next: Some(self.after) };
        while let Some(after) = all.next.filter(|_| all.flows.len() < self.limit) {
            let FlowPage { flows, next } = page(after).map_err(refused)?;
            all.flows.extend(
                flows
                    .into_iter()
                    .filter(|flow| self.protocol.is_none_or(|is| flow.id.transport == is)),
            );
            all.next = next;
        }
        let gathered = all.flows.len();
        if gathered > self.limit {
            let last = all.flows[self.limit - 1].id.number;
            all.flows.retain(|flow| flow.id.number <= last);
            if all.flows.len() < gathered {
                all.next = Some(last);
            }
        }
        Ok(all)
    }
}

/// Reads a field that is a number.
fn number<T: std::str::FromStr + PartialOrd + std::fmt::Display>(
    fields: &BTreeMap<String, String>,
    name: &str,
    range: std::ops::RangeInclusive<T>,
) -> Result<Option<T>, Refusal> {
    let Some(text) = fields.get(name) else { return Ok(None) };
    let value = text.parse().ok().filter(|value| range.contains(value));
    let wrong = || {
        let (least, most) = (range.start(), range.end());
        Refusal::bad(format!("{name}: \"{text}\" is no number from {least} to {most}"))
    };
    value.map(Some).ok_or_else(wrong)
}

/// Reads which protocol is meant.
fn protocol(fields: &BTreeMap<String, String>) -> Result<Option<Transport>, Refusal> {
    let Some(text) = fields.get("protocol") else { return Ok(None) };
    let found = Transport::ALL.into_iter().find(|transport| transport.name() == text);
    let wrong = || Refusal::bad(format!("protocol: \"{text}\" is none; write udp or tcp"));
    found.map(Some).ok_or_else(wrong)
}

/// Writes a flow.
fn to_json(flow: &FlowState) -> Value {
    let direction = |direction| {
        let counts = flow.counts(direction);
        json!({
            "packets": counts.packets,
            "bytes": counts.bytes,
            "delivered": counts.delivered,
            "discarded": counts.discarded,
        })
    };
    json!({
        "id": flow.id.number,
        "protocol": flow.id.transport.name(),
        "client": flow.client.to_string(),
        "upstream": flow.upstream.map(|address| address.to_string()),
        "age_s": thousandths(flow.age, 1),
        "idle_s": thousandths(flow.idle, 1),
        "up": direction(Direction::Up),
        "down": direction(Direction::Down),
        "rtt_ms": flow.round_trip.map(|time| thousandths(time, 1000)),
    })
}

/// Returns a time in parts of a second, with three places.
fn thousandths(time: Duration, parts: u32) -> f64 {
    (time.as_secs_f64() * f64::from(parts) * 1000.0).round() / 1000.0
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

#[cfg(test)]
mod tests {
    use super::*;

    fn state(number: u32, transport: Transport) -> FlowState {
        FlowState {
            id: FlowId { number, transport },
            client: ([127, 0, 0, 1], 7).into(),
            upstream: None,
            age: Duration::from_micros(1_234_567),
            idle: Duration::from_micros(500),
            counts: Default::default(),
            round_trip: Some(Duration::from_nanos(12_345_678)),
        }
    }

    /// The pages of a proxy that has twelve flows, of either protocol by turns, and of the last number
    /// both; four a page.
    fn page(after: u32) -> FlowPage {
        let of =
            |number: u32| if number.is_multiple_of(2) { Transport::Tcp } else { Transport::Udp };
        let numbers = (after + 1..=12).take(4);
        let last = (after + 4 >= 12).then(|| state(12, Transport::Udp));
        let flows = numbers.map(|number| state(number, of(number))).chain(last);
        let mut flows: Vec<FlowState> = flows.collect();
        flows.sort_unstable_by_key(|flow| flow.id);
        FlowPage { flows, next: (after + 4 < 12).then_some(after + 4) }
    }

    fn listed(fields: &[(&str, &str)]) -> (Vec<u32>, Option<u32>) {
        let fields = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let asked = Asked::read(&fields).unwrap();
        let FlowPage { flows, next } = asked.collect(|after| Ok(page(after))).unwrap();
        (flows.iter().map(|flow| flow.id.number).collect(), next)
    }

    #[test]
    fn a_list_goes_on_where_the_last_one_ended() {
        let all: Vec<u32> = (1..=12).chain([12]).collect();
        assert_eq!(listed(&[]), (all.clone(), None));
        assert_eq!(listed(&[("limit", "12")]), (all, None), "one number is one place");
        assert_eq!(listed(&[("limit", "3")]), (vec![1, 2, 3], Some(3)));
        assert_eq!(listed(&[("limit", "4")]), (vec![1, 2, 3, 4], Some(4)));
        assert_eq!(listed(&[("after", "3"), ("limit", "6")]), (vec![4, 5, 6, 7, 8, 9], Some(9)));
        assert_eq!(listed(&[("after", "11")]), (vec![12, 12], None));
        assert_eq!(listed(&[("after", "12")]).1, None);
        let tcp = listed(&[("protocol", "tcp"), ("limit", "3")]);
        assert_eq!(tcp, (vec![2, 4, 6], Some(6)));
    }

    #[test]
    fn what_is_asked_wrongly_is_told_with_a_remedy() {
        for (name, value) in [
            ("after", "x"),
            ("after", "-1"),
            ("after", "4294967296"),
            ("limit", "0"),
            ("limit", "10001"),
            ("protocol", "sctp"),
        ] {
            let fields = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            let Err(refusal) = Asked::read(&fields) else { panic!("{name}={value} is taken") };
            assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
            assert!(
                refusal.message.starts_with(&format!("{name}: \"{value}\" is no")),
                "{refusal:?}"
            );
        }
    }

    #[test]
    fn a_flow_is_written_with_three_places() {
        let written = to_json(&state(3, Transport::Tcp));
        assert_eq!(written["age_s"], 1.235);
        assert_eq!(written["idle_s"], 0.001);
        assert_eq!(written["rtt_ms"], 12.346);
        assert_eq!(written["upstream"], Value::Null);
        assert_eq!(written["id"], 3);
        assert_eq!(written["protocol"], "tcp");
    }
}
