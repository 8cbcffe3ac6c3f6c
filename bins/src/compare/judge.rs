//! What came of a row, judged by the received bytes themselves: digest, chunks, music.

use super::finished::{CHUNK_BYTES, Chunk, Finished, STOPPED, Saved, Transport};
use super::folder::Folder;
use super::plan::{Cell, Plan};
use super::race::Run;
use super::subject::Subject;
use super::transfer::Outcome;
use crate::audit::Audit;
use crate::ending::Ending;
use crate::words::duration;
use anyhow::Context;
use jostle_common::chance::Direction;
use jostle_common::clock::Clock;
use jostle_common::protocol::digest::Digest;
use jostle_common::rows::{LinkCounts, RouteCounts, Row, goodput_bps};
use jostle_proxy::{LinkSummary, Protocol, Summary};
use serde_json::{Map, Value, json};

/// Judges every row, and gives the received files their final names. The rows are judged at once, as decoding takes a while.
///
/// # Errors
/// When a row met a fault of the machine, or a received file cannot be read or renamed.
pub(super) fn judge(
    plan: &Plan,
    subject: &Subject,
    folder: &Folder,
    run: Run,
) -> anyhow::Result<Vec<Finished>> {
    let Run { outcomes, summary, interrupted } = run;
    let started = Clock::wall().as_secs();
    std::thread::scope(|scope| {
        let rows: Vec<_> = plan
            .cells
            .iter()
            .zip(outcomes)
            .map(|(cell, outcome)| {
                let summary = &summary;
                scope.spawn(move || {
                    let outcome = outcome.with_context(|| format!("row {}", cell.name))?;
                    Judge { plan, subject, folder, summary, interrupted, started, cell }.row(outcome)
                })
            })
            .collect();
        rows.into_iter().map(|row| row.join().expect("judging a row does not panic")).collect()
    })
}

struct Judge<'a> {
    plan: &'a Plan,
    subject: &'a Subject,
    folder: &'a Folder,
    summary: &'a Summary,
    interrupted: bool,
    /// Seconds since 1970.
    started: u64,
    cell: &'a Cell,
}

impl Judge<'_> {
    fn row(&self, outcome: Outcome) -> anyhow::Result<Finished> {
        let bytes = match &outcome.received {
            Some((path, _)) => {
                std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?
            }
            None => Vec::new(),
        };
        let equal = outcome.received.is_some().then(|| Digest::of(&bytes) == self.subject.digest);
        let chunks = outcome.account.clone().unwrap_or_else(|| compared(&self.subject.bytes, &bytes));
        let audit = self.audit(equal, &bytes);
        let saved = self.save(&outcome)?;
        let row = self.write(&outcome, &chunks, equal, audit, saved.as_ref());
        Ok(Finished { transport: self.cell.transport, row, chunks, audit, saved })
    }

    fn audit(&self, equal: Option<bool>, bytes: &[u8]) -> Option<Audit> {
        let music = self.subject.music.as_ref()?;
        // An equal file need not be decoded to know how it sounds.
        Some(if equal? { music.intact() } else { music.compare(bytes) })
    }

    fn save(&self, outcome: &Outcome) -> anyhow::Result<Option<Saved>> {
        let Some((path, complete)) = &outcome.received else { return Ok(None) };
        let name = received_name(self.cell, self.subject);
        self.folder.keep(path, &name, *complete).map(Some)
    }

    /// Why the row is not as it should be, if so.
    fn error(&self, outcome: &Outcome) -> Option<String> {
        match &outcome.ending {
            Ending::Done => None,
            Ending::Stopped if self.interrupted => Some(STOPPED.to_owned()),
            Ending::Stopped => Some(format!("not done after {}", duration(self.plan.limit))),
            Ending::Failed(reason) => Some(reason.clone()),
        }
    }

    fn write(
        &self,
        outcome: &Outcome,
        chunks: &[Chunk],
        equal: Option<bool>,
        audit: Option<Audit>,
        saved: Option<&Saved>,
    ) -> Row {
        let of = |state| chunks.iter().filter(|chunk| **chunk == state).count() as u64;
        let counts = self.route_counts();
        let seconds = (!outcome.elapsed.is_zero()).then_some(outcome.elapsed.as_secs_f64());
        // The proxy sees every packet of both endpoints, or at least that one is missing.
        let sent = |link: &LinkCounts| link.entered + link.missed_by_kernel;
        let packets = counts.as_ref().map(|counts| sent(&counts.up) + sent(&counts.down));
        Row {
            protocol: self.cell.transport.name().to_owned(),
            loss: self.cell.loss,
            delay: self.plan.delay,
            repeat: 1,
            seed: self.plan.seed,
            is_virtual: false,
            ok: outcome.ending.is_done(),
            error: self.error(outcome),
            seconds,
            goodput_bps: seconds
                .and_then(|seconds| goodput_bps(intact_bytes(chunks, self.subject.bytes.len()), seconds)),
            digest_equal: equal,
            intact: Some(of(Chunk::Intact)),
            missing: Some(of(Chunk::Missing)),
            damaged: Some(of(Chunk::Damaged)),
            doubled: outcome.doubled,
            late: outcome.late,
            packets,
            retransmissions: outcome.retransmissions.or_else(|| self.segments_again()),
            rtt_ms: None,
            proxy: counts,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            more: self.more(audit, saved),
            host: self.host(),
        }
    }

    /// The cell's other parameters, and what only a comparison finds out.
    fn more(&self, audit: Option<Audit>, saved: Option<&Saved>) -> Map<String, Value> {
        let mut more = self.plan.parameters.clone();
        let mut put = |key: &str, value: Value| {
            more.insert(key.to_owned(), value);
        };
        put("file", json!(self.subject.name));
        put("size", json!(self.subject.bytes.len()));
        if self.cell.transport == Transport::Tcp {
            put("tcp", json!("model cubic"));
        }
        if let Some(audit) = audit {
            put("frames", json!(audit.frames));
            put("frames_lost", json!(audit.frames_lost));
            put("music_seconds", json!(audit.seconds));
            put("music_seconds_lost", json!(audit.seconds_lost));
        }
        put("received", json!(saved.map(|saved| &saved.path)));
        more
    }

    fn host(&self) -> Map<String, Value> {
        let lateness = |direction| self.link(direction).map(|link| link.lateness);
        let fields = [
            ("started_unix_secs", json!(self.started)),
            ("os", json!(std::env::consts::OS)),
            ("cpus", json!(std::thread::available_parallelism().map_or(1, usize::from))),
            ("rows_at_once", json!(self.plan.cells.len())),
            ("lateness", json!({ "up": lateness(Direction::Up), "down": lateness(Direction::Down) })),
        ];
        fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    const fn protocol(&self) -> Protocol {
        match self.cell.transport {
            Transport::Tcp => Protocol::Tcp,
            Transport::Udp | Transport::Saw => Protocol::Udp,
        }
    }

    fn link(&self, direction: Direction) -> Option<&LinkSummary> {
        self.summary.link(&self.cell.name, self.protocol(), direction)
    }

    /// Segments that the modelled TCP sent again.
    fn segments_again(&self) -> Option<u64> {
        let mut sockets = self.summary.sockets.iter();
        let sockets =
            sockets.find(|sockets| sockets.route == self.cell.name && sockets.protocol == Protocol::Tcp)?;
        sockets.counts.get("retransmissions").copied()
    }

    fn route_counts(&self) -> Option<RouteCounts> {
        let counts = |direction| {
            let link = self.link(direction)?;
            let discarded = link.discarded.iter().filter(|(_, count)| **count > 0);
            Some(LinkCounts {
                entered: link.entered,
                copies: link.copies,
                delivered: link.delivered,
                discarded: discarded.map(|(reason, count)| ((*reason).to_owned(), *count)).collect(),
                corrupted: link.corrupted,
                held: link.held,
                missed_by_kernel: link.missed_by_kernel,
            })
        };
        Some(RouteCounts { up: counts(Direction::Up)?, down: counts(Direction::Down)? })
    }
}

