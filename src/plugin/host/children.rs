//! `children`: processes beyond a call, under `allow.exec`.

use rustix::process::Signal;

use crate::plugin::bindings::children::{self, ChildError, ChildStatus, Program};
use crate::plugin::bindings::process::Exit;
use crate::plugin::children as kept;
use crate::plugin::grants;
use crate::plugin::guest::Guest;
use crate::plugin::process::Command;
use crate::plugin::voice::Loudness;
use crate::text;

/// How many bytes a child may be given to read at once.
const LONGEST_INPUT: usize = 64 << 10;

/// How many bytes a name may have.
const LONGEST_NAME: usize = 64;

impl children::Host for Guest {
    async fn start(&mut self, name: String, program: Program) -> Result<u32, ChildError> {
        let worker = &self.worker;
        let denied = |denial| ChildError::Denied(worker.deny(&denial));
        grants::command(&worker.plugin, &program.program, &program.arguments).map_err(denied)?;
        for (variable, _) in &program.environment {
            grants::command_variable(variable).map_err(denied)?;
        }
        if !is_good_name(&name) {
            return Err(ChildError::Failed(format!(
                "`{}` can't be the name of a child: a name has 1 to 64 letters a-z, digits, `-`, `_` \
                 and `.`",
                text::line(&name, LONGEST_NAME)
            )));
        }
        let command = Command {
            program: program.program,
            arguments: program.arguments,
            environment: program.environment,
            stdin: None,
            timeout: None,
            output_limit: 0,
            log_bytes: worker.plugin.limits.log_bytes,
            label: name.clone(),
            plugin: worker.plugin.name.clone(),
            service: worker.service.name.clone(),
        };
        worker.children.start(command).await.map_err(|error| {
            if let kept::ChildError::TooMany(_) = &error {
                self.voice.say(Loudness::Warning, &format!("`{name}` was not started: {error}"));
            }
            error.into()
        })
    }

    async fn signal(
        &mut self,
        name: String,
        signal: children::ChildSignal,
    ) -> Result<(), ChildError> {
        Ok(self.worker.children.signal(&name, signal.into()).await?)
    }

    async fn write(&mut self, name: String, bytes: Vec<u8>) -> Result<(), ChildError> {
        if bytes.len() > LONGEST_INPUT {
            return Err(ChildError::Failed(format!(
                "these are more than {LONGEST_INPUT} bytes: write them in parts"
            )));
        }
        // It may take a little longer than the call, so that the guest hears of it.
        self.allowance.wait_for_command();
        Ok(self.worker.children.write(&name, &bytes, self.deadline).await?)
    }

    async fn status(&mut self, name: String) -> ChildStatus {
        match self.worker.children.status(&name).await {
            kept::Status::Unknown => ChildStatus::Unknown,
            kept::Status::Runs(pid) => ChildStatus::Running(pid),
            kept::Status::Ended(exit) => ChildStatus::Ended(exit.map(Exit::from)),
        }
    }
}

/// Names stand in logs.
fn is_good_name(name: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(letters)
}

impl From<kept::ChildError> for ChildError {
    fn from(error: kept::ChildError) -> Self {
        match error {
            kept::ChildError::Runs(pid) => ChildError::AlreadyRunning(pid),
            kept::ChildError::RunsNot => ChildError::NotRunning,
            kept::ChildError::TooMany(_)
            | kept::ChildError::Spawn(_)
            | kept::ChildError::Input(_)
            | kept::ChildError::Record { .. }
            | kept::ChildError::Shared(_) => ChildError::Failed(error.to_string()),
        }
    }
}

impl From<children::ChildSignal> for Signal {
    fn from(signal: children::ChildSignal) -> Self {
        match signal {
            children::ChildSignal::Terminate => Signal::TERM,
            children::ChildSignal::Kill => Signal::KILL,
            children::ChildSignal::Interrupt => Signal::INT,
            children::ChildSignal::Hangup => Signal::HUP,
            children::ChildSignal::Quit => Signal::QUIT,
            children::ChildSignal::User1 => Signal::USR1,
            children::ChildSignal::User2 => Signal::USR2,
        }
    }
}
