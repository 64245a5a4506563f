//! Whether what became of a connection is what the relay promises, given what both sides did.

use std::io::ErrorKind;

use dormouse::service::relay::{End, Outcome, Side};

use crate::plan::{Part, Plan};
use crate::side::{Reading, Report, Sending};

/// Says what is wrong.
pub(crate) fn judge(
    plan: &Plan,
    client: &Report,
    target: &Report,
    outcome: &Outcome,
) -> Result<(), &'static str> {
    arrived(&plan.client, client, target, outcome.to_target)?;
    arrived(&plan.target, target, client, outcome.to_client)?;
    let everything = client.ended()
        && target.ended()
        && outcome.to_target == plan.client.bytes
        && outcome.to_client == plan.target.bytes;
    let reset_by = match (client.reset, target.reset) {
        (false, false) => None,
        (true, _) => Some(Side::Client),
        (_, true) => Some(Side::Target),
    };
    match (&outcome.end, reset_by) {
        (End::Finished, _) if !everything => Err("it finished before both sides had"),
        (End::Finished, None) if !client.read_end() || !target.read_end() => {
            Err("it finished, and a side has not heard of that")
        }
        (End::Finished, _) => Ok(()),
        (End::Reset(side), Some(by)) if *side == by => Ok(()),
        (End::Reset(_), _) => Err("the relay saw a reset that there was not"),
        (End::Failed(..), _) => Err("the relay failed"),
    }
}

/// Whether what `reader` has is right, given what `sender` has sent.
fn arrived(
    part: &Part,
    sender: &Report,
    reader: &Report,
    delivered: u64,
) -> Result<(), &'static str> {
    if let Some(Reading::WrongAt(_)) = reader.reading {
        return Err("other bytes arrived");
    }
    if reader.read > delivered || delivered > sender.sent {
        return Err("the counts don't fit");
    }
    let send_error = match reader.sending {
        Some(Sending::Failed(error)) => Some(error),
        Some(Sending::Ended | Sending::Waived) | None => None,
    };
    let read_error = match reader.reading {
        Some(Reading::Failed(error)) => Some(error),
        Some(Reading::End | Reading::WrongAt(_)) | None => None,
    };
    // Whoever was told of a reset while it sent is told of an end when it reads.
    let knows = send_error.is_some_and(is_reset);
    if reader.read_end() && !knows && !(sender.ended() && reader.read == part.bytes) {
        return Err("what was cut off looked as if it had been finished");
    }
    let odd = |error: ErrorKind| !sender.reset || !is_reset(error);
    if send_error.is_some_and(odd) || read_error.is_some_and(odd) {
        return Err("a side got an error for which there was no reason");
    }
    Ok(())
}

impl Report {
    fn ended(&self) -> bool {
        self.sending == Some(Sending::Ended)
    }

    fn read_end(&self) -> bool {
        self.reading == Some(Reading::End)
    }
}

fn is_reset(error: ErrorKind) -> bool {
    matches!(error, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}
