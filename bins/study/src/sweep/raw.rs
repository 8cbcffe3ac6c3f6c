//! A sweep as people write it in a file.

use super::{Axis, Sweep};
use crate::trial::Parameter;
use jostle_common::setting::{SettingError, decode, parse_json, within};
use jostle_engine::profile::ReadFile;
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSweep {
    #[serde(default)]
    about: String,
    seed: Option<u64>,
    repeat: Option<u32>,
    #[serde(default, rename = "virtual")]
    is_virtual: bool,
    #[serde(default)]
    set: Map<String, Value>,
    #[serde(default)]
    vary: Value,
}

impl Sweep {
    /// Reads a sweep. `read` finds profiles that are files. [`Sweep::check`] tells whether its
    /// cells can be run.
    ///
    /// # Errors
    /// When the text is no JSON or says something impossible; the error names the place.
    pub fn from_json(text: &str, read: ReadFile<'_>) -> Result<Self, SettingError> {
        let raw: RawSweep = decode("", parse_json(text)?)?;
        let mut sweep = Self {
            about: raw.about,
            seed: raw.seed,
            repeat: raw.repeat.unwrap_or(1),
            ..Self::default()
        };
        sweep.base.is_virtual = raw.is_virtual;
        for (name, value) in &raw.set {
            sweep.base.set(name, value, read).map_err(|error| inside("set", error))?;
        }
        match &raw.vary {
            Value::Null => {}
            // Each parameter is an axis of its own: all combinations are run.
            Value::Object(crossed) => {
                for (name, values) in crossed {
                    let alone = Map::from_iter([(name.clone(), values.clone())]);
                    sweep.add("vary", &alone, &raw.set, read)?;
                }
            }
            // The parameters of one object go in pairs: together they are an axis.
            Value::Array(groups) => {
                for (place, group) in groups.iter().enumerate() {
                    let place = format!("vary[{place}]");
                    let Some(paired) = group.as_object() else {
                        return Err(SettingError::new(
                            place,
                            "here belongs an object; write { \"loss\": \"0..20%:1%\" }, say",
                        ));
                    };
                    sweep.add(&place, paired, &raw.set, read)?;
                }
            }
            _ => {
                let problem = "here belongs an object, or a list of objects whose values go in \
                               pairs; write { \"loss\": \"0..20%:1%\" }";
                return Err(SettingError::new("vary", problem));
            }
        }
        Ok(sweep)
    }

    fn add(
        &mut self,
        place: &str,
        object: &Map<String, Value>,
        set: &Map<String, Value>,
        read: ReadFile<'_>,
    ) -> Result<(), SettingError> {
        let axis = Axis::from_object(object, read).map_err(|error| inside(place, error))?;
        let name = axis.parameters().map(Parameter::name).find(|name| set.contains_key(*name));
        if let Some(name) = name {
            return Err(SettingError::new(
                within(place, name),
                "it is set too; leave it out of \"set\"",
            ));
        }
        let known = self.axes().len();
        self.vary(axis).map_err(|error| inside(place, error))?;
        if self.axes().len() == known {
            return Err(SettingError::new(
                place,
                "it varies what stands above again; write it once",
            ));
        }
        Ok(())
    }
}

fn inside(place: &str, error: SettingError) -> SettingError {
    SettingError::new(within(place, &error.place), error.problem)
}
