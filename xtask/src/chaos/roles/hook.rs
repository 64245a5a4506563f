//! A hook: records its begin and end, and in between does its work, or fails at it in the way of
//! its service.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use super::Site;
use crate::chaos::dice::Dice;
use crate::chaos::ledger::{self, Writer};
use crate::chaos::world::{Kind, calm_file};

/// How a hook ends.
type Outcome = Result<(), String>;

/// Runs the hook `start`, `stop` or `ready`.
pub fn run(site: &Site, hook: &str) -> Outcome {
    let seed = std::fs::read_to_string(site.folder.join("seed")).unwrap_or_default();
    let seed = seed.parse().unwrap_or(0);
    if hook == "ready" {
        return ready(site, seed);
    }
    let (writer, number) = Writer::begin(ledger::path(&site.folder, &site.service), hook)?;
    let calm = calm_file(&site.folder).exists();
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == site.service);
    let kind = if calm { Kind::Plain } else { kind.unwrap_or(Kind::Plain) };
    let dice = Dice::of_part(seed, &format!("{} {hook} {number}", site.service));
    let mut hook_run = Run { site, writer: &writer, dice };
    let outcome = match hook {
        "start" => hook_run.start(kind),
        "stop" => hook_run.stop(kind),
        other => Err(format!("there is no hook `{other}`")),
    };
    writer.end(i32::from(outcome.is_err()))?;
    outcome
}

/// One call of a hook.
struct Run<'a> {
    site: &'a Site,
    writer: &'a Writer,
    dice: Dice,
}

impl Run<'_> {
    fn start(&mut self, kind: Kind) -> Outcome {
        match kind {
            Kind::Plain | Kind::Freezing => self.launch(),
            Kind::Slow => {
                sleep(self.dice.millis(100..=1200));
                let delay = self.dice.millis(100..=1200);
                self.site.launch(delay, None)
            }
            Kind::Liar => self.start_with_a_lie(),
            Kind::Hanging => match self.dice.within(0..=4) {
                0 => {
                    self.launch()?;
                    self.hang("after its work")
                }
                1 => self.hang("without its work"),
                _ => self.launch(),
            },
            Kind::Dying => {
                let life = match self.dice.once_in(2) {
                    true => Some(self.dice.millis(0..=500)),
                    false => None,
                };
                self.writer.note(&format!("the target lives for {life:?}"))?;
                self.site.launch(Duration::ZERO, life)
            }
        }
    }

    fn start_with_a_lie(&mut self) -> Outcome {
        let delay = self.dice.millis(300..=6000);
        match self.dice.within(0..=5) {
            0 => {
                self.writer.note(&format!("says done, the target is started in {delay:?}"))?;
                self.site.later("start", delay)
            }
            1 => {
                self.writer.note("says failed, the target comes up")?;
                self.launch()?;
                Err("no such machine".to_owned())
            }
            2 => {
                self.writer.note(&format!("says failed, the target is started in {delay:?}"))?;
                self.site.later("start", delay)?;
                Err("no such machine".to_owned())
            }
            _ => self.launch(),
        }
    }

    fn stop(&mut self, kind: Kind) -> Outcome {
        match kind {
            Kind::Plain | Kind::Freezing | Kind::Dying => self.end(),
            Kind::Slow => {
                sleep(self.dice.millis(0..=700));
                self.end()?;
                sleep(self.dice.millis(0..=500));
                Ok(())
            }
            Kind::Liar => self.stop_with_a_lie(),
            Kind::Hanging => match self.dice.within(0..=4) {
                0 => {
                    self.end()?;
                    self.hang("after its work")
                }
                1 => self.hang("without its work"),
                _ => self.end(),
            },
        }
    }

    fn stop_with_a_lie(&mut self) -> Outcome {
        let delay = self.dice.millis(300..=6000);
        match self.dice.within(0..=5) {
            0 | 1 => self.writer.note("says done, the target lives on"),
            2 => {
                self.writer.note(&format!("says done, the target is ended in {delay:?}"))?;
                self.site.later("stop", delay)
            }
            3 => {
                self.writer.note("says failed, the target is down")?;
                self.end()?;
                Err("the machine did not answer".to_owned())
            }
            _ => self.end(),
        }
    }

    fn launch(&self) -> Outcome {
        self.site.launch(Duration::ZERO, None)
    }

    fn end(&self) -> Outcome {
        self.site.end_targets();
        Ok(())
    }

    /// Hangs, and ignores SIGTERM, for longer than any timeout with the grace period after it.
    fn hang(&mut self, when: &str) -> Outcome {
        self.writer.note(&format!("hangs {when}"))?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
        let _inside = runtime.enter();
        // The handler stays for as long as the process lives.
        let _handler =
            signal(SignalKind::terminate()).map_err(|error| format!("no handler: {error}"))?;
        sleep(self.dice.millis(3000..=15_000));
        Err("hung".to_owned())
    }
}

/// Ready if the target takes connections. During chaos it freezes now and then.
fn ready(site: &Site, seed: u64) -> Outcome {
    let mut dice = Dice::new(seed ^ u64::from(std::process::id()));
    if !calm_file(&site.folder).exists() && dice.once_in(8) {
        kill_process(getpid(), Signal::STOP).map_err(|error| format!("can't freeze: {error}"))?;
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, site.port));
    TcpStream::connect_timeout(&address, Duration::from_secs(1))
        .map(drop)
        .map_err(|error| format!("not yet: {error}"))
}
