//! Short turns on a processor that other programs want as well: who asks for them has less to wait
//! for each, and gets no more time in all.

use std::io;
use std::time::Duration;

/// The turn that is asked for, the least that Linux gives.
const SLICE: Duration = Duration::from_micros(100);

/// Asks for short turns of the calling thread, and of those that it starts from then on. So Linux
/// lets it run when it is woken and another program is in the midst of a longer turn of its own (of
/// some milliseconds, up to the next tick), unless it has had more than its share.
///
/// # Errors
/// When the system refuses. Linux takes the wish and forgets it before 6.12.
pub fn ask_for_short_slices() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return with_libc::ask(SLICE);
    #[cfg(not(target_os = "linux"))]
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the attributes of scheduling have no safe wrapper")]
mod with_libc {
    use std::time::Duration;
    use std::{io, mem};

    pub(super) fn ask(slice: Duration) -> io::Result<()> {
        let mut attributes = attributes()?;
        // To others `sched_runtime` means something else.
        if !matches!(attributes.sched_policy as i32, libc::SCHED_OTHER | libc::SCHED_BATCH) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        attributes.sched_runtime = slice.as_nanos() as u64;
        // SAFETY: the pointer is a valid reference's for the duration of the call, to a structure
        // that says its own size; 0 is the calling thread.
        let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Returns those of the calling thread.
    pub(super) fn attributes() -> io::Result<libc::sched_attr> {
        // SAFETY: a plain C struct of integers, for which zero is a value.
        let mut attributes: libc::sched_attr = unsafe { mem::zeroed() };
        let size = size_of_val(&attributes);
        // SAFETY: the pointer is a valid mutable reference's for the duration of the call, and the
        // kernel writes no more than the size that it is told.
        let result =
            unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
        if result == 0 { Ok(attributes) } else { Err(io::Error::last_os_error()) }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_niceness_and_has_short_turns() {
        let told = std::thread::spawn(|| {
            let before = with_libc::attributes().expect("the system tells");
            ask_for_short_slices().expect("an ordinary thread may");
            (before, with_libc::attributes().expect("the system tells"))
        });
        let (before, after) = told.join().expect("it does not panic");
        assert_eq!(
            (after.sched_policy, after.sched_nice, after.sched_flags),
            (before.sched_policy, before.sched_nice, before.sched_flags)
        );
        // Kernels before 6.12 tell of none.
        let runtime = after.sched_runtime;
        assert!([0, SLICE.as_nanos() as u64].contains(&runtime), "{runtime}");
    }
}
