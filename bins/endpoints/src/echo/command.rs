//! `jostle-server echo` and `jostle-client echo`.

use super::{
    EchoInput, EchoNotice, EchoServer, EchoServerReport, EchoServerSettings, EchoSettings,
    EchoTalked, talk,
};
use crate::ending::Ending;
use crate::options::{ClientLimits, ListenOptions, span, transport};
use crate::protocol::echo::{EchoEvent, MESSAGE_BYTES_MAX, PORT, Recognised};
use crate::way::WayOptions;
use clap::Args;
use jostle_common::transport::Transport;
use jostle_console::printing::Printing;
use jostle_console::stdin;
use jostle_console::stop::Stop;
use jostle_console::terminal::{Printer, escaped_bytes, note};
use serde_json::json;
use std::time::Duration;

/// Prints each message and answers it with itself: a line over TCP, a datagram over UDP.
#[derive(Args, Debug)]
#[command(
    after_help = "Over UDP nothing is answered that comes from a port below 1024, from ports 1234 \
                  and 9002, or from the server's own
port number: two services that answer anything would talk for ever.

Examples:
  jostle-server echo --over tcp
  jostle-server echo --over udp --listen '[::1]:0' --json"
)]
pub struct EchoServeArgs {
    /// The transport
    #[arg(long, value_parser = transport(), value_name = "TRANSPORT")]
    over: Transport,
    #[command(flatten)]
    clients: ClientLimits,
    /// End when the first client has gone; over UDP, when it has been silent for 2 s
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    serving: ListenOptions<PORT>,
}

impl EchoServeArgs {
    /// Answers until stopped. Returns true if all went well.
    ///
    /// # Errors
    /// When the address cannot be taken.
    pub fn run(&self, stop: &Stop) -> anyhow::Result<bool> {
        let scheme = self.over.name();
        let settings = EchoServerSettings {
            clients_max: self.clients.max_clients as usize,
            idle: self.clients.idle,
            once: self.once,
        };
        let server = EchoServer::bind(self.serving.address(scheme)?, self.over, settings)?;
        let printer = self.serving.printer();
        printer.ready("echo", &format!("{scheme}://{}", server.address()));
        let printing = Printing::start(printer)?;
        let EchoServerReport { messages, connections, yielded, unanswered } =
            server.run(stop, |peer, message| {
                let text = String::from_utf8_lossy(message);
                let fields =
                    json!({ "peer": peer.to_string(), "text": text, "bytes": message.len() });
                printing.event("message", fields, || format!("{peer}: {}", escaped_bytes(message)));
            })?;
        let fields = json!({ "kind": "echo", "over": scheme, "messages": messages,
            "connections": connections, "yielded": yielded,
            "unanswered": unanswered });
        printing.finish("summary", fields, || match self.over {
            Transport::Tcp => format!("messages {messages} connections {connections}"),
            Transport::Udp => format!("messages {messages} unanswered {unanswered}"),
        });
        Ok(true)
    }
}

/// Sends the lines of stdin and prints the answers; at the end, what never came back, came twice or
/// damaged.
#[derive(Args, Debug)]
#[command(
    after_help = "Messages are bare lines, so answers are recognised by their content: number \
                  them to tell equal ones apart.

Examples:
  jostle-client echo 127.0.0.1:9002 --over tcp
  seq 100 | jostle-client echo 127.0.0.1:9002 --over udp --json"
)]
pub struct EchoTalkArgs {
    /// The server; the port is 9002 unless given
    #[arg(value_name = "HOST:PORT")]
    server: String,
    /// The transport
    #[arg(long, value_parser = transport(), value_name = "TRANSPORT")]
    over: Transport,
    /// How long to wait at the end for answers that are missing [default: 30s over TCP, 2s over
    /// UDP]
    #[arg(long, value_name = "TIME", value_parser = span)]
    linger: Option<Duration>,
    /// Print an object per line instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    way: WayOptions,
}

impl EchoTalkArgs {
    /// Talks until stdin ends. Returns true if something came back, or if the user ended it
    /// before.
    ///
    /// # Errors
    /// When nothing comes back.
    pub fn run(&self, stop: &Stop) -> anyhow::Result<bool> {
        let mut settings =
            EchoSettings::new(self.way.to(&self.server, self.over.name(), PORT)?, self.over);
        settings.linger = self.linger.unwrap_or(settings.linger);
        let printer = Printer::new(self.json);
        let mut too_long = 0;
        let talked = talk(&settings, EchoInput::new(stdin::open()?), stop, |told| match told {
            EchoNotice::Answer(event) => print_answer(printer, event),
            EchoNotice::TooLong => {
                too_long += 1;
                note(&format!("a line of more than {MESSAGE_BYTES_MAX} bytes was not sent"));
            }
        })?;
        self.print_summary(printer, &talked, too_long);
        talked.ending.status()
    }

    fn print_summary(&self, printer: Printer, talked: &EchoTalked, too_long: u64) {
        let EchoTalked { server, report, ending } = talked;
        let (sent, intact, damaged, missing) =
            (report.sent, report.intact, report.damaged, report.missing());
        let trips = &report.round_trips;
        let fields = json!({ "kind": "echo", "over": self.over.name(), "server": server.to_string(),
            "ok": ending.is_done(),
            "stopped": *ending == Ending::Stopped, "error": ending.failure(), "sent": sent,
            "intact": intact, "damaged": damaged,
            "missing": missing, "doubled": report.doubled, "unknown": report.unknown,
            "too_long": too_long,
            "rtt_ms": { "min": trips.least().map(ms), "avg": trips.mean().map(ms),
                "max": trips.most().map(ms) } });
        printer.event("summary", fields, || {
            let mut text = format!(
                "--- {server}\nsent {sent} intact {intact} damaged {damaged} missing {missing} \
                 doubled {}",
                report.doubled
            );
            if report.unknown > 0 {
                text.push_str(&format!(" unknown {}", report.unknown));
            }
            if let (Some(least), Some(mean), Some(most)) =
                (trips.least(), trips.mean(), trips.most())
            {
                let [least, mean, most] = [least, mean, most].map(ms);
                text.push_str(&format!("\nrtt min {least:.3} avg {mean:.3} max {most:.3} ms"));
            }
            text
        });
    }
}

fn print_answer(printer: Printer, event: &EchoEvent) {
    let EchoEvent { content, recognised, round_trip } = event;
    let (number, what) = match recognised {
        Recognised::Intact { number, .. } => (Some(number), "intact"),
        Recognised::Doubled { number } => (Some(number), "doubled"),
        Recognised::Damaged { number, .. } => (Some(number), "damaged"),
        Recognised::Unknown => (None, "unknown"),
    };
    let fields = json!({ "number": number, "answer": what, "text": String::from_utf8_lossy(content),
        "bytes": content.len(),
        "rtt_ms": round_trip.map(ms) });
    printer.event("answer", fields, || match what {
        "intact" => escaped_bytes(content),
        what => format!("{} ({what})", escaped_bytes(content)),
    });
}

fn ms(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}
