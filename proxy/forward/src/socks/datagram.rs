//! The header in front of the datagrams of an association (RFC 1928, section 7).

use super::{address, write_address};
use crate::target::Target;
use std::net::SocketAddr;

/// The reason why a datagram of a client is not relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatagramError {
    /// It has no header that can be read.
    Malformed,
    /// It is a fragment; those are not put together here, as RFC 1928 allows.
    Fragment,
}

/// Reads a datagram of a client: where it goes, and where its payload begins.
///
/// # Errors
/// When it has no header, or is a fragment.
pub fn read(datagram: &[u8]) -> Result<(Target, usize), DatagramError> {
    let [0, 0, fragment, rest @ ..] = datagram else { return Err(DatagramError::Malformed) };
    if *fragment != 0 {
        return Err(DatagramError::Fragment);
    }
    let Ok(Some((host, port, taken))) = address(rest) else {
        return Err(DatagramError::Malformed);
    };
    if port == 0 {
        return Err(DatagramError::Malformed);
    }
    Ok((Target { host, port }, 3 + taken))
}

/// Returns the header of a datagram that comes from `sender`.
pub fn header(sender: SocketAddr) -> Vec<u8> {
    let mut header = vec![0, 0, 0];
    write_address(&mut header, sender);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_where_to() {
        for (head, target) in [
            (&[0, 0, 0, 1, 127, 0, 0, 1, 0, 53][..], "127.0.0.1:53"),
            (&[0, 0, 0, 3, 4, b'a', b'.', b'd', b'e', 1, 187], "a.de:443"),
            (&[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 53], "[::1]:53"),
        ] {
            let datagram = [head, b"payload"].concat();
            let (read, at) = read(&datagram).unwrap();
            assert_eq!((read.to_string(), &datagram[at..]), (target.into(), &b"payload"[..]));
        }
    }

    #[test]
    fn what_cannot_be_relayed_is_refused() {
        for datagram in [
            &[][..],
            &[0, 0, 0],
            &[0, 1, 0, 1, 127, 0, 0, 1, 0, 53],
            &[0, 0, 0, 1, 127, 0, 0, 1, 0],
            &[0, 0, 0, 1, 127, 0, 0, 1, 0, 0],
            &[0, 0, 0, 2, 127, 0, 0, 1, 0, 53],
            &[0, 0, 0, 3, 0, 0, 53],
            &[0, 0, 0, 3, 9, b'a', 0, 53],
        ] {
            assert_eq!(read(datagram), Err(DatagramError::Malformed), "{datagram:?}");
        }
        assert_eq!(read(&[0, 0, 1, 1, 127, 0, 0, 1, 0, 53]), Err(DatagramError::Fragment));
    }

    #[test]
    fn an_answer_s_header_is_one_that_is_read() {
        for sender in ["192.0.2.1:53", "[2001:db8::1]:443"] {
            let header = header(sender.parse().unwrap());
            assert_eq!(read(&header).unwrap(), (sender.parse().unwrap(), header.len()));
        }
    }
}
