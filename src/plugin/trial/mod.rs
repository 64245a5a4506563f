//! The author's bench: a plugin makes one decision, and everything that it does is taken down.
//!
//! The calls are those of a service, made through the same [`decide`](crate::decide) port with the
//! same grants and limits. Three things differ. What the plugin says, and what it is denied, goes
//! to a [`Record`] and not to the log. What it used up is kept. And commands may be answered from a
//! script ([`PlayedCommand`]) in place of being run.

mod played;
mod record;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::{self, Config};
use crate::decide::{
    CallContext, Cause, Client, Conversation, Failure, FailureKind, Phase, Readiness, Reply,
    SleepVerdict, Verdict,
};

use super::{Decision, Host, HostError, LoadError};

pub use played::{PlayedCommand, PlayedEnd};
pub use record::{Denied, Line, LineLevel, Record};

pub(in crate::plugin) use record::Recorder;

/// How much of a client's bytes a gate may ask for; see `should-wake` in `wit/`.
const MOST: usize = 64 << 10;

/// A plugin on the bench, with its conversations that have no verdict yet.
pub struct Bench {
    host: Host,
    config: Config,
    service: config::Service,
    recorder: Arc<Recorder>,
    talks: HashMap<SocketAddr, Talk>,
}

/// A conversation that goes on.
struct Talk {
    conversation: Box<dyn Conversation>,
    /// What the client has sent and no reply has consumed.
    data: Vec<u8>,
}

/// What is asked of the plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// `start`, for this cause.
    Start(Cause),
    /// `stop`, for this cause.
    Stop(Cause),
    /// `ready`.
    Ready {
        /// Which attempt it is, counted from 1.
        attempt: u32,
    },
    /// `should-wake`. A client whose last verdict was `more` goes on with its conversation; any
    /// other begins one.
    ShouldWake {
        /// Where the client comes from.
        client: SocketAddr,
        /// What the service believes of its target.
        phase: Phase,
        /// What the client sends, beside what it sent before.
        sent: Vec<u8>,
    },
    /// `should-sleep`.
    ShouldSleep {
        /// How long the target has had no client.
        idle_for: Duration,
    },
}

impl Question {
    /// The decision that it asks for.
    pub fn decision(&self) -> Decision {
        match self {
            Question::Start(_) | Question::Stop(_) => Decision::Lifecycle,
            Question::Ready { .. } => Decision::Readiness,
            Question::ShouldWake { .. } => Decision::Gate,
            Question::ShouldSleep { .. } => Decision::Idleness,
        }
    }

    /// The function that is called, as `wit/` has it.
    pub fn function(&self) -> &'static str {
        match self {
            Question::Start(_) => "start",
            Question::Stop(_) => "stop",
            Question::Ready { .. } => "ready",
            Question::ShouldWake { .. } => "should-wake",
            Question::ShouldSleep { .. } => "should-sleep",
        }
    }
}

/// What the plugin answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A start or a stop is done.
    Done,
    /// Whether the target is ready.
    Readiness(Readiness),
    /// What becomes of the client.
    Reply(Reply),
    /// Whether the target may sleep.
    Sleep(SleepVerdict),
}

/// One decision, and what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The answer, or why there is none.
    pub answer: Result<Answer, Failure>,
    /// What the plugin did.
    pub record: Record,
    /// The time from the question to the answer, with the making of an instance.
    pub time: Duration,
}

impl Bench {
    /// A bench for the plugin that makes every decision for the first service of `config`.
    ///
    /// State is kept in `state_dir`; the key of the cache, in that of the config. With `played`,
    /// commands are answered from it, and none is run.
    ///
    /// # Errors
    ///
    /// If plugins can't be run on this machine.
    pub fn new(
        config: Config,
        state_dir: &Path,
        played: Option<Vec<PlayedCommand>>,
    ) -> Result<Bench, HostError> {
        let mut host = Host::new(&config)?;
        host.keep_state_in(state_dir);
        let recorder = Arc::new(Recorder::new(played));
        host.recorder = Some(Arc::clone(&recorder));
        let service = config.services[0].clone();
        Ok(Bench { host, config, service, recorder, talks: HashMap::new() })
    }

