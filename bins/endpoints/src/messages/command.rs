//! `jostle-server messages` and `jostle-client messages`.

use super::{
    Input, MessagesSent, MessagesServer, MessagesServerSettings, MessagesSettings, MessagesTotals,
    Notice, PORT, SEPARATOR, SessionOver, SessionPeer, send,
};
use crate::ending::Ending;
use crate::options::{ListenOptions, Patience};
use crate::protocol::messages::{Acknowledged, Dialect, Message, SessionEnd, SessionReport};
use crate::protocol::timer::Timing;
use crate::way::WayOptions;
use clap::Args;
use jostle_console::printing::Printing;
use jostle_console::stdin;
use jostle_console::stop::Stop;
use jostle_console::terminal::{Printer, escaped, escaped_bytes, note};
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::time::Duration;

/// Takes checked messages over TCP and prints each once and in order, whatever happens to the lines
/// on their way.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  jostle-server messages
  jostle-server messages --max-clients 1 --json
  printf '0 c2912e81 hello\\n' | nc -N 127.0.0.1 9000       # answers: ACK 0 e5820718

Programs of others may send CRC-32 of the message alone, Adler-32, the sum of its bytes and more, in
decimal or hexadecimal, and begin with 0 or 1: the first valid line settles what a client means.")]
pub struct MessagesServeArgs {
    /// How many clients are served at once; the next ones wait until a place is free
    #[arg(long, value_name = "N", default_value = "8",
        value_parser = clap::value_parser!(u16).range(1..))]
    max_clients: u16,
    /// Give a client's place to the next after so long a silence, or "never"
    #[arg(long, value_name = "TIME", default_value = "10m")]
    idle: Patience,
    /// End after one client
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    serving: ListenOptions<PORT>,
}

impl MessagesServeArgs {
    /// Serves until stopped. Returns true if all went well.
    ///
    /// # Errors
    /// When the address cannot be taken.
    pub fn run(&self, stop: &Stop) -> anyhow::Result<bool> {
        let listen = self.serving.address("tcp")?;
        let settings = MessagesServerSettings {
            clients_max: self.max_clients.into(),
            idle: self.idle.0,
            once: self.once,
        };
        let printer = self.serving.printer();
        let server = MessagesServer::bind(listen, settings)?;
        printer.ready("messages", &format!("tcp://{}", server.address()));
        let printing = Printing::start(printer)?;
        let MessagesTotals { sessions, others, yielded, counts } =
            server.run(stop, |peer, messages, over| {
                messages.iter().for_each(|message| print_message(&printing, peer, message));
                if let Some(over) = over {
                    print_end(&printing, peer, &over);
                }
            })?;
        let mut fields = json!({ "kind": "messages", "sessions": sessions, "yielded": yielded,
            "other_checksums": others });
        extend(&mut fields, counts_json(&counts));
        printing.finish("summary", fields, || {
            let others = match others {
                0 => String::new(),
                others => format!(" with other checksums {others}"),
            };
            format!("sessions {sessions}{others} {}", counts_text(&counts))
        });
        Ok(true)
    }
}

fn print_message(printing: &Printing, peer: SessionPeer, message: &Message) {
    let Message { sequence, bytes } = message;
    let mut fields =
        json!({ "peer": peer.address.to_string(), "session": peer.session, "sequence": sequence });
    extend(&mut fields, message_json(bytes));
    printing.event("message", fields, || {
        format!("{} {sequence} {}", peer.address, escaped_bytes(bytes))
    });
}

fn print_end(printing: &Printing, peer: SessionPeer, over: &SessionOver) {
    let SessionOver { end, report, dialect } = over;
    let (word, text) = match end {
        Some(SessionEnd::Goodbye) => ("goodbye", "said TCHAU"),
        Some(SessionEnd::Left) => ("left", "left without TCHAU"),
        Some(SessionEnd::Silent) => ("silent", "went silent"),
        None => ("stopped", "was stopped"),
    };
    let checksum = dialect.map(|(dialect, _)| match dialect {
        Dialect::Documented => "documented".to_owned(),
        Dialect::Other(checksums) => checksums.to_string(),
    });
    let first = dialect.map(|(_, first)| first);
    let mut fields = json!({ "peer": peer.address.to_string(), "session": peer.session,
        "how": word, "checksum": checksum, "first_sequence": first });
    extend(&mut fields, counts_json(report));
    printing.event("ended", fields, || {
        let mut text = format!("{} {text}: {}", peer.address, counts_text(report));
        if let Some((Dialect::Other(checksums), first)) = dialect {
            text.push_str(&format!("; its checksum is {checksums}, its first number {first}"));
        }
        text
    });
}

/// Returns the message as text; one that is no UTF-8 also in hex digits, from which nothing is
/// lost.
fn message_json(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!({ "message": text }),
        Err(_) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "message": String::from_utf8_lossy(bytes), "hex": hex })
        }
    }
}

fn extend(fields: &mut Value, more: Value) {
    if let (Value::Object(fields), Value::Object(more)) = (fields, more) {
        fields.extend(more);
    }
}

fn counts_json(report: &SessionReport) -> Value {
    let SessionReport { delivered, goodbyes, doubled, damaged, early, acks, nacks } = *report;
    json!({ "lines": report.lines(), "delivered": delivered, "goodbyes": goodbyes,
        "doubled": doubled, "damaged": damaged,
        "early": early, "acks": acks, "nacks": nacks })
}

fn counts_text(report: &SessionReport) -> String {
    let SessionReport { delivered, goodbyes, doubled, damaged, early, acks, nacks } = *report;
    format!(
        "lines {} delivered {delivered} goodbyes {goodbyes} doubled {doubled} damaged {damaged} \
         early {early} acks {acks} nacks {nacks}",
        report.lines()
    )
}

