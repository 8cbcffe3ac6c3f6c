//! The parameters of a trial by name: the options of the command line, the keys of sweep files and
//! of rows.

use super::{Commands, Job, Kind, Protocol, Setting, Trial};
use jostle_common::setting::SettingError;
use jostle_common::units::Span;
use jostle_engine::profile::{ReadFile, Shorthand};
use serde_json::Value;

/// Where a shorthand acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Both,
    Up,
    Down,
}

/// What a parameter sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Protocol,
    Client,
    Server,
    Check,
    Over,
    Profile,
    Drop(Way),
    Burst(Way),
    Duplicate(Way),
    Corrupt(Way),
    Rate(Way),
    Queue(Way),
    Delay(Way),
    Jitter(Way),
    Reorder(Way),
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

macro_rules! parameters {
    ($($target:ident $(($way:ident))? = $name:literal),* $(,)?) => {
        /// All parameters, in the order of rows.
        const ALL: &[Parameter] = &[$(Parameter { target: Target::$target $((Way::$way))?, name: $name }),*];
    };
}

parameters! {
    Protocol = "protocol", Client = "client", Server = "server", Check = "check", Over = "over", Profile = "profile",
    Drop(Both) = "loss", Burst(Both) = "burst", Duplicate(Both) = "duplicate", Corrupt(Both) = "corrupt", Rate(Both) = "rate",
    Queue(Both) = "queue", Delay(Both) = "delay", Jitter(Both) = "jitter", Reorder(Both) = "reorder",
    Drop(Up) = "up-loss", Burst(Up) = "up-burst", Duplicate(Up) = "up-duplicate", Corrupt(Up) = "up-corrupt", Rate(Up) = "up-rate",
    Queue(Up) = "up-queue", Delay(Up) = "up-delay", Jitter(Up) = "up-jitter", Reorder(Up) = "up-reorder",
    Drop(Down) = "down-loss", Burst(Down) = "down-burst", Duplicate(Down) = "down-duplicate", Corrupt(Down) = "down-corrupt",
    Rate(Down) = "down-rate", Queue(Down) = "down-queue", Delay(Down) = "down-delay", Jitter(Down) = "down-jitter",
    Reorder(Down) = "down-reorder",
    File = "file", Size = "size", Timeout = "timeout", Pace = "pace", Count = "count", Interval = "interval", Tcp = "tcp",
    Limit = "limit",
}

impl Parameter {
    /// All parameters, in the order of rows.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.iter().copied()
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

    /// What values it has.
    pub const fn kind(self) -> Kind {
        match self.target {
            Target::Protocol => Kind::Protocol,
            Target::Client | Target::Server | Target::Check | Target::File => Kind::Text,
            Target::Over => Kind::Transports,
            Target::Profile => Kind::Profile,
            Target::Drop(_) | Target::Duplicate(_) | Target::Corrupt(_) | Target::Reorder(_) => {
                Kind::Share
            }
            Target::Burst(_) => Kind::Number,
            Target::Rate(_) | Target::Pace => Kind::Rate,
            Target::Queue(_) => Kind::Queue,
            Target::Delay(_) | Target::Jitter(_) | Target::Interval | Target::Limit => Kind::Time,
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

    /// Whether a job does anything with it.
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

    /// What it is in a trial; `None` when it is not set.
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
            Target::Drop(way) => trial.weather_of(way).drop.map(Setting::Share),
            Target::Burst(way) => trial.weather_of(way).burst.map(Setting::Number),
            Target::Duplicate(way) => trial.weather_of(way).duplicate.map(Setting::Share),
            Target::Corrupt(way) => trial.weather_of(way).corrupt.map(Setting::Share),
            Target::Rate(way) => trial.weather_of(way).rate.map(Setting::Rate),
            Target::Queue(way) => trial.weather_of(way).queue.map(Setting::Queue),
            Target::Delay(way) => trial.weather_of(way).delay.map(Setting::Time),
            Target::Jitter(way) => trial.weather_of(way).jitter.map(Setting::Time),
            Target::Reorder(way) => trial.weather_of(way).reorder.map(Setting::Share),
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
            (target, setting) => put_weather(trial, target, setting),
        }
    }
}

fn put_weather(trial: &mut Trial, target: Target, setting: Setting) {
    match (target, setting) {
        (Target::Drop(way), Setting::Share(share)) => trial.weather_mut(way).drop = Some(share),
        (Target::Burst(way), Setting::Number(length)) => {
            trial.weather_mut(way).burst = Some(length)
        }
        (Target::Duplicate(way), Setting::Share(share)) => {
            trial.weather_mut(way).duplicate = Some(share)
        }
        (Target::Corrupt(way), Setting::Share(share)) => {
            trial.weather_mut(way).corrupt = Some(share)
        }
        (Target::Rate(way), Setting::Rate(rate)) => trial.weather_mut(way).rate = Some(rate),
        (Target::Queue(way), Setting::Queue(queue)) => trial.weather_mut(way).queue = Some(queue),
        (Target::Delay(way), Setting::Time(time)) => trial.weather_mut(way).delay = Some(time),
        (Target::Jitter(way), Setting::Time(Span(time))) => {
            trial.weather_mut(way).jitter = Some(Span(time))
        }
        (Target::Reorder(way), Setting::Share(share)) => {
            trial.weather_mut(way).reorder = Some(share)
        }
        (target, setting) => panic!("{setting:?} is no value of {target:?}"),
    }
}

impl Trial {
    const fn weather_of(&self, way: Way) -> &Shorthand {
        match way {
            Way::Both => &self.both,
            Way::Up => &self.up,
            Way::Down => &self.down,
        }
    }

    const fn weather_mut(&mut self, way: Way) -> &mut Shorthand {
        match way {
            Way::Both => &mut self.both,
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }

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
