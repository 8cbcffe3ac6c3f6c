//! `jostle-server clock` and `jostle-client clock`.

use super::{ClockAsked, ClockServer, ClockServerReport, ClockServerSettings, ClockSettings, ask};
use crate::ending::Ending;
use crate::options::{ClientLimits, ListenOptions, span};
use crate::protocol::clock::{ClockAnswer, ClockEstimate, ClockReport, PORT, TimeFormat};
use crate::way::WayOptions;
use clap::Args;
use jostle_console::stop::Stop;
use jostle_console::terminal::{Printer, escaped};
use serde_json::{Value, json};
use std::time::Duration;

/// Answers each line `what time is it?` with the time, over TCP, to many clients at once.
#[derive(Args, Debug)]
#[command(after_help = "Any other line is answered with an error, and the connection lives on.

Examples:
  jostle-server clock
  jostle-server clock --format unix-ns --listen '[::1]:0' --json
  printf 'what time is it?\\n' | nc 127.0.0.1 1236")]
pub struct ClockServeArgs {
    /// How the time is written, always in UTC: rfc3339, rfc2822, unix, unix-ms or unix-ns
    #[arg(long, value_name = "FORMAT", default_value_t)]
    format: TimeFormat,
    #[command(flatten)]
    clients: ClientLimits,
    /// End when the first client has gone
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    serving: ListenOptions<PORT>,
}

impl ClockServeArgs {
    /// Answers until stopped. Returns true if all went well.
    ///
    /// # Errors
    /// When the address cannot be taken.
    pub fn run(&self, stop: &Stop) -> anyhow::Result<bool> {
        let settings = ClockServerSettings {
            format: self.format,
            clients_max: self.clients.max_clients as usize,
            idle: self.clients.idle,
            once: self.once,
        };
        let server = ClockServer::bind(self.serving.address("tcp")?, settings)?;
        let printer = self.serving.printer();
        printer.ready("clock", &format!("tcp://{}", server.address()));
        let ClockServerReport { connections, answered, errors, yielded } = server.run(stop)?;
        let fields = json!({ "kind": "clock", "connections": connections, "answered": answered,
            "errors": errors, "yielded": yielded });
        printer.event("summary", fields, || {
            format!("connections {connections} answered {answered} errors {errors}")
        });
        Ok(true)
    }
}

/// Asks a clock what time it is, and how far it is from ours.
#[derive(Args, Debug)]
#[command(
    after_help = "The offset is the server's clock minus ours, as if the answer had been made \
                  half-way. It is wrong by at most half the round
trip,
and by just that when one way takes all the time: a delay that differs between the ways cannot be \
seen.

Examples:
  jostle-client clock 127.0.0.1:1236
  jostle-client clock 127.0.0.1:1236 --count 100 --interval 100ms --json"
)]
pub struct ClockAskArgs {
    /// The server; the port is 1236 unless given
    #[arg(value_name = "HOST:PORT")]
    server: String,
    /// How many questions
    #[arg(long, value_name = "N", default_value = "5",
        value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// The least time from one question to the next [default: as soon as the one before is
    /// answered]
    #[arg(long, value_name = "TIME", value_parser = span)]
    interval: Option<Duration>,
    /// Give up after so long without an answer
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = span)]
    patience: Duration,
    /// Print an object per line instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    way: WayOptions,
}

impl ClockAskArgs {
    /// Asks. Returns true if all was answered, or if the user ended it before.
    ///
    /// # Errors
    /// When an answer does not come, or is no time.
    pub fn run(&self, stop: &Stop) -> anyhow::Result<bool> {
        let settings = ClockSettings {
            server: self.way.to(&self.server, "tcp", PORT)?,
            count: self.count,
            interval: self.interval.unwrap_or_default(),
            patience: self.patience,
        };
        let printer = Printer::new(self.json);
        let asked = ask(&settings, stop, |told| print_answer(printer, told))?;
        print_summary(printer, &asked);
        asked.ending.status()
    }
}

fn print_answer(printer: Printer, told: &ClockAnswer) {
    let ClockAnswer { number, text, sample, estimate } = told;
    printer.event("answer", told_json(told), || {
        format!(
            "{number}: {}  rtt {:.3} ms  offset {:+.3} ms ± {:.3} ms",
            escaped(text),
            ms(sample.round_trip),
            signed_ms(estimate.offset_nanos),
            ms(estimate.error),
        )
    });
}

fn print_summary(printer: Printer, asked: &ClockAsked) {
    let ClockAsked { server, report, ending } = asked;
    let ClockReport { answered, round_trips, best } = report;
    let rtt = json!({ "min": round_trips.least().map(ms), "avg": round_trips.mean().map(ms),
        "max": round_trips.most().map(ms),
        "p50": round_trips.percentile(50.0).map(ms) });
    let fields = json!({ "kind": "clock", "server": server.to_string(), "ok": ending.is_done(),
        "stopped": *ending == Ending::Stopped,
        "error": ending.failure(), "answered": answered, "rtt_ms": rtt,
        "best": best.as_ref().map(told_json) });
    printer.event("summary", fields, || {
        let mut text = format!("--- {server}\nanswered {answered}");
        if let (Some(best), Some(mean), Some(most)) = (best, round_trips.mean(), round_trips.most())
        {
            let (least, trip) = (ms(best.sample.round_trip), best.sample.round_trip);
            let (from, to) = best.estimate.interval();
            text.push_str(&format!(
                "\nrtt min {least:.3} avg {:.3} max {:.3} ms\nbest estimate, from the rtt of \
                 {:.3} ms: {}\nso it is between \
                 {:+.3} and {:+.3} ms, however the delay is spread over the two ways",
                ms(mean),
                ms(most),
                ms(trip),
                in_words(&best.estimate),
                signed_ms(from),
                signed_ms(to),
            ));
        }
        text
    });
}

fn in_words(estimate: &ClockEstimate) -> String {
    let side = if estimate.offset_nanos < 0 { "behind ours" } else { "ahead of ours" };
    let far = signed_ms(estimate.offset_nanos).abs();
    format!("the server's clock is {far:.3} ms {side}, ± {:.3} ms", ms(estimate.error))
}

fn told_json(told: &ClockAnswer) -> Value {
    let ClockAnswer { number, text, sample, estimate } = told;
    let (from, to) = estimate.interval();
    json!({ "number": number, "time": text, "server_unix": seconds(sample.answer.wall),
        "client_unix": seconds(sample.asked),
        "rtt_ms": ms(sample.round_trip), "offset_ms": signed_ms(estimate.offset_nanos),
        "error_ms": ms(estimate.error),
        "interval_ms": [signed_ms(from), signed_ms(to)] })
}

/// Returns seconds with nine decimals, as text: a float has too few digits for them.
fn seconds(wall: Duration) -> String {
    TimeFormat::Unix.print(wall)
}

fn ms(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}

fn signed_ms(nanos: i64) -> f64 {
    nanos as f64 / 1e6
}
