//! The comparison as one HTML page that needs nothing but itself and the received files in its
//! folder: no script, no network.

mod chart;
mod picture;

use super::finished::{Comparison, FinishedRow, Saved};
use super::verdict::ComparisonVerdict;
use crate::page;
use jostle_common::words::{count, duration, grouped, percent, rate, seconds, share};
use maud::{Markup, html};

const STYLE: &str = include_str!("page.css");

/// Writes the page.
pub(super) fn draw(comparison: &Comparison) -> String {
    let title = format!("{} in bad weather", comparison.file);
    let body = html! {
        (opening(comparison, &title))
        (pictures(comparison))
        (goodput(comparison))
        (table(comparison))
        (origin(comparison))
    };
    page::document(&format!("{title} · jostle compare"), STYLE, "media-src 'self'", &body)
}

fn opening(comparison: &Comparison, title: &str) -> Markup {
    let verdict = ComparisonVerdict::of(comparison);
    html! {
        header {
            h1 { (title) }
            p.soft {
                (grouped(comparison.file_bytes)) " bytes"
                @if let Some(music) = comparison.music_seconds {
                    ", " (seconds(music)) " of music"
                }
                ", sent " (count(comparison.rows.len() as u64, "time"))
                " at once through a network with " (comparison.weather) "."
                @if let Some(reason) = comparison.not_judged {
                    " Not judged as music: " (reason.to_string()) "."
                }
            }
            p.lead { (page::unbroken(&verdict.headline)) }
        }
        div.cards {
            @for (protocol, text) in &verdict.parts {
                div.card.(protocol.name()) { h3 { (protocol.heading()) } p { (page::unbroken(text)) } }
            }
        }
    }
}

fn pictures(comparison: &Comparison) -> Markup {
    html! {
        h2 { "What arrived" }
        p.legend.state {
            span { i {} " intact" } " " span { i.m {} " missing" } " "
            span { i.d {} " damaged" } " "
            span {
                "Each cell is a chunk of 4,096 bytes, from the beginning of the file to its end."
            }
        }
        @for loss in comparison.losses() {
            section.loss {
                h3 { (percent(loss.as_f64())) " of packets lost" }
                @for finished in comparison.rows.iter().filter(|one| one.row.loss == loss) {
                    (file(finished))
                }
            }
        }
    }
}

fn file(finished: &FinishedRow) -> Markup {
    html! {
        div.file.(finished.protocol.name()) {
            div.what {
                b { (finished.protocol.heading()) } " " (outcome(finished)) br;
                @if let Some(Saved { path, complete }) = &finished.saved {
                    @if finished.audit.is_some() {
                        audio controls preload="none" src=(path) aria-label=(path) {}
                    }
                    a href=(path) { (path) }
                    @if !complete { " (unfinished)" }
                }
            }
            (picture::draw(&finished.chunks))
        }
    }
}

/// Describes the fate of a file, in a line.
fn outcome(finished: &FinishedRow) -> String {
    let row = &finished.row;
    let time = row.seconds.map(|time| format!(" in {}", seconds(time))).unwrap_or_default();
    if finished.is_whole() {
        return format!("whole{time}");
    }
    if !row.ok {
        return format!("failed: {}", row.error.as_deref().unwrap_or("it did not end"));
    }
    let mut text = format!(
        "done{time}, {} lost or damaged",
        share(finished.lost_chunks(), finished.chunks.len() as u64)
    );
    if let Some(audit) = finished.audit {
        text += &format!(", {} of music gone or different", seconds(audit.seconds_lost));
    }
    text
}

fn goodput(comparison: &Comparison) -> Markup {
    const NAME: &str = "Goodput against loss";
    let figure = chart::figure(comparison).zip(chart::draw(comparison, chart::SMALL));
    html! {
        @if let Some((figure, small)) = figure {
            h2 { (NAME) }
            p.soft { (chart::NOTE) }
            (page::legend(&figure.legend))
            div.chart.wide-only { (figure.panels[0].1.inline(NAME)) }
            div.chart.narrow-only { (small.inline(NAME)) }
            p.links {
                "This figure: "
                (page::download("goodput.svg", "image/svg+xml", &figure.svg(), "SVG"))
                ". Its numbers: "
                (page::download("rows.csv", "text/csv", &csv(comparison), "CSV"))
            }
        }
    }
}

