//! `dormouse completions SHELL`.

use std::io::{self, Write as _};

use clap::CommandFactory as _;
use clap_complete::{Generator as _, Shell};

use super::Failure;
use super::arguments::Arguments;

/// Writes the script that completes commands and flags.
pub(super) fn execute(shell: Shell) -> Result<(), Failure> {
    let mut command = Arguments::command();
    // The generators want a command that knows its whole name.
    command.set_bin_name("dormouse");
    command.build();
    let mut stdout = io::stdout().lock();
    shell.try_generate(&command, &mut stdout)?;
    stdout.flush()?;
    Ok(())
}
