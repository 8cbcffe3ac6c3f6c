//! The order in which the cells of a sweep run: the whole range coarsely, then the points between.
//!
//! Within a repeat an ordered axis contributes its ends first, then its middle, then its quarters;
//! the cells whose points all belong to a level run before those of the next. So a sweep that is
//! looked at after a tenth of its time shows the whole curve, with fewer points. An axis without
//! order, such as the protocol, takes part whole from the beginning, as its values are to be
//! compared.

/// The points of one axis, by the order in which they are wanted, and how many belong to each
/// level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ranks {
    points: Vec<u32>,
    /// The number of those that belong to the levels so far.
    levels: Vec<u32>,
}

impl Ranks {
    /// Creates an axis of so many points.
    pub(super) fn new(points: u32, is_ordered: bool) -> Self {
        if !is_ordered || points <= 2 {
            return Self { points: (0..points).collect(), levels: vec![points] };
        }
        let last = points - 1;
        let mut seen = vec![false; points as usize];
        let mut order = vec![0, last];
        (seen[0], seen[last as usize]) = (true, true);
        let mut levels = vec![2];
        let mut parts = 2u64;
        // Each level adds the middles between the points of the level before.
        while order.len() < points as usize {
            for part in (1..parts).step_by(2) {
                let point = (u64::from(last) * part / parts) as usize;
                if !std::mem::replace(&mut seen[point], true) {
                    order.push(point as u32);
                }
            }
            parts *= 2;
            levels.push(order.len() as u32);
        }
        Self { points: order, levels }
    }

    /// Returns the number of points that take part at a level.
    fn at(&self, level: usize) -> u32 {
        self.levels[level.min(self.levels.len() - 1)]
    }
}

/// The combinations of all axes in the order in which they run: for each the point of every axis.
#[derive(Clone, Debug)]
pub(super) struct Combinations {
    axes: Vec<Ranks>,
    level: usize,
    /// The rank of each axis's point; the last axis is the fastest. `None` before the first of a
    /// level.
    ranks: Option<Vec<u32>>,
}

impl Combinations {
    pub(super) const fn new(axes: Vec<Ranks>) -> Self {
        Self { axes, level: 0, ranks: None }
    }

    /// Steps to the next combination of this level's points.
    fn advance(&mut self) -> bool {
        let Some(ranks) = &mut self.ranks else {
            self.ranks = Some(vec![0; self.axes.len()]);
            return true;
        };
        for (rank, axis) in ranks.iter_mut().zip(&self.axes).rev() {
            *rank += 1;
            if *rank < axis.at(self.level) {
                return true;
            }
            *rank = 0;
        }
        false
    }

    /// Returns true if the combination was part of an earlier level.
    fn is_old(&self, ranks: &[u32]) -> bool {
        self.level > 0
            && ranks.iter().zip(&self.axes).all(|(rank, axis)| *rank < axis.at(self.level - 1))
    }
}

impl Iterator for Combinations {
    type Item = Vec<u32>;

    fn next(&mut self) -> Option<Vec<u32>> {
        loop {
            // Everything of this level has run: each axis is refined.
            if !self.advance() {
                self.level += 1;
                self.ranks = None;
                if self.axes.iter().all(|axis| self.level >= axis.levels.len()) {
                    return None;
                }
                continue;
            }
            let ranks = self.ranks.as_ref()?;
            // The points of coarser levels are among those of this one, and have run.
            if !self.is_old(ranks) {
                return Some(
                    ranks
                        .iter()
                        .zip(&self.axes)
                        .map(|(rank, axis)| axis.points[*rank as usize])
                        .collect(),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_ordered_axis_shows_its_ends_then_its_middle() {
        assert_eq!(
            Ranks::new(9, true),
            Ranks { points: vec![0, 8, 4, 2, 6, 1, 3, 5, 7], levels: vec![2, 3, 5, 9] }
        );
        assert_eq!(Ranks::new(3, false).points, [0, 1, 2]);
        assert_eq!(Ranks::new(1, true).levels, [1]);
    }

    #[test]
    fn two_axes_are_refined_together() {
        let axes = vec![Ranks::new(2, false), Ranks::new(5, true), Ranks::new(3, true)];
        let all: Vec<Vec<u32>> = Combinations::new(axes).collect();
        assert_eq!(all.len(), 30);
        let corners: Vec<_> = all[..8].iter().map(|point| (point[1], point[2])).collect();
        assert_eq!(corners, [(0, 0), (0, 2), (4, 0), (4, 2), (0, 0), (0, 2), (4, 0), (4, 2)]);
        assert!(all[8..18].iter().all(|point| point[1] == 2 || point[2] == 1), "{:?}", &all[8..18]);
    }

    #[test]
    fn a_sweep_without_axes_has_one_combination() {
        assert_eq!(Combinations::new(Vec::new()).collect::<Vec<_>>(), [Vec::<u32>::new()]);
    }

    proptest! {
        #[test]
        fn every_combination_comes_once(
            lengths in prop::collection::vec((1u32..9, any::<bool>()), 0..4),
        ) {
            let axis = |(length, ordered): &(u32, bool)| Ranks::new(*length, *ordered);
            let axes: Vec<Ranks> = lengths.iter().map(axis).collect();
            let mut all: Vec<Vec<u32>> = Combinations::new(axes).collect();
            let count = all.len();
            all.sort();
            all.dedup();
            let product = lengths.iter().map(|(length, _)| *length as usize).product();
            prop_assert_eq!((all.len(), count), (count, product));
        }
    }
}
