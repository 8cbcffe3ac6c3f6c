//! `--over tcp|udp`.

use clap::ValueEnum;

/// Which transport carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Over {
    /// Whole, however long it takes.
    Tcp,
    /// On time, with whatever is lost.
    Udp,
}

impl Over {
    /// `tcp` or `udp`, as in a URL.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}
