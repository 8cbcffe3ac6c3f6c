//! The contents of a report: points with estimates of each metric, how many rows failed, and what
//! was left out.

use super::dimension::{Dimension, Layout, Wanted};
use super::estimate::{PointEstimate, is_log};
use super::interner::Interner;
use super::metric::{Metric, MetricUnit, SHOWN};
use super::origin::Origin;
use super::read::{Loaded, Record};
use jostle_console::exit::Usage;
use std::collections::{BTreeMap, BTreeSet};

/// The most numbers of a user's program that are shown unless asked for.
const MEASURED_SHOWN: usize = 6;

/// The user's choice of what is shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    /// The parameter along the axis.
    pub(super) x: Option<String>,
    /// The parameter of the curves.
    pub(super) by: Option<String>,
    /// The parameter of the small multiples.
    pub(super) over: Option<String>,
    /// The metrics to show; a choice is made when there are none.
    pub(super) metrics: Vec<String>,
}

/// Everything that a report says.
#[derive(Clone, Debug)]
pub(super) struct Gathered {
    /// The names of the files.
    pub(super) sources: Vec<String>,
    /// The number of rows, without those that were left out.
    pub(super) rows: u64,
    /// The number of those that failed. They are in no estimate.
    pub(super) failed: u64,
    /// The reasons, and how often each occurs, the most frequent first.
    pub(super) errors: Vec<(String, u64)>,
    /// The number of rows that were left out as they stand in the files already.
    pub(super) identical: u64,
    /// The number of rows that are further runs of a real cell that has a row already. They count.
    pub(super) again: u64,
    /// The places where a file ends within a row, as `file:line`. Those rows are left out.
    pub(super) torn: Vec<String>,
    /// The most repetitions of any cell: the largest `repeat`.
    pub(super) repeats: u32,
    /// The parameters that are fixed, those that vary, and where they are laid out.
    pub(super) layout: Layout,
    /// The metrics that are shown, in this order.
    pub(super) metrics: Vec<Metric>,
    /// The names of the other metrics that were measured.
    pub(super) unshown: Vec<String>,
    /// All points, by small multiple, then curve, then place on the axis; those without a row are
    /// left out.
    pub(super) points: Vec<Point>,
    /// The rows' account of their making.
    pub(super) origin: Origin,
    /// The command line that made the report; empty where nobody typed one.
    pub(super) command: String,
}

/// The rows that are alike in everything that is laid out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    /// The index of its level of `layout.over`; 0 without one.
    pub(super) over: usize,
    /// The index of its level of `layout.by`; 0 without one.
    pub(super) by: usize,
    /// The index of its level of `layout.x`; 0 without one.
    pub(super) x: usize,
    /// The number of rows.
    pub(super) rows: u64,
    /// The number of those that failed.
    pub(super) failed: u64,
    /// The reasons, and how often each occurs, the most frequent first.
    pub(super) errors: Vec<(String, u64)>,
    /// For each of the shown metrics what is known from the rows that did not fail and have it.
    pub(super) estimates: Vec<Option<PointEstimate>>,
    /// The mean shares of chunks, requests or messages over the rows that did not fail; `None`
    /// where they were not counted.
    pub(super) arrival: Option<ArrivalShares>,
}

/// The fates of chunks, requests or messages: shares that make one whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ArrivalShares {
    /// Of which an undamaged copy arrived.
    pub(super) intact: f64,
    /// Of which only damaged copies arrived.
    pub(super) damaged: f64,
    /// Of which no copy arrived.
    pub(super) missing: f64,
}

impl Gathered {
    /// Returns the parameters that are laid out, from the outside in: `layout.over`, `layout.by`
    /// and `layout.x`, as far as there are any, with the level of a point.
    pub(super) fn place<'a>(
        &'a self,
        point: &Point,
    ) -> impl Iterator<Item = (&'a Dimension, usize)> {
        let layout = &self.layout;
        [(&layout.over, point.over), (&layout.by, point.by), (&layout.x, point.x)]
            .into_iter()
            .filter_map(|(dimension, place)| Some((dimension.as_ref()?, place)))
    }
}

