//! The list of flows: what is asked of it, and how it is written.

use super::{Fields, refused};
use crate::toxiproxy::Refusal;
use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_proxy::{FlowPage, FlowState, OrderError};
use serde_json::{Value, json};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// How many flows a list has unless more are asked for, and the most that may be.
const LIMIT_DEFAULT: usize = 1000;
const LIMIT_MAX: usize = 10_000;

/// What a list is to have.
pub(super) struct Asked {
    after: u32,
    limit: usize,
    protocol: Option<Transport>,
}

impl Asked {
    pub(super) fn read(fields: &Fields) -> Result<Self, Refusal> {
        Ok(Self {
            after: number(fields, "after", 0..=u32::MAX)?.unwrap_or(0),
            limit: number(fields, "limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT),
            protocol: protocol(fields)?,
        })
    }

    /// Puts the list together from pages. Those of one number are listed together, so it may have
    /// one more.
    pub(super) fn collect(
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
fn number<T: FromStr + PartialOrd + Display>(
    fields: &Fields,
    name: &str,
    range: RangeInclusive<T>,
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
pub(super) fn protocol(fields: &Fields) -> Result<Option<Transport>, Refusal> {
    let Some(text) = fields.get("protocol") else { return Ok(None) };
    let found = Transport::ALL.into_iter().find(|transport| transport.name() == text);
    let wrong = || Refusal::bad(format!("protocol: \"{text}\" is none; write udp or tcp"));
    found.map(Some).ok_or_else(wrong)
}

/// Writes a flow.
pub(super) fn to_json(flow: &FlowState) -> Value {
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
        "target": flow.target.as_ref().map(ToString::to_string),
        "upstream": flow.upstream.map(|address| address.to_string()),
        "local": flow.local.map(|address| address.to_string()),
        "rebinds": flow.rebinds,
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;
    use jostle_proxy::FlowId;

    fn state(number: u32, transport: Transport) -> FlowState {
        FlowState {
            id: FlowId { number, transport },
            client: ([127, 0, 0, 1], 7).into(),
            target: None,
            upstream: None,
            local: Some(([127, 0, 0, 1], 8).into()),
            rebinds: 2,
            age: Duration::from_micros(1_234_567),
            idle: Duration::from_micros(500),
            counts: Default::default(),
            round_trip: Some(Duration::from_nanos(12_345_678)),
        }
    }

    /// The pages of a proxy that has twelve flows, of either protocol by turns, and of the last
    /// number both; four a page.
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
            let fields = Fields::from([(name.to_owned(), value.to_owned())]);
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
        assert_eq!(written["local"], "127.0.0.1:8");
        assert_eq!(written["rebinds"], 2);
        assert_eq!(written["id"], 3);
        assert_eq!(written["protocol"], "tcp");
    }
}
