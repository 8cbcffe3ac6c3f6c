//! The plan that a command line asks for: the sweep and the part of it that is run here, checked
//! before the first cell.

use super::options::SweepArgs;
use crate::profiles::ProfileFiles;
use crate::sweep::{Axis, Shard, Sweep, SweepCell};
use crate::trial::{Job, Parameter, Setting, Trial};
use jostle_common::setting::SettingError;
use jostle_console::exit::Usage;
use jostle_console::files;
use std::path::PathBuf;

/// A sweep, and the part of it that is run here.
#[derive(Clone, Debug)]
pub(super) struct SweepPlan {
    pub(super) sweep: Sweep,
    pub(super) part: Part,
    /// `None` when it is left to the output, or to chance.
    pub(super) seed: Option<u64>,
}

/// The part of a sweep that is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Shard(Shard),
    /// The cell of this index.
    SweepCell(u64),
}

impl Part {
    pub(super) fn is_whole(self) -> bool {
        self == Self::Shard(Shard::WHOLE)
    }

    fn has(self, index: u64) -> bool {
        match self {
            Self::Shard(shard) => shard.has(index),
            Self::SweepCell(own) => own == index,
        }
    }

    const fn share_of(self, cells: u64) -> u64 {
        match self {
            Self::Shard(shard) => shard.share_of(cells),
            Self::SweepCell(_) => 1,
        }
    }
}

impl SweepPlan {
    /// Reads and checks what the arguments ask for.
    ///
    /// # Errors
    /// Wrong usage, and files that cannot be read.
    pub(super) fn new(args: &SweepArgs) -> anyhow::Result<Self> {
        let mut sweep = read_file(args)?;
        // One current directory for all: cells on real sockets are processes that read the same
        // names.
        let files = ProfileFiles::new(PathBuf::new());
        let read = |name: &str| files.read(name);
        let settings = args.options.settings(&read).map_err(|error| files.judge("--", &error))?;
        let axes = axes(args, &read).map_err(|error| files.judge("--vary ", &error))?;
        if let Some((parameter, _)) =
            settings.iter().find(|(parameter, _)| varies(&axes, *parameter))
        {
            let name = parameter.name();
            return Err(Usage::error(format!(
                "--{name}: it is varied too; write --{name} or --vary {name}=…"
            )));
        }
        for (parameter, setting) in settings {
            sweep.put(parameter, setting);
        }
        for axis in axes {
            sweep.vary(axis).map_err(|error| Usage::error(format!("--vary {error}")))?;
        }
        sweep.repeat = args.repeat.unwrap_or(sweep.repeat);
        sweep.base.is_virtual |= args.is_virtual;
        check(&sweep, args)?;
        let part = part(args, &sweep)?;
        let seed = args.seed.or(sweep.seed);
        if seed.is_none() && !part.is_whole() {
            return Err(Usage::error(
                "--seed: a part of a sweep needs the seed that the other parts have; write --seed \
                 7, say",
            ));
        }
        Ok(Self { sweep, part, seed })
    }

    /// Returns the cells that are run here, in their order.
    pub(super) fn cells(&self) -> impl Iterator<Item = SweepCell> + Send + use<> {
        let part = self.part;
        let count = usize::try_from(self.count()).unwrap_or(usize::MAX);
        self.sweep.order().filter(move |cell| part.has(cell.index)).take(count)
    }

    /// Returns their number.
    pub(super) fn count(&self) -> u64 {
        self.part.share_of(self.sweep.cells())
    }

    /// Returns the trials that are run in them.
    pub(super) fn trials(&self, seed: u64) -> impl Iterator<Item = Trial> + Send + use<> {
        let sweep = self.sweep.clone();
        self.cells().map(move |cell| sweep.trial(&cell, seed))
    }

    /// Returns the files that cells of the sweep carry.
    pub(super) fn files(&self) -> Vec<String> {
        let varied = self.values("file").map(ToString::to_string);
        varied.chain(self.sweep.base.file.clone()).collect()
    }

    /// Returns the most bytes that a cell carries which carries no file.
    pub(super) fn size_max(&self) -> u64 {
        let varied = self.values("size").filter_map(|setting| match setting {
            Setting::Size(size) => Some(size.bytes()),
            _ => None,
        });
        // What a protocol carries unless told otherwise is less for some than for others.
        let usual = Trial { size: self.sweep.base.size, ..Trial::default() }.size().bytes();
        varied.fold(usual, u64::max)
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &Setting> {
        let parameter = Parameter::named(name).expect("it is a parameter of trials");
        self.sweep.axes().iter().flat_map(move |axis| axis.values(parameter))
    }
}

fn read_file(args: &SweepArgs) -> anyhow::Result<Sweep> {
    let Some(path) = &args.sweep else { return Ok(Sweep::default()) };
    let text = files::read_text(path)
        .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", path.display()))?;
    let files = ProfileFiles::new(PathBuf::new());
    let sweep = Sweep::from_json(&text, &|name| files.read(name));
    sweep.map_err(|error| files.judge(&format!("{}: ", path.display()), &error))
}

fn axes(
    args: &SweepArgs,
    read: &dyn Fn(&str) -> Result<String, String>,
) -> Result<Vec<Axis>, SettingError> {
    let mut axes: Vec<Axis> = Vec::new();
    for text in &args.vary {
        let axis = Axis::parse(text, read).map_err(|error| match error.place.as_str() {
            "vary" => SettingError::new("", error.problem),
            _ => error,
        })?;
        if let Some(twice) = axis.parameters().find(|parameter| varies(&axes, *parameter)) {
            return Err(SettingError::new(twice.name(), "it is varied twice; vary it once"));
        }
        axes.push(axis);
    }
    Ok(axes)
}

fn varies(axes: &[Axis], parameter: Parameter) -> bool {
    axes.iter().any(|axis| axis.parameters().any(|varied| varied == parameter))
}

fn check(sweep: &Sweep, args: &SweepArgs) -> anyhow::Result<()> {
    let protocol = Parameter::named("protocol").expect("trials have a protocol");
    if matches!(sweep.base.job, Job::Commands(_)) && varies(sweep.axes(), protocol) {
        return Err(Usage::error(
            "protocol: it is varied, and the programs are given; leave out one of them",
        ));
    }
    sweep.check().map_err(|error| {
        let place =
            args.sweep.as_ref().map_or_else(String::new, |path| format!("{}: ", path.display()));
        Usage::error(format!("{place}{error}"))
    })
}

fn part(args: &SweepArgs, sweep: &Sweep) -> anyhow::Result<Part> {
    let cells = sweep.cells();
    match args.index {
        None => Ok(Part::Shard(args.shard.unwrap_or(Shard::WHOLE))),
        Some(index) if index < cells => Ok(Part::SweepCell(index)),
        Some(index) => Err(Usage::error(format!(
            "--index: there is no cell {index}; the {cells} cells are numbered from 0 to {}",
            cells - 1
        ))),
    }
}
