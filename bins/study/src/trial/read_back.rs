//! A trial read back from its row.

use super::{Parameter, Trial};
use crate::rows::Row;
use jostle_common::setting::SettingError;
use jostle_engine::profile::ReadFile;
use serde_json::{Value, json};

impl Trial {
    /// Reads the trial that a row is of. A row always says loss and size, and so does the trial
    /// that was read. `read` finds profiles that are files.
    ///
    /// # Errors
    /// When a parameter of the row cannot have its value; the place is the parameter.
    ///
    /// ```
    /// use jostle_engine::profile::no_files;
    /// use jostle_study::{rows::Row, trial::Trial};
    ///
    /// let mut trial = Trial { seed: 7, ..Trial::default() };
    /// trial.set("loss", &"5%".into(), &no_files)?;
    /// let text = serde_json::to_string(&trial.row()).unwrap();
    /// let row: Row = serde_json::from_str(&text).unwrap();
    /// assert_eq!(Trial::of_row(&row, &no_files)?.row(), trial.row());
    /// # Ok::<(), jostle_common::setting::SettingError>(())
    /// ```
    pub fn of_row(row: &Row, read: ReadFile<'_>) -> Result<Self, SettingError> {
        let Row { repeat, seed, is_virtual, .. } = *row;
        let mut trial = Self { repeat, seed, is_virtual, ..Self::default() };
        for parameter in Parameter::all() {
            if let Some(value) = written(row, parameter.name()) {
                parameter.put(&mut trial, parameter.read_from_row(&value, read)?);
            }
        }
        Ok(trial)
    }
}

/// Returns a row's value of a parameter; `None` when it was left out.
fn written(row: &Row, name: &str) -> Option<Value> {
    match name {
        // Then the row names the programs.
        "protocol" if row.protocol == "commands" => None,
        "protocol" => Some(json!(row.protocol)),
        "loss" => Some(json!(row.loss.as_f64())),
        // No delay is no rule, and jitter without one is refused either way.
        "delay" => (!row.delay.0.is_zero()).then(|| json!(row.delay)),
        // The size is the file's own.
        "size" if row.more.contains_key("file") => None,
        name => row.more.get(name).filter(|value| !value.is_null()).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_engine::profile::no_files;

    fn trial(words: &str) -> Trial {
        let mut trial = Trial { seed: 7, repeat: 3, ..Trial::default() };
        for word in words.split_whitespace() {
            let (name, value) = word.split_once('=').unwrap();
            trial.set(name, &json!(value), &no_files).unwrap();
        }
        trial
    }

    /// Returns the row as another program reads it.
    fn read(row: &Row) -> Row {
        serde_json::from_str(&serde_json::to_string(row).unwrap()).unwrap()
    }

    #[test]
    fn a_row_reads_back_as_the_trial_that_made_it() {
        for words in [
            "protocol=tcp loss=5% delay=5ms corrupt=0.5% size=64KiB tcp=reno limit=50s",
            "protocol=udp loss=100% burst=1 pace=5Mbit/s file=jostle-tune.mp3",
            "protocol=saw loss=0% duplicate=100% timeout=fixed:50ms size=960613B",
            "protocol=ping loss=1% delay=20ms jitter=5ms up-loss=2% up-delay=1ms count=9 size=56B",
            "protocol=messages loss=2% down-rate=1Mbit/s down-queue=50packets tcp=raw size=64B",
            "protocol=ping loss=3% interval=5ms profile=coffee-shop-wifi size=100B",
            "client=c server=s check=t over=both loss=1% reorder=3%",
        ] {
            let trial = trial(words);
            let back = Trial::of_row(&read(&trial.row()), &no_files).unwrap();
            assert_eq!(back, trial, "{words}");
            assert_eq!(back.arguments(), trial.arguments(), "{words}");
        }
    }

    #[test]
    fn what_a_trial_leaves_out_its_row_says() {
        let trial = trial("protocol=saw");
        let back = Trial::of_row(&read(&trial.row()), &no_files).unwrap();
        assert_eq!(back.row(), trial.row());
        assert_eq!(
            back.arguments().join(" "),
            "--protocol saw --loss 0% --size 64KiB --repeat 3 --seed 7"
        );
    }

    #[test]
    fn a_row_that_names_nonsense_is_refused_by_its_place() {
        let mut row = trial("protocol=saw").row();
        row.more.insert("pace".to_owned(), json!("quick"));
        assert_eq!(Trial::of_row(&row, &no_files).unwrap_err().place, "pace");
        row.protocol = "quic".to_owned();
        assert_eq!(Trial::of_row(&row, &no_files).unwrap_err().place, "protocol");
    }
}
