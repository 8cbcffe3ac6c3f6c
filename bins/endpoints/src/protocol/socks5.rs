//! A client's side of SOCKS5 (RFC 1928), with user and password (RFC 1929), and the header of the
//! datagrams of an association.
//!
//! It reads no byte more than an answer has: what stands behind it belongs to the stream.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The most bytes of a name, a user or a password: each is counted in one byte.
const COUNTED_MAX: usize = 255;

const VERSION: u8 = 5;
const LOGIN_VERSION: u8 = 1;
const NO_LOGIN: u8 = 0;
const LOGIN: u8 = 2;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// The destination of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocksTarget {
    /// The host: an address, or a name for the proxy to look up.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// The user and password that a proxy wants.
#[derive(Clone, PartialEq, Eq)]
pub struct SocksLogin {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for SocksLogin {
    /// Keeps the password to itself.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SocksLogin").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocksRequest {
    /// A connection.
    Connect(SocksTarget),
    /// An association for datagrams, from a port that is not said.
    Associate,
}

/// The reason why a proxy does not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SocksError {
    /// It speaks something else.
    #[error("what answers is no SOCKS5 proxy")]
    NoSocks,
    /// It takes none of the ways to log in.
    #[error("the SOCKS5 proxy wants a user and password, or another; write USER:PASS@HOST:PORT")]
    NoMethod,
    /// The user or password is wrong.
    #[error("the SOCKS5 proxy does not take this user and password")]
    WrongLogin,
    /// It refused the request, with a reply of RFC 1928, section 6.
    #[error("the SOCKS5 proxy answers: {} (reply {reply})", meaning(*reply))]
    Refused {
        /// The reply.
        reply: u8,
    },
}

/// Returns the meaning of a reply.
const fn meaning(reply: u8) -> &'static str {
    match reply {
        2 => "the target may not be reached",
        3 => "the network cannot be reached",
        4 => "the host cannot be reached",
        5 => "the connection was refused",
        6 => "the target does not answer",
        7 => "it does not offer that",
        8 => "it does not know this kind of address",
        _ => "it failed",
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Method,
    Login,
    Reply,
}

/// The negotiation with a proxy, up to its reply.
#[derive(Debug)]
pub struct SocksClient {
    request: SocksRequest,
    login: Option<SocksLogin>,
    step: Step,
    /// The bytes to be written.
    out: Vec<u8>,
    /// The part of an answer that has come.
    held: Vec<u8>,
}

impl SocksClient {
    /// Begins with the greeting.
    pub fn new(request: SocksRequest, login: Option<SocksLogin>) -> Self {
        let out = match login {
            Some(_) => vec![VERSION, 2, NO_LOGIN, LOGIN],
            None => vec![VERSION, 1, NO_LOGIN],
        };
        Self { request, login, step: Step::Method, out, held: Vec::new() }
    }

    /// Takes the bytes that are to be written to the proxy.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Returns how many bytes are to be read next, at least one.
    pub fn wants(&self) -> usize {
        let whole = match self.step {
            Step::Method | Step::Login => 2,
            // With a name its length comes first; five bytes are less than any reply has.
            Step::Reply => reply_bytes(&self.held).unwrap_or(5),
        };
        whole - self.held.len()
    }

    /// Takes in bytes, at most as many as it [wants](Self::wants). Returns where the proxy is bound
    /// once it has done what it was asked for.
    ///
    /// # Errors
    /// When it has not.
    pub fn handle(&mut self, bytes: &[u8]) -> Result<Option<SocketAddr>, SocksError> {
        self.held.extend_from_slice(bytes);
        match (self.step, self.held.as_slice()) {
            (Step::Method, [VERSION, NO_LOGIN]) => self.ask(),
            (Step::Method, [VERSION, LOGIN]) => {
                let Some(login) = &self.login else { return Err(SocksError::NoMethod) };
                self.out.push(LOGIN_VERSION);
                push_counted(&mut self.out, &login.user);
                push_counted(&mut self.out, &login.password);
                self.step = Step::Login;
            }
            (Step::Method, [VERSION, _]) => return Err(SocksError::NoMethod),
            (Step::Login, [_, 0]) => self.ask(),
            (Step::Login, [_, _]) => return Err(SocksError::WrongLogin),
            (Step::Method, [other, ..]) if *other != VERSION => return Err(SocksError::NoSocks),
            (Step::Reply, [VERSION, 0, _, ..]) => return self.bound(),
            (Step::Reply, [VERSION, reply, ..]) if *reply != 0 => {
                return Err(SocksError::Refused { reply: *reply });
            }
            (Step::Reply, [other, ..]) if *other != VERSION => return Err(SocksError::NoSocks),
            _ => return Ok(None),
        }
        self.held.clear();
        Ok(None)
    }

