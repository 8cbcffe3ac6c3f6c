//! The command that runs while the proxy relays, and whose status it passes on.

use super::stopping::Stopper;
use anyhow::Context;
use jostle_console::child::{Child, Reach};
use jostle_console::exit;
use std::ffi::OsString;
use std::io;
use std::process::{Command, ExitCode};

/// A command that does not run.
#[derive(Debug, thiserror::Error)]
#[error("cannot run {program}")]
struct CannotRun {
    program: String,
    #[source]
    error: io::Error,
}

/// Where a route listens, and where it relays to.
pub(super) struct RouteAddresses {
    /// The address with its scheme: `tcp://127.0.0.1:8080`.
    pub(super) url: String,
    pub(super) listen: String,
    /// None where clients say where they want to go.
    pub(super) upstream: Option<String>,
}

/// Names an address in the command's environment, whole and in its parts.
fn name(command: &mut Command, name: &str, address: &str) {
    command.env(name, address);
    if let Some((host, port)) = address.rsplit_once(':') {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        command.env(format!("{name}_HOST"), host).env(format!("{name}_PORT"), port);
    }
}

/// Starts the command; the proxy is stopped when it ends, and does not wait long for what the
/// command left behind.
pub(super) fn start(
    command: &[OsString],
    routes: &[RouteAddresses],
    stopper: &Stopper,
) -> anyhow::Result<Child> {
    let (program, arguments) = command.split_first().context("there is no command")?;
    let mut command = Command::new(program);
    command.args(arguments);
    let urls: Vec<&str> = routes.iter().map(|route| route.url.as_str()).collect();
    command.env("JOSTLE_LISTEN", urls.join(" "));
    if let Some(first) = routes.first() {
        name(&mut command, "JOSTLE_PROXY", &first.listen);
        if let Some(upstream) = &first.upstream {
            name(&mut command, "JOSTLE_SERVER", upstream);
        }
    }
    let control = stopper.control();
    stopper.expect_command();
    let (child, _) = Child::start(command, Reach::Alone, move || control.stop())
        .map_err(|error| CannotRun { program: program.display().to_string(), error })?;
    stopper.set_command(child.end());
    Ok(child)
}

/// Returns the status for an error, as `env` and `timeout` have it: 127 when there is no such
/// command, 126 when it cannot be run, 125 for everything else.
pub(super) fn status_of(error: &anyhow::Error) -> u8 {
    let Some(CannotRun { error, .. }) = error.downcast_ref() else { return exit::OURS };
    match error.kind() {
        io::ErrorKind::NotFound => 127,
        // No process or no memory was left.
        io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => exit::OURS,
        _ => 126,
    }
}

/// The status of the command; if it still runs it is asked to end first.
pub(super) fn finish(child: Child) -> ExitCode {
    ExitCode::from(u8::try_from(child.finish()).unwrap_or(1))
}
