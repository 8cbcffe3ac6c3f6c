//! What clients ask for, pure: of a forward proxy by SOCKS5 ([`socks`]) and HTTP ([`mod@http`]),
//! and of anyone by the first bytes of TLS ([`hello`]).
//!
//! A negotiation takes the bytes of one client as they come and says what to answer. In the end it
//! has been asked for a [`Target`], or it has refused. Nothing here opens a socket or looks up a
//! name; whether a target may be reached is a question of the [`Allowed`] list, first of its name
//! and then of each address of it.
//!
//! ```
//! use jostle_forward::{Asked, Progress, Target, socks};
//!
//! let mut negotiation = socks::Negotiation::new(None);
//! let mut answer = Vec::new();
//! let greeting = [5, 1, 0];
//! assert_eq!(negotiation.handle(&greeting, &mut answer), Progress::More);
//! assert_eq!(answer, [5, 0]);
//! let request = [&[5, 1, 0, 3, 11][..], b"example.org", &[0, 80]].concat();
//! let Progress::Asked(Asked::Connect(target)) = negotiation.handle(&request, &mut answer) else {
//!     panic!("it is a whole request")
//! };
//! assert_eq!(target, "example.org:80".parse::<Target>().unwrap());
//! ```

mod allowed;
mod credentials;
pub mod hello;
pub mod http;
pub mod socks;
mod target;

pub use allowed::{Allowed, Refused, is_public};
pub use credentials::Credentials;
pub use target::{Host, Target, TargetError};

/// How far a negotiation has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed.
    More,
    /// The client has asked for something, and waits for the answer.
    Asked(Asked),
    /// It was refused; once the answer is written the connection is closed.
    Refused(Malformed),
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A connection to a target.
    Connect(Target),
    /// An association for datagrams, by a client that will send them from there.
    Associate(socks::Sender),
    /// One HTTP request to a target, as it is to be written there, up to the end of its head.
    Fetch {
        /// Where it goes.
        target: Target,
        /// The head in origin form.
        head: Vec<u8>,
        /// What it says about the exchange that it begins.
        expected: http::Expected,
    },
}

/// The reason why a negotiation was refused, for counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The bytes are not of this protocol.
    Bytes,
    /// The user or password is wrong, or missing.
    Credentials,
    /// What was asked for is not offered here.
    Unsupported,
}

impl Malformed {
    /// Returns the name in counters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bytes => "malformed",
            Self::Credentials => "unauthorised",
            Self::Unsupported => "unsupported",
        }
    }
}

/// The reason why a target was not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may not be reached from here.
    NotAllowed,
    /// No way leads to its network.
    NetworkUnreachable,
    /// It has no address, or no way leads to it.
    HostUnreachable,
    /// Nobody listens there.
    ConnectionRefused,
    /// It did not answer in time.
    TimedOut,
    /// Something else.
    General,
}
