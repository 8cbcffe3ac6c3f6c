//! The shorthands that make a profile without a file: `--drop 5% --delay 20ms`, for both directions
//! or for one.
//!
//! One table names all of them. The options of every command, the parameters of a trial, the
//! keys of sweep files and those of rows come from it.

use crate::trial::setting::{Setting, SettingKind};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use jostle_common::setting::SettingError;
use jostle_engine::profile::{Profile, Shorthand, no_files};
use jostle_engine::rules::Match;

/// The directions in which a shorthand acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    Both,
    Up,
    Down,
}

impl Way {
    /// All of them, in the order of rows.
    pub(crate) const ALL: [Self; 3] = [Self::Both, Self::Up, Self::Down];

    const fn heading(self) -> &'static str {
        match self {
            Self::Both => "Weather (one way: --up-drop 5%, --down-delay 20ms; --help)",
            Self::Up => "Weather from client to server, instead",
            Self::Down => "Weather from server to client, instead",
        }
    }
}

/// One of the shorthands.
pub(crate) struct WeatherOption {
    /// The parameter of each [`Way`]: `loss`, `up-loss`, `down-loss`.
    names: [&'static str; 3],
    /// What other tools call it, in each [`Way`].
    aliases: &'static [[&'static str; 3]],
    /// The kind of its values.
    pub(crate) kind: SettingKind,
    value_name: &'static str,
    help: &'static str,
    /// Returns its value, if it is set.
    pub(crate) of: fn(&Shorthand) -> Option<Setting>,
    /// Sets its value, which must be of `kind`.
    pub(crate) put: fn(&mut Shorthand, Setting),
}

macro_rules! weather_options {
    ($($name:literal [$($alias:literal),*]: $field:ident, $kind:ident, $value_name:literal,
        $help:literal;)*) => {
        /// All shorthands, in the order of rows.
        pub(crate) const OPTIONS: &[WeatherOption] = &[$(WeatherOption {
            names: [$name, concat!("up-", $name), concat!("down-", $name)],
            aliases: &[$([$alias, concat!("up-", $alias), concat!("down-", $alias)]),*],
            kind: SettingKind::$kind,
            value_name: $value_name,
            help: $help,
            of: |shorthand| shorthand.$field.map(Setting::$kind),
            put: |shorthand, setting| match setting {
                Setting::$kind(value) => shorthand.$field = Some(value),
                other => panic!("{other:?} is no value of {}", $name),
            },
        }),*];
    };
}

weather_options! {
    "loss" []: drop, Share, "SHARE", "Lose this share of the packets: 5%";
    "burst" []: burst, Burst, "LENGTH",
        "Lose them in bursts of this mean length, in packets or in time: 3 or 200ms";
    "mark" []: mark, Share, "SHARE",
        "Set CE in this share of the packets, and lose those that are Not-ECT";
    "duplicate" ["dup"]: duplicate, Share, "SHARE", "Copy this share of the packets";
    "corrupt" ["tamper"]: corrupt, Share, "SHARE", "Flip a bit in this share of the packets";
    "rate" ["bandwidth", "throttle"]: rate, Rate, "RATE", "Let no more through than this: 10Mbit/s";
    "queue" []: queue, Queue, "BOUND",
        "Let so much wait in front of the rate: 200ms, 64KiB or \"50 packets\"";
    "delay" ["latency", "lag"]: delay, Time, "TIME", "Hold each packet for so long, one way: 20ms";
    "jitter" []: jitter, Time, "TIME", "Spread the delay by so much, up and down: 5ms";
    "shape" []: shape, Shape, "SHAPE",
        "Distribute the jitter so: uniform, normal, pareto or paretonormal";
    "jitter-memory" []: jitter_memory, Time, "TIME",
        "Let delays resemble those of so short a time before, by a half-life: 50ms";
    "allow-reorder" []: allow_reorder, Flag, "BOOL",
        "Let jitter reorder packets, which keep their order otherwise";
    "reorder" ["ood"]: reorder, Share, "SHARE",
        "Let this share of the packets be overtaken by the next";
    "stall" []: stall, Size, "BYTES", "Discard what a TCP stream has after so many bytes: 64KiB";
    "reset" []: reset, Time, "TIME", "Reset each TCP connection so long after its first data: 0s";
}

/// The options of the loss are called as its rule is.
const DROP: [&str; 3] = ["drop", "up-drop", "down-drop"];

impl WeatherOption {
    /// Returns the name of the parameter: `loss`, `up-loss`.
    pub(crate) const fn name(&self, way: Way) -> &'static str {
        self.names[way as usize]
    }

    /// Returns the option of the command line: `drop`, of which `loss` is another name.
    fn argument(&self, way: Way) -> Arg {
        let (name, kind) = (self.name(way), self.kind);
        let read = move |text: &str| kind.read(&text.into(), &no_files);
        let argument = Arg::new(name)
            .long(name)
            .value_name(self.value_name)
            .help(self.help)
            .help_heading(way.heading())
            // Three times as many options would hide the rest; the heading names them.
            .hide_short_help(way != Way::Both)
            .aliases(self.aliases.iter().map(|names| names[way as usize]))
            // A minus sign is answered by the reader of the value, which knows what to write.
            .allow_hyphen_values(true)
            .value_parser(read);
        let argument = match kind {
            // A word behind it is none of its own.
            SettingKind::Flag => {
                argument.num_args(0..=1).require_equals(true).default_missing_value("true")
            }
            _ => argument,
        };
        if name.ends_with("loss") {
            return argument.long(DROP[way as usize]).visible_alias(name);
        }
        argument
    }
}