/// Gathers rows to what a report says of them.
///
/// # Errors
/// [`Usage`] when something is chosen that there is not; another error when there are no rows.
pub(super) fn gather(
    interner: &Interner,
    loaded: &Loaded,
    choice: &Choice,
) -> anyhow::Result<Gathered> {
    let records = &loaded.records;
    if records.is_empty() {
        anyhow::bail!("there is no row in {}", loaded.sources.join(", "));
    }
    let wanted =
        Wanted { x: choice.x.as_deref(), by: choice.by.as_deref(), over: choice.over.as_deref() };
    let layout = Layout::new(interner, records, wanted)?;
    let (metrics, unshown) = choose_metrics(interner, records, &choice.metrics)?;
    let mut groups: BTreeMap<(usize, usize, usize), Vec<&Record>> = BTreeMap::new();
    for record in records {
        groups.entry(layout.place(record)).or_default().push(record);
    }
    let counted = ["intact", "damaged", "missing"].map(|name| interner.metric_named(name));
    let points: Vec<Point> = groups
        .into_iter()
        .map(|(place, records)| point(place, &records, &metrics, counted))
        .collect();
    let with_scale = |(index, (_, metric)): (usize, (u16, &Metric))| {
        let estimates = points.iter().filter_map(|point| point.estimates[index]);
        Metric { is_log: is_log(metric, estimates), ..metric.clone() }
    };
    let all: Vec<&Record> = records.iter().collect();
    Ok(Gathered {
        sources: loaded.sources.clone(),
        rows: records.len() as u64,
        failed: failed(&all),
        errors: errors(&all),
        identical: loaded.identical,
        again: loaded.again,
        torn: loaded.torn.clone(),
        repeats: records.iter().map(|record| record.repeat).max().unwrap_or(0),
        layout,
        metrics: metrics.into_iter().enumerate().map(with_scale).collect(),
        unshown,
        points,
        origin: loaded.origin.clone(),
        command: String::new(),
    })
}

/// Gathers a point. Metrics come with their places in the interner, shares as these places.
fn point(
    (over, by, x): (usize, usize, usize),
    records: &[&Record],
    metrics: &[(u16, &Metric)],
    shares: [Option<u16>; 3],
) -> Point {
    let values = |metric: u16| -> Vec<f64> {
        let done = records.iter().filter(|record| record.ok);
        done.filter_map(|record| record.value(metric)).collect()
    };
    let share = |metric: Option<u16>| {
        Some(PointEstimate::of(&values(metric?), MetricUnit::Share)?.mean.mean)
    };
    let arrival = || {
        let [intact, damaged, missing] = shares.map(share);
        Some(ArrivalShares { intact: intact?, damaged: damaged?, missing: missing? })
    };
    Point {
        over,
        by,
        x,
        rows: records.len() as u64,
        failed: failed(records),
        errors: errors(records),
        estimates: metrics
            .iter()
            .map(|(place, metric)| PointEstimate::of(&values(*place), metric.unit))
            .collect(),
        arrival: arrival(),
    }
}

fn failed(records: &[&Record]) -> u64 {
    records.iter().filter(|record| !record.ok).count() as u64
}

fn errors(records: &[&Record]) -> Vec<(String, u64)> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for record in records.iter().filter(|record| !record.ok) {
        *counts.entry(record.error.as_deref().unwrap_or("no reason was given")).or_default() += 1;
    }
    let mut errors: Vec<_> =
        counts.into_iter().map(|(text, count)| (text.to_owned(), count)).collect();
    errors.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    errors
}

type Chosen<'a> = (Vec<(u16, &'a Metric)>, Vec<String>);

/// Chooses the metrics that are shown, and returns the names of the others.
fn choose_metrics<'a>(
    interner: &'a Interner,
    records: &[Record],
    wanted: &[String],
) -> Result<Chosen<'a>, Usage> {
    let done = records.iter().filter(|record| record.ok);
    let measured: BTreeSet<u16> =
        done.flat_map(|record| record.values.iter().map(|(place, _)| *place)).collect();
    let all: Vec<(u16, &Metric)> =
        interner.metrics().into_iter().filter(|(place, _)| measured.contains(place)).collect();
    let shown = if wanted.is_empty() { usual(records, &all) } else { named(&all, wanted)? };
    let others = all.iter().filter(|metric| !shown.contains(metric));
    let others = others.map(|(_, metric)| metric.name.clone()).collect();
    Ok((shown, others))
}

fn named<'a>(
    all: &[(u16, &'a Metric)],
    wanted: &[String],
) -> Result<Vec<(u16, &'a Metric)>, Usage> {
    let find = |name: &String| {
        all.iter().find(|(_, metric)| metric.name == *name).copied().ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|(_, metric)| metric.name.as_str()).collect();
            let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
            Usage(format!("--metric: no row has \"{name}\"; the rows measured {names}"))
        })
    };
    wanted.iter().map(find).collect()
}

