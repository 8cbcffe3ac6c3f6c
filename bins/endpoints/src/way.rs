//! The way to a server: straight to one of its addresses, or by a SOCKS5 proxy.

use crate::address;
use crate::protocol::socks5::{SocksLogin, SocksTarget};
use clap::Args;
use jostle_console::exit::Usage;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Deref;

/// The port of a SOCKS proxy unless another is written.
const SOCKS_PORT: u16 = 1080;

/// The way to a server.
#[derive(Clone, Debug)]
pub struct Way {
    addresses: Vec<SocketAddr>,
    /// The proxy that it leads by, and what is asked of it.
    proxy: Option<(SocksProxy, SocksTarget)>,
}

/// A SOCKS5 proxy.
#[derive(Clone, Debug)]
pub struct SocksProxy {
    /// Its addresses.
    pub addresses: Vec<SocketAddr>,
    /// Who asks.
    pub login: Option<SocksLogin>,
}

impl Way {
    /// Returns the proxy and what is asked of it, if it leads by one.
    pub fn proxy(&self) -> Option<(&SocksProxy, &SocksTarget)> {
        self.proxy.as_ref().map(|(proxy, target)| (proxy, target))
    }
}

impl From<Vec<SocketAddr>> for Way {
    /// The straight way: the next address is tried when nothing listens at one.
    fn from(addresses: Vec<SocketAddr>) -> Self {
        Self { addresses, proxy: None }
    }
}

impl From<SocketAddr> for Way {
    fn from(address: SocketAddr) -> Self {
        vec![address].into()
    }
}

impl Deref for Way {
    type Target = [SocketAddr];

    /// Returns the addresses of the server. By a proxy there is one, which stands for it here: its
    /// own, or 0.0.0.0 for a name that the proxy looks up.
    fn deref(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

/// How a client reaches its server.
#[derive(Args, Clone, Debug)]
pub(crate) struct WayOptions {
    /// Reach the server through a SOCKS5 proxy, [USER:PASS@]HOST[:PORT], which looks its name up;
    /// the port is 1080 unless given
    #[arg(long, value_name = "PROXY")]
    socks5: Option<String>,
}

impl WayOptions {
    /// Returns the way to a server, written as [`address::resolve`] takes it.
    ///
    /// # Errors
    /// A [`Usage`] when an address is written wrongly; another error when a host is unknown.
    pub(crate) fn to(&self, server: &str, scheme: &str, port: u16) -> anyhow::Result<Way> {
        let Some(proxy) = self.proxy()? else {
            return Ok(address::resolve(server, scheme, port)?.into());
        };
        let (host, port) = address::read(server, scheme, port)?;
        if host.len() > usize::from(u8::MAX) {
            return Err(Usage::error("SOCKS5 takes names of at most 255 bytes"));
        }
        let ip = host.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let target = SocksTarget { host: host.to_owned(), port };
        Ok(Way { addresses: vec![SocketAddr::new(ip, port)], proxy: Some((proxy, target)) })
    }

    /// Returns the proxy, if there is one.
    ///
    /// # Errors
    /// As [`to`](Self::to).
    pub(crate) fn proxy(&self) -> anyhow::Result<Option<SocksProxy>> {
        let Some(text) = &self.socks5 else { return Ok(None) };
        let (login, address) = match text.rsplit_once('@') {
            None => (None, text.as_str()),
            Some((login, address)) => (Some(login_of(login)?), address),
        };
        let addresses = address::resolve(address, "socks5", SOCKS_PORT)?;
        Ok(Some(SocksProxy { addresses, login }))
    }
}

fn login_of(text: &str) -> anyhow::Result<SocksLogin> {
    let fits = |part: &str| (1..=usize::from(u8::MAX)).contains(&part.len());
    match text.split_once(':') {
        Some((user, password)) if fits(user) && fits(password) => {
            Ok(SocksLogin { user: user.into(), password: password.into() })
        }
        _ => Err(Usage::error(
            "--socks5 takes USER:PASS@HOST:PORT, with 1 to 255 bytes in user and password",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(socks5: Option<&str>, server: &str) -> anyhow::Result<Way> {
        WayOptions { socks5: socks5.map(str::to_owned) }.to(server, "udp", 7)
    }

    #[test]
    fn without_a_proxy_the_server_is_looked_up() {
        let straight = way(None, "udp://127.0.0.1").unwrap();
        assert_eq!(*straight, ["127.0.0.1:7".parse().unwrap()]);
        assert!(straight.proxy().is_none() && way(None, "no-such-host.invalid").is_err());
    }

    #[test]
    fn a_proxy_is_given_the_name() {
        for (socks5, user) in [
            ("127.0.0.1", None),
            ("socks5://127.0.0.1:1080", None),
            ("ann:p@ss@127.0.0.1:1080", Some("ann")),
        ] {
            let way = way(Some(socks5), "no-such-host.invalid:9").unwrap();
            assert_eq!(*way, ["0.0.0.0:9".parse().unwrap()]);
            let (proxy, target) = way.proxy().unwrap();
            assert_eq!(proxy.addresses, ["127.0.0.1:1080".parse().unwrap()]);
            assert_eq!(*target, SocksTarget { host: "no-such-host.invalid".into(), port: 9 });
            assert_eq!(proxy.login.as_ref().map(|login| login.user.as_str()), user);
        }
        assert_eq!(*way(Some("127.0.0.1"), "[::1]").unwrap(), ["[::1]:7".parse().unwrap()]);
    }

    #[test]
    fn what_is_no_proxy_is_wrong_usage() {
        for socks5 in ["", "127.0.0.1:x", "ann@127.0.0.1", "ann:@127.0.0.1", "http://127.0.0.1"] {
            assert!(way(Some(socks5), "127.0.0.1").unwrap_err().is::<Usage>(), "{socks5}");
        }
        assert!(way(Some("127.0.0.1"), "tcp://127.0.0.1").unwrap_err().is::<Usage>());
    }
}
