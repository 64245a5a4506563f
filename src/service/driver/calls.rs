//! Asks the deciders and the target what the lifecycle wants to know.
//!
//! Each question is a task of its own, so that the driver never waits. A question that is cancelled
//! goes on until everything that runs on its behalf is gone, and answers then (rule 17). A task that
//! comes to grief answers, too.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::{Service, Target};
use crate::decide::{
    Answer, CallContext, Cause, Deciders, Failure, FailureKind, Judge, Readiness, SleepVerdict,
};
use crate::lifecycle::Call;
use crate::service::message::{Look, Message, Reply};
use crate::service::recorder::Recorder;

/// The shortest time between two reports about a target that isn't ready.
const REPORT_PAUSE: Duration = Duration::from_millis(500);

/// Hears why the target isn't ready.
pub(in crate::service) type Report = Box<dyn FnMut(String) + Send>;

/// The target, as far as it can be reached without a client.
pub(in crate::service) trait Reach: Send + Sync {
    /// Looks whether the target takes a connection and keeps it. The text of an error is for people.
    fn probe(&self) -> Answer<'_, Result<(), String>>;
    /// Waits until the target, whose start began then, takes a connection and keeps it. The
    /// connection, where there is one, becomes that of a client or is closed.
    fn until_ready(&self, began: Instant, report: Report) -> Answer<'_, Option<TcpStream>>;
    /// From here on the target is at this address, or at its own again.
    fn redirect(&self, target: Option<Target>);
    /// Where the last run of Dormouse has left it, if that is another place than its own.
    fn recall(&self) -> Answer<'_, Option<Target>>;
}

/// A question, in the words of the port.
#[derive(Clone, Copy)]
pub(super) enum Request {
    Start(Cause),
    Stop(Cause),
    AwaitLeftover,
    /// Readiness of a target whose start began then.
    Ready(u32, Instant),
    Look,
    FirstLook,
    MaySleep(Duration),
}

/// The questions that are open, those that are cancelled included.
pub(super) struct Calls {
    open: HashMap<Call, OpenCall>,
    reach: Arc<dyn Reach>,
    recorder: Arc<Recorder>,
    inbox: mpsc::UnboundedSender<Message>,
}

struct OpenCall {
    cancelled: CancellationToken,
    is_cancelled: bool,
    /// Whether what it runs is noted by the recorder.
    is_recorded: bool,
    _task: AbortOnDropHandle<()>,
}

impl Calls {
    pub(super) fn new(
        reach: Arc<dyn Reach>,
        recorder: Arc<Recorder>,
        inbox: mpsc::UnboundedSender<Message>,
    ) -> Self {
        Calls { open: HashMap::new(), reach, recorder, inbox }
    }

    pub(super) fn ask(&mut self, call: Call, request: Request, by: &Deciders, config: &Service) {
        let cancelled = CancellationToken::new();
        let asking = Asking {
            by: by.clone(),
            reach: Arc::clone(&self.reach),
            recorder: Arc::clone(&self.recorder),
            inbox: self.inbox.clone(),
            start_timeout: config.start_timeout,
            stop_timeout: config.stop_timeout,
            cancelled: cancelled.clone(),
        };
        let reply_to =
            ReplyTo { call, on_grief: Some(request.on_grief()), inbox: self.inbox.clone() };
        let task = tokio::spawn(async move { reply_to.send(asking.ask(request).await) });
        let task = AbortOnDropHandle::new(task);
        let is_recorded =
            matches!(request, Request::Start(_) | Request::Stop(_) | Request::AwaitLeftover);
        let open = OpenCall { cancelled, is_cancelled: false, is_recorded, _task: task };
        self.open.insert(call, open);
    }

    /// Cancels a question. It is closed when its answer comes.
    pub(super) fn cancel(&mut self, call: Call) {
        let Some(open) = self.open.get_mut(&call) else { return };
        open.is_cancelled = true;
        let cancelled = open.cancelled.clone();
        if open.is_recorded {
            // Written down first: after a crash from here on, what is left of it has to be ended.
            self.recorder.set_cancelled();
            let recorder = Arc::clone(&self.recorder);
            tokio::spawn(async move {
                recorder.flushed().await;
                cancelled.cancel();
            });
        } else {
            cancelled.cancel();
        }
    }

