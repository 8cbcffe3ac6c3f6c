//! Ports that nobody is given by chance.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

/// The first of the ports that are tried.
const FIRST: u16 = 10_240;

/// How many there are: they end below those that Linux gives to sockets which name none (32,768 to
/// 60,999), of which any may be in use a moment after it was free.
const COUNT: u16 = 20_000;

/// Returns an address of 127.0.0.1 at which nothing listens and nothing will by chance, over TCP or
/// UDP; a different one each time.
pub(crate) fn vacant_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Each test program begins elsewhere.
    let begin = (std::process::id() % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + ((u32::from(begin) + u32::from(step)) % u32::from(COUNT)) as u16;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port is free on 127.0.0.1");
}
