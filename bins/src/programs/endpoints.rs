//! The two programs of clean endpoints: a subcommand for each kind, and one for completions.

/// Declares such a program: what its help says of it, its name, and the arguments of each kind.
macro_rules! endpoint_program {
    ($(#[$about:meta])* $name:literal, $($kind:ident($arguments:ty),)*) => {
        $(#[$about])*
        #[derive(clap::Parser)]
        #[command(name = $name, version, arg_required_else_help = true)]
        pub struct Arguments {
            #[command(subcommand)]
            kind: Kind,
        }

        #[derive(clap::Subcommand)]
        enum Kind {
            $($kind($arguments),)*
            /// Print the script that completes command lines, to be sourced by a shell
            Completions {
                /// The shell
                shell: clap_complete::Shell,
            },
        }

        /// Runs it.
        pub fn main() -> std::process::ExitCode {
            use jostle_console::{exit, logging, shell};
            shell::complete(<Arguments as clap::CommandFactory>::command);
            logging::start("warn");
            match exit::arguments::<Arguments>(2) {
                Ok(arguments) => exit::status($name, run(arguments.kind)),
                Err(status) => status,
            }
        }

        fn run(kind: Kind) -> anyhow::Result<bool> {
            match kind {
                $(Kind::$kind(arguments) => arguments.run(&jostle_console::signals::stop()?),)*
                Kind::Completions { shell } => {
                    let command = <Arguments as clap::CommandFactory>::command();
                    jostle_console::shell::completions(shell, &command)?;
                    Ok(true)
                }
            }
        }
    };
}

pub(super) use endpoint_program;
