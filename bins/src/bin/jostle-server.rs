//! `jostle-server`: see `jostle_bins::programs::server`.

use std::process::ExitCode;

fn main() -> ExitCode {
    jostle_bins::programs::server::main()
}
