//! Lists of values as people write them: `0,1%,5..20%:5%`.

use crate::trial::{Parameter, Setting};
use jostle_common::setting::SettingError;
use jostle_common::units::{BitRate, ByteSize, Probability, Span};
use jostle_engine::profile::{BurstLength, Queue, ReadFile};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// More values of one parameter than this are surely a mistake.
const VALUES_MAX: usize = 100_000;
/// Shares and mean numbers are counted in these steps, so that 0.1 % thirty times is 3 %.
const STEPS_PER_ONE: f64 = 1e12;

/// Reads the values of `parameter`: a text such as `0..20%:1%` or `10ms,50ms`, or a list of values
/// and such texts.
///
/// # Errors
/// When one of them is none of its values, or a range makes no sense.
pub(super) fn values(
    parameter: Parameter,
    written: &Value,
    read: ReadFile<'_>,
) -> Result<Vec<Setting>, SettingError> {
    let mut values = Vec::new();
    match written {
        Value::Array(items) => {
            for item in items {
                values.extend(one_or_range(parameter, item, read)?);
            }
        }
        Value::String(text) => {
            for item in text.split(',') {
                values.extend(one_or_range(parameter, &item.trim().into(), read)?);
            }
        }
        other => values.extend(one_or_range(parameter, other, read)?),
    }
    let wrong = |problem: String| Err(SettingError::new(parameter.name(), problem));
    if values.is_empty() {
        return wrong("there is no value to vary over; write \"0,1%,5%\", say".to_owned());
    }
    if values.len() > VALUES_MAX {
        return wrong(format!("{} values are too many; write at most {VALUES_MAX}", values.len()));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) =
        values.iter().map(Setting::to_string).find(|value| !seen.insert(value.clone()))
    {
        return wrong(format!("{twice} is there twice; leave it out once"));
    }
    Ok(values)
}

fn one_or_range(
    parameter: Parameter,
    written: &Value,
    read: ReadFile<'_>,
) -> Result<Vec<Setting>, SettingError> {
    let range = written
        .as_str()
        .and_then(|text| text.split_once("..").map(|(first, rest)| (text, first, rest)));
    match range {
        // Where values have no order, two dots are part of a text, such as a path.
        Some((text, first, rest)) if parameter.kind().is_ordered() => {
            let wrong = |problem: &str| {
                SettingError::new(parameter.name(), format!("\"{text}\": {problem}"))
            };
            let (last, step) = rest
                .split_once(':')
                .ok_or_else(|| wrong("a range needs a step; write \"0..20%:1%\", say"))?;
            let bound = |text: &str| parameter.read(&text.trim().into(), read);
            let step = match step.trim().strip_prefix(['*', 'x']) {
                Some(factor) => Step::Times(
                    factor.trim().parse().map_err(|_| wrong("a factor is a number, such as *2"))?,
                ),
                None => Step::Plus(
                    steps(&bound(step)?)
                        .ok_or_else(|| wrong("a step has the unit of its range"))?
                        .0,
                ),
            };
            let (first, last) = (bound(first)?, bound(last)?);
            range_of(&first, &last, step).map_err(|problem| wrong(&problem))
        }
        _ => parameter.read(written, read).map(|setting| vec![setting]),
    }
}

#[derive(Clone, Copy)]
enum Step {
    Plus(u64),
    Times(f64),
}

/// Returns the values from `first` to `last`, both included when the steps meet it.
fn range_of(first: &Setting, last: &Setting, step: Step) -> Result<Vec<Setting>, String> {
    let both = steps(first).zip(steps(last)).filter(|((_, one), (_, other))| one == other);
    let Some(((start, unit), (end, _))) = both else {
        return Err("both ends of a range have the same kind of unit".to_owned());
    };
    if start > end {
        return Err(format!("it falls; write \"{last}..{first}\" with its step"));
    }
    match step {
        Step::Plus(0) => return Err("a step of 0 never ends; write a longer one".to_owned()),
        Step::Times(factor) if !(factor > 1.0 && factor.is_finite()) => {
            return Err("a factor is more than 1, such as *2".to_owned());
        }
        Step::Times(_) if start == 0 => {
            return Err("nothing times a factor is nothing; begin with more".to_owned());
        }
        _ => {}
    }
    // Whole steps add up exactly; floats might miss the last value.
    let mut found = Vec::new();
    let mut at = start;
    while at <= end {
        if found.len() == VALUES_MAX {
            return Err(format!("it has more than {VALUES_MAX} values; write a longer step"));
        }
        found.push(
            unit.setting(at).ok_or_else(|| "it begins where there are no values".to_owned())?,
        );
        let next = match step {
            Step::Plus(step) => at.checked_add(step),
            // Rounding may leave a small value as it was: then it never grows, and the range ends.
            Step::Times(factor) => {
                Some(libm::round(at as f64 * factor) as u64).filter(|next| *next > at)
            }
        };
        let Some(next) = next else { break };
        at = next;
    }
    Ok(found)
}

/// The unit of a number of steps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum StepUnit {
    Share,
    BurstPackets,
    BurstNanos,
    BitsPerSecond,
    Nanos,
    Bytes,
    Count,
    QueueNanos,
    QueueBytes,
    QueuePackets,
}

