//! Arguments to command to exit code; everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    jeton::cli::run()
}
