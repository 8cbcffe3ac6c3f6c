//! `jostle-client`: see `jostle_bins::programs::client`.

use std::process::ExitCode;

fn main() -> ExitCode {
    jostle_bins::programs::client::main()
}
