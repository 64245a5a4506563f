//! The command `dormouse`: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    dormouse::cli::main()
}
