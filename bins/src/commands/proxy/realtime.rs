//! What the options about time ask of the system, and what is said of the answer.

use clap::Args;
use jostle_common::units::Span;
use jostle_console::terminal::{Printer, note};
use jostle_proxy::Proxy;
use jostle_sys::{PRIORITY, Realtime};
use serde_json::json;
use std::io;
use std::time::Duration;

/// The most that datagrams may wait to be read together: what comes in a longer time is more than
/// the buffer of a socket has room for.
const COALESCE_MAX: Duration = Duration::from_millis(1);

/// How the proxy keeps its times.
#[derive(Args, Clone, Debug)]
pub(super) struct Timing {
    /// Look for work so long without sleeping, before a packet is due and while events keep coming:
    /// it spares the wake-up, of tens of microseconds, and costs processor time; 0s: never
    #[arg(
        long,
        value_name = "TIME",
        default_value = "50us",
        hide_short_help = true,
        help_heading = "The relays"
    )]
    pub(super) spin: Span,
    /// Let UDP datagrams that keep coming at more than 100,000 a second wait so long, to be read and
    /// sent many at a time, at a fraction of the processor time; 0s: never
    #[arg(
        long,
        value_name = "TIME",
        default_value = "50us",
        value_parser = coalescing,
        hide_short_help = true,
        help_heading = "The relays"
    )]
    pub(super) coalesce: Span,
    /// Run before all ordinary programs, to be on time
    ///
    /// So packets leave on time on a busy machine too. It asks for SCHED_FIFO, and for memory that
    /// is not paged out. Where the system refuses that the proxy says so and runs without.
    #[arg(long, help_heading = "The relays")]
    realtime: bool,
}

impl Timing {
    /// Asks for precedence of a proxy that is to run on this thread, if it is wanted, and says what
    /// became of it.
    pub(super) fn take_precedence(&self, proxy: &mut Proxy, printer: Printer) {
        if !self.realtime {
            return;
        }
        let Realtime { scheduled, locked } = proxy.take_precedence();
        let fields = json!({ "scheduled": scheduled.is_ok(), "locked": locked.is_ok() });
        printer.event("realtime", fields, || match (&scheduled, &locked) {
            (Ok(()), Ok(())) => format!("realtime: priority {PRIORITY}, memory locked"),
            (Ok(()), Err(_)) => format!("realtime: priority {PRIORITY}"),
            (Err(_), Ok(())) => "realtime: memory locked".to_owned(),
            (Err(_), Err(_)) => "realtime: refused".to_owned(),
        });
        for warning in warnings(&scheduled, &locked) {
            note(&warning);
        }
    }
}

/// Reads how long datagrams may wait to be read together.
fn coalescing(text: &str) -> Result<Span, String> {
    let span = text.parse::<Span>().map_err(|error| error.to_string())?;
    if span.0 > COALESCE_MAX {
        return Err(format!("\"{text}\" is out of range; write 0s to 1ms"));
    }
    Ok(span)
}

/// Returns what was refused, each with what can be done about it.
fn warnings(scheduled: &io::Result<()>, locked: &io::Result<()>) -> Vec<String> {
    let scheduled = scheduled.as_ref().err().map(|error| {
        format!(
            "--realtime: packets may wait for other programs: no real-time priority ({error}); run \
             it as root, with CAP_SYS_NICE, or with a limit (ulimit -r {PRIORITY})"
        )
    });
    let locked = locked.as_ref().err().map(|error| {
        format!(
            "--realtime: packets may wait for memory that was paged out: it is not locked \
             ({error}); run it as root, with CAP_IPC_LOCK, or without a limit (ulimit -l unlimited)"
        )
    });
    scheduled.into_iter().chain(locked).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_wait_for_each_other_a_millisecond_at_the_most() {
        assert_eq!(coalescing("0s").unwrap().0, Duration::ZERO);
        assert_eq!(coalescing("1ms").unwrap().0, Duration::from_millis(1));
        assert!(coalescing("1001us").unwrap_err().ends_with("write 0s to 1ms"));
        assert!(coalescing("50").unwrap_err().contains("unit"));
    }

    #[test]
    fn what_is_refused_is_said_with_a_remedy() {
        let refused = || Err(io::ErrorKind::PermissionDenied.into());
        assert!(warnings(&Ok(()), &Ok(())).is_empty());
        let [scheduled, locked] = &warnings(&refused(), &refused())[..] else { panic!("two") };
        assert!(scheduled.contains("CAP_SYS_NICE, or with a limit (ulimit -r 20)"), "{scheduled}");
        assert!(locked.contains("ulimit -l unlimited"), "{locked}");
        assert_eq!(&warnings(&Ok(()), &refused())[..], std::slice::from_ref(locked));
    }
}