    /// The question is answered. Says whether it was cancelled; `None` if it isn't open.
    pub(super) fn close(&mut self, call: Call) -> Option<bool> {
        self.open.remove(&call).map(|open| open.is_cancelled)
    }
}

/// What a question needs.
struct Asking {
    by: Deciders,
    reach: Arc<dyn Reach>,
    recorder: Arc<Recorder>,
    inbox: mpsc::UnboundedSender<Message>,
    start_timeout: Duration,
    stop_timeout: Duration,
    cancelled: CancellationToken,
}

impl Asking {
    async fn ask(&self, request: Request) -> Reply {
        let lifecycle = &self.by.lifecycle;
        match request {
            Request::Start(cause) => {
                self.recorder.flushed().await;
                let context = self.recorded();
                Reply::Started(lifecycle.start(cause, self.start_timeout, context).await)
            }
            Request::Stop(cause) => {
                self.recorder.flushed().await;
                let context = self.recorded();
                Reply::Stopped(lifecycle.stop(cause, self.stop_timeout, context).await)
            }
            Request::AwaitLeftover => {
                let leftover = self.recorder.leftover();
                lifecycle.await_leftover(leftover, self.recorded()).await;
                Reply::LeftoverEnded
            }
            Request::Ready(attempt, began) => match &self.by.readiness {
                Some(judge) => Reply::Ready(judge.ready(attempt, self.unrecorded()).await),
                None => self.until_ready(began).await,
            },
            Request::Look => Reply::Looked(self.look().await),
            Request::FirstLook => Reply::Looked(self.look_first().await),
            Request::MaySleep(idle_for) => Reply::MaySleep(match &self.by.idleness {
                Some(idleness) => idleness.should_sleep(idle_for, self.unrecorded()).await,
                None => Ok(SleepVerdict::Sleep),
            }),
        }
    }

    /// The context of a call whose process groups are noted.
    fn recorded(&self) -> CallContext {
        CallContext { cancelled: self.cancelled.clone(), journal: self.recorder.journal() }
    }

    /// The context of a call that changes nothing, and may run twice.
    fn unrecorded(&self) -> CallContext {
        CallContext { cancelled: self.cancelled.clone(), ..CallContext::detached() }
    }

    async fn until_ready(&self, began: Instant) -> Reply {
        let inbox = self.inbox.clone();
        let mut reported: Option<Instant> = None;
        let report = move |why| {
            if reported.is_none_or(|reported| reported.elapsed() >= REPORT_PAUSE) {
                reported = Some(Instant::now());
                let _ = inbox.send(Message::NotReady(why));
            }
        };
        let ready = self.reach.until_ready(began, Box::new(report));
        match self.cancelled.run_until_cancelled(ready).await {
            Some(connection) => Reply::Connected(connection),
            None => Reply::Cancelled,
        }
    }

    /// Looks whether the target is up: its judge says so, if there is one (rule 2).
    async fn look(&self) -> Look {
        let Some(judge) = &self.by.readiness else { return self.probe().await };
        self.ask_judge(&**judge).await
    }

    async fn ask_judge(&self, judge: &dyn Judge) -> Look {
        match judge.ready(1, self.unrecorded()).await {
            Ok(Readiness::Ready(address)) => Look { up: true, address, failure: None },
            Ok(Readiness::NotYet(_)) => Look::default(),
            // It can't say, and a server must not be left running unnoticed for that.
            Err(failure) => Look { failure: Some(failure), ..self.probe().await },
        }
    }

    async fn probe(&self) -> Look {
        let probed = self.cancelled.run_until_cancelled(self.reach.probe()).await;
        Look { up: matches!(probed, Some(Ok(()))), ..Look::default() }
    }

    /// The first look of this run: at first where the last run has left the target, if its plugin had
    /// named another address.
    async fn look_first(&self) -> Look {
        let Some(target) = self.reach.recall().await else { return self.look().await };
        self.reach.redirect(Some(target.clone()));
        let look = self.look().await;
        let found = Message::Recalled { target, found: look.up };
        let _ = self.inbox.send(found);
        if look.up {
            return look;
        }
        self.reach.redirect(None);
        self.look().await
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
            Request::AwaitLeftover => Reply::LeftoverEnded,
            Request::Ready(..) => Reply::Ready(Err(failure())),
            Request::Look | Request::FirstLook => {
                Reply::Looked(Look { failure: Some(failure()), ..Look::default() })
            }
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
