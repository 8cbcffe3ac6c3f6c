//! The name of the upright axis. The library places it beside numbers as it would write them
//! itself, so that those with units run into it; here it stands left of the longest.

use super::figure::LETTER;

/// The room between the name and the numbers at the ticks, in pixels.
const GAP: f64 = 5.0;
/// How far letters reach above and below their line, as a share of their size.
const ASCENT: f64 = 0.8;
const DESCENT: f64 = 0.24;

/// What a chart's name of the upright axis is turned by.
const TURNED: &str = "transform=\"rotate(-90,";

/// Moves the name of the upright axis of a chart to the left of the numbers, but not beyond the
/// edge. A chart without a name, or without numbers, stays as it is.
pub(super) fn beside_ticks(svg: &str) -> String {
    let numbers = texts(svg).filter(|(tag, _)| {
        attribute(tag, "text-anchor") == Some("end") && !tag.contains("transform=")
    });
    let left = numbers.filter_map(|(tag, text)| left_edge(tag, text)).reduce(f64::min);
    let name = texts(svg).find(|(tag, _)| tag.contains(TURNED));
    let (Some(left), Some((tag, _))) = (left, name) else { return svg.to_owned() };
    let (Some(x), Some(size)) = (attribute(tag, "x"), number(tag, "font-size")) else {
        return svg.to_owned();
    };
    let at = (left - GAP - DESCENT * size).max(ASCENT * size + 1.0);
    let moved = tag.replacen(&format!("x=\"{x}\""), &format!("x=\"{at:.1}\""), 1).replacen(
        &format!("{TURNED}{x},"),
        &format!("{TURNED}{at:.1},"),
        1,
    );
    svg.replacen(tag, &moved, 1)
}

/// Lists the texts of a picture: the attributes of each, and what it says.
fn texts(svg: &str) -> impl Iterator<Item = (&str, &str)> {
    svg.split("<text ").skip(1).filter_map(|piece| {
        let (tag, rest) = piece.split_once('>')?;
        Some((tag, rest.split('<').next()?))
    })
}

/// Returns where a text begins that ends at its place.
fn left_edge(tag: &str, text: &str) -> Option<f64> {
    let width: f64 = text.chars().map(width).sum();
    Some(number(tag, "x")? - width * number(tag, "font-size")?)
}

/// Returns the width of a letter as a share of its size: a few are far from the mean.
const fn width(letter: char) -> f64 {
    match letter {
        '%' | 'M' | 'm' | 'W' => 0.97,
        ' ' | '.' | ',' | '/' | 'i' | 'l' | 't' => 0.38,
        _ => LETTER,
    }
}

fn number(tag: &str, name: &str) -> Option<f64> {
    attribute(tag, name)?.parse().ok()
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let is_it = |piece: &&str| piece.strip_prefix(name).is_some_and(|rest| rest.starts_with("=\""));
    tag.split_ascii_whitespace().find(is_it)?.split('"').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kuva::prelude::{Layout, LinePlot, Plot, TickFormat, render_to_svg};
    use std::sync::Arc;

    fn chart(label: &'static str, is_log: bool) -> String {
        let line = LinePlot::new().with_data([(0.0, 20.0), (1.0, 200.0)]);
        let plots: Vec<Plot> = vec![line.into()];
        let layout = Layout::auto_from_plots(&plots)
            .with_tick_size(14)
            .with_label_size(14)
            .with_force_margins(118.0, 10.0)
            .with_y_label("round trip")
            .with_y_tick_format(TickFormat::Custom(Arc::new(|_| label.to_owned())));
        render_to_svg(plots, if is_log { layout.with_log_y() } else { layout })
    }

    #[test]
    fn the_name_stands_close_to_the_numbers_and_on_none() {
        for (label, is_log) in [
            ("8%", false),
            ("15%", true),
            ("200 ms", true),
            ("500 kbit/s", false),
            ("500 kbit/s", true),
        ] {
            let svg = beside_ticks(&chart(label, is_log));
            let numbers = texts(&svg).filter(|(_, text)| *text == label);
            let left = numbers.filter_map(|(tag, text)| left_edge(tag, text)).reduce(f64::min);
            let (tag, _) = texts(&svg).find(|(_, text)| *text == "round trip").unwrap();
            let at = number(tag, "x").unwrap();
            assert!(tag.contains(&format!("rotate(-90,{at:.1},")), "{tag}");
            // Letters that hang below the line, as the p of "trip", need room as well.
            let gap = left.unwrap() - (at + DESCENT * 14.0);
            assert!((4.9..5.1).contains(&gap), "{label}: {gap} px");
            assert!(at - ASCENT * 14.0 >= 0.0, "{label}: cut off at {at}");
        }
    }

    #[test]
    fn the_edge_is_never_crossed() {
        let svg = beside_ticks(&chart("1,000,000 messages", true));
        let (tag, _) = texts(&svg).find(|(_, text)| *text == "round trip").unwrap();
        assert_eq!(attribute(tag, "x"), Some("12.2"), "{tag}");
    }

    #[test]
    fn a_picture_without_a_name_stays_as_it_is() {
        let plain = r#"<svg><text x="9" y="9" font-size="14" text-anchor="end">8%</text></svg>"#;
        assert_eq!(beside_ticks(plain), plain);
    }
}
