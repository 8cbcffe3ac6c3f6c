//! What happened between two readings of the counters, in numbers.

use super::endings::Endings;
use super::hits::Hits;
use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_proxy::{Distribution, LinkSummary, LinkTimes, Snapshot, SocketSummary};
use serde::Serialize;
use std::collections::BTreeMap;

/// More proxies than these are told of only if something happened to them.
const PROXIES_SILENT_MAX: usize = 100;

/// A second of a proxy's life; the first and the last may be longer or shorter.
#[derive(Debug, Default, Serialize)]
pub(super) struct Second {
    /// When it ended, in seconds since the run began.
    t: f64,
    proxies: BTreeMap<String, ProxySecond>,
    memory: Memory,
}

#[derive(Debug, Default, Serialize)]
struct Memory {
    used: u64,
    bound: u64,
}

#[derive(Debug, Default, Serialize)]
struct ProxySecond {
    up: Way,
    down: Way,
    /// UDP flows that are open now.
    flows: u64,
    /// TCP connections that are open now.
    connections: u64,
}

/// One direction of a proxy, over all its protocols.
#[derive(Debug, Default, Serialize)]
struct Way {
    packets_in: u64,
    packets_out: u64,
    bytes_in: u64,
    bytes_out: u64,
    /// Only what happened.
    discarded: BTreeMap<&'static str, u64>,
    corrupted: u64,
    /// Delivered packets on which rules set CE.
    marked: u64,
    copies: u64,
    delay_ms: Option<Delay>,
    /// Packets that are inside now.
    held: u64,
    /// Packets that each rule chose; absent when nobody watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    hits: Option<BTreeMap<String, u64>>,
    #[serde(skip)]
    delays: Distribution,
}

#[derive(Debug, Serialize)]
struct Delay {
    p50: f64,
    p99: f64,
}

impl Second {
    /// Tells of the time from one reading to the next. `hits` are what was counted meanwhile, if
    /// somebody watched; `present` are the proxies that are there.
    pub(super) fn between(
        before: &Snapshot,
        now: &Snapshot,
        hits: Option<Hits>,
        present: &BTreeMap<String, Endings>,
    ) -> Self {
        let memory = &now.summary.memory;
        let mut second = Self {
            t: (now.at.as_secs_f64() * 1e3).round() / 1e3,
            proxies: BTreeMap::new(),
            memory: Memory { used: memory.used, bound: memory.bound },
        };
        second.add_links(before, now);
        second.add_hits(hits);
        second.add_sockets(before, now, present);
        for proxy in second.proxies.values_mut() {
            [&mut proxy.up, &mut proxy.down].into_iter().for_each(Way::take_delays);
        }
        let many = second.proxies.len() > PROXIES_SILENT_MAX;
        second
            .proxies
            .retain(|name, proxy| !proxy.is_silent() || (present.contains_key(name) && !many));
        second
    }

    fn add_links(&mut self, before: &Snapshot, now: &Snapshot) {
        let key = |link: &LinkSummary| (link.route.clone(), link.protocol, link.direction);
        let earlier: BTreeMap<_, _> =
            before.summary.links.iter().map(key).zip(links(before)).collect();
        for (link, times) in links(now) {
            let proxy = self.proxies.entry(link.route.clone()).or_default();
            proxy.ways()[link.direction.index()].add(link, times, earlier.get(&key(link)).copied());
        }
    }

    fn add_sockets(
        &mut self,
        before: &Snapshot,
        now: &Snapshot,
        present: &BTreeMap<String, Endings>,
    ) {
        for sockets in &now.summary.sockets {
            let SocketSummary { route, protocol, counts, .. } = sockets;
            let proxy = self.proxies.entry(route.clone()).or_default();
            let count = |name: &str| counts.get(name).copied().unwrap_or(0);
            match protocol {
                Transport::Udp => proxy.flows += count("flows_open"),
                Transport::Tcp => proxy.connections += count("connections_open"),
            }
            let Some(endings) = present.get(route) else { continue };
            let more = |name: &str| {
                count(name).saturating_sub(before.summary.socket_count(route, *protocol, name))
            };
            for (way, direction) in proxy.ways().into_iter().zip(Direction::BOTH) {
                if let Some(hits) = &mut way.hits {
                    endings.add_to(hits, direction, more);
                }
            }
        }
    }

    fn add_hits(&mut self, hits: Option<Hits>) {
        let Some(mut hits) = hits else { return };
        for (name, proxy) in &mut self.proxies {
            let rules = hits.remove(name).unwrap_or_default();
            for (way, rules) in proxy.ways().into_iter().zip(rules) {
                way.hits = Some(rules);
            }
        }
    }
}

fn links(snapshot: &Snapshot) -> impl Iterator<Item = (&LinkSummary, &LinkTimes)> {
    snapshot.summary.links.iter().zip(&snapshot.times)
}

impl ProxySecond {
    const fn ways(&mut self) -> [&mut Way; 2] {
        [&mut self.up, &mut self.down]
    }

    /// Returns true if nothing happened and nothing is there.
    fn is_silent(&self) -> bool {
        self.flows + self.connections == 0 && [&self.up, &self.down].into_iter().all(Way::is_silent)
    }
}

impl Way {
    fn add(
        &mut self,
        now: &LinkSummary,
        times: &LinkTimes,
        before: Option<(&LinkSummary, &LinkTimes)>,
    ) {
        let since = |count: fn(&LinkSummary) -> u64| {
            count(now).saturating_sub(before.map_or(0, |(before, _)| count(before)))
        };
        self.packets_in += since(|link| link.entered);
        self.packets_out += since(|link| link.delivered);
        self.bytes_in += since(|link| link.bytes_in);
        self.bytes_out += since(|link| link.bytes_out);
        self.corrupted += since(|link| link.corrupted);
        self.marked += since(|link| link.ecn.map_or(0, |ecn| ecn.marked));
        self.copies += since(|link| link.copies);
        self.held += now.held;
        for (reason, count) in &now.discarded {
            let earlier = before.and_then(|(before, _)| before.discarded.get(reason));
            let more = count.saturating_sub(earlier.copied().unwrap_or(0));
            if more > 0 {
                *self.discarded.entry(reason).or_default() += more;
            }
        }
        match before {
            Some((_, before)) => self.delays.absorb(&times.delay.since(&before.delay)),
            None => self.delays.absorb(&times.delay),
        }
    }

    fn take_delays(&mut self) {
        let delays = std::mem::take(&mut self.delays);
        let millis = |share| {
            let delay = delays.quantile(share)?;
            Some((delay.as_secs_f64() * 1e6).round() / 1e3)
        };
        self.delay_ms = millis(0.5).zip(millis(0.99)).map(|(p50, p99)| Delay { p50, p99 });
    }

    fn is_silent(&self) -> bool {
        self.packets_in + self.packets_out + self.held + self.bytes_in + self.bytes_out == 0
            && self.discarded.is_empty()
    }
}
