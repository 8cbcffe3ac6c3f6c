//! `jostle-load`: see `jostle_bench`.

use std::process::ExitCode;

fn main() -> ExitCode {
    jostle_bench::command::main()
}
