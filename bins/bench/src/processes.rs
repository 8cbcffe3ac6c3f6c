//! What processes have taken so far, by `/proc`: processor time and memory, children included.

use anyhow::{Context, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// A relay's processes: those that were named and all that they have started and that still run.
#[derive(Clone, Debug)]
pub(crate) struct Processes {
    named: Vec<u32>,
}

impl Processes {
    /// Names them.
    pub(crate) fn new(named: &[u32]) -> Self {
        Self { named: named.to_vec() }
    }

    /// Returns the processor time that all their threads have taken.
    ///
    /// # Errors
    /// When a process that was named is gone, or the kernel keeps no such account.
    pub(crate) fn processor_time(&self) -> anyhow::Result<Duration> {
        let mut nanos = 0;
        for process in self.all()? {
            for task in tasks(process)? {
                let path = format!("/proc/{process}/task/{task}/schedstat");
                // A thread may end between the two; what it took is then missing, as it is of the
                // reading before.
                let Some(text) = there(fs::read_to_string(&path))? else { continue };
                nanos += schedstat_nanos(&text).with_context(|| format!("{path}: {text:?}"))?;
            }
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Returns the bytes of memory that are theirs alone, and their share of what others map too
    /// (PSS).
    ///
    /// # Errors
    /// When a process that was named is gone, or may not be looked at.
    pub(crate) fn memory_bytes(&self) -> anyhow::Result<u64> {
        let mut kib = 0;
        for process in self.all()? {
            let path = format!("/proc/{process}/smaps_rollup");
            let Some(text) = there(fs::read_to_string(&path))? else { continue };
            kib += smaps_kib(&text, "Pss").with_context(|| format!("{path} tells no PSS"))?;
        }
        Ok(kib * 1024)
    }

    fn all(&self) -> anyhow::Result<BTreeSet<u32>> {
        let mut all = BTreeSet::new();
        let mut next = self.named.clone();
        for process in &self.named {
            ensure!(Path::new(&format!("/proc/{process}")).exists(), "process {process} is gone");
        }
        while let Some(process) = next.pop() {
            if !all.insert(process) {
                continue;
            }
            for task in tasks(process)? {
                let path = format!("/proc/{process}/task/{task}/children");
                if let Some(text) = there(fs::read_to_string(path))? {
                    next.extend(text.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
                }
            }
        }
        Ok(all)
    }
}

/// The threads of a process; none if it is gone.
fn tasks(process: u32) -> io::Result<Vec<u32>> {
    let Some(entries) = there(fs::read_dir(format!("/proc/{process}/task")))? else {
        return Ok(Vec::new());
    };
    let mut tasks = Vec::new();
    for entry in entries {
        tasks.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    Ok(tasks)
}

/// `None` for what has ended meanwhile.
fn there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        // A thread that ends while its file is open: ESRCH.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Reads the first number of a schedstat: nanoseconds on a processor
/// (Documentation/scheduler/sched-stats.rst).
fn schedstat_nanos(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// Reads a line such as `Pss:    1234 kB`.
fn smaps_kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedstat_begins_with_nanoseconds() {
        assert_eq!(schedstat_nanos("188302921 1402339 517\n"), Some(188_302_921));
        assert_eq!(schedstat_nanos(""), None);
    }

    #[test]
    fn a_line_is_found_by_its_whole_name() {
        let text = "55d0-7fff ---p 00000000 00:00 0  [rollup]\nRss:  900 kB\nPss_Anon:  1 kB\n\
                    Pss:                 412 kB\n";
        assert_eq!(smaps_kib(text, "Pss"), Some(412));
        assert_eq!(smaps_kib(text, "Ps"), None);
        assert_eq!(smaps_kib(text, "Swap"), None);
    }

    #[test]
    fn this_process_takes_time_and_memory() {
        let processes = Processes::new(&[std::process::id()]);
        let before = processes.processor_time().unwrap();
        let mut sum = 0_u64;
        for number in 0..50_000_000_u64 {
            sum = std::hint::black_box(sum ^ number);
        }
        // The scheduler accounts at its ticks, of 10 ms at the most; so many steps take longer.
        assert!(processes.processor_time().unwrap() > before);
        assert!(processes.memory_bytes().unwrap() > 100 << 10);
        assert!(Processes::new(&[u32::MAX]).processor_time().is_err());
    }
}
