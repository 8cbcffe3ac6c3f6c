//! The parameters of a trial by name: the options of the command line, the keys of sweep files and
//! of rows.

use super::{Commands, Job, Kind, Protocol, Setting, Trial};
use crate::weather::{OPTIONS, Way};
use jostle_common::setting::SettingError;
use jostle_common::units::{Probability, Span};
use jostle_engine::profile::ReadFile;
use serde_json::Value;

/// The part of a trial that a parameter sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Protocol,
    Client,
    Server,
    Check,
    Over,
    Profile,
    /// A shorthand of the weather, by its place in the table.
    Weather(Way, usize),
    File,
    Size,
    Timeout,
    Pace,
    Count,
    Interval,
    Tcp,
    Limit,
}

/// A parameter: its name, and what it sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Parameter {
    target: Target,
    name: &'static str,
}

/// The parameters in front of the weather, in the order of rows.
const BEFORE: [Parameter; 6] = [
    Parameter::new(Target::Protocol, "protocol"),
    Parameter::new(Target::Client, "client"),
    Parameter::new(Target::Server, "server"),
    Parameter::new(Target::Check, "check"),
    Parameter::new(Target::Over, "over"),
    Parameter::new(Target::Profile, "profile"),
];

/// The parameters behind the weather, in the order of rows.
const BEHIND: [Parameter; 8] = [
    Parameter::new(Target::File, "file"),
    Parameter::new(Target::Size, "size"),
    Parameter::new(Target::Timeout, "timeout"),
    Parameter::new(Target::Pace, "pace"),
    Parameter::new(Target::Count, "count"),
    Parameter::new(Target::Interval, "interval"),
    Parameter::new(Target::Tcp, "tcp"),
    Parameter::new(Target::Limit, "limit"),
];

impl Parameter {
    const fn new(target: Target, name: &'static str) -> Self {
        Self { target, name }
    }

    /// Returns all parameters, in the order of rows.
    pub fn all() -> impl Iterator<Item = Self> {
        let weather = Way::ALL.into_iter().flat_map(|way| {
            let options = OPTIONS.iter().enumerate();
            options.map(move |(place, option)| {
                Self::new(Target::Weather(way, place), option.name(way))
            })
        });
        BEFORE.into_iter().chain(weather).chain(BEHIND)
    }

