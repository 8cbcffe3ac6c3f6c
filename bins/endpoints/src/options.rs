//! Options that commands share: the address to listen on, the transport, and times.

use crate::address;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use jostle_common::transport::Transport;
use jostle_common::units::Span;
use jostle_console::terminal::Printer;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

/// Where a server listens unless told otherwise, and how it prints.
#[derive(Args, Debug)]
pub(crate) struct ListenOptions<const PORT: u16> {
    /// Where to listen; port 0 lets the system pick one
    // Not default_value_t: clap keeps its text in a static, which all PORTs would share.
    #[arg(long, value_name = "HOST:PORT", default_value = loopback(PORT))]
    listen: String,
    /// Print an object per line instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

impl<const PORT: u16> ListenOptions<PORT> {
    /// Returns the address to listen on, and raises the limit of descriptors: as many clients as
    /// are wished for, if the system grants it.
    ///
    /// # Errors
    /// When it is written wrongly, or its host is unknown.
    pub(crate) fn address(&self, scheme: &str) -> anyhow::Result<SocketAddr> {
        jostle_sys::raise_descriptor_limit();
        address::resolve_listener(&self.listen, scheme, PORT)
    }

    pub(crate) const fn printer(&self) -> Printer {
        Printer::new(self.json)
    }
}

/// Returns the address of this machine with a port. It lives as long as the program: clap holds
/// defaults as static text.
fn loopback(port: u16) -> &'static str {
    String::leak(format!("127.0.0.1:{port}"))
}

/// How many clients a server of lines takes, and for how long.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct ClientLimits {
    /// Over TCP: how many clients may be connected at once; further ones wait their turn
    #[arg(
        long,
        value_name = "N",
        default_value = "1000",
        value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    pub(crate) max_clients: u32,
    /// Over TCP: close a connection after so long a silence
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = span)]
    pub(crate) idle: Duration,
}

/// Reads the transport of `--over`, and shows both in help and completions.
pub(crate) fn transport() -> impl TypedValueParser<Value = Transport> {
    PossibleValuesParser::new(Transport::ALL.map(Transport::name))
        .map(|name| name.parse().expect("only the names of transports are possible"))
}

/// Reads a time that is longer than nothing.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    match text.parse::<Span>() {
        Ok(Span(Duration::ZERO)) => Err("write a time longer than 0, such as \"10ms\"".to_owned()),
        Ok(Span(time)) => Ok(time),
        Err(error) => Err(error.to_string()),
    }
}

/// The time to wait for any success; for ever when `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience(pub(crate) Option<Duration>);

impl FromStr for Patience {
    type Err = String;

    /// Reads a time, or `never`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self(None));
        }
        let time = span(text).map_err(|problem| format!("{problem}, or \"never\""))?;
        Ok(Self(Some(time)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_listens_at_its_own_port() {
        fn listen<const PORT: u16>() -> String {
            #[derive(clap::Parser)]
            struct Line<const PORT: u16> {
                #[command(flatten)]
                options: ListenOptions<PORT>,
            }
            <Line<PORT> as clap::Parser>::parse_from(["server"]).options.listen
        }
        assert_eq!(listen::<9001>(), "127.0.0.1:9001");
        assert_eq!(listen::<1234>(), "127.0.0.1:1234");
    }

    #[test]
    fn times_are_read_and_zero_is_refused() {
        assert_eq!(span("1.5ms"), Ok(Duration::from_micros(1500)));
        assert!(span("0").is_err() && span("0s").is_err() && span("5").is_err());
    }

    #[test]
    fn patience_is_read_and_zero_is_refused() {
        assert_eq!("never".parse(), Ok(Patience(None)));
        assert_eq!("2m".parse(), Ok(Patience(Some(Duration::from_secs(120)))));
        assert!("0".parse::<Patience>().is_err() && "5".parse::<Patience>().is_err());
    }
}