    /// Writes the request.
    fn ask(&mut self) {
        self.step = Step::Reply;
        match &self.request {
            SocksRequest::Connect(target) => {
                self.out.extend([VERSION, 1, 0]);
                push_address(&mut self.out, target);
            }
            SocksRequest::Associate => self.out.extend([VERSION, 3, 0, IPV4, 0, 0, 0, 0, 0, 0]),
        }
    }

    /// Reads the address of a reply, once it is whole.
    fn bound(&self) -> Result<Option<SocketAddr>, SocksError> {
        let Some(whole) = reply_bytes(&self.held) else { return Ok(None) };
        if whole == 0 {
            return Err(SocksError::NoSocks);
        }
        let [_, _, _, kind, rest @ ..] = self.held.as_slice() else { return Ok(None) };
        if self.held.len() < whole {
            return Ok(None);
        }
        let (ip, port): (IpAddr, &[u8]) = match *kind {
            IPV4 => split_ip::<4>(rest).map(|(ip, port)| (Ipv4Addr::from(ip).into(), port)),
            IPV6 => split_ip::<16>(rest).map(|(ip, port)| (Ipv6Addr::from(ip).into(), port)),
            // A name is of no use here: the proxy's own address will do.
            _ => Some((Ipv4Addr::UNSPECIFIED.into(), &rest[rest.len() - 2..])),
        }
        .ok_or(SocksError::NoSocks)?;
        Ok(Some(SocketAddr::new(ip, u16::from_be_bytes([port[0], port[1]]))))
    }
}

fn split_ip<const N: usize>(bytes: &[u8]) -> Option<([u8; N], &[u8])> {
    bytes.split_first_chunk().map(|(ip, port)| (*ip, port))
}

/// Returns how long a reply is that begins so, once that is known; 0: its address is of no kind.
fn reply_bytes(held: &[u8]) -> Option<usize> {
    Some(match *held.get(3)? {
        IPV4 => 4 + 4 + 2,
        IPV6 => 4 + 16 + 2,
        NAME => 4 + 1 + usize::from(*held.get(4)?) + 2,
        _ => 0,
    })
}

fn push_counted(out: &mut Vec<u8>, text: &str) {
    let bytes = &text.as_bytes()[..text.len().min(COUNTED_MAX)];
    out.push(bytes.len() as u8);
    out.extend_from_slice(bytes);
}

fn push_address(out: &mut Vec<u8>, target: &SocksTarget) {
    match target.host.parse() {
        Ok(IpAddr::V4(ip)) => {
            out.push(IPV4);
            out.extend(ip.octets());
        }
        Ok(IpAddr::V6(ip)) => {
            out.push(IPV6);
            out.extend(ip.octets());
        }
        Err(_) => {
            out.push(NAME);
            push_counted(out, &target.host);
        }
    }
    out.extend(target.port.to_be_bytes());
}

/// Returns the header of datagrams to `target`.
pub fn datagram_header(target: &SocksTarget) -> Vec<u8> {
    let mut header = vec![0, 0, 0];
    push_address(&mut header, target);
    header
}

