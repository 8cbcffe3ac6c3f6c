//! Mistakes in a command line, in words that say what to write instead.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use std::error::Error as _;
use std::net::AddrParseError;
use std::num::{IntErrorKind, ParseIntError};

/// Numbers above this are no bound that anyone means.
const BOUND_MAX: u64 = 1 << 20;

/// Lets the options of a command, and of those below it, take `-1` for a value, so that their
/// readers say what is wrong with it.
pub(crate) fn with_negatives(command: Command) -> Command {
    let lenient = |arg: Arg| {
        let is_option = arg.get_long().is_some() && arg.get_action().takes_values();
        if is_option { arg.allow_negative_numbers(true) } else { arg }
    };
    command.mut_args(lenient).mut_subcommands(with_negatives)
}

/// Returns the same error with a remedy, where the reader of a value is one of the libraries',
/// which name none; and without the advice to put what is no option behind `--`, as nobody means
/// that.
pub(crate) fn with_remedy(mut error: clap::Error) -> clap::Error {
    if error.kind() == ErrorKind::UnknownArgument {
        error.remove(ContextKind::Suggested);
    }
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let (Some(argument), Some(value)) =
        (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue))
    else {
        return error;
    };
    let Some(problem) = problem(&error, value) else { return error };
    let message = format!(
        "invalid value '{value}' for '{argument}': {problem}\n\nFor more \
         information, try '--help'.\n"
    );
    clap::Error::raw(error.kind(), message)
}

/// Returns what is wrong with a value, and what to write instead; `None` if that has been said.
fn problem(error: &clap::Error, value: &str) -> Option<String> {
    let source = error.source()?;
    if source.is::<AddrParseError>() {
        let port = value.rsplit_once(':').map_or(value, |(_, port)| port);
        let port = port.parse::<u16>().unwrap_or(9000);
        return Some(format!(
            "\"{value}\" is not an IP address and a port; write 127.0.0.1:{port}, say"
        ));
    }
    if let Some(error) = source.downcast_ref::<ParseIntError>() {
        return Some(match error.kind() {
            IntErrorKind::PosOverflow => {
                format!("\"{value}\" is too large; write a smaller number")
            }
            _ => not_whole(value),
        });
    }
    // clap's own words for a number beyond its bounds.
    let said = source.to_string();
    let (low, high) = said.split_once(" is not in ")?.1.split_once("..")?;
    let high = high.trim_start_matches('=');
    Some(match high.parse::<u64>() {
        Ok(high) if high <= BOUND_MAX => {
            format!("\"{value}\" is out of range; write a whole number from {low} to {high}")
        }
        _ => format!("\"{value}\" is out of range; write a whole number, at least {low}"),
    })
}

fn not_whole(value: &str) -> String {
    match value.strip_prefix('-') {
        Some(rest) if rest.parse::<u64>().is_ok() => {
            format!("\"{value}\" is negative; write \"{rest}\"")
        }
        _ => format!("\"{value}\" is not a whole number; write digits alone"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::value_parser;
    use std::net::SocketAddr;

    fn said(words: &[&str]) -> String {
        let command = Command::new("it").subcommand(
            Command::new("run")
                .arg(Arg::new("count").long("count").value_parser(value_parser!(u64).range(1..)))
                .arg(Arg::new("part").long("part").value_parser(value_parser!(u8).range(2..)))
                .arg(Arg::new("jobs").long("jobs").value_parser(value_parser!(usize)))
                .arg(Arg::new("at").long("at").value_parser(value_parser!(SocketAddr))),
        );
        let words = ["it", "run"].iter().chain(words);
        let error = with_negatives(command).try_get_matches_from(words).unwrap_err();
        with_remedy(error).to_string()
    }

    #[test]
    fn a_wrong_value_is_answered_with_what_to_write() {
        for (words, remedy) in [
            (
                ["--count", "x"],
                "'--count <count>': \"x\" is not a whole number; write digits alone",
            ),
            (["--count", "-1"], "\"-1\" is negative; write \"1\""),
            (["--count", "0"], "\"0\" is out of range; write a whole number, at least 1"),
            (["--count", "99999999999999999999"], "is too large; write a smaller number"),
            (["--part", "1"], "\"1\" is out of range; write a whole number from 2 to 255"),
            (["--jobs", "1.5"], "\"1.5\" is not a whole number; write digits alone"),
            (["--jobs", "-3"], "\"-3\" is negative; write \"3\""),
            (["--at", "8080"], "is not an IP address and a port; write 127.0.0.1:8080, say"),
            (["--at", "localhost:9"], "is not an IP address and a port; write 127.0.0.1:9, say"),
            (["--at", "here"], "write 127.0.0.1:9000, say"),
        ] {
            let said = said(&words);
            assert!(said.starts_with("error: invalid value"), "{said}");
            assert!(
                said.contains(remedy) && said.ends_with("try '--help'.\n"),
                "{words:?}: {said}"
            );
        }
    }

    #[test]
    fn a_slip_is_told_what_it_is_like_and_nothing_else() {
        let said = said(&["--conut", "3"]);
        assert!(said.contains("a similar argument exists: '--count'"), "{said}");
        assert!(!said.contains("-- --conut"), "{said}");
    }
}
