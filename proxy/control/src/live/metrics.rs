//! The counters for Prometheus: Toxiproxy's two by its names, and ours.

use super::families::{Families, Labels};
use super::hub::Live;
use super::stream;
use crate::context::Context;
use crate::registry::{Origin, Registry};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_proxy::{LinkSummary, LinkTimes, Snapshot};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text, text};
use std::collections::BTreeMap;
use std::fmt;

/// The type of the newer format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers with the counters, in the format that is asked for.
pub(super) async fn metrics(State(context): State<Context>, headers: HeaderMap) -> Response {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|one| one.to_str().ok());
    let accept: Vec<&str> = accept.collect();
    let open = wants_open_metrics(&accept.join(","));
    let written = tokio::task::spawn_blocking(move || write(&context, open)).await;
    match written {
        Ok(Ok(text)) => {
            let kind = if open { OPEN_METRICS } else { prometheus_text::CONTENT_TYPE };
            ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], text).into_response()
        }
        Ok(Err(error)) => stream::refused(StatusCode::SERVICE_UNAVAILABLE, &error),
        Err(_) => stream::refused(StatusCode::INTERNAL_SERVER_ERROR, "the counters are no text"),
    }
}

/// Returns true if OpenMetrics is asked for, and no less than plain text.
fn wants_open_metrics(accept: &str) -> bool {
    let mut quality = [None::<f32>; 2];
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let place = match parts.next().map(str::to_ascii_lowercase).as_deref() {
            Some("application/openmetrics-text") => 1,
            Some("text/plain") => 0,
            _ => continue,
        };
        let q = parts.find_map(|part| part.strip_prefix("q="));
        let q = q.map_or(1.0, |q| q.parse().unwrap_or(0.0));
        quality[place] = Some(quality[place].unwrap_or(0.0).max(q));
    }
    quality[1].is_some_and(|q| q > 0.0 && q >= quality[0].unwrap_or(0.0))
}

fn write(context: &Context, open: bool) -> Result<String, String> {
    let snapshot = context.registry.control().snapshot().map_err(|error| error.to_string())?;
    let mut registry = prometheus_client::registry::Registry::default();
    registry.register_collector(Box::new(Scrape::new(snapshot, &context.registry, &context.live)));
    let mut text = String::new();
    let written = if open {
        text::encode(&mut text, &registry)
    } else {
        prometheus_text::encode(&mut text, &registry)
    };
    written.map(|()| text).map_err(|error| error.to_string())
}

/// What is told once.
#[derive(Debug)]
struct Scrape {
    snapshot: Snapshot,
    /// The proxies that are configured: name, listener and upstream.
    proxies: Vec<[String; 3]>,
    watchers: u64,
    readers: u64,
    reader_lines_lost: u64,
}

impl Scrape {
    fn new(snapshot: Snapshot, registry: &Registry, live: &Live) -> Self {
        let table = registry.open(Origin::Api);
        let proxies = table.iter();
        let proxies =
            proxies.map(|(name, entry)| [name.into(), entry.listen.clone(), entry.leads_to()]);
        Self {
            snapshot,
            proxies: proxies.collect(),
            watchers: live.watchers() as u64,
            readers: live.readers.open() as u64,
            reader_lines_lost: live.readers.lost(),
        }
    }

    fn links(&self) -> impl Iterator<Item = (&LinkSummary, &LinkTimes)> {
        self.snapshot.summary.links.iter().zip(&self.snapshot.times)
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families::new(encoder);
        self.toxiproxys(&mut families)?;
        self.packets(&mut families)?;
        self.times(&mut families)?;
        self.sockets(&mut families)?;
        self.process(&mut families)
    }
}

impl Scrape {
    /// Toxiproxy's two counters, which it updates when a connection ends, and these at once.
    fn toxiproxys(&self, families: &mut Families<'_>) -> fmt::Result {
        let mut bytes: BTreeMap<(&str, Direction), [u64; 2]> = BTreeMap::new();
        for (link, _) in self.links() {
            let [came, went] = bytes.entry((&link.route, link.direction)).or_default();
            *came += link.bytes_in;
            *went += link.bytes_out;
        }
        for (place, name) in ["received", "sent"].into_iter().enumerate() {
            let name = format!("toxiproxy_proxy_{name}_bytes");
            let rows = Direction::BOTH.into_iter().flat_map(|direction| {
                let toxiproxys = match direction {
                    Direction::Up => "upstream",
                    Direction::Down => "downstream",
                };
                let bytes = &bytes;
                self.proxies.iter().map(move |[proxy, listener, upstream]| {
                    let labels = vec![
                        ("direction", toxiproxys),
                        ("listener", listener.as_str()),
                        ("proxy", proxy.as_str()),
                        ("upstream", upstream.as_str()),
                    ];
                    let counts = bytes.get(&(proxy.as_str(), direction));
                    (labels, counts.map_or(0, |counts| counts[place]))
                })
            });
            families.counter(&name, "", rows)?;
        }
        Ok(())
    }