/// Sends messages over TCP, each until it is acknowledged: once and in order, whatever happens to
/// the lines on their way.
///
/// Without MESSAGES they are read from stdin, a line each. TCHAU, or the end of the input, ends the
/// session.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  jostle-client messages 127.0.0.1:9000 'one||two||TCHAU'
  jostle-client messages 127.0.0.1:9000                     # type; Ctrl-D or TCHAU ends
  seq 1000 | jostle-client messages server.example --json")]
pub struct MessagesSendArgs {
    /// The server; the port is 9000 unless given
    #[arg(value_name = "HOST:PORT")]
    server: String,
    /// The messages
    messages: Option<String>,
    /// What stands between messages on a line; an empty one leaves lines whole
    #[arg(long, value_name = "TEXT", default_value = SEPARATOR)]
    separator: String,
    /// When to send again: from measured round trips, or always after the same time ("fixed:200ms")
    #[arg(long, value_name = "adaptive|fixed:T", default_value = "adaptive")]
    timeout: Timing,
    /// Give up a message after so long without its ACK, or "never" [default: 60s and 500 times,
    /// whichever is later]
    #[arg(long, value_name = "TIME")]
    patience: Option<Patience>,
    /// Print the summary only
    #[arg(short, long)]
    quiet: bool,
    /// Print an object per line instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    way: WayOptions,
}

impl MessagesSendArgs {
    /// Sends the messages. Returns true if all were acknowledged, or if the user ended it
    /// before.
    ///
    /// # Errors
    /// When a message is not acknowledged, or cannot be sent.
    pub fn run(&self, stop: &Stop) -> anyhow::Result<bool> {
        let mut settings = MessagesSettings::new(self.way.to(&self.server, "tcp", PORT)?);
        settings.protocol.timing = self.timeout;
        if let Some(Patience(patience)) = self.patience {
            (settings.protocol.patience, settings.protocol.attempts_min) = (patience, 0);
        }
        let input = match &self.messages {
            Some(text) => Input::text(text, &self.separator),
            None => Input::pipe(stdin::open()?, &self.separator),
        };
        let is_typed = self.messages.is_none() && std::io::stdin().is_terminal();
        let printer = Printer::new(self.json);
        let sent = send(&settings, input, stop, |notice| match notice {
            Notice::Connected(server) if is_typed => {
                note(&format!(
                    "connected to tcp://{server}: a message per line; TCHAU or Ctrl-D ends"
                ));
            }
            Notice::Connected(_) => {}
            Notice::Waiting => {
                note(
                    "no answer yet: waiting for a place at the server, or for a line to get \
                     through (Ctrl-C ends)",
                );
            }
            Notice::Acknowledged(acknowledged) if !self.quiet => {
                print_acknowledged(printer, &acknowledged)
            }
            Notice::Acknowledged(_) => {}
        })?;
        print_sent(printer, &sent);
        sent.ending.status()
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn print_acknowledged(printer: Printer, acknowledged: &Acknowledged) {
    let Acknowledged { sequence, message, sends, elapsed } = acknowledged;
    let ms = millis(*elapsed);
    let mut fields = json!({ "sequence": sequence, "sends": sends, "ms": ms });
    extend(&mut fields, message_json(message));
    printer.event("acknowledged", fields, || {
        let times = if *sends == 1 { String::new() } else { format!(", sent {sends} times") };
        format!("ACK {sequence} after {ms:.2} ms{times}: {}", escaped_bytes(message))
    });
}

fn print_sent(printer: Printer, sent: &MessagesSent) {
    let MessagesSent { server, report, ending } = sent;
    let rtt = |percent| report.round_trips.percentile(percent).map(millis);
    let most = report.round_trips.most().map(millis);
    let fields = json!({
        "kind": "messages", "server": server.to_string(), "ok": ending.is_done(),
        "stopped": *ending == Ending::Stopped,
        "error": ending.failure(), "acknowledged": report.acknowledged,
        "goodbye_acknowledged": report.goodbye_acknowledged,
        "sent": report.sent, "resends": report.resends, "timeouts": report.timeouts,
        "acks": report.acks, "nacks": report.nacks,
        "stale": report.stale, "senseless": report.senseless, "damaged": report.damaged,
        "seconds": report.elapsed().as_secs_f64(),
        "rtt_ms": { "samples": report.round_trips.count(), "p50": rtt(50.0), "p90": rtt(90.0),
            "p99": rtt(99.0), "max": most },
    });
    printer.event("summary", fields, || {
        let state = match ending {
            Ending::Done if report.goodbye_acknowledged => "all and the goodbye".to_owned(),
            Ending::Done => "all; the server left before it acknowledged the goodbye".to_owned(),
            Ending::Stopped => "stopped".to_owned(),
            Ending::Failed(reason) => format!("failed: {}", escaped(reason)),
        };
        let ms =
            |time: Option<f64>| time.map_or_else(|| "-".to_owned(), |time| format!("{time:.2} ms"));
        format!(
            "acknowledged {} ({state})\nsent {} resends {} timeouts {} acks {} nacks {} stale {} \
             senseless {} damaged {}\n\
             rtt p50 {} p90 {} p99 {} max {}\ntime {:.3} s",
            report.acknowledged,
            report.sent,
            report.resends,
            report.timeouts,
            report.acks,
            report.nacks,
            report.stale,
            report.senseless,
            report.damaged,
            ms(rtt(50.0)),
            ms(rtt(90.0)),
            ms(rtt(99.0)),
            ms(most),
            report.elapsed().as_secs_f64(),
        )
    });
}