/// The final name of what a row receives.
pub(super) fn received_name(cell: &Cell, subject: &Subject) -> String {
    format!("{}{}", cell.name, subject.extension)
}

/// What became of each chunk, where the protocol does not say: by the bytes. What ends within a chunk has not brought it.
fn compared(original: &[u8], received: &[u8]) -> Vec<Chunk> {
    let chunks = original.chunks(CHUNK_BYTES).enumerate();
    chunks
        .map(|(number, chunk)| {
            let start = number * CHUNK_BYTES;
            match received.get(start..start + chunk.len()) {
                Some(same) if same == chunk => Chunk::Intact,
                Some(other) if other.iter().any(|byte| *byte != 0) => Chunk::Damaged,
                _ => Chunk::Missing,
            }
        })
        .collect()
}

/// The bytes of the chunks that are intact; the last chunk may be shorter than the others.
fn intact_bytes(chunks: &[Chunk], size: usize) -> u64 {
    let length = |number: usize| CHUNK_BYTES.min(size.saturating_sub(number * CHUNK_BYTES)) as u64;
    let intact = chunks.iter().enumerate().filter(|(_, chunk)| **chunk == Chunk::Intact);
    intact.map(|(number, _)| length(number)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_judged_by_their_bytes() {
        let original: Vec<u8> = (0..10_000u32).map(|n| n as u8 | 1).collect();
        let mut received = original.clone();
        assert_eq!(compared(&original, &received), [Chunk::Intact; 3]);
        received[5000] ^= 4;
        received.truncate(9_000);
        assert_eq!(compared(&original, &received), [Chunk::Intact, Chunk::Damaged, Chunk::Missing]);
        received[..4096].fill(0);
        assert_eq!(compared(&original, &received), [Chunk::Missing, Chunk::Damaged, Chunk::Missing]);
        assert_eq!(compared(&original, &[]), [Chunk::Missing; 3]);
    }

    #[test]
    fn the_last_chunk_counts_its_own_length() {
        assert_eq!(intact_bytes(&[Chunk::Intact, Chunk::Damaged, Chunk::Intact], 10_000), 4096 + 1808);
        assert_eq!(intact_bytes(&[Chunk::Missing], 1), 0);
    }
}
