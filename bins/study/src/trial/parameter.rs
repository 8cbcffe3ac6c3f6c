//! The parameters of a trial by name: the options of the command line, the keys of sweep files and
//! of rows.

use super::{Commands, Job, Protocol, Setting, SettingKind, Trial};
use crate::weather::{OPTIONS, Way};
use jostle_common::setting::SettingError;
use jostle_common::units::{Probability, Span};
use jostle_engine::profile::ReadFile;
use serde_json::Value;

/// The part of a trial that a parameter sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ParameterTarget {
    Protocol,
    Client,
    Server,
    Upstream,
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
    target: ParameterTarget,
    name: &'static str,
}

/// The parameters in front of the weather, in the order of rows.
const BEFORE: [Parameter; 7] = [
    Parameter::new(ParameterTarget::Protocol, "protocol"),
    Parameter::new(ParameterTarget::Client, "client"),
    Parameter::new(ParameterTarget::Server, "server"),
    Parameter::new(ParameterTarget::Upstream, "upstream"),
    Parameter::new(ParameterTarget::Check, "check"),
    Parameter::new(ParameterTarget::Over, "over"),
    Parameter::new(ParameterTarget::Profile, "profile"),
];

/// The parameters behind the weather, in the order of rows.
const BEHIND: [Parameter; 8] = [
    Parameter::new(ParameterTarget::File, "file"),
    Parameter::new(ParameterTarget::Size, "size"),
    Parameter::new(ParameterTarget::Timeout, "timeout"),
    Parameter::new(ParameterTarget::Pace, "pace"),
    Parameter::new(ParameterTarget::Count, "count"),
    Parameter::new(ParameterTarget::Interval, "interval"),
    Parameter::new(ParameterTarget::Tcp, "tcp"),
    Parameter::new(ParameterTarget::Limit, "limit"),
];

/// Returns true for what holds in one direction, such as `up-loss`.
fn is_one_way(name: &str) -> bool {
    name.starts_with("up-") || name.starts_with("down-")
}

impl Parameter {
    const fn new(target: ParameterTarget, name: &'static str) -> Self {
        Self { target, name }
    }

    /// Returns all parameters, in the order of rows.
    pub fn all() -> impl Iterator<Item = Self> {
        let weather = Way::ALL.into_iter().flat_map(|way| {
            let options = OPTIONS.iter().enumerate();
            options.map(move |(place, option)| {
                Self::new(ParameterTarget::Weather(way, place), option.name(way))
            })
        });
        BEFORE.into_iter().chain(weather).chain(BEHIND)
    }

