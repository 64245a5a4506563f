//! Asks the deciders and the target what the lifecycle wants to know.
//!
//! Each question is a task of its own, so that the driver never waits. Taking a question back ends
//! its task, and with it whatever runs on its behalf. A task that comes to grief answers, too.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::story::Short;
use crate::config::{Service, Target};
use crate::decide::{Answer, Cause, Deciders, Failure, FailureKind, SleepVerdict};
use crate::lifecycle::Call;
use crate::service::dial::Dialer;
use crate::service::message::{Message, Reply};

/// How long one attempt to connect may take while the target starts: a machine that is still down
/// swallows the first packets, and a fresh attempt finds it sooner than the kernel's retries.
const READY_PROBE_MOST: Duration = Duration::from_secs(1);

/// The target, as far as it can be reached without a client.
pub trait Reach: Send + Sync {
    /// Connects to the target within this time. The connection, where there is one, becomes that
    /// of a client or is closed. The text of an error is for people.
    fn probe(&self, at_most: Duration) -> Answer<'_, Result<Option<TcpStream>, String>>;
    /// From here on the target is at this address, or at its own again.
    fn redirect(&self, target: Option<Target>);
    /// Where the last run of Dormouse has left it, if that is another place than its own.
    fn recall(&self) -> Answer<'_, Option<Target>>;
}

impl Reach for Dialer {
    fn probe(&self, at_most: Duration) -> Answer<'_, Result<Option<TcpStream>, String>> {
        Box::pin(async move {
            match tokio::time::timeout(at_most, self.dial()).await {
                Ok(Ok(connection)) => Ok(Some(connection)),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => {
                    let target = self.target();
                    Err(format!("the target `{target}` did not answer within {}", Short(at_most)))
                }
            }
        })
    }

    fn redirect(&self, target: Option<Target>) {
        self.set(target);
    }

    fn recall(&self) -> Answer<'_, Option<Target>> {
        Box::pin(std::future::ready(None))
    }
}

/// A question, in the words of the port.
pub(super) enum Request {
    Start(Cause),
    Stop(Cause),
    Ready(u32),
    Probe,
    MaySleep(Duration),
}

/// The questions that are open.
pub(super) struct Calls {
    open: HashMap<Call, AbortOnDropHandle<()>>,
    reach: Arc<dyn Reach>,
    inbox: mpsc::UnboundedSender<Message>,
}

impl Calls {
    pub(super) fn new(reach: Arc<dyn Reach>, inbox: mpsc::UnboundedSender<Message>) -> Self {
        Calls { open: HashMap::new(), reach, inbox }
    }

    pub(super) fn ask(&mut self, call: Call, request: Request, by: &Deciders, config: &Service) {
        let by = by.clone();
        let reach = Arc::clone(&self.reach);
        let (start, stop) = (config.start_timeout, config.stop_timeout);
        let connect = config.connect_timeout;
        let reply_to =
            ReplyTo { call, on_grief: Some(request.on_grief()), inbox: self.inbox.clone() };
        let task = async move {
            let reply = match request {
                Request::Start(cause) => Reply::Started(by.lifecycle.start(cause, start).await),
                Request::Stop(cause) => Reply::Stopped(by.lifecycle.stop(cause, stop).await),
                Request::Ready(attempt) => match &by.readiness {
                    Some(judge) => Reply::Ready(judge.ready(attempt).await),
                    None => Reply::Connected(reach.probe(connect.min(READY_PROBE_MOST)).await),
                },
                Request::Probe => Reply::Probed(reach.probe(connect).await),
                Request::MaySleep(idle_for) => Reply::MaySleep(match &by.idleness {
                    Some(idleness) => idleness.should_sleep(idle_for).await,
                    None => Ok(SleepVerdict::Sleep),
                }),
            };
            reply_to.send(reply);
        };
        self.open.insert(call, AbortOnDropHandle::new(tokio::spawn(task)));
    }

    /// Takes a question back.
    pub(super) fn cancel(&mut self, call: Call) {
        self.open.remove(&call);
    }

    /// The question is answered. Was it open? One that was taken back is answered as well, at least
    /// by [`Request::on_grief`], and nobody wants to hear it.
    pub(super) fn close(&mut self, call: Call) -> bool {
        self.open.remove(&call).is_some()
    }
}

impl Request {
    /// The answer of a question whose task came to grief.
    fn on_grief(&self) -> Reply {
        let failure = || Failure {
            kind: FailureKind::Broken,
            message: "Dormouse failed while it asked (a defect; please report it)".to_owned(),
        };
        match self {
            Request::Start(_) => Reply::Started(Err(failure())),
            Request::Stop(_) => Reply::Stopped(Err(failure())),
            Request::Ready(_) => Reply::Ready(Err(failure())),
            Request::Probe => Reply::Probed(Err(failure().message)),
            Request::MaySleep(_) => Reply::MaySleep(Err(failure())),
        }
    }
}

/// Sends the one reply to a question, come what may.
struct ReplyTo {
    call: Call,
    on_grief: Option<Reply>,
    inbox: mpsc::UnboundedSender<Message>,
}

impl ReplyTo {
    fn send(mut self, reply: Reply) {
        self.on_grief = None;
        let _ = self.inbox.send(Message::Answered(self.call, reply));
    }
}

impl Drop for ReplyTo {
    fn drop(&mut self) {
        if let Some(reply) = self.on_grief.take() {
            let _ = self.inbox.send(Message::Answered(self.call, reply));
        }
    }
}