    fn packets(&self, families: &mut Families<'_>) -> fmt::Result {
        let fates = self.links().flat_map(|(link, _)| {
            let with = move |fate, reason, count| {
                let mut labels = labels(link);
                labels.extend([("fate", fate), ("reason", reason)]);
                (labels, count)
            };
            let discarded = link.discarded.iter();
            let discarded = discarded.map(move |(reason, count)| with("discarded", reason, *count));
            std::iter::once(with("delivered", "", link.delivered)).chain(discarded)
        });
        families.counter("jostle_packets", "Packets and copies whose fate is known.", fates)?;
        type Count = fn(&LinkSummary) -> u64;
        let counts: [(&str, &str, Count); 5] = [
            ("jostle_packets_received", "Packets that came in.", |link| link.entered),
            ("jostle_packets_copied", "Copies that rules made.", |link| link.copies),
            ("jostle_packets_corrupted", "Delivered packets in which bits were flipped.", |link| {
                link.corrupted
            }),
            ("jostle_received_bytes", "Bytes read from the sender.", |link| link.bytes_in),
            ("jostle_sent_bytes", "Bytes handed to the receiver's socket.", |link| link.bytes_out),
        ];
        for (name, help, count) in counts {
            families.counter(
                name,
                help,
                self.links().map(|(link, _)| (labels(link), count(link))),
            )?;
        }
        let ecn = || self.links().filter_map(|(link, _)| Some((link, link.ecn?)));
        let said = ecn().flat_map(|(link, ecn)| {
            [("ect0", ecn.ect0), ("ect1", ecn.ect1), ("ce", ecn.ce)].map(|(said, count)| {
                let mut labels = labels(link);
                labels.push(("ecn", said));
                (labels, count)
            })
        });
        let help = "Delivered packets by what their IP headers said of congestion.";
        families.counter("jostle_packets_ecn", help, said)?;
        let marked = ecn().map(|(link, ecn)| (labels(link), ecn.marked));
        let help = "Delivered packets on which rules set CE.";
        families.counter("jostle_packets_marked", help, marked)?;
        let cross = || self.links().filter_map(|(link, _)| Some((link, link.cross?)));
        let counts = cross().flat_map(|(link, cross)| {
            let jostle_engine::counters::CrossCounters {
                sent, copies, delivered, discarded, ..
            } = cross;
            let refused = ("refused", cross.refused);
            [("sent", sent), ("copied", copies), ("delivered", delivered), ("discarded", discarded)]
                .into_iter()
                .chain([refused])
                .map(move |(what, count)| {
                    let mut labels = labels(link);
                    labels.push(("what", what));
                    (labels, count)
                })
        });
        let help = "Packets of cross traffic, which are in no other count.";
        families.counter("jostle_cross_packets", help, counts)?;
        let bytes = cross().map(|(link, cross)| (labels(link), cross.bytes));
        let help = "Bytes of cross traffic that crossed the link.";
        families.counter("jostle_cross_bytes", help, bytes)?;
        let missed =
            self.links().filter_map(|(link, _)| Some((labels(link), link.missed_by_kernel?)));
        let help = "Datagrams that the system dropped before they could be read.";
        families.counter("jostle_packets_missed_by_kernel", help, missed)?;
        let streams = self.links().flat_map(|(link, _)| {
            link.bytes_discarded.iter().map(move |(rule, bytes)| {
                let mut labels = labels(link);
                labels.push(("rule", rule));
                (labels, *bytes)
            })
        });
        let help = "Bytes that rules on delivered TCP streams discarded.";
        families.counter("jostle_stream_discarded_bytes", help, streams)?;
        let held = self.links().map(|(link, _)| (labels(link), link.held));
        families.gauge("jostle_held_packets", "Packets and copies that are inside.", held)?;
        let held = self.snapshot.held_bytes.iter();
        let held = held.map(|(route, bytes)| (vec![("route", route.as_str())], *bytes));
        let help = "Bytes that a route holds, with what they cost besides themselves.";
        families.gauge("jostle_held_bytes", help, held)
    }

    fn times(&self, families: &mut Families<'_>) -> fmt::Result {
        let delays = self.links().map(|(link, times)| (labels(link), &times.delay));
        let help = "Delays that rules gave to delivered packets.";
        families.histogram("jostle_delay_seconds", help, delays)?;
        let lateness = self.links().map(|(link, times)| (labels(link), &times.lateness));
        let help = "How long after they were due packets were sent.";
        families.histogram("jostle_lateness_seconds", help, lateness)
    }

