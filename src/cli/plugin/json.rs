//! A decision as programs read it. `docs/plugins.md` describes the shape, which only grows.

use serde_json::{Value, json};

use super::words;
use crate::decide::{FailureKind, Readiness, SleepVerdict};
use crate::plugin::trial::{Answer, Question, Trial};

/// One decision.
pub(super) fn trial(question: &Question, trial: &Trial) -> Value {
    let record = &trial.record;
    let lines = record.lines.iter();
    let lines = lines.map(|line| json!({ "level": line.level.word(), "text": line.text }));
    let denied = record.denied.iter();
    let denied = denied.map(|denied| json!({ "wanted": denied.wanted, "remedy": denied.remedy }));
    json!({
        "call": question.function(),
        "answer": trial.answer.as_ref().ok().map(answer),
        "failure": trial.answer.as_ref().err().map(|failure| json!({
            "kind": words::kind(failure.kind),
            "message": failure.message,
            "after_ms": match failure.kind {
                FailureKind::TryAgain(after) => after.map(words::milliseconds),
                _ => None,
            },
        })),
        "log": lines.collect::<Vec<_>>(),
        "denied": denied.collect::<Vec<_>>(),
        "time_ms": words::milliseconds(trial.time),
        "cpu_ms": words::milliseconds(record.cpu),
        "memory_bytes": record.memory,
    })
}

fn answer(answer: &Answer) -> Value {
    let word = words::answer(answer);
    match answer {
        Answer::Done | Answer::Sleep(SleepVerdict::Sleep) => json!({ "is": word }),
        Answer::Readiness(Readiness::Ready(address)) => json!({ "is": word, "address": address }),
        Answer::Readiness(Readiness::NotYet(progress)) => {
            json!({ "is": word, "progress": progress })
        }
        Answer::Reply(reply) => {
            let hex: String = reply.send.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "is": word, "send_hex": hex, "consumed": reply.consumed })
        }
        Answer::Sleep(SleepVerdict::StayAwake(time)) => {
            json!({ "is": word, "stay_ms": words::milliseconds(*time) })
        }
    }
}
