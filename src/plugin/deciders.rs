//! The port of [`decide`](crate::decide), answered by plugins: a type for each decision.

use std::time::Duration;

use wasmtime::Store;

use crate::decide::{
    Answer, CallContext, Cause, Client, Conversation, Failure, Gate, Idleness, Judge, Leftover,
    Lifecycle, Phase, Readiness, Reply, SleepVerdict, Verdict,
};

use super::answers;
use super::bindings::{gate, types};
use super::blame::{Call, DeadlineKey};
use super::call::{Caller, Question, functions};
use super::guest::Guest;
use super::journal;

/// A plugin that starts and stops the target.
pub(super) struct PluginLifecycle {
    pub(super) caller: Caller,
}

/// Which of the two functions of a lifecycle.
#[derive(Clone, Copy)]
enum Order {
    Start,
    Stop,
}

impl PluginLifecycle {
    async fn carry_out(
        &self,
        order: Order,
        cause: Cause,
        deadline: Duration,
        context: CallContext,
    ) -> Result<(), Failure> {
        let question = match order {
            Order::Start => {
                Question { function: "start", deadline, deadline_key: DeadlineKey::Start }
            }
            Order::Stop => Question { function: "stop", deadline, deadline_key: DeadlineKey::Stop },
        };
        let cause = types::Cause::from(cause);
        let call = |caller: Caller| async move {
            let loaded = caller.current.loaded();
            let mut store = caller.store(&loaded);
            let begun = caller.begin(&mut store, question, context);
            let answer = async {
                let functions = functions(&loaded.lifecycle)?;
                let instance = loaded.pre.instantiate_async(&mut store).await?;
                let guest = functions.load(&mut store, &instance)?;
                match order {
                    Order::Start => guest.call_start(&mut store, &caller.service, &cause).await,
                    Order::Stop => guest.call_stop(&mut store, &caller.service, &cause).await,
                }
            };
            let answer = caller.wait(&begun, answer).await;
            caller.judge(begun, store.data(), answer, |_, done| Ok(done))
        };
        self.caller.on_its_thread(call).await
    }
}

impl Lifecycle for PluginLifecycle {
    fn start(
        &self,
        cause: Cause,
        deadline: Duration,
        context: CallContext,
    ) -> Answer<'_, Result<(), Failure>> {
        Box::pin(self.carry_out(Order::Start, cause, deadline, context))
    }

    fn stop(
        &self,
        cause: Cause,
        deadline: Duration,
        context: CallContext,
    ) -> Answer<'_, Result<(), Failure>> {
        Box::pin(self.carry_out(Order::Stop, cause, deadline, context))
    }

    fn await_leftover(&self, leftover: Leftover, context: CallContext) -> Answer<'_, ()> {
        Box::pin(async move {
            journal::await_leftover(&self.caller.worker, leftover, &context.cancelled).await;
        })
    }
}

/// The context of a call whose processes are noted nowhere: those of questions change nothing that has
/// to be gone on with after a crash.
fn unnoted(context: CallContext) -> CallContext {
    CallContext { cancelled: context.cancelled, ..CallContext::detached() }
}

/// A plugin that says whether the target is ready.
pub(super) struct PluginJudge {
    pub(super) caller: Caller,
}

impl Judge for PluginJudge {
    fn ready(&self, attempt: u32, context: CallContext) -> Answer<'_, Result<Readiness, Failure>> {
        Box::pin(self.caller.on_its_thread(move |caller| async move {
            let question = caller.question("ready");
            let loaded = caller.current.loaded();
            let mut store = caller.store(&loaded);
            let begun = caller.begin(&mut store, question, unnoted(context));
            let answer = async {
                let functions = functions(&loaded.readiness)?;
                let instance = loaded.pre.instantiate_async(&mut store).await?;
                let guest = functions.load(&mut store, &instance)?;
                guest.call_ready(&mut store, &caller.service, attempt).await
            };
            let answer = caller.wait(&begun, answer).await;
            caller.judge(begun, store.data(), answer, answers::readiness)
        }))
    }
}

/// A plugin that says whether an idle target may be stopped.
pub(super) struct PluginIdleness {
    pub(super) caller: Caller,
}

