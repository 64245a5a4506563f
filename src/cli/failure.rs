//! What a command ends with when it does not end well, and how that is told: once, here.

use std::io;
use std::process::ExitCode;

use crate::config::{self, Faults, Severity};
use crate::telemetry::{say, stderr_has_colour};
use crate::text::printable;

/// The exit status of wrong usage.
const WRONG_USAGE: u8 = 2;

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// The arguments make no sense; or they ask for help, which is no failure.
    Usage(Box<clap::Error>),
    /// A flag has a value that it can't have.
    BadFlags(Faults),
    /// The config has faults.
    BadConfig(Faults),
    /// Something else, or several things. Never empty.
    Complaints(Vec<Complaint>),
    /// What failed has been told on stdout, as the command's result.
    Told,
    /// Stdout can't be written.
    Output(io::Error),
}

/// One thing that is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    what: String,
    remedy: Option<String>,
}

impl Complaint {
    /// A complaint that something is wrong.
    pub fn new(what: impl Into<String>) -> Complaint {
        Complaint { what: what.into(), remedy: None }
    }

    /// With what to do about it.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Complaint {
        self.remedy = Some(remedy.into());
        self
    }
}

impl From<Complaint> for Failure {
    fn from(complaint: Complaint) -> Failure {
        Failure::Complaints(vec![complaint])
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Output(error)
    }
}

impl Failure {
    /// Tells of it, and gives the exit status.
    pub(super) fn report(self) -> ExitCode {
        let colour = stderr_has_colour();
        match self {
            Failure::Usage(error) => {
                // Help goes to stdout. Where it can't be written there is nobody to tell.
                let _ = error.print();
                u8::try_from(error.exit_code()).unwrap_or(WRONG_USAGE).into()
            }
            Failure::BadFlags(faults) => {
                say(&faults.render(colour));
                WRONG_USAGE.into()
            }
            Failure::BadConfig(faults) => {
                say(&faults.render(colour));
                ExitCode::FAILURE
            }
            Failure::Complaints(complaints) => {
                tell(Severity::Error, &complaints);
                ExitCode::FAILURE
            }
            Failure::Told => ExitCode::FAILURE,
            // A reader that has read enough, such as `head`.
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                ExitCode::SUCCESS
            }
            Failure::Output(error) => {
                let complaint = Complaint::new(format!("stdout can't be written: {error}"));
                tell(Severity::Error, &[complaint]);
                ExitCode::FAILURE
            }
        }
    }
}

/// Writes complaints to stderr, in the form that faults of a config have.
pub(super) fn tell(severity: Severity, complaints: &[Complaint]) {
    let colour = stderr_has_colour();
    let told: Vec<_> = complaints
        .iter()
        .map(|complaint| {
            let remedy = complaint.remedy.as_deref().map(clean);
            config::message(severity, &clean(&complaint.what), remedy.as_deref(), colour)
        })
        .collect();
    say(&told.join("\n\n"));
}

/// Text without control characters, apart from line breaks.
fn clean(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(printable).collect();
    lines.join("\n")
}
