//! A look at what a connected flow cannot see: answers from another port than they were asked of.
//!
//! The kernel gives a connected socket what comes from its peer alone. Servers like TFTP's answer from
//! a port of their own, and nobody would ever learn why nothing works. So as long as an upstream has
//! said nothing, a second socket on the port of one flow listens for what the first is not given; the
//! kernel prefers the connected one for what is its own.

use mio::Token;
use mio::net::UdpSocket;
use socket2::{Domain, SockRef, Socket, Type};
use std::io;

/// The second socket of a flow.
#[derive(Debug)]
pub(super) struct Stray {
    pub(super) socket: UdpSocket,
    pub(super) token: Token,
    /// The flow, by its place.
    pub(super) flow: usize,
    /// Set while the relay waits to read it again.
    pub(super) again: bool,
}

/// Opens a second socket on the port of a connected one.
pub(super) fn beside(connected: &UdpSocket) -> io::Result<UdpSocket> {
    let address = connected.local_addr()?;
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    let first = SockRef::from(connected);
    // Both have to agree, and only for this moment: nobody else gets in.
    first.set_reuse_address(true)?;
    socket.set_reuse_address(true)?;
    let bound = socket.bind(&address.into());
    first.set_reuse_address(false)?;
    socket.set_reuse_address(false)?;
    bound.map(|()| UdpSocket::from_std(socket.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket as Plain;
    use std::time::Duration;

    #[test]
    fn each_of_the_two_gets_what_is_its_own() {
        let (asked, other) =
            (Plain::bind("127.0.0.1:0").unwrap(), Plain::bind("127.0.0.1:0").unwrap());
        let connected = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        connected.connect(asked.local_addr().unwrap()).unwrap();
        let stray = beside(&connected).unwrap();
        let address = connected.local_addr().unwrap();
        assert!(Plain::bind(address).is_err(), "the port is taken");
        asked.send_to(b"mine", address).unwrap();
        other.send_to(b"strange", address).unwrap();
        let receive = |socket: &UdpSocket| {
            let mut buffer = [0; 100];
            for _ in 0..10_000 {
                match socket.recv(&mut buffer) {
                    Ok(count) => return buffer[..count].to_vec(),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => panic!("{error}"),
                }
                std::thread::park_timeout(Duration::from_millis(1));
            }
            panic!("nothing comes");
        };
        assert_eq!(receive(&connected), b"mine");
        assert_eq!(receive(&stray), b"strange");
    }
}
