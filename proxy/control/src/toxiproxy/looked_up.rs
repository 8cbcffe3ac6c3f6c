//! The names that proxies are to listen at, looked up before anything is changed: a name server
//! that does not answer holds up who asked for it, and nobody else.

use super::answer::Refusal;
use super::listen::parse;
use axum::http::StatusCode;
use jostle_engine::route::{HostPort, service_port};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// The longest that a name is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The most look-ups that are under way at once.
const LOOK_UPS_MAX: usize = 16;

/// The look-ups that are under way.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// What names were found to be.
#[derive(Default)]
pub(super) struct LookedUp(BTreeMap<String, Result<IpAddr, String>>);

impl LookedUp {
    /// Looks up the names in these texts; may take a moment for each.
    pub(super) fn look_up<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut found = Self::default();
        for text in texts {
            let Ok(HostPort { host, .. }) = parse(text, service_port) else { continue };
            if needs_look_up(&host) && !found.0.contains_key(&host) {
                let ip = look_up(&host);
                found.0.insert(host, ip);
            }
        }
        found
    }

    /// Reads where to listen.
    pub(super) fn listen_on(&self, text: &str) -> Result<HostPort, Refusal> {
        let refuse = |said| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, said);
        let asked = parse(text, service_port).map_err(refuse)?;
        if !needs_look_up(&asked.host) {
            return Ok(asked);
        }
        let found = self.0.get(&asked.host).cloned();
        let changed = || Err("the proxy has changed meanwhile; try again".to_owned());
        let ip = found.unwrap_or_else(changed).map_err(refuse)?;
        Ok(HostPort { host: ip.to_string(), port: asked.port })
    }
}

fn needs_look_up(host: &str) -> bool {
    host != "localhost" && host.parse::<IpAddr>().is_err()
}

/// Looks a name up on a thread of its own, which ends with the look-up. IPv4 comes first, as Go has
/// it.
fn look_up(host: &str) -> Result<IpAddr, String> {
    let failed = |why: &str| format!("listen tcp: lookup {host}: {why}");
    if UNDER_WAY.fetch_add(1, Ordering::Relaxed) >= LOOK_UPS_MAX {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
        return Err(failed("too many look-ups wait"));
    }
    let (found, answer) = mpsc::sync_channel(1);
    let name = host.to_owned();
    let thread = std::thread::Builder::new().name("api look-up".into()).spawn(move || {
        let addresses = (name.as_str(), 0).to_socket_addrs();
        let mut ips: Vec<IpAddr> = addresses
            .map(|all| all.map(|address| SocketAddr::ip(&address)).collect())
            .unwrap_or_default();
        ips.sort_by_key(IpAddr::is_ipv6);
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
        // Nobody may wait for it any more.
        let _ = found.send(ips.first().copied());
    });
    if thread.is_err() {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
        return Err(failed("no thread is left for it"));
    }
    match answer.recv_timeout(PATIENCE) {
        Ok(Some(ip)) => Ok(ip),
        Ok(None) => Err(failed("no such host")),
        Err(_) => Err(failed("i/o timeout")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_beforehand_and_addresses_need_it_not() {
        let texts = ["127.0.0.1:1", ":80", "localhost:2", "LOCALHOST:3", "no-such-host.invalid:4"];
        let found = LookedUp::look_up(texts);
        assert_eq!(found.0.len(), 2, "the last two are names");
        let read = |text: &str| found.listen_on(text).map(|at| at.to_string());
        assert_eq!(read("localhost:2").unwrap(), "localhost:2");
        assert_eq!(read("LOCALHOST:9").unwrap(), "127.0.0.1:9");
        let said = read("no-such-host.invalid:4").unwrap_err().message;
        assert!(said.starts_with("listen tcp: lookup no-such-host.invalid: "), "{said}");
        assert!(read("other.invalid:1").unwrap_err().message.contains("try again"));
        assert_eq!(
            read("garbage").unwrap_err().message,
            "listen tcp: address garbage: missing port in address"
        );
    }
}