/// Returns a value as whole steps of its unit, which add up exactly; `None` for what has no order.
fn steps(setting: &Setting) -> Option<(u64, StepUnit)> {
    let fine = |value: f64| libm::round(value * STEPS_PER_ONE) as u64;
    let nanos = |time: &Duration| u64::try_from(time.as_nanos()).ok();
    Some(match setting {
        Setting::Share(share) => (fine(share.as_f64()), StepUnit::Share),
        Setting::Burst(BurstLength::Packets(packets)) if *packets >= 0.0 && *packets < 1e6 => {
            (fine(*packets), StepUnit::BurstPackets)
        }
        Setting::Burst(BurstLength::Time(time)) => (nanos(time)?, StepUnit::BurstNanos),
        Setting::Rate(rate) => (rate.bits_per_second(), StepUnit::BitsPerSecond),
        Setting::Time(Span(time)) => (nanos(time)?, StepUnit::Nanos),
        Setting::Size(size) => (size.bytes(), StepUnit::Bytes),
        Setting::Count(count) => (*count, StepUnit::Count),
        Setting::Queue(Queue::Time(time)) => (nanos(time)?, StepUnit::QueueNanos),
        Setting::Queue(Queue::Bytes(size)) => (size.bytes(), StepUnit::QueueBytes),
        Setting::Queue(Queue::Packets(packets)) => (*packets, StepUnit::QueuePackets),
        _ => return None,
    })
}

impl StepUnit {
    fn setting(self, steps: u64) -> Option<Setting> {
        let time = Duration::from_nanos(steps);
        Some(match self {
            Self::Share => Setting::Share(Probability::new(steps as f64 / STEPS_PER_ONE)?),
            Self::BurstPackets => {
                Setting::Burst(BurstLength::Packets(steps as f64 / STEPS_PER_ONE))
            }
            Self::BurstNanos => Setting::Burst(BurstLength::Time(time)),
            Self::BitsPerSecond => Setting::Rate(BitRate::new(steps)?),
            Self::Nanos => Setting::Time(Span(time)),
            Self::Bytes => Setting::Size(ByteSize::new(steps)),
            Self::Count => Setting::Count(steps),
            Self::QueueNanos => Setting::Queue(Queue::Time(time)),
            Self::QueueBytes => Setting::Queue(Queue::Bytes(ByteSize::new(steps))),
            Self::QueuePackets => Setting::Queue(Queue::Packets(steps)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_engine::profile::no_files;
    use serde_json::json;

    fn written(parameter: &str, value: Value) -> Result<Vec<String>, String> {
        let parameter = Parameter::named(parameter).unwrap();
        let values = values(parameter, &value, &no_files).map_err(|error| error.to_string())?;
        Ok(values.iter().map(Setting::to_string).collect())
    }

    #[test]
    fn ranges_are_exact_and_include_their_end() {
        let losses = written("loss", json!("0..20%:1%")).unwrap();
        assert_eq!((losses.len(), losses[3].as_str(), losses[20].as_str()), (21, "3%", "20%"));
        let tenths = written("loss", json!("0..10%:0.1%")).unwrap();
        assert_eq!(tenths.len(), 101);
        assert!(tenths.iter().all(|text| text.len() <= 4), "{tenths:?}");
        assert_eq!(written("delay", json!("10ms..1s:495ms")).unwrap(), ["10ms", "505ms", "1s"]);
        assert_eq!(
            written("burst", json!("1..2:0.25")).unwrap(),
            ["1", "1.25", "1.5", "1.75", "2"]
        );
        assert_eq!(
            written("count", json!("1..8:3")).unwrap(),
            ["1", "4", "7"],
            "the end is met or not"
        );
        assert_eq!(written("size", json!("1KiB..1MiB:*32")).unwrap(), ["1KiB", "32KiB", "1MiB"]);
        assert_eq!(written("queue", json!("10ms..30ms:10ms, 50 packets")).unwrap().len(), 4);
    }

    #[test]
    fn lists_mix_values_and_ranges() {
        assert_eq!(
            written("loss", json!("0, 0.5%, 5%..15%:5%")).unwrap(),
            ["0%", "0.5%", "5%", "10%", "15%"]
        );
        assert_eq!(
            written("loss", json!([0, 0.005, "5%..10%:5%"])).unwrap(),
            ["0%", "0.5%", "5%", "10%"]
        );
        assert_eq!(written("protocol", json!(["tcp", "saw"])).unwrap(), ["tcp", "saw"]);
        assert_eq!(written("count", json!(7)).unwrap(), ["7"]);
    }

    #[test]
    fn what_makes_no_range_is_refused_with_a_remedy() {
        for (parameter, value, remedy) in [
            ("loss", "0..20%", "needs a step"),
            ("loss", "20%..0:1%", "it falls"),
            ("loss", "0..20:1%", "write \"20%\""),
            ("loss", "0..20%:0", "never ends"),
            ("loss", "0..20%:*2", "begin with more"),
            ("loss", "1%..20%:*1", "more than 1"),
            ("loss", "1%..20%:*", "a factor is a number"),
            ("loss", "", "not a probability"),
            ("loss", "5%,5%", "there twice"),
            ("delay", "0..1s:1ns", "more than 100000"),
            ("queue", "1ms..64KiB:1ms", "same kind of unit"),
        ] {
            let error = written(parameter, json!(value)).unwrap_err();
            assert!(error.starts_with(parameter) && error.contains(remedy), "{value}: {error}");
        }
        assert!(written("loss", json!([])).unwrap_err().contains("no value to vary"));
    }
}
