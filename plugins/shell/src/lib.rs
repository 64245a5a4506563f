//! The default plugin: decisions by shell hooks.
//!
//! Its settings name a command for each decision. To make one, the command is run through Dormouse's
//! `process` interface, and its exit status is the answer: 0 is done, ready, wake or sleep; any
//! other is a failure, not yet, refuse or stay awake. `README.md` has it from the side of those who
//! write hooks.
//!
//! ```text
//! settings ──▶ Hook ──▶ process.run ──▶ answer
//!               ▲
//!          environment
//! ```
//!
//! Everything but the call of `process.run` is pure, and tested natively.

mod answer;
mod bindings;
mod environment;
mod hook;
mod settings;
mod text;

use bindings::dormouse::plugin::settings as host_settings;
use bindings::dormouse::plugin::types::{
    Cause, Client, Failure, FailureKind, Milliseconds, Phase, Service,
};
use bindings::exports::dormouse::plugin::gate::{self, Reply};
use bindings::exports::dormouse::plugin::idleness::{self, IdlenessAnswer};
use bindings::exports::dormouse::plugin::lifecycle;
use bindings::exports::dormouse::plugin::readiness::{self, ReadinessAnswer};
use environment::Environment;
use hook::Name;
use settings::Settings;

/// The component.
struct Shell;

impl lifecycle::Guest for Shell {
    fn start(service: Service, cause: Cause) -> Result<(), Failure> {
        let hook = settings()?.hook(Name::Start)?;
        let output = hook.run(Environment::of(&service).cause(&cause), None)?;
        answer::done(&hook, &output)
    }

    fn stop(service: Service, cause: Cause) -> Result<(), Failure> {
        let hook = settings()?.hook(Name::Stop)?;
        let output = hook.run(Environment::of(&service).cause(&cause), None)?;
        answer::done(&hook, &output)
    }
}

impl readiness::Guest for Shell {
    fn ready(service: Service, attempt: u32) -> Result<ReadinessAnswer, Failure> {
        let hook = settings()?.hook(Name::Ready)?;
        let output = hook.run(Environment::of(&service).attempt(attempt), None)?;
        answer::readiness(&hook, &output)
    }
}

impl gate::Guest for Shell {
    fn should_wake(
        service: Service,
        client: Client,
        phase: Phase,
        data: Vec<u8>,
    ) -> Result<Reply, Failure> {
        let hook = settings()?.hook(Name::ShouldWake)?;
        let environment = Environment::of(&service).client_at_gate(&client, phase);
        let output = hook.run(environment, Some(data))?;
        let verdict = answer::verdict(&hook, &output)?;
        Ok(Reply { send: Vec::new(), consumed: 0, verdict })
    }
}

impl idleness::Guest for Shell {
    fn should_sleep(service: Service, idle_for: Milliseconds) -> Result<IdlenessAnswer, Failure> {
        let hook = settings()?.hook(Name::ShouldSleep)?;
        let output = hook.run(Environment::of(&service).idle_for(idle_for), None)?;
        answer::idleness(&hook, &output)
    }
}

fn settings() -> Result<Settings, Failure> {
    Settings::parse(&host_settings::get())
        .map_err(|message| Failure { kind: FailureKind::WrongSettings, message })
}
