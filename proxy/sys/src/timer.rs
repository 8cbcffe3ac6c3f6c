//! A timer that wakes the event loop to the nanosecond, where mio's own timeout rounds up to the
//! next millisecond.

#[cfg(target_os = "linux")]
mod with_timerfd {
    use mio::unix::SourceFd;
    use mio::{Interest, Registry, Token};
    use rustix::fd::{AsRawFd, OwnedFd};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use std::io;
    use std::time::Duration;

    /// A timerfd in the event loop.
    #[derive(Debug)]
    pub struct Timer {
        fd: OwnedFd,
    }

    impl Timer {
        /// Makes a timer that reports with `token`.
        pub fn new(registry: &Registry, token: Token) -> io::Result<Self> {
            let fd = timerfd_create(
                TimerfdClockId::Monotonic,
                TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
            )?;
            registry.register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE)?;
            Ok(Self { fd })
        }

        /// Goes off once after `wait`. It is edge-triggered and need not be read.
        pub fn arm(&self, wait: Duration) -> io::Result<()> {
            // All zeros would disarm it.
            let wait = wait.max(Duration::from_nanos(1));
            let it_value = Timespec {
                tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: wait.subsec_nanos() as _,
            };
            let spec = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
            timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &spec)?;
            Ok(())
        }
    }
}

#[cfg(target_os = "linux")]
pub use with_timerfd::Timer;

#[cfg(not(target_os = "linux"))]
mod without {
    use std::io;
    use std::time::Duration;

    /// No timer on this system: the loop waits with mio's timeout.
    #[derive(Debug)]
    pub enum Timer {}

    impl Timer {
        /// Always refuses.
        pub fn new(_: &mio::Registry, _: mio::Token) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        /// Never called: there is no value.
        pub fn arm(&self, _: Duration) -> io::Result<()> {
            match *self {}
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub use without::Timer;