/// Returns where the payload of a datagram from the proxy begins; `None` if it has no header, or is
/// a fragment.
pub fn payload_at(datagram: &[u8]) -> Option<usize> {
    let [_, _, 0, kind, rest @ ..] = datagram else { return None };
    let address = match *kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => 1 + usize::from(*rest.first()?),
        _ => return None,
    };
    Some(4 + address + 2).filter(|at| *at <= datagram.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(host: &str) -> SocksTarget {
        SocksTarget { host: host.into(), port: 443 }
    }

    fn login() -> SocksLogin {
        SocksLogin { user: "ann".into(), password: "secret".into() }
    }

    /// Talks to a proxy that answers so, and reads byte by byte what is wanted; returns what was
    /// written, what came of it, and how many bytes were left.
    fn talk(
        request: SocksRequest,
        login: Option<SocksLogin>,
        answers: &[u8],
    ) -> (Vec<u8>, Result<Option<SocketAddr>, SocksError>, usize) {
        let run = |most: usize| {
            let mut client = SocksClient::new(request.clone(), login.clone());
            let (mut said, mut rest) = (client.take_output(), answers);
            loop {
                let (piece, behind) = rest.split_at(client.wants().min(most).min(rest.len()));
                let result = client.handle(piece);
                said.extend(client.take_output());
                rest = behind;
                if piece.is_empty() || result != Ok(None) {
                    // Behind an error nothing is of use.
                    let left = if result.is_ok() { rest.len() } else { 0 };
                    return (said, result, left);
                }
            }
        };
        let whole = run(usize::MAX);
        assert_eq!(run(1), whole, "{answers:?}");
        whole
    }

    #[test]
    fn a_connection_is_asked_for_and_nothing_is_read_behind_the_reply() {
        let hello = [5, 1, 0, 5, 1, 0];
        for (host, address) in [
            ("10.0.0.1", vec![1, 10, 0, 0, 1]),
            ("a.de", vec![3, 4, b'a', b'.', b'd', b'e']),
            ("::1", [&[4][..], &[0; 15], &[1]].concat()),
        ] {
            let request = SocksRequest::Connect(target(host));
            let answers = [&[5, 0, 5, 0, 0, 1, 127, 0, 0, 1, 1, 2][..], b"220 hello"].concat();
            let (said, bound, left) = talk(request, None, &answers);
            assert_eq!(said, [&hello[..], &address, &[1, 187]].concat());
            assert_eq!((bound, left), (Ok(Some("127.0.0.1:258".parse().unwrap())), 9));
        }
    }

    #[test]
    fn who_has_a_password_says_it_when_asked() {
        let answers =
            [5, 2, 1, 0, 5, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 9];
        let (said, bound, _) = talk(SocksRequest::Associate, Some(login()), &answers);
        let expected =
            [&[5, 2, 0, 2, 1, 3][..], b"ann", &[6], b"secret", &[5, 3, 0, 1, 0, 0, 0, 0, 0, 0]];
        assert_eq!(said, expected.concat());
        assert_eq!(bound, Ok(Some("[::1]:9".parse().unwrap())));
        let (said, ..) = talk(SocksRequest::Associate, Some(login()), &[5, 0]);
        assert!(!said.windows(6).any(|part| part == b"secret"), "it is said to nobody else");
    }

    #[test]
    fn a_name_in_a_reply_is_read_over() {
        let answers = [&[5, 0, 5, 0, 0, 3, 4][..], b"a.de", &[0, 9, 7]].concat();
        let (_, bound, left) = talk(SocksRequest::Associate, None, &answers);
        assert_eq!((bound, left), (Ok(Some("0.0.0.0:9".parse().unwrap())), 1));
    }

    #[test]
    fn refusals_say_what_they_mean() {
        for (answers, error) in [
            (&[5, 0xff][..], SocksError::NoMethod),
            (&[5, 2], SocksError::NoMethod),
            (&[5, 1], SocksError::NoMethod),
            (b"HTTP/1.1 400", SocksError::NoSocks),
            (&[0, 90], SocksError::NoSocks),
            (&[5, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0], SocksError::Refused { reply: 2 }),
            (&[5, 0, 5, 5], SocksError::Refused { reply: 5 }),
            (&[5, 0, 4, 0], SocksError::NoSocks),
            (&[5, 0, 5, 0, 0, 9, 0], SocksError::NoSocks),
        ] {
            let (_, result, _) = talk(SocksRequest::Connect(target("a")), None, answers);
            assert_eq!(result, Err(error), "{answers:?}");
        }
        let (_, wrong, _) = talk(SocksRequest::Associate, Some(login()), &[5, 2, 1, 1]);
        assert_eq!(wrong, Err(SocksError::WrongLogin));
        assert!(
            SocksError::Refused { reply: 5 }
                .to_string()
                .contains("the connection was refused (reply 5)")
        );
    }

    #[test]
    fn datagrams_have_headers() {
        assert_eq!(datagram_header(&target("10.0.0.1")), [0, 0, 0, 1, 10, 0, 0, 1, 1, 187]);
        for host in ["10.0.0.1", "::1", "a.de"] {
            let header = datagram_header(&target(host));
            assert_eq!(payload_at(&header), Some(header.len()), "{host}");
            assert_eq!(payload_at(&[&header[..], b"payload"].concat()), Some(header.len()));
            assert!((0..header.len()).all(|cut| payload_at(&header[..cut]).is_none()), "{host}");
        }
        assert_eq!(payload_at(&[0, 0, 1, 1, 10, 0, 0, 1, 1, 187, 7]), None, "a fragment");
        assert_eq!(payload_at(&[0, 0, 0, 2, 10, 0, 0, 1, 1, 187, 7]), None);
    }
}