/// Returns the metrics that vary, results before causes. When none does, all results are shown:
/// there is one figure of each.
fn usual<'a>(records: &[Record], all: &[(u16, &'a Metric)]) -> Vec<(u16, &'a Metric)> {
    let varies = |place: u16| {
        let mut values =
            records.iter().filter(|record| record.ok).filter_map(|record| record.value(place));
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    let is_result = |metric: &Metric| SHOWN.contains(&metric.name.as_str());
    let (own, others): (Vec<_>, Vec<_>) =
        all.iter().copied().partition(|(_, metric)| is_result(metric));
    let (varied, same): (Vec<_>, Vec<_>) = own.into_iter().partition(|(place, _)| varies(*place));
    let measured = others
        .iter()
        .filter(|(place, metric)| metric.name.starts_with("measured.") && varies(*place));
    let mut shown = varied;
    shown.extend(measured.take(MEASURED_SHOWN));
    if shown.is_empty() { if same.is_empty() { others } else { same } } else { shown }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{RowBuilder, gathered, row, sweep};
    use super::*;
    use serde_json::json;

    fn names(gathered: &Gathered) -> Vec<&str> {
        gathered.metrics.iter().map(|metric| metric.name.as_str()).collect()
    }

    #[test]
    fn a_point_is_the_mean_of_the_rows_that_did_not_fail() {
        let at = |loss: f64, repeat| row().with("loss", loss).repeat(repeat);
        let rows = [
            at(0.1, 1).seconds(22.0),
            at(0.0, 1).seconds(1.0),
            at(0.1, 2).seconds(24.0),
            at(0.1, 3).seconds(60.0).failed("too long"),
            at(0.1, 4),
        ];
        let gathered = gathered(&rows, &Choice::default());
        assert_eq!((gathered.rows, gathered.failed, gathered.repeats), (5, 1, 4));
        assert_eq!(gathered.errors, [("too long".to_owned(), 1)]);
        let [calm, rough] = gathered.points.as_slice() else { panic!("{:?}", gathered.points) };
        assert_eq!((calm.rows, calm.failed, calm.x), (1, 0, 0));
        let alone = calm.estimates[0].unwrap();
        assert_eq!((alone.mean.mean, alone.median, alone.mean.interval), (1.0, 1.0, None));
        assert_eq!((rough.rows, rough.failed, rough.x), (4, 1, 1));
        let estimate = rough.estimates[0].unwrap();
        assert_eq!((estimate.mean.mean, estimate.median, estimate.count()), (23.0, 23.0, 2));
        assert_eq!((estimate.mean.interval, estimate.few()), (None, &[22.0, 24.0][..]));
        assert!(gathered.metrics[0].is_log, "1 s and 23 s are far apart");
    }

    #[test]
    fn arrivals_are_counted_whether_they_are_shown_or_not() {
        let rows = [
            row().chunks(10, 0, 0),
            row().repeat(2).chunks(6, 1, 3),
            row().repeat(3).chunks(0, 10, 0).failed("x"),
        ];
        let choice = Choice { metrics: vec!["intact".to_owned()], ..Choice::default() };
        let arrival = gathered(&rows, &choice).points[0].arrival.unwrap();
        let shares = [arrival.intact - 0.8, arrival.damaged - 0.15, arrival.missing - 0.05];
        assert!(shares.iter().all(|off| off.abs() < 1e-12), "{arrival:?}");
        assert_eq!(gathered(&[row().seconds(1.0)], &Choice::default()).points[0].arrival, None);
    }

    #[test]
    fn every_row_is_in_one_point() {
        let rows = sweep(&[0.0, 0.1, 0.2], &["10ms", "50ms"]);
        let gathered = gathered(&rows, &Choice::default());
        assert_eq!(gathered.points.len(), 3 * 3 * 2);
        assert_eq!(gathered.points.iter().map(|point| point.rows).sum::<u64>(), rows.len() as u64);
        // Stop-and-wait at a loss of 20 %, two of ten repetitions, at both delays.
        assert_eq!((gathered.failed, gathered.errors.len()), (4, 1));
        assert_eq!(gathered.points.iter().map(|point| point.failed).sum::<u64>(), 4);
        assert_eq!(names(&gathered), ["goodput", "seconds", "rtt", "intact", "missing"]);
    }

    #[test]
    fn metrics_are_those_that_vary_or_that_were_asked_for() {
        let rows: Vec<RowBuilder> = (1..=3)
            .map(|repeat| {
                let seen = json!({ "fps": repeat, "width": 640 });
                row().repeat(repeat).chunks(10, 0, 0).with("measured", seen)
            })
            .collect();
        let usual = gathered(&rows, &Choice::default());
        assert_eq!(names(&usual), ["measured.fps"]);
        assert_eq!(usual.unshown, ["intact", "missing", "damaged", "measured.width"]);
        let one = gathered(&rows[..1], &Choice::default());
        assert_eq!(names(&one), ["intact", "missing", "damaged"]);
        let metrics = vec!["measured.width".to_owned(), "intact".to_owned()];
        let asked = gathered(&rows, &Choice { metrics, ..Choice::default() });
        assert_eq!(names(&asked), ["measured.width", "intact"]);
    }
}