/// All shorthands of a command line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Weather {
    /// The conditions asked for in both directions.
    pub(crate) both: Shorthand,
    /// The conditions asked for from client to server, instead.
    pub(crate) up: Shorthand,
    /// The conditions asked for from server to client, instead.
    pub(crate) down: Shorthand,
}

impl Weather {
    /// Returns the conditions asked for in one way.
    pub(crate) const fn way_mut(&mut self, way: Way) -> &mut Shorthand {
        match way {
            Way::Both => &mut self.both,
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }

    /// Returns the conditions asked for in one way.
    pub(crate) const fn way(&self, way: Way) -> &Shorthand {
        match way {
            Way::Both => &self.both,
            Way::Up => &self.up,
            Way::Down => &self.down,
        }
    }

    /// Puts the shorthands in front of a profile.
    ///
    /// # Errors
    /// When a shorthand asks for something impossible; the place is the option.
    pub fn in_front_of(self, profile: Profile) -> Result<Profile, SettingError> {
        let (up, down) = (self.both.overridden_by(self.up), self.both.overridden_by(self.down));
        profile.with_shorthands(up, down)
    }
}

/// The shorthands of a command line, and what they look at alone: `--only client=127.0.0.2`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChosenWeather {
    /// The shorthands.
    pub weather: Weather,
    /// The pairs of `--only`, `--up-only` and `--down-only`.
    only: [Vec<String>; 3],
}

/// The names of the options that choose, by [`Way`].
const ONLY: [&str; 3] = ["only", "up-only", "down-only"];

impl ChosenWeather {
    /// Puts the shorthands in front of a profile.
    ///
    /// # Errors
    /// When a shorthand or a choice asks for something impossible, or there is no shorthand that a
    /// choice could be for; the place is the option.
    pub fn in_front_of(&self, profile: Profile) -> Result<Profile, SettingError> {
        let Weather { both, up, down } = self.weather;
        let shorthands = [both.overridden_by(up), both.overridden_by(down)];
        let is_idle = |shorthand: &Shorthand| *shorthand == Shorthand::default();
        let choice = |way: Way, shorthands: &[Shorthand]| {
            let (name, pairs) = (format!("--{}", ONLY[way as usize]), &self.only[way as usize]);
            if pairs.is_empty() {
                return Ok(None);
            }
            if shorthands.iter().all(is_idle) {
                let problem = "it says what the shorthands look at, and there is none; add --drop \
                               5%, say, or write \"match\" into the profile";
                return Err(SettingError::new(name, problem));
            }
            Match::from_pairs(&name, pairs).map(Some)
        };
        let both = choice(Way::Both, &shorthands)?;
        let [up, down] = shorthands;
        let of_up = choice(Way::Up, &[up])?.or_else(|| both.clone());
        let of_down = choice(Way::Down, &[down])?.or(both);
        profile.with_chosen_shorthands([(up, of_up), (down, of_down)])
    }
}

impl Args for ChosenWeather {
    fn augment_args(command: Command) -> Command {
        let only = |way: Way| {
            let help = "Let them look at this alone: client=127.0.0.2, target=*.example.org, \
                        flow=3, age=2s.. (several: all must hold)";
            Arg::new(ONLY[way as usize])
                .long(ONLY[way as usize])
                .value_name("KEY=VALUE")
                .help(help)
                .help_heading(way.heading())
                .hide_short_help(way != Way::Both)
                .action(ArgAction::Append)
        };
        let command = Weather::augment_args(command);
        command.args(Way::ALL.map(only))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ChosenWeather {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut chosen = Self::default();
        chosen.update_from_arg_matches(matches)?;
        Ok(chosen)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.weather.update_from_arg_matches(matches)?;
        for (own, name) in self.only.iter_mut().zip(ONLY) {
            own.extend(matches.get_many::<String>(name).into_iter().flatten().cloned());
        }
        Ok(())
    }
}

/// Adds the options of the shorthands that `has` is true of.
pub(crate) fn with_arguments(
    command: Command,
    has: impl Fn(Way, &WeatherOption) -> bool,
) -> Command {
    let all = Way::ALL.into_iter().flat_map(|way| OPTIONS.iter().map(move |one| (way, one)));
    command.args(all.filter(|(way, one)| has(*way, one)).map(|(way, one)| one.argument(way)))
}

impl Args for Weather {
    fn augment_args(command: Command) -> Command {
        with_arguments(command, |_, _| true)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Weather {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut weather = Self::default();
        weather.update_from_arg_matches(matches)?;
        Ok(weather)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for way in Way::ALL {
            for option in OPTIONS {
                // A command may have left one out.
                if let Ok(Some(setting)) = matches.try_get_one::<Setting>(option.name(way)) {
                    (option.put)(self.way_mut(way), setting.clone());
                }
            }
        }
        Ok(())
    }
}
