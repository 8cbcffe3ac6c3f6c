//! The names of points, curves and parameters on the page. Nothing here is HTML yet.

use super::super::dimension::{Dimension, Layout};
use super::super::gather::Point;

/// The names of the levels of a layout.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names<'a>(&'a Layout);

impl<'a> Names<'a> {
    /// Creates the names of what is laid out.
    pub(super) const fn of(layout: &'a Layout) -> Self {
        Self(layout)
    }

    /// Returns the value of the axis: `5%`; nothing without one.
    pub(super) fn x(self, point: &Point) -> String {
        self.0
            .x
            .as_ref()
            .map_or_else(String::new, |dimension| dimension.levels[point.x].text.clone())
    }

    /// Returns the name of the curve: `udp`, `burst 4`.
    pub(super) fn by(self, point: &Point) -> Option<String> {
        self.0.by.as_ref().map(|dimension| named(dimension, point.by))
    }

    /// Returns the name of the small multiple: `delay 50ms`.
    pub(super) fn over(self, point: &Point) -> Option<String> {
        self.0.over.as_ref().map(|dimension| named(dimension, point.over))
    }

    /// Returns all of it: `loss 5%, udp, delay 50ms`.
    pub(super) fn whole(self, point: &Point) -> String {
        let x = self.0.x.as_ref().map(|dimension| named(dimension, point.x));
        [x, self.by(point), self.over(point)].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// Returns a level with the name of its parameter, unless it says itself what it is.
pub(super) fn named(dimension: &Dimension, place: usize) -> String {
    let text = &dimension.levels[place].text;
    if ["protocol", "virtual"].contains(&dimension.name) {
        text.clone()
    } else {
        format!("{} {text}", dimension.name)
    }
}

/// Lists the parameters in a sentence: `loss, protocol and delay`.
pub(super) fn dimensions(all: &[&Option<Dimension>]) -> String {
    let names: Vec<&str> =
        all.iter().filter_map(|dimension| Some(dimension.as_ref()?.name)).collect();
    match names.as_slice() {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
