//! Programs that people use, brought behind jostle as `docs/clients.md` says: browsers, git, ssh,
//! curl and databases. What they fetched is compared byte by byte.
#![allow(clippy::print_stderr, reason = "it says what it skips")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../proxy_support/mod.rs"]
mod proxy_support;
#[path = "../endpoints/support.rs"]
mod support;

mod browsers;
mod databases;
mod ours;
mod shells;

use proxy_support::Jostle;

/// The weather that all of them meet. A modelled TCP loses no byte to it.
const WEATHER: [&str; 6] = ["--seed", "7", "--delay", "3ms", "--drop", "1%"];

/// How clients say where they want to go.
#[derive(Clone, Copy, Debug)]
enum Forward {
    Socks5,
    Http,
}

impl Forward {
    const BOTH: [Self; 2] = [Self::Socks5, Self::Http];

    /// The scheme of the listener.
    const fn listen(self) -> &'static str {
        match self {
            Self::Socks5 => "socks5",
            Self::Http => "http-proxy",
        }
    }

    /// The scheme by which browsers call such a proxy.
    const fn scheme(self) -> &'static str {
        match self {
            Self::Socks5 => "socks5",
            Self::Http => "http",
        }
    }
}

/// A listener that leads where its clients want to go, and its `HOST:PORT`.
fn forward(how: Forward) -> (Jostle, String) {
    let listen = format!("{}://127.0.0.1:0", how.listen());
    let jostle = Jostle::start(&[&[listen.as_str()], &WEATHER[..]].concat(), 1);
    let (_, address) = &jostle.listeners[0];
    let address = address.split("://").last().unwrap().to_owned();
    (jostle, address)
}

/// Ends it: what the client got came through here, and nothing disappeared.
fn assert_came_through(jostle: Jostle, bytes_least: u64) {
    let summary = jostle.stop();
    summary.assert_conserved();
    // No segment carries more than an Ethernet frame.
    let segments = summary.link("tcp", "down")["delivered"].as_u64().unwrap();
    assert!(segments * 1500 >= bytes_least, "{segments} segments for {bytes_least} bytes");
}
