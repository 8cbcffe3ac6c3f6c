//! The output of a run of pings: a line per answer, and the sums, as `ping` prints them.

use super::Pinged;
use crate::ending::Ending;
use crate::protocol::ping::{PingEvent, PingReport};
use jostle_common::ecn::Ecn;
use jostle_console::terminal::Printer;
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;

/// Prints what happened to one datagram of `size` bytes.
pub(super) fn print_event(printer: Printer, server: SocketAddr, size: usize, event: PingEvent) {
    match event {
        PingEvent::Answer { number, attempt, round_trip, ecn, late, doubled } => {
            let mut fields = json!({ "number": number, "attempt": attempt, "bytes": size,
                "rtt_ms": ms(round_trip),
                "late": late, "doubled": doubled });
            if ecn.takes_marks() {
                fields["ecn"] = ecn.name().into();
            }
            printer.event("answer", fields, || {
                let attempt =
                    if attempt > 1 { format!(" attempt={attempt}") } else { String::new() };
                let remark = match (late, doubled) {
                    (_, true) => " (doubled)",
                    (true, false) => " (late)",
                    (false, false) => "",
                };
                let time = ms(round_trip);
                let said = if ecn.takes_marks() { format!(" ecn={ecn}") } else { String::new() };
                format!(
                    "{size} bytes from {server}: seq={number}{attempt} time={time:.3} \
                     ms{said}{remark}"
                )
            });
        }
        PingEvent::Silence { number, attempt, timeout, again } => {
            let fields = json!({ "number": number, "attempt": attempt, "timeout_ms": ms(timeout),
                "again": again });
            printer.event("silence", fields, || {
                let attempt =
                    if attempt > 1 { format!(" attempt={attempt}") } else { String::new() };
                let again = if again { "; trying again" } else { "" };
                format!("no answer to seq={number}{attempt} within {:.3} ms{again}", ms(timeout))
            });
        }
        PingEvent::Damaged { size } => {
            printer.event("damaged", json!({ "bytes": size }), || {
                format!("{size} bytes from {server}: damaged")
            });
        }
    }
}

/// Prints the sums of the run.
/// `asked` is what the requests said of congestion.
pub(super) fn print_summary(printer: Printer, pinged: &Pinged, asked: Ecn) {
    let Pinged { server, report, elapsed, ending } = pinged;
    let trips = &report.round_trips;
    let percentile = |percent| trips.percentile(percent).map(ms);
    let rtt = json!({
        "min": trips.least().map(ms), "avg": trips.mean().map(ms), "max": trips.most().map(ms),
        "mdev": trips.deviation().map(ms),
        "p50": percentile(50.0), "p95": percentile(95.0), "p99": percentile(99.0),
    });
    let ecn = asked.takes_marks().then(|| {
        let [not_ect, ect1, ect0, ce] = report.said;
        json!({ "sent": asked.name(), "not_ect": not_ect, "ect0": ect0, "ect1": ect1, "ce": ce })
    });
    let fields = json!({
        "kind": "ping", "server": server.to_string(), "ok": ending.is_done(),
        "stopped": *ending == Ending::Stopped,
        "error": ending.failure(), "requests": report.requests, "answered": report.answered,
        "sent": report.sent,
        "received": report.received, "lost": report.lost(), "loss": report.loss(),
        "doubled": report.doubled, "late": report.late,
        "damaged": report.damaged, "ignored": report.ignored, "refused": report.refused,
        "waiting": report.waiting, "ecn": ecn,
        "seconds": elapsed.as_secs_f64(), "rtt_ms": rtt,
        "jitter_ms": (trips.count() > 0).then(|| ms(report.jitter.estimate())),
    });
    printer.event("summary", fields, || {
        let mut text = format!("--- {server}\n{}", counts(report));
        if let (Some(least), Some(mean), Some(most), Some(deviation)) =
            (trips.least(), trips.mean(), trips.most(), trips.deviation())
        {
            let [p50, p95, p99] =
                [50.0, 95.0, 99.0].map(|percent| percentile(percent).unwrap_or_default());
            text.push_str(&format!(
                "\nrtt min {:.3} avg {:.3} max {:.3} mdev {:.3} ms\nrtt p50 {p50:.3} p95 {p95:.3} \
                 p99 {p99:.3} ms, jitter {:.3} ms",
                ms(least),
                ms(mean),
                ms(most),
                ms(deviation),
                ms(report.jitter.estimate()),
            ));
        }
        if asked.takes_marks() {
            text.push_str(&format!("\n{}", congestion(report, asked)));
        }
        text.push_str(&format!("\ntime {:.3} s", elapsed.as_secs_f64()));
        text
    });
}

/// Writes the counts; what is rare is named only when there was any.
pub(super) fn counts(report: &PingReport) -> String {
    let loss = report.loss().map_or_else(String::new, |loss| format!(" ({:.1}%)", 100.0 * loss));
    let mut text = format!(
        "requests {} answered {}\nsent {} received {} lost {}{loss} doubled {} late {}",
        report.requests,
        report.answered,
        report.sent,
        report.received,
        report.lost(),
        report.doubled,
        report.late,
    );
    for (name, count) in [
        ("damaged", report.damaged),
        ("ignored", report.ignored),
        ("refused", report.refused),
        ("waiting", report.waiting),
    ] {
        if count > 0 {
            text.push_str(&format!(" {name} {count}"));
        }
    }
    text
}

/// Says what came back of requests that said `asked` of congestion: `ecn sent ect0 received ect0 80
/// ce 20`.
fn congestion(report: &PingReport, asked: Ecn) -> String {
    let said = [Ecn::NotEct, Ecn::Ect0, Ecn::Ect1, Ecn::Ce].map(|ecn| (ecn, report.said(ecn)));
    let said = said.iter().filter(|(ecn, count)| *count > 0 || *ecn == Ecn::Ce);
    let said: Vec<String> = said.map(|(ecn, count)| format!("{ecn} {count}")).collect();
    format!("ecn sent {asked} received {}", said.join(" "))
}

/// Returns the milliseconds, to the nanosecond.
fn ms(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}