    fn sockets(&self, families: &mut Families<'_>) -> fmt::Result {
        let of = |name: &'static str| {
            self.snapshot.summary.sockets.iter().filter_map(move |sockets| {
                let count = sockets.counts.get(name)?;
                Some((vec![("route", sockets.route.as_str())], *count))
            })
        };
        families.counter("jostle_flows", "UDP flows opened.", of("flows"))?;
        families.gauge("jostle_flows_open", "UDP flows that are open.", of("flows_open"))?;
        families.counter("jostle_connections", "TCP connections accepted.", of("connections"))?;
        let help = "TCP connections that are open.";
        families.gauge("jostle_connections_open", help, of("connections_open"))?;
        let help = "Times that clients were left in the backlog for want of descriptors.";
        families.counter("jostle_accept_paused", help, of("accept_paused"))?;
        let help = "Listening sockets that leave clients in the backlog now.";
        families.gauge("jostle_accept_paused_now", help, of("accept_paused_now"))?;
        let help = "Sides of connections that are not read as their bytes have no room.";
        families.gauge("jostle_connection_sides_waiting", help, of("waiting"))?;
        let help = "Clients that are saying where they want to go.";
        families.gauge("jostle_negotiating", help, of("negotiating"))?;
        let apart = [
            "negotiating",
            "flows",
            "flows_open",
            "connections",
            "connections_open",
            "accept_paused",
            "accept_paused_now",
            "waiting",
        ];
        let others = self.snapshot.summary.sockets.iter().flat_map(|sockets| {
            let counts = sockets.counts.iter().filter(|(name, _)| !apart.contains(name));
            counts.map(|(name, count)| {
                let protocol = protocol(sockets.protocol);
                let route = sockets.route.as_str();
                (vec![("route", route), ("protocol", protocol), ("event", name)], *count)
            })
        });
        families.counter("jostle_socket_events", "Events at the sockets, by name.", others)
    }

    fn process(&self, families: &mut Families<'_>) -> fmt::Result {
        let Snapshot { summary, events, is_draining, rules_on, .. } = &self.snapshot;
        let memory = &summary.memory;
        let gauges = [
            ("jostle_memory_used_bytes", "Bytes held by all routes.", memory.used),
            ("jostle_memory_peak_bytes", "The most bytes that were ever held.", memory.peak),
            ("jostle_memory_limit_bytes", "The most bytes that may be held.", memory.bound),
            ("jostle_draining", "1 when the proxy was asked to end.", u64::from(*is_draining)),
            ("jostle_rules_on", "0 while all rules are switched off.", u64::from(*rules_on)),
            ("jostle_watchers", "Clients that watch /live.", self.watchers),
            ("jostle_event_readers", "Clients that read /events.", self.readers),
            ("jostle_workers", "The event loops.", summary.workers as u64),
        ];
        for (name, help, value) in gauges {
            families.gauge(name, help, one(value))?;
        }
        let contended = summary.contended.into_iter().flat_map(|contended| contended.named());
        let contended = contended.map(|(name, count)| (vec![("what", name)], count));
        let help = "How often a worker waited for another, by what both wanted.";
        families.counter("jostle_contended", help, contended)?;
        let events = events.unwrap_or_default();
        let help = "Lines of the event log that wait to be written.";
        families.gauge("jostle_event_lines_queued", help, one(events.waiting))?;
        let counters = [
            ("jostle_event_lines_written", "Lines of the event log.", events.written),
            ("jostle_event_lines_lost", "Lines of the event log that had no room.", events.lost),
            (
                "jostle_event_lines_left_out",
                "Fates that the event log was not to have.",
                events.left_out,
            ),
            (
                "jostle_event_reader_lines_lost",
                "Lines that slow readers of /events missed.",
                self.reader_lines_lost,
            ),
        ];
        for (name, help, value) in counters {
            families.counter(name, help, one(value))?;
        }
        let uptime = std::iter::once((Vec::new(), summary.seconds));
        families.gauge("jostle_uptime_seconds", "The time since the run began.", uptime)?;
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        families.gauge("jostle_build_info", "The program.", std::iter::once((version, 1_u64)))
    }
}

fn one<'a>(value: u64) -> impl Iterator<Item = (Labels<'a>, u64)> {
    std::iter::once((Vec::new(), value))
}

fn labels(link: &LinkSummary) -> Labels<'_> {
    let direction = link.direction.name();
    vec![
        ("route", link.route.as_str()),
        ("protocol", protocol(link.protocol)),
        ("direction", direction),
    ]
}

const fn protocol(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_what_is_asked_for() {
        // What Prometheus asks for, newest first.
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,\
            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, open) in [
            (prometheus, true),
            ("", false),
            ("*/*", false),
            ("text/plain;version=0.0.4;q=1,*/*;q=0.1", false),
            ("text/html, text/plain", false),
            ("application/openmetrics-text", true),
            ("Application/OpenMetrics-Text; version=1.0.0 ; q=0.5, text/plain;q=0.5", true),
            ("application/openmetrics-text;q=0.4, text/plain;q=0.5", false),
            ("application/openmetrics-text;q=0", false),
            ("application/openmetrics-text;q=nonsense", false),
        ] {
            assert_eq!(wants_open_metrics(accept), open, "{accept}");
        }
    }
}
