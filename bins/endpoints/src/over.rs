//! `--over tcp|udp`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use jostle_common::transport::Transport;

/// Reads the transport of `--over`, and shows both in help and completions.
pub(crate) fn transport() -> impl TypedValueParser<Value = Transport> {
    PossibleValuesParser::new(Transport::ALL.map(Transport::name))
        .map(|name| name.parse().expect("only the names of transports are possible"))
}
