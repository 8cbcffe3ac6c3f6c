//! A port for a server that cannot pick one itself and say which.

use anyhow::bail;
use jostle_engine::route::Transports;
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// The number of ports that are tried when one is free for TCP and not for UDP.
const ATTEMPTS: usize = 64;

/// A port of 127.0.0.1 that no other process is given while this is held.
pub(super) struct Reserved {
    port: u16,
    _tcp: Option<TcpListener>,
    _udp: Option<UdpSocket>,
}

impl Reserved {
    /// Reserves a port that is free for `transport`.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn new(transport: Transports) -> anyhow::Result<Self> {
        for _ in 0..ATTEMPTS {
            match Self::attempt(transport) {
                Ok(reserved) => return Ok(reserved),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => {
                    return Err(
                        anyhow::Error::new(error).context("cannot reserve a port for the server")
                    );
                }
            }
        }
        bail!("cannot reserve a port for the server: none is free for TCP and UDP");
    }

    fn attempt(transport: Transports) -> io::Result<Self> {
        let mut port = 0;
        let mut reserved = Self { port, _tcp: None, _udp: None };
        if transport.has_tcp() {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
            port = tcp.local_addr()?.port();
            reserved._tcp = Some(tcp);
        }
        if transport.has_udp() {
            let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
            port = udp.local_addr()?.port();
            reserved._udp = Some(udp);
        }
        reserved.port = port;
        Ok(reserved)
    }

    /// Returns which port it is.
    pub(super) const fn port(&self) -> u16 {
        self.port
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reserves a port and lets it go. Returns true if the rest of the port was free meanwhile and
    /// all of it afterwards: other programs take ports too.
    fn is_free_but_for(transport: Transports) -> bool {
        let reserved = Reserved::new(transport).unwrap();
        let address = (Ipv4Addr::LOCALHOST, reserved.port());
        assert_ne!(reserved.port(), 0);
        let (tcp, udp) = (TcpListener::bind(address).is_ok(), UdpSocket::bind(address).is_ok());
        let is_free = (tcp && transport.has_tcp()) || (udp && transport.has_udp());
        assert!(!is_free, "it is not held");
        drop(reserved);
        let freed = TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok();
        tcp != transport.has_tcp() && udp != transport.has_udp() && freed
    }

    #[test]
    fn a_reserved_port_is_taken_until_it_is_let_go() {
        for transport in [Transports::Tcp, Transports::Udp, Transports::Both] {
            assert!((0..20).any(|_| is_free_but_for(transport)), "{transport:?}");
        }
    }
}
