//! The signals that Dormouse receives: which of them end it, and what its hooks inherit.
//!
//! A process that Dormouse starts inherits which signals are ignored, and its hooks have to begin with
//! what programs expect, whatever started Dormouse (`nohup`, a shell's `&`, a supervisor that ignores
//! SIGCHLD). A signal with a handler is back at its default after `exec`, so handlers are installed for
//! all signals that are commonly ignored, before the first hook runs. (SIGPIPE is seen to by the
//! standard library.)
//!
//! The handlers also keep a signal without a meaning here from ending Dormouse without a word in the
//! log.

use std::fs;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Complaint, Failure};

/// The signals of this process, from here on.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
    alarm: Signal,
    /// What becomes of a SIGHUP.
    on_hangup: OnHangup,
}

#[derive(Clone, Copy)]
enum OnHangup {
    /// It ends Dormouse.
    End,
    /// It was ignored when Dormouse was started, and is.
    StayIgnored,
    /// Dormouse ends already. A terminal that closes may send more than one SIGHUP, and systemd may send
    /// one after its SIGTERM: that is nobody's second request.
    EndsAlready,
}

impl Signals {
    /// Installs the handlers. Needs a runtime.
    pub(super) fn new() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                Failure::from(Complaint::new(format!("signals can't be received: {error}")))
            })
        };
        let on_hangup = match ignored(&fs::read_to_string("/proc/self/status").unwrap_or_default())
        {
            ignored if ignored & bit(SignalKind::hangup()) != 0 => OnHangup::StayIgnored,
            _ => OnHangup::End,
        };
        // The kernel reaps the children of a process that ignores it, and how they ended is lost. The
        // handler stays when the stream is dropped.
        drop(listen(SignalKind::child())?);
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            quit: listen(SignalKind::quit())?,
            hangup: listen(SignalKind::hangup())?,
            user1: listen(SignalKind::user_defined1())?,
            user2: listen(SignalKind::user_defined2())?,
            alarm: listen(SignalKind::alarm())?,
            on_hangup,
        })
    }

    /// Waits for a signal that ends Dormouse, and gives its name. Logs all others.
    pub(super) async fn next(&mut self) -> &'static str {
        let name = loop {
            let name = tokio::select! {
                _ = self.terminate.recv() => break "SIGTERM",
                _ = self.interrupt.recv() => break "SIGINT",
                _ = self.quit.recv() => break "SIGQUIT",
                _ = self.hangup.recv() => match self.on_hangup {
                    OnHangup::End => {
                        tracing::info!(
                            "SIGHUP ends Dormouse: a change of the config needs a restart, it is not \
                             read again"
                        );
                        break "SIGHUP";
                    }
                    OnHangup::StayIgnored => {
                        tracing::info!(
                            "SIGHUP is ignored, as it was when Dormouse was started (`nohup`)"
                        );
                        continue;
                    }
                    OnHangup::EndsAlready => continue,
                },
                _ = self.user1.recv() => "SIGUSR1",
                _ = self.user2.recv() => "SIGUSR2",
                _ = self.alarm.recv() => "SIGALRM",
            };
            tracing::warn!("{name} has no meaning for Dormouse, and is ignored");
        };
        if matches!(self.on_hangup, OnHangup::End) {
            self.on_hangup = OnHangup::EndsAlready;
        }
        name
    }
}

/// The signals that are ignored, from `/proc/PID/status`: bit 0 is signal 1.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// The bit of a signal in such a mask.
fn bit(kind: SignalKind) -> u64 {
    let number = u32::try_from(kind.as_raw_value()).unwrap_or_default();
    number.checked_sub(1).and_then(|bit| 1_u64.checked_shl(bit)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status_of_a_process() {
        let status = "Name:\tdormouse\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert_ne!(ignored(status) & bit(SignalKind::hangup()), 0);
        assert_ne!(ignored(status) & bit(SignalKind::pipe()), 0);
        assert_eq!(ignored(status) & bit(SignalKind::terminate()), 0);
        assert_eq!(ignored(""), 0);
    }
}