impl Idleness for PluginIdleness {
    fn should_sleep(
        &self,
        idle_for: Duration,
        context: CallContext,
    ) -> Answer<'_, Result<SleepVerdict, Failure>> {
        Box::pin(self.caller.on_its_thread(move |caller| async move {
            let question = caller.question("should-sleep");
            let idle_for = u64::try_from(idle_for.as_millis()).unwrap_or(u64::MAX);
            let loaded = caller.current.loaded();
            let mut store = caller.store(&loaded);
            let begun = caller.begin(&mut store, question, unnoted(context));
            let answer = async {
                let functions = functions(&loaded.idleness)?;
                let instance = loaded.pre.instantiate_async(&mut store).await?;
                let guest = functions.load(&mut store, &instance)?;
                guest.call_should_sleep(&mut store, &caller.service, idle_for).await
            };
            let answer = caller.wait(&begun, answer).await;
            let idleness = |_: &Call<'_>, answer| Ok(answers::idleness(answer));
            caller.judge(begun, store.data(), answer, idleness)
        }))
    }
}

/// A plugin that judges clients.
pub(super) struct PluginGate {
    pub(super) caller: Caller,
}

impl Gate for PluginGate {
    fn converse(&self, client: Client) -> Box<dyn Conversation> {
        Box::new(PluginConversation {
            caller: self.caller.clone(),
            client: client.into(),
            instance: None,
        })
    }
}

/// A conversation about one client. Its instance is made at the first question, and lives until the
/// conversation is over.
struct PluginConversation {
    caller: Caller,
    client: types::Client,
    /// Here only between questions: if one ends without an answer, or is dropped, its instance is
    /// gone with it.
    instance: Option<Instance>,
}

/// An instance that has answered `more`.
struct Instance {
    store: Store<Guest>,
    guest: gate::Guest,
}

impl PluginConversation {
    async fn ask(&mut self, phase: Phase, data: Vec<u8>) -> Result<Reply, Failure> {
        let (client, instance) = (self.client.clone(), self.instance.take());
        let call = |caller: Caller| ask(caller, client, instance, phase, data);
        let (reply, instance) = self.caller.on_its_thread(call).await?;
        self.instance = instance;
        Ok(reply)
    }
}

impl Drop for PluginConversation {
    fn drop(&mut self) {
        if let Some(instance) = self.instance.take() {
            self.caller.worker.resources.threads.drop_on_thread(instance);
        }
    }
}

/// Asks about a client. The instance comes back if it is to be asked again.
async fn ask(
    caller: Caller,
    client: types::Client,
    instance: Option<Instance>,
    phase: Phase,
    data: Vec<u8>,
) -> Result<(Reply, Option<Instance>), Failure> {
    let question = caller.question("should-wake");
    let loaded = caller.current.loaded();
    let (mut store, guest) = match instance {
        Some(Instance { store, guest }) => (store, Some(guest)),
        None => (caller.store(&loaded), None),
    };
    let begun = caller.begin(&mut store, question, CallContext::detached());
    let answer = async {
        let guest = match guest {
            Some(guest) => guest,
            None => {
                let functions = functions(&loaded.gate)?;
                let instance = loaded.pre.instantiate_async(&mut store).await?;
                functions.load(&mut store, &instance)?
            }
        };
        let service = &caller.service;
        let reply =
            guest.call_should_wake(&mut store, service, &client, phase.into(), &data).await?;
        Ok(reply.map(|reply| (reply, guest)))
    };
    let answer = caller.wait(&begun, answer).await;
    let check = |call: &Call<'_>, (reply, guest)| {
        answers::reply(call, reply, data.len()).map(|reply| (reply, guest))
    };
    match caller.judge(begun, store.data(), answer, check) {
        Ok((reply, guest)) if reply.verdict == Verdict::More => {
            Ok((reply, Some(Instance { store, guest })))
        }
        ended => ended.map(|(reply, _)| (reply, None)),
    }
}

impl Conversation for PluginConversation {
    fn should_wake<'a>(
        &'a mut self,
        phase: Phase,
        data: &'a [u8],
    ) -> Answer<'a, Result<Reply, Failure>> {
        Box::pin(self.ask(phase, data.to_vec()))
    }
}
