//! The program: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(hive::cli::main(std::env::args_os().collect()))
}
