//! A simulation as one HTML page.

mod charts;

use super::finished::{Finished, Simulated};
use super::report;
use crate::page::{document, escape};
use jostle_common::chance::Direction;
use jostle_common::words::{fine_percent, time};
use std::fmt::Write as _;

const STYLE: &str = include_str!("page.css");

/// Draws the page.
pub(super) fn draw(simulated: &Simulated) -> String {
    let name = escape(simulated.name.as_deref().unwrap_or("the weather of a command line"));
    let mut body = format!("<header>\n<h1>{name}, simulated</h1>\n");
    if !simulated.about.is_empty() {
        let _ = writeln!(body, "<p class=\"lead\">{}</p>", escape(&simulated.about));
    }
    let _ =
        writeln!(body, "<p class=\"soft\">{}</p>\n</header>", escape(&report::opening(simulated)));
    let cards: String = simulated.directions.iter().map(card).collect();
    let _ = writeln!(body, "<div class=\"cards\">\n{cards}</div>");
    body.extend(simulated.directions.iter().map(section));
    body.push_str(&table(&simulated.directions));
    body.push_str(&origin(simulated));
    document(&format!("{name} · jostle simulate"), STYLE, "img-src 'none'", &body)
}

const fn heading(direction: Direction) -> &'static str {
    match direction {
        Direction::Up => "Up: from client to server",
        Direction::Down => "Down: from server to client",
    }
}

/// The three numbers that people ask for first.
fn card(one: &Finished) -> String {
    let mut parts = vec![match one.tally.runs().lost() {
        0 => "No packet is lost.".to_owned(),
        _ => format!(
            "{} of the packets are lost, {:.1} in a row on average.",
            fine_percent(one.loss()),
            one.tally.runs().mean()
        ),
    }];
    let quantile = |q| one.tally.delay_quantile(q).map(time);
    if let (Some(low), Some(middle), Some(high)) = (quantile(0.01), quantile(0.5), quantile(0.99)) {
        let who = if one.tally.runs().lost() == 0 { "them" } else { "the others" };
        parts.push(if low == high {
            format!("All of {who} take {middle}.")
        } else {
            format!("Half of {who} take {middle} at most; 98% are between {low} and {high}.")
        });
    }
    let order = one.tally.reordering();
    if order.reordered() > 0 {
        parts.push(format!("{} arrive behind a later one.", fine_percent(order.ratio())));
    }
    let name = one.direction.name();
    format!(
        "<div class=\"card {name}\"><h3>{}</h3><p>{}</p></div>\n",
        heading(one.direction),
        parts.join(" ")
    )
}

fn section(one: &Finished) -> String {
    let name = one.direction.name();
    let mut html = format!(
        "<h2 class=\"{name}\">{}</h2>\n<div class=\"charts {name}\">\n",
        heading(one.direction)
    );
    let mut figure = |title: &str, legend: &str, svg: Option<String>| {
        if let Some(svg) = svg {
            let _ = writeln!(
                html,
                "<figure class=\"chart\"><figcaption><b>{title}</b> <span class=\"legend\">{legend}</span></figcaption>\n{svg}</figure>"
            );
        }
    };
    figure(
        "Delay of packets",
        r#"<span><i class="dot"></i> a packet</span> <span><i class="cross"></i> lost</span>"#,
        charts::delays(one),
    );
    let model = if one.expected_lengths().is_some() {
        r#" <span><i class="line model"></i> by formula</span>"#
    } else {
        ""
    };
    figure(
        "Losses in a row",
        &format!(r#"<span><i class="bar"></i> how often</span>{model}"#),
        charts::bursts(one),
    );
    figure(
        "Throughput",
        r#"<span><i class="line"></i> arrived</span> <span><i class="line faint"></i> sent</span>"#,
        charts::throughput(one),
    );
    figure(
        "Packets inside",
        r#"<span><i class="line"></i> the most of each moment</span>"#,
        charts::held(one),
    );
    html.push_str("</div>\n");
    html
}

fn table(directions: &[Finished]) -> String {
    let mut html =
        String::from("<h2>All numbers</h2>\n<div class=\"wide\"><table>\n<thead><tr><th></th>");
    for one in directions {
        let _ = write!(html, "<th>{}</th>", one.direction);
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for (name, cells) in report::rows(directions) {
        let class = if name.starts_with(' ') { " class=\"part\"" } else { "" };
        let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect();
        let _ =
            writeln!(html, "<tr{class}><th scope=\"row\">{}</th>{cells}</tr>", escape(name.trim()));
    }
    html.push_str("</tbody>\n</table></div>\n");
    html
}

fn origin(simulated: &Simulated) -> String {
    format!(
        "<h2>How this was made</h2>\n<p>No packet was sent and no time passed: the stream went through the rules in virtual time. A proxy with the \
         same profile, seed and route name does the same to the same arrivals. The delay of one packet in so many is drawn, chosen by number. \
         Losses in a row are counted in the order in which packets were sent.</p>\n<dl>\n<dt>stream</dt><dd>{}</dd>\n\
         <dt>seed</dt><dd class=\"num\">{}</dd>\n<dt>route</dt><dd>{}</dd>\n<dt>made by</dt><dd>jostle {}</dd>\n</dl>\n",
        escape(&simulated.stream),
        simulated.seed,
        escape(&simulated.route),
        env!("CARGO_PKG_VERSION"),
    )
}
