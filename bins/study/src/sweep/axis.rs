//! An axis of a sweep: one varied parameter, or several that go in pairs.

use super::range;
use crate::trial::{Parameter, Setting, Trial};
use jostle_common::setting::SettingError;
use jostle_engine::profile::ReadFile;
use serde_json::{Map, Value};

/// One varied parameter, or several whose values go in pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Each parameter with its values; all have as many.
    columns: Vec<(Parameter, Vec<Setting>)>,
}

impl Axis {
    /// Reads an axis of the command line: `loss=0..20%:1%`, or `loss=1%,5%; burst=1,3` in pairs.
    ///
    /// # Errors
    /// When a parameter or a value is wrong.
    pub fn parse(text: &str, read: ReadFile<'_>) -> Result<Self, SettingError> {
        let mut object = Map::new();
        for part in text.split(';') {
            let Some((name, values)) = part.split_once('=') else {
                let problem =
                    format!("\"{}\" names no values; write loss=0..20%:1%, say", part.trim());
                return Err(SettingError::new("vary", problem));
            };
            if object.insert(name.trim().to_owned(), values.trim().into()).is_some() {
                return Err(SettingError::new(name.trim(), "it is here twice; write it once"));
            }
        }
        Self::from_object(&object, read)
    }

    /// Creates an axis of one parameter with its values, of which there is at least one.
    ///
    /// # Panics
    /// When there is none.
    pub(crate) fn of(parameter: Parameter, values: Vec<Setting>) -> Self {
        assert!(!values.is_empty(), "an axis has a point");
        Self { columns: vec![(parameter, values)] }
    }

    /// Reads an axis of a file: parameters, and the values of each.
    pub(super) fn from_object(
        object: &Map<String, Value>,
        read: ReadFile<'_>,
    ) -> Result<Self, SettingError> {
        let mut columns = Vec::new();
        for (name, values) in object {
            let parameter = Parameter::named(name)?;
            columns.push((parameter, range::values(parameter, values, read)?));
        }
        let Some((first, values)) = columns.first() else {
            return Err(SettingError::new(
                "vary",
                "there is no parameter; write { \"loss\": \"0..20%:1%\" }, say",
            ));
        };
        if let Some((other, others)) =
            columns.iter().find(|(_, others)| others.len() != values.len())
        {
            let (name, count) = (first.name(), values.len());
            let problem = format!(
                "it has {} values and goes in pairs with {name}, which has {count}",
                others.len()
            );
            return Err(SettingError::new(other.name(), problem));
        }
        Ok(Self { columns })
    }

    /// Returns the parameters that it varies.
    pub fn parameters(&self) -> impl Iterator<Item = Parameter> + '_ {
        self.columns.iter().map(|(parameter, _)| *parameter)
    }

    /// Returns the values of a parameter that it varies, point by point; none if it does not.
    pub fn values(&self, parameter: Parameter) -> &[Setting] {
        let column = self.columns.iter().find(|(varied, _)| *varied == parameter);
        column.map_or(&[], |(_, values)| values)
    }

    /// Returns the number of its points.
    pub fn points(&self) -> u32 {
        self.columns[0].1.len() as u32
    }

    /// Returns true if its points have an order.
    pub fn is_ordered(&self) -> bool {
        self.columns[0].0.kind().is_ordered()
    }

    /// Sets a trial's parameters to a point.
    pub(super) fn put(&self, trial: &mut Trial, point: u32) {
        for (parameter, values) in &self.columns {
            parameter.put(trial, values[point as usize].clone());
        }
    }
}
