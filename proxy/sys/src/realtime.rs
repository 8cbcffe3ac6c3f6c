//! Precedence over ordinary programs: a thread that runs when it has something to do, in memory that
//! is not paged out.

use std::io;

/// The priority that is asked for, of 1 to 99: above all ordinary threads, and below those that
/// drive hardware, which Linux gives 50.
pub const PRIORITY: i32 = 20;

/// What was asked for, each with the reason why it was refused.
#[derive(Debug)]
pub struct Realtime {
    /// The calling thread runs before all ordinary ones (`SCHED_FIFO`).
    pub scheduled: io::Result<()>,
    /// What the process has in memory stays there (`mlockall`).
    pub locked: io::Result<()>,
}

/// Asks for precedence of the calling thread, not of those that it starts, and for the memory of the
/// process to stay in place. What the system refuses is done without.
pub fn take_precedence() -> Realtime {
    #[cfg(target_os = "linux")]
    return Realtime { scheduled: with_libc::schedule(PRIORITY), locked: with_libc::lock() };
    #[cfg(not(target_os = "linux"))]
    {
        let refuse = || Err(io::ErrorKind::Unsupported.into());
        Realtime { scheduled: refuse(), locked: refuse() }
    }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "scheduling and locking have no safe wrapper")]
mod with_libc {
    use rustix::process::{Resource, getrlimit};
    use std::{io, mem};

    /// The capability to lock any amount of memory (capabilities(7), CAP_IPC_LOCK).
    const IPC_LOCK: u32 = 14;

    pub(super) fn schedule(priority: i32) -> io::Result<()> {
        // SAFETY: a plain C struct of integers, for which zero is a value.
        let mut parameters: libc::sched_param = unsafe { mem::zeroed() };
        parameters.sched_priority = priority;
        let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
        // SAFETY: the pointer is a valid reference's for the duration of the call; 0 is the calling
        // thread.
        let result = unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    pub(super) fn lock() -> io::Result<()> {
        // Under a limit the first allocation beyond it would fail, and end the process.
        if getrlimit(Resource::Memlock).current.is_some() && !may_lock_any() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        // What is never touched needs no memory.
        let all = libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT;
        // SAFETY: it takes flags alone and changes no memory.
        let result = unsafe { libc::mlockall(all) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    fn may_lock_any() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        let effective = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
        effective.is_some_and(|set| set >> IPC_LOCK & 1 == 1)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// A thread of its own, which takes what it was given with it; locked memory stays until the
    /// tests end.
    #[test]
    fn it_is_given_or_refused_with_a_reason() {
        let asked = std::thread::spawn(take_precedence).join().expect("it does not panic");
        for result in [asked.scheduled, asked.locked] {
            if let Err(error) = result {
                assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
            }
        }
    }
}
