//! The command that runs while the proxy relays, and whose status it passes on.

use anyhow::Context;
use jostle_console::child::{Child, Reach};
use jostle_proxy::Control;
use std::ffi::OsString;
use std::process::{Command, ExitCode};

/// Starts the command; the proxy is stopped when it ends, and does not wait long for what the
/// command left behind.
pub(super) fn start(
    command: &[OsString],
    urls: &[String],
    control: Control,
) -> anyhow::Result<Child> {
    let (program, arguments) = command.split_first().context("there is no command")?;
    let mut command = Command::new(program);
    command.args(arguments).env("JOSTLE_LISTEN", urls.join(" "));
    let (child, _) = Child::start(command, Reach::Alone, move || control.stop())
        .with_context(|| format!("cannot run {}", program.display()))?;
    Ok(child)
}

/// The status of the command; if it still runs it is asked to end first.
pub(super) fn finish(child: Child) -> ExitCode {
    ExitCode::from(u8::try_from(child.finish()).unwrap_or(1))
}
