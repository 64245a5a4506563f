//! What a hook finds in its environment, beside what Dormouse has itself.

use crate::bindings::dormouse::plugin::types::{Cause, Client, Milliseconds, Phase, Service};

/// The variables for one run of a hook.
pub(crate) struct Environment(Vec<(String, String)>);

impl Environment {
    /// What every hook is told.
    pub(crate) fn of(service: &Service) -> Self {
        Self(Vec::new())
            .with("DORMOUSE_SERVICE", &service.name)
            .with("DORMOUSE_TARGET_HOST", &service.target_host)
            .with("DORMOUSE_TARGET_PORT", service.target_port.to_string())
    }

    /// Who asked for a start or a stop.
    pub(crate) fn cause(self, cause: &Cause) -> Self {
        match cause {
            Cause::Client(client) => {
                self.with("DORMOUSE_CAUSE", "client").with("DORMOUSE_CLIENT", &client.address)
            }
            Cause::Operator => self.with("DORMOUSE_CAUSE", "operator"),
            Cause::Cooldown => self.with("DORMOUSE_CAUSE", "cooldown"),
            Cause::Exit => self.with("DORMOUSE_CAUSE", "exit"),
            Cause::FailedStart => self.with("DORMOUSE_CAUSE", "failed-start"),
        }
    }

    /// How often readiness has been asked for in this start, this time included.
    pub(crate) fn attempt(self, attempt: u32) -> Self {
        self.with("DORMOUSE_ATTEMPT", attempt.to_string())
    }

    /// The client that a gate judges, and what the service believes of its target meanwhile.
    pub(crate) fn client_at_gate(self, client: &Client, phase: Phase) -> Self {
        let phase = match phase {
            Phase::Asleep => "asleep",
            Phase::Starting => "starting",
            Phase::Awake => "awake",
            Phase::Stopping => "stopping",
        };
        self.with("DORMOUSE_CAUSE", "client")
            .with("DORMOUSE_CLIENT", &client.address)
            .with("DORMOUSE_PHASE", phase)
    }

    /// How long the target has been without clients, in whole seconds.
    pub(crate) fn idle_for(self, idle_for: Milliseconds) -> Self {
        self.with("DORMOUSE_CAUSE", "cooldown")
            .with("DORMOUSE_IDLE_SECONDS", (idle_for / 1000).to_string())
    }

    pub(crate) fn into_variables(self) -> Vec<(String, String)> {
        self.0
    }

    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.push((name.to_owned(), value.into()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> Service {
        Service { name: "web".into(), target_host: "10.0.0.7".into(), target_port: 80 }
    }

    fn client() -> Client {
        Client { address: "[::1]:4711".into(), listener: "[::]:80".into() }
    }

    fn shown(environment: Environment) -> Vec<String> {
        environment.0.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    const OF_SERVICE: [&str; 3] =
        ["DORMOUSE_SERVICE=web", "DORMOUSE_TARGET_HOST=10.0.0.7", "DORMOUSE_TARGET_PORT=80"];

    fn assert_has(environment: Environment, more: &[&str]) {
        assert_eq!(shown(environment), [&OF_SERVICE, more].concat());
    }

    #[test]
    fn start_and_stop_are_told_who_asked() {
        for (cause, more) in [
            (Cause::Client(client()), &["DORMOUSE_CAUSE=client", "DORMOUSE_CLIENT=[::1]:4711"][..]),
            (Cause::Operator, &["DORMOUSE_CAUSE=operator"]),
            (Cause::Cooldown, &["DORMOUSE_CAUSE=cooldown"]),
            (Cause::Exit, &["DORMOUSE_CAUSE=exit"]),
            (Cause::FailedStart, &["DORMOUSE_CAUSE=failed-start"]),
        ] {
            assert_has(Environment::of(&service()).cause(&cause), more);
        }
    }

    #[test]
    fn ready_is_told_which_attempt_it_is() {
        assert_has(Environment::of(&service()).attempt(3), &["DORMOUSE_ATTEMPT=3"]);
    }

    #[test]
    fn should_wake_is_told_who_comes_and_when() {
        for (phase, word) in [
            (Phase::Asleep, "asleep"),
            (Phase::Starting, "starting"),
            (Phase::Awake, "awake"),
            (Phase::Stopping, "stopping"),
        ] {
            let environment = Environment::of(&service()).client_at_gate(&client(), phase);
            let phase = format!("DORMOUSE_PHASE={word}");
            assert_has(
                environment,
                &["DORMOUSE_CAUSE=client", "DORMOUSE_CLIENT=[::1]:4711", &phase],
            );
        }
    }

    #[test]
    fn should_sleep_is_told_for_how_long_nobody_was_there() {
        let environment = Environment::of(&service()).idle_for(61_999);
        assert_has(environment, &["DORMOUSE_CAUSE=cooldown", "DORMOUSE_IDLE_SECONDS=61"]);
    }
}