    /// The parameter called `name`; `drop` is `loss`.
    ///
    /// # Errors
    /// When there is none; the error names those there are.
    pub fn named(name: &str) -> Result<Self, SettingError> {
        let plain = name.replacen("drop", "loss", 1);
        Self::all().find(|parameter| parameter.name == plain).ok_or_else(|| {
            let names: Vec<&str> =
                Self::all().map(Self::name).filter(|name| !name.contains('-')).collect();
            let problem = format!(
                "there is no such parameter; write one of {} (or up-loss, down-loss …)",
                names.join(", ")
            );
            SettingError::new(name, problem)
        })
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// Returns what values it has.
    pub const fn kind(self) -> Kind {
        match self.target {
            Target::Protocol => Kind::Protocol,
            Target::Client | Target::Server | Target::Check | Target::File => Kind::Text,
            Target::Over => Kind::Transports,
            Target::Profile => Kind::Profile,
            Target::Weather(_, place) => OPTIONS[place].kind,
            Target::Pace => Kind::Rate,
            Target::Interval | Target::Limit => Kind::Time,
            Target::Size => Kind::Size,
            Target::Timeout => Kind::Timing,
            Target::Count => Kind::Count,
            Target::Tcp => Kind::Tcp,
        }
    }

    /// Reads a value. `read` finds profiles that are files.
    ///
    /// # Errors
    /// When it cannot have that value.
    pub fn read(self, value: &Value, read: ReadFile<'_>) -> Result<Setting, SettingError> {
        self.kind().read(value, read).map_err(|problem| SettingError::new(self.name, problem))
    }

    /// Reads a value as rows have it: there a number without a unit is a fraction even when it is
    /// all of it. `read` finds profiles that are files.
    ///
    /// # Errors
    /// When it cannot have that value.
    pub fn read_from_row(self, value: &Value, read: ReadFile<'_>) -> Result<Setting, SettingError> {
        if self.kind() != Kind::Share {
            return self.read(value, read);
        }
        let Some(fraction) = value.as_f64() else { return self.read(value, read) };
        let share = Probability::new(fraction).map(Setting::Share);
        let problem = || format!("{value} is no share; write 0 to 1");
        share.ok_or_else(|| SettingError::new(self.name, problem()))
    }

    /// Returns true if a job does anything with it.
    pub(super) fn is_of_use(self, job: &Job) -> bool {
        let is =
            |protocols: &[Protocol]| job.protocol().is_some_and(|own| protocols.contains(&own));
        match self.target {
            Target::Timeout => is(&[Protocol::Saw, Protocol::Ping, Protocol::Messages]),
            Target::Pace => is(&[Protocol::Udp]),
            Target::Count => is(&[Protocol::Ping, Protocol::Messages]),
            Target::Interval => is(&[Protocol::Ping]),
            Target::File => job.protocol().is_some_and(Protocol::carries_file),
            Target::Size => job.protocol().is_some(),
            Target::Tcp => job.transport().has_tcp(),
            _ => true,
        }
    }

    /// Returns what it is in a trial; `None` when it is not set.
    pub fn of(self, trial: &Trial) -> Option<Setting> {
        let commands = match &trial.job {
            Job::Commands(commands) => Some(commands),
            Job::Protocol(_) => None,
        };
        let text = |text: &String| (!text.is_empty()).then(|| Setting::Text(text.clone()));
        match self.target {
            Target::Protocol => trial.job.protocol().map(Setting::Protocol),
            Target::Client => commands.and_then(|commands| text(&commands.client)),
            Target::Server => commands.and_then(|commands| text(&commands.server)),
            Target::Check => {
                commands.and_then(|commands| commands.check.clone()).map(Setting::Text)
            }
            Target::Over => commands.and_then(|commands| commands.over).map(Setting::Transports),
            Target::Profile => trial.profile.clone().map(Setting::Profile),
            Target::Weather(way, place) => (OPTIONS[place].of)(trial.shorthands.way(way)),
            Target::File => trial.file.clone().map(Setting::Text),
            Target::Size => trial.size.map(Setting::Size),
            Target::Timeout => trial.timeout.map(Setting::Timing),
            Target::Pace => trial.pace.map(Setting::Rate),
            Target::Count => trial.count.map(Setting::Count),
            Target::Interval => trial.interval.map(Setting::Time),
            Target::Tcp => trial.tcp.map(Setting::Tcp),
            Target::Limit => trial.limit.map(Setting::Time),
        }
    }

    /// Returns what a trial takes when it is not set; `None` where that is nothing, or where the
    /// job has no use for it.
    pub(crate) fn default_of(self, trial: &Trial) -> Option<Setting> {
        if !self.is_of_use(&trial.job) {
            return None;
        }
        match self.target {
            Target::Over => Some(Setting::Transports(trial.job.transport())),
            Target::Timeout => Some(Setting::Timing(trial.timeout())),
            Target::Pace => Some(Setting::Rate(trial.pace())),
            Target::Count => Some(Setting::Count(trial.count())),
            Target::Interval => Some(Setting::Time(Span(trial.interval()))),
            Target::Tcp => Some(Setting::Tcp(trial.tcp())),
            Target::Limit => Some(Setting::Time(Span(trial.limit()))),
            _ => None,
        }
    }

    /// Removes one of those that a job may have no use for from a trial.
    pub(super) fn remove(self, trial: &mut Trial) {
        match self.target {
            Target::Timeout => trial.timeout = None,
            Target::Pace => trial.pace = None,
            Target::Count => trial.count = None,
            Target::Interval => trial.interval = None,
            Target::File => trial.file = None,
            Target::Size => trial.size = None,
            Target::Tcp => trial.tcp = None,
            other => unreachable!("every job has a use for {other:?}"),
        }
    }

    /// Sets it in a trial.
    ///
    /// # Panics
    /// When the value is not of [`Self::kind`]; what [`Self::read`] gives is.
    pub fn put(self, trial: &mut Trial, setting: Setting) {
        match (self.target, setting) {
            (Target::Protocol, Setting::Protocol(protocol)) => trial.job = Job::Protocol(protocol),
            (Target::Client, Setting::Text(text)) => trial.commands().client = text,
            (Target::Server, Setting::Text(text)) => trial.commands().server = text,
            (Target::Check, Setting::Text(text)) => trial.commands().check = Some(text),
            (Target::Over, Setting::Transports(over)) => trial.commands().over = Some(over),
            (Target::Profile, Setting::Profile(profile)) => trial.profile = Some(profile),
            (Target::File, Setting::Text(file)) => trial.file = Some(file),
            (Target::Size, Setting::Size(size)) => trial.size = Some(size),
            (Target::Timeout, Setting::Timing(timing)) => trial.timeout = Some(timing),
            (Target::Pace, Setting::Rate(rate)) => trial.pace = Some(rate),
            (Target::Count, Setting::Count(count)) => trial.count = Some(count),
            (Target::Interval, Setting::Time(time)) => trial.interval = Some(time),
            (Target::Tcp, Setting::Tcp(tcp)) => trial.tcp = Some(tcp),
            (Target::Limit, Setting::Time(time)) => trial.limit = Some(time),
            (Target::Weather(way, place), setting) => {
                (OPTIONS[place].put)(trial.shorthands.way_mut(way), setting);
            }
            (target, setting) => panic!("{setting:?} is no value of {target:?}"),
        }
    }
}

impl Trial {
    /// The programs; anyone's from now on.
    fn commands(&mut self) -> &mut Commands {
        if let Job::Protocol(_) = self.job {
            self.job = Job::Commands(Commands::default());
        }
        match &mut self.job {
            Job::Commands(commands) => commands,
            Job::Protocol(_) => unreachable!("the job was replaced just now"),
        }
    }
}