/// Writes the numbers of the table as comma-separated values, in base units; what is not known is
/// empty.
fn csv(comparison: &Comparison) -> String {
    let mut text = "loss_share,protocol,ok,seconds,goodput_bps,intact,missing,damaged,doubled,\
                    late,packets,retransmissions\n"
        .to_owned();
    for FinishedRow { row, .. } in &comparison.rows {
        let known = |number: Option<u64>| number.map(|n| n.to_string()).unwrap_or_default();
        let seconds = row.seconds.map(|seconds| seconds.to_string()).unwrap_or_default();
        let counts = [
            row.goodput_bps,
            row.intact,
            row.missing,
            row.damaged,
            row.doubled,
            row.late,
            row.packets,
            row.retransmissions,
        ];
        let counts: Vec<String> = counts.into_iter().map(known).collect();
        let (loss, protocol, ok) = (row.loss.as_f64(), &row.protocol, row.ok);
        text += &format!("{loss},{protocol},{ok},{seconds},{}\n", counts.join(","));
    }
    text
}

fn table(comparison: &Comparison) -> Markup {
    const HEADS: [&str; 12] = [
        "loss", "over", "arrived", "time", "goodput", "intact", "missing", "damaged", "doubled",
        "late", "packets", "resent",
    ];
    let music = comparison.music_seconds.is_some();
    let mut before = None;
    let rows = comparison.rows.iter().map(|finished| {
        let loss = Some(finished.row.loss);
        (finished, std::mem::replace(&mut before, loss) != loss)
    });
    html! {
        h2 { "All numbers" }
        div.wide {
            table {
                thead {
                    tr {
                        @for head in HEADS { th { (head) } }
                        @if music { th { "frames lost" } th { "music lost" } }
                    }
                }
                tbody {
                    @for (finished, is_first) in rows {
                        tr class=[is_first.then_some("first")] { (cells(finished, music)) }
                    }
                }
            }
        }
    }
}

fn cells(finished: &FinishedRow, music: bool) -> Markup {
    let row = &finished.row;
    let unknown = || "–".to_owned();
    let known = |number: Option<u64>| number.map_or_else(unknown, grouped);
    let counts = [
        row.intact,
        row.missing,
        row.damaged,
        row.doubled,
        row.late,
        row.packets,
        row.retransmissions,
    ];
    html! {
        td { (percent(row.loss.as_f64())) }
        td { b.(finished.protocol.name()) { (finished.protocol.title()) } }
        td { (finished.state()) }
        td { (row.seconds.map_or_else(unknown, seconds)) }
        td { (row.goodput_bps.map_or_else(unknown, rate)) }
        @for count in counts { td { (known(count)) } }
        @if music {
            td { (known(finished.audit.map(|audit| audit.frames_lost))) }
            td { (finished.audit.map_or_else(unknown, |audit| seconds(audit.seconds_lost))) }
        }
    }
}

fn origin(comparison: &Comparison) -> Markup {
    html! {
        h2 { "How this was made" }
        p {
            "Every row is one transfer over real sockets on one machine, through its own route of \
             one proxy; all ran at the same time. The proxy alone makes the weather. What it does \
             to a packet follows from the seed and the packet's number, so the same command meets \
             the same weather again; times vary a little with the machine. All rows draw the same \
             chances: the n-th packet, if it is lost at a low rate, is lost at every higher one."
        }
        @if comparison.music_seconds.is_some() {
            p {
                "Music is counted in frames of the MP3: the original and what arrived are both \
                 decoded, and a frame is lost when nothing in the received file sounds exactly \
                 like it. A flipped bit makes no decoder complain, but it is heard."
            }
        }
        dl {
            dt { "again" } dd { (page::command(&comparison.command)) }
            dt { "seed" } dd.num { (comparison.seed) }
            dt { "file" } dd { code { (comparison.file) } }
            dt { "its SHA-256" } dd { code { (comparison.digest) } }
            dt { "limit" } dd { (duration(comparison.limit)) " for each row" }
            dt { "rows" }
            dd { a href="rows.jsonl" { "rows.jsonl" } ", the same numbers for machines" }
            dt { "made by" } dd { "jostle " (env!("CARGO_PKG_VERSION")) }
        }
    }
}