    /// Loads the plugin, and says which decisions it makes.
    ///
    /// # Errors
    ///
    /// If it can't be loaded.
    pub async fn load(&self) -> Result<Vec<Decision>, LoadError> {
        let plugin = self.config.plugin(self.service.lifecycle);
        Ok(self.host.load(plugin).await?.decisions())
    }

    /// The limits of the plugin.
    pub fn limits(&self) -> &config::Limits {
        &self.config.plugin(self.service.lifecycle).limits
    }

    /// Has the plugin decide.
    ///
    /// # Errors
    ///
    /// If it can't be loaded, or does not make this decision. A plugin that fails is no error here:
    /// see [`Trial::answer`].
    pub async fn ask(&mut self, question: Question) -> Result<Trial, LoadError> {
        let Bench { host, config, service, recorder, talks } = self;
        match question {
            Question::Start(cause) => {
                let lifecycle = host.lifecycle(config, service).await?;
                let call = lifecycle.start(cause, service.start_timeout, CallContext::detached());
                Ok(taken_down(recorder, call, |()| Answer::Done).await)
            }
            Question::Stop(cause) => {
                let lifecycle = host.lifecycle(config, service).await?;
                let call = lifecycle.stop(cause, service.stop_timeout, CallContext::detached());
                Ok(taken_down(recorder, call, |()| Answer::Done).await)
            }
            Question::Ready { attempt } => {
                let judge = host.readiness(config, service).await?;
                let call = async {
                    match &judge {
                        Some(judge) => judge.ready(attempt, CallContext::detached()).await,
                        None => Err(nobody()),
                    }
                };
                Ok(taken_down(recorder, call, Answer::Readiness).await)
            }
            Question::ShouldSleep { idle_for } => {
                let idleness = host.idleness(config, service).await?;
                let call = async {
                    match &idleness {
                        Some(idleness) => {
                            idleness.should_sleep(idle_for, CallContext::detached()).await
                        }
                        None => Err(nobody()),
                    }
                };
                Ok(taken_down(recorder, call, Answer::Sleep).await)
            }
            Question::ShouldWake { client, phase, sent } => {
                let talk = match talks.remove(&client) {
                    Some(talk) => Some(talk),
                    None => host.gate(config, service).await?.map(|gate| {
                        let listener = service.listen[0].at;
                        let conversation = gate.converse(Client { address: client, listener });
                        Talk { conversation, data: Vec::new() }
                    }),
                };
                let Some(mut talk) = talk else {
                    return Ok(taken_down(recorder, async { Err(nobody()) }, Answer::Reply).await);
                };
                let trial = taken_down(recorder, talk.hear(phase, &sent), Answer::Reply).await;
                if let Ok(Answer::Reply(Reply { verdict: Verdict::More, .. })) = &trial.answer {
                    talks.insert(client, talk);
                }
                Ok(trial)
            }
        }
    }

    /// Ends the commands that the plugin has run and that still run.
    pub async fn shutdown(&self) {
        self.host.shutdown().await;
    }
}

impl Talk {
    /// Shows the plugin what the client has sent, as a service does.
    async fn hear(&mut self, phase: Phase, sent: &[u8]) -> Result<Reply, Failure> {
        if self.data.len() + sent.len() > MOST {
            let message = "the gate asks for more than 64 KiB: a service closes such a client";
            return Err(Failure { kind: FailureKind::Broken, message: message.to_owned() });
        }
        self.data.extend_from_slice(sent);
        let reply = self.conversation.should_wake(phase, &self.data).await?;
        self.data.drain(..reply.consumed.min(self.data.len()));
        Ok(reply)
    }
}

/// Waits for `call` while `recorder` writes down what happens.
async fn taken_down<T>(
    recorder: &Recorder,
    call: impl Future<Output = Result<T, Failure>>,
    answer: impl FnOnce(T) -> Answer,
) -> Trial {
    recorder.begin();
    let began = Instant::now();
    let answered = call.await.map(answer);
    let time = began.elapsed();
    Trial { answer: answered, record: recorder.end(), time }
}

/// The failure of a service that has nobody for a decision, which the bench's has not.
fn nobody() -> Failure {
    Failure {
        kind: FailureKind::Permanent,
        message: "the service has no plugin for this decision".to_owned(),
    }
}
