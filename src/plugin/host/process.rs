//! `process`: commands outside the sandbox, under `allow.exec`.

use std::time::Duration;

use tokio::time::Instant;

use crate::decide::CALL_VARIABLE;
use crate::plugin::bindings::process;
use crate::plugin::grants::{self, Denial};
use crate::plugin::guest::Guest;
use crate::plugin::process as runner;
use crate::text;

/// How many bytes a command may be given to read.
const LONGEST_STDIN: usize = 64 << 10;

/// How many bytes of a label are shown.
const LONGEST_LABEL: usize = 64;

impl process::Host for Guest {
    async fn run(
        &mut self,
        command: process::Command,
    ) -> Result<process::Output, process::ProcessError> {
        self.check(&command)
            .map_err(|denial| process::ProcessError::Denied(self.worker.deny(&denial)))?;
        if command.stdin.as_ref().is_some_and(|stdin| stdin.len() > LONGEST_STDIN) {
            return Err(process::ProcessError::Failed(format!(
                "its standard input is larger than {LONGEST_STDIN} bytes"
            )));
        }
        self.allowance.wait_for_command();
        let worker = &self.worker;
        if let Some(recorder) = &worker.recorder
            && let Some(played) = recorder.play(&command.program, &command.arguments)
        {
            return played.map(Into::into).map_err(process::ProcessError::Failed);
        }
        let timeout = self.time_for(command.timeout);
        if timeout.is_zero() {
            // It would be ended before it has begun. So a call can't go on from command to command
            // beyond its deadline.
            let exit = process::Exit::TimedOut;
            return Ok(process::Output { exit, stdout: Vec::new(), stderr: Vec::new() });
        }
        let mut environment = command.environment;
        if !self.mark.is_empty() {
            environment.push((CALL_VARIABLE.to_owned(), self.mark.clone()));
        }
        let command = runner::Command {
            program: command.program,
            arguments: command.arguments,
            environment,
            stdin: command.stdin,
            timeout: Some(timeout),
            output_limit: worker.plugin.limits.output,
            log_bytes: worker.plugin.limits.log_bytes,
            label: text::line(&command.label, LONGEST_LABEL),
            plugin: worker.plugin.name.clone(),
            service: worker.service.name.clone(),
        };
        match worker.runner.run_in(&self.scope, command).await {
            Ok(output) => Ok(output.into()),
            Err(error) => Err(process::ProcessError::Failed(error.to_string())),
        }
    }
}

impl Guest {
    fn check(&self, command: &process::Command) -> Result<(), Denial> {
        grants::command(&self.worker.plugin, &command.program, &command.arguments)?;
        command.environment.iter().try_for_each(|(name, _)| grants::command_variable(name))
    }

    /// How long a command may run: what the plugin asks for, but not beyond the call's deadline, so
    /// that the plugin learns that the time was up and can say so.
    fn time_for(&self, asked: Option<u64>) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        asked.map_or(left, |asked| left.min(Duration::from_millis(asked)))
    }
}

impl From<runner::Output> for process::Output {
    fn from(output: runner::Output) -> Self {
        process::Output { exit: output.exit.into(), stdout: output.stdout, stderr: output.stderr }
    }
}

impl From<runner::Exit> for process::Exit {
    fn from(exit: runner::Exit) -> Self {
        match exit {
            runner::Exit::Status(status) => process::Exit::Status(status),
            runner::Exit::Signal(signal) => process::Exit::Signal(signal),
            runner::Exit::TimedOut => process::Exit::TimedOut,
        }
    }
}
