//! The heat maps of a report: where two ordered parameters vary, the mean of the main metric over
//! both.

use super::super::dimension::Dimension;
use super::super::gather::{Gathered, Point};
use super::axes::upright;
use super::figure::{axis, tip};
use super::heat::{self, Heat, HeatCell};
use super::names::named;
use maud::{Markup, html};

/// The parameters that are columns and rows, and the one that has a map for each value.
struct MapPlan<'a> {
    columns: &'a Dimension,
    rows: &'a Dimension,
    row_of: fn(&Point) -> usize,
    maps: Option<&'a Dimension>,
    map_of: fn(&Point) -> usize,
}

fn plan(gathered: &Gathered) -> Option<MapPlan<'_>> {
    let layout = &gathered.layout;
    let ordered = |dimension: &&Dimension| dimension.is_ordered;
    let columns = layout.x.as_ref().filter(ordered)?;
    let (by, over) = (layout.by.as_ref(), layout.over.as_ref());
    if let Some(rows) = over.filter(ordered) {
        return Some(MapPlan {
            columns,
            rows,
            row_of: |point| point.over,
            maps: by,
            map_of: |point| point.by,
        });
    }
    let rows = by.filter(ordered)?;
    Some(MapPlan {
        columns,
        rows,
        row_of: |point| point.by,
        maps: over,
        map_of: |point| point.over,
    })
}

/// Draws the section of the page; nothing when fewer than two ordered parameters vary.
pub(super) fn section(gathered: &Gathered) -> Markup {
    const METRIC: usize = 0;
    let none = Markup::default;
    let Some(what) = gathered.metrics.get(METRIC) else { return none() };
    let Some((plan, scale)) = plan(gathered).zip(axis(gathered, METRIC)) else { return none() };
    let maps = (0..plan.maps.map_or(1, |maps| maps.levels.len()))
        .map(|place| (place, grid(gathered, &plan, place)))
        .filter(|(_, cells)| cells.iter().flatten().any(|cell| *cell != HeatCell::Empty));
    let texts = |dimension: &Dimension| -> Vec<String> {
        dimension.levels.iter().map(|level| level.text.clone()).collect()
    };
    let heat = |cells| Heat {
        names: (plan.columns.name.to_owned(), plan.rows.name.to_owned()),
        columns: texts(plan.columns),
        rows: texts(plan.rows).into_iter().zip::<Vec<_>>(cells).collect(),
    };
    html! {
        section.maps {
            h2 { (super::capital(plan.columns.name)) " and " (plan.rows.name) " together" }
            p.soft {
                "The " @if what.is_log { "geometric " } "mean of " (what.title)
                " as a colour, the same scale for all."
            }
            (heat::legend(scale, upright(what.unit)))
            @for (place, cells) in maps {
                @if let Some(maps) = plan.maps { h3 { (named(maps, place)) } }
                (heat::draw(&heat(cells), scale, |value| what.unit.words(value)))
            }
        }
    }
}

fn grid(gathered: &Gathered, plan: &MapPlan<'_>, map: usize) -> Vec<Vec<HeatCell>> {
    let mut cells = vec![vec![HeatCell::Empty; plan.columns.levels.len()]; plan.rows.levels.len()];
    for point in gathered.points.iter().filter(|point| (plan.map_of)(point) == map) {
        let centre = point.estimates[0].map(|found| found.centre(&gathered.metrics[0]).mean);
        let words = tip(gathered, 0, point);
        let cell = match centre.filter(|mean| mean.is_finite()) {
            Some(mean) => HeatCell::Mean(mean, words),
            None if point.failed == point.rows => HeatCell::Failed(words),
            None => HeatCell::Empty,
        };
        cells[(plan.row_of)(point)][point.x] = cell;
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::super::super::fixtures::{gathered, row, sweep};
    use super::super::super::gather::Choice;
    use super::*;

    #[test]
    fn two_ordered_parameters_make_a_map_per_curve() {
        let rows = sweep(&[0.0, 0.1, 0.2], &["10ms", "50ms"]);
        let html = section(&gathered(&rows, &Choice::default())).into_string();
        assert_eq!((html.matches("<table").count(), html.matches("<td").count()), (3, 18));
        assert!(
            html.contains("<h3>saw</h3>") && html.contains("Loss and delay together"),
            "{html}"
        );
    }

    #[test]
    fn one_ordered_parameter_makes_none() {
        let rows = sweep(&[0.0, 0.1, 0.2], &["10ms"]);
        assert_eq!(section(&gathered(&rows, &Choice::default())).into_string(), "");
    }

    #[test]
    fn what_failed_everywhere_is_a_cross_and_what_was_not_run_is_empty() {
        let at = |loss: f64, delay: &str| row().with("loss", loss).with("delay", delay);
        let rows = [
            at(0.0, "1ms").seconds(1.0),
            at(0.1, "1ms").seconds(2.0),
            at(0.2, "1ms").seconds(2.0),
            at(0.0, "9ms").seconds(3.0),
            at(0.1, "9ms").failed("<refused>"),
        ];
        let html = section(&gathered(&rows, &Choice::default())).into_string();
        assert_eq!(
            (html.matches("class=\"failed\"").count(), html.matches("class=\"none\"").count()),
            (1, 1)
        );
        assert!(html.contains("1 of 1 failed"), "{html}");
    }
}
