//! The sockets that listen on a port, found without knocking: a server that serves one connection
//! would take the knock for it.

use jostle_engine::route::Transports;

/// TCP's state LISTEN, and the state of a UDP socket that is connected to no peer, as the kernel
/// writes them.
const TCP_LISTEN: &str = "0A";
const UDP_UNCONNECTED: &str = "07";

/// The sockets that listen on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listening {
    pub(super) tcp: bool,
    pub(super) udp: bool,
}

impl Listening {
    /// Looks into the system's tables; returns `None` where there are none.
    pub(super) fn on(port: u16) -> Option<Self> {
        let holds = |names: [&str; 2], state| {
            // Without IPv6 one of them is missing.
            let tables: Vec<String> = names
                .iter()
                .filter_map(|name| std::fs::read_to_string(format!("/proc/self/net/{name}")).ok())
                .collect();
            (!tables.is_empty()).then(|| tables.iter().any(|table| has(table, port, state)))
        };
        Some(Self {
            tcp: holds(["tcp", "tcp6"], TCP_LISTEN)?,
            udp: holds(["udp", "udp6"], UDP_UNCONNECTED)?,
        })
    }

    /// Returns true if something listens for `transport`; for both, whether it does for one of
    /// them: many a server of two transports opens the second when a client has come over the
    /// first.
    pub(super) const fn is_begun(self, transport: Transports) -> bool {
        (self.tcp && transport.has_tcp()) || (self.udp && transport.has_udp())
    }

    /// Returns true if something listens for all of `transport`.
    pub(super) const fn is_complete(self, transport: Transports) -> bool {
        (self.tcp || !transport.has_tcp()) && (self.udp || !transport.has_udp())
    }
}

/// Returns true if a table of sockets (proc(5), `/proc/net/tcp`) has one on `port` in `state`.
fn has(table: &str, port: u16, state: &str) -> bool {
    table.lines().skip(1).any(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (local, found) = (fields.nth(1), fields.nth(1));
        let local = local.and_then(|local| local.rsplit_once(':'));
        local.is_some_and(|(_, text)| u16::from_str_radix(text, 16) == Ok(port))
            && found == Some(state)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1590 1 00000000420b0b07 100 0 0 10 0
   1: 0100007F:1F91 0100007F:D2F0 01 00000000:00000000 00:00000000 00000000  1000        0 2591 1 0000000000000000 20 4 30 10 -1
";
    const TCP6: &str = "\
  sl  local_address                         remote_address                        st tx_queue \
  rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 13 1 0 100 0 0 10 0
";
    const UDP: &str = "\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode \
   ref pointer drops
  501: 00000000:1F90 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 3777 2 0000000000000000 0
  502: 0100007F:1F92 0100007F:0035 01 00000000:00000000 00:00000000 00000000     0        0 3778 2 0000000000000000 0
";

    #[test]
    fn only_sockets_that_wait_for_anybody_count() {
        for (table, port, state, expected) in [
            (TCP, 8080, TCP_LISTEN, true),
            (TCP, 8081, TCP_LISTEN, false),
            (TCP, 0x901F, TCP_LISTEN, false),
            (TCP6, 80, TCP_LISTEN, true),
            (TCP6, 8080, TCP_LISTEN, false),
            (UDP, 8080, UDP_UNCONNECTED, true),
            (UDP, 8082, UDP_UNCONNECTED, false),
            ("", 8080, TCP_LISTEN, false),
            ("header\nnonsense\n1: 2 3\n0: :: 0 0A\n", 8080, TCP_LISTEN, false),
        ] {
            assert_eq!(has(table, port, state), expected, "{port} in {table}");
        }
    }

    #[test]
    fn a_server_of_two_transports_may_begin_with_one() {
        let (tcp, none) =
            (Listening { tcp: true, udp: false }, Listening { tcp: false, udp: false });
        for (listening, transport, begun, complete) in [
            (tcp, Transports::Tcp, true, true),
            (tcp, Transports::Udp, false, false),
            (tcp, Transports::Both, true, false),
            (none, Transports::Both, false, false),
            (Listening { tcp: true, udp: true }, Transports::Both, true, true),
        ] {
            assert_eq!(
                (listening.is_begun(transport), listening.is_complete(transport)),
                (begun, complete)
            );
        }
    }

    #[test]
    fn the_tables_of_this_system_tell_who_listens() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("[::1]:0").or_else(|_| UdpSocket::bind("127.0.0.1:0")).unwrap();
        let client = TcpStream::connect(tcp.local_addr().unwrap()).unwrap();
        let Some(found) = Listening::on(tcp.local_addr().unwrap().port()) else {
            eprintln!("SKIPPED: this system has no /proc/net");
            return;
        };
        assert!(found.tcp);
        assert!(Listening::on(udp.local_addr().unwrap().port()).unwrap().udp);
        assert!(
            !Listening::on(client.local_addr().unwrap().port()).unwrap().tcp,
            "it is only connected"
        );
    }
}