    /// Returns the parameter called `name`; `drop` is `loss`.
    ///
    /// # Errors
    /// When there is none; the error names those there are.
    pub fn named(name: &str) -> Result<Self, SettingError> {
        let plain = name.replacen("drop", "loss", 1);
        Self::all().find(|parameter| parameter.name == plain).ok_or_else(|| {
            let names: Vec<&str> =
                Self::all().map(Self::name).filter(|name| !is_one_way(name)).collect();
            let problem = format!(
                "there is no such parameter; write one of {} (or up-loss, down-loss …)",
                names.join(", ")
            );
            SettingError::new(name, problem)
        })
    }

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// Returns the kind of its values.
    pub const fn kind(self) -> SettingKind {
        match self.target {
            ParameterTarget::Protocol => SettingKind::Protocol,
            ParameterTarget::Client
            | ParameterTarget::Server
            | ParameterTarget::Upstream
            | ParameterTarget::Check
            | ParameterTarget::File => SettingKind::Text,
            ParameterTarget::Over => SettingKind::Transports,
            ParameterTarget::Profile => SettingKind::Profile,
            ParameterTarget::Weather(_, place) => OPTIONS[place].kind,
            ParameterTarget::Pace => SettingKind::Rate,
            ParameterTarget::Interval | ParameterTarget::Limit => SettingKind::Time,
            ParameterTarget::Size => SettingKind::Size,
            ParameterTarget::Timeout => SettingKind::Timing,
            ParameterTarget::Count => SettingKind::Count,
            ParameterTarget::Tcp => SettingKind::Tcp,
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
        if self.kind() != SettingKind::Share {
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
            ParameterTarget::Timeout => is(&[Protocol::Saw, Protocol::Ping, Protocol::Messages]),
            ParameterTarget::Pace => is(&[Protocol::Udp]),
            ParameterTarget::Count => is(&[Protocol::Ping, Protocol::Messages]),
            ParameterTarget::Interval => is(&[Protocol::Ping]),
            ParameterTarget::File => job.protocol().is_some_and(Protocol::carries_file),
            ParameterTarget::Size => job.protocol().is_some(),
            ParameterTarget::Tcp => job.transport().has_tcp(),
            _ => true,
        }
    }

    /// Returns its value in a trial; `None` when it is not set.
    pub fn of(self, trial: &Trial) -> Option<Setting> {
        let commands = match &trial.job {
            Job::Commands(commands) => Some(commands),
            Job::Protocol(_) => None,
        };
        let text = |text: &String| (!text.is_empty()).then(|| Setting::Text(text.clone()));
        match self.target {
            ParameterTarget::Protocol => trial.job.protocol().map(Setting::Protocol),
            ParameterTarget::Client => commands.and_then(|commands| text(&commands.client)),
            ParameterTarget::Server => commands.and_then(|commands| text(&commands.server)),
            ParameterTarget::Upstream => {
                commands.and_then(|commands| commands.upstream.clone()).map(Setting::Text)
            }
            ParameterTarget::Check => {
                commands.and_then(|commands| commands.check.clone()).map(Setting::Text)
            }
            ParameterTarget::Over => {
                commands.and_then(|commands| commands.over).map(Setting::Transports)
            }
            ParameterTarget::Profile => trial.profile.clone().map(Setting::Profile),
            ParameterTarget::Weather(way, place) => (OPTIONS[place].of)(trial.shorthands.way(way)),
            ParameterTarget::File => trial.file.clone().map(Setting::Text),
            ParameterTarget::Size => trial.size.map(Setting::Size),
            ParameterTarget::Timeout => trial.timeout.map(Setting::Timing),
            ParameterTarget::Pace => trial.pace.map(Setting::Rate),
            ParameterTarget::Count => trial.count.map(Setting::Count),
            ParameterTarget::Interval => trial.interval.map(Setting::Time),
            ParameterTarget::Tcp => trial.tcp.map(Setting::Tcp),
            ParameterTarget::Limit => trial.limit.map(Setting::Time),
        }
    }

    /// Returns the value that a trial takes when it is not set; `None` where that is nothing, or
    /// where the job has no use for it.
    pub(crate) fn default_of(self, trial: &Trial) -> Option<Setting> {
        if !self.is_of_use(&trial.job) {
            return None;
        }
        match self.target {
            ParameterTarget::Over => Some(Setting::Transports(trial.job.transport())),
            ParameterTarget::Timeout => Some(Setting::Timing(trial.timeout())),
            ParameterTarget::Pace => Some(Setting::Rate(trial.pace())),
            ParameterTarget::Count => Some(Setting::Count(trial.count())),
            ParameterTarget::Interval => Some(Setting::Time(Span(trial.interval()))),
            ParameterTarget::Tcp => Some(Setting::Tcp(trial.tcp())),
            ParameterTarget::Limit => Some(Setting::Time(Span(trial.limit()))),
            _ => None,
        }
    }

    /// Removes one of those that a job may have no use for from a trial.
    pub(super) fn remove(self, trial: &mut Trial) {
        match self.target {
            ParameterTarget::Timeout => trial.timeout = None,
            ParameterTarget::Pace => trial.pace = None,
            ParameterTarget::Count => trial.count = None,
            ParameterTarget::Interval => trial.interval = None,
            ParameterTarget::File => trial.file = None,
            ParameterTarget::Size => trial.size = None,
            ParameterTarget::Tcp => trial.tcp = None,
            other => unreachable!("every job has a use for {other:?}"),
        }
    }

    /// Sets it in a trial.
    ///
    /// # Panics
    /// When the value is not of [`Self::kind`]; what [`Self::read`] gives is.
    pub fn put(self, trial: &mut Trial, setting: Setting) {
        match (self.target, setting) {
            (ParameterTarget::Protocol, Setting::Protocol(protocol)) => {
                trial.job = Job::Protocol(protocol)
            }
            (ParameterTarget::Client, Setting::Text(text)) => trial.commands().client = text,
            (ParameterTarget::Server, Setting::Text(text)) => trial.commands().server = text,
            (ParameterTarget::Upstream, Setting::Text(text)) => {
                trial.commands().upstream = Some(text);
            }
            (ParameterTarget::Check, Setting::Text(text)) => trial.commands().check = Some(text),
            (ParameterTarget::Over, Setting::Transports(over)) => {
                trial.commands().over = Some(over)
            }
            (ParameterTarget::Profile, Setting::Profile(profile)) => trial.profile = Some(profile),
            (ParameterTarget::File, Setting::Text(file)) => trial.file = Some(file),
            (ParameterTarget::Size, Setting::Size(size)) => trial.size = Some(size),
            (ParameterTarget::Timeout, Setting::Timing(timing)) => trial.timeout = Some(timing),
            (ParameterTarget::Pace, Setting::Rate(rate)) => trial.pace = Some(rate),
            (ParameterTarget::Count, Setting::Count(count)) => trial.count = Some(count),
            (ParameterTarget::Interval, Setting::Time(time)) => trial.interval = Some(time),
            (ParameterTarget::Tcp, Setting::Tcp(tcp)) => trial.tcp = Some(tcp),
            (ParameterTarget::Limit, Setting::Time(time)) => trial.limit = Some(time),
            (ParameterTarget::Weather(way, place), setting) => {
                (OPTIONS[place].put)(trial.shorthands.way_mut(way), setting);
            }
            (target, setting) => panic!("{setting:?} is no value of {target:?}"),
        }
    }
}

impl Trial {
    /// Returns the programs; anyone's from now on.
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
