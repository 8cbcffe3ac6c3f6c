//! `jostle`: see `jostle_bins::programs::jostle`.

use std::process::ExitCode;

fn main() -> ExitCode {
    jostle_bins::programs::jostle::main()
}
