//! The order of things: rounds, and in each of them all contenders in turn.

use super::contenders::{Contender, Role, SPARE_FILES};
use super::fresh;
use super::loaded;
use super::machine::Machine;
use super::metrics::{self, Kind, Load, Metric};
use super::options::Options;
use super::program::Programs;
use super::samples::{Sample, Samples};
use super::stage::Stage;
use super::{say, stop};

/// A run: what it measures, with what, and what it has measured.
struct Run<'a> {
    options: &'a Options,
    programs: &'a Programs,
    machine: &'a Machine,
    contenders: &'a [Contender],
    samples: Samples,
}

/// Measures all that was asked for. A contender that fails is noted, and the others go on.
pub fn run(
    options: &Options,
    programs: &Programs,
    machine: &Machine,
    contenders: &[Contender],
) -> Result<Samples, String> {
    stop::listen();
    let samples = Samples::default();
    let mut run = Run { options, programs, machine, contenders, samples };
    let wanted = || metrics::ALL.iter().filter(|metric| options.wants(metric.name));
    let loads: Vec<(&Metric, Load)> = wanted()
        .filter_map(|metric| match metric.kind {
            Kind::Loaded(load) => Some((metric, load)),
            Kind::Idle(_) | Kind::Startup | Kind::Wake(_) => None,
        })
        .collect();
    if wanted().next().is_none() {
        return Err(format!("no metric begins with `{}`", options.only.join("` or `")));
    }
    if !loads.is_empty() {
        for round in 0..options.rounds {
            say(&format!("round {} of {}", round + 1, options.rounds));
            run.loaded_round(round, &loads)?;
        }
    }
    for metric in wanted() {
        match metric.kind {
            Kind::Loaded(_) => {}
            Kind::Idle(count) => run.idle(metric, count)?,
            Kind::Startup => run.fresh(metric, |_| true, fresh::startup)?,
            Kind::Wake(clients) => run.wake(metric, clients)?,
        }
    }
    Ok(run.samples)
}

impl<'a> Run<'a> {
    /// Starts all contenders afresh; each load visits them one after the other.
    fn loaded_round(&mut self, round: usize, loads: &[(&Metric, Load)]) -> Result<(), String> {
        let mut stages = Vec::new();
        for contender in self.in_turn(round) {
            stop::check()?;
            match self.stage(contender).and_then(|mut stage| stage.start().map(|()| stage)) {
                Ok(stage) => stages.push(stage),
                Err(error) => self.failed("start", contender, &error),
            }
        }
        for (metric, load) in loads {
            say(&format!("  {}", metric.name));
            for stage in &stages {
                stop::check()?;
                let measured = loaded::measure(stage, load, self.options.seconds());
                self.note(metric, stage.contender, round, measured);
            }
        }
        Ok(())
    }

    /// The contenders, another one first in each round.
    fn in_turn(&self, round: usize) -> Vec<&'a Contender> {
        let (last, first) = self.contenders.split_at(round % self.contenders.len().max(1));
        first.iter().chain(last).collect()
    }

    fn stage(&self, contender: &'a Contender) -> Result<Stage<'a>, String> {
        Stage::new(contender, self.programs, self.machine)
    }

    /// Measures each contender for which `fits` holds, in rounds.
    fn fresh(
        &mut self,
        metric: &Metric,
        fits: impl Fn(&Contender) -> bool,
        measure: impl Fn(Stage<'_>) -> Result<Sample, String>,
    ) -> Result<(), String> {
        for round in 0..self.options.rounds {
            say(&format!("{}, round {} of {}", metric.name, round + 1, self.options.rounds));
            for contender in self.in_turn(round) {
                if contender.role != Role::Direct && fits(contender) {
                    stop::check()?;
                    let measured = self.stage(contender).and_then(&measure);
                    self.note(metric, contender, round, measured);
                }
            }
        }
        Ok(())
    }

    fn wake(&mut self, metric: &Metric, clients: usize) -> Result<(), String> {
        let clients = self.scaled(metric, clients);
        let files = self.machine.open_files;
        let fits = |contender: &Contender| {
            contender.waking.is_some() && contender.fitting(clients, files) == clients
        };
        self.fresh(metric, fits, |stage| fresh::wake(stage, clients))
    }

    /// The kernel's part is what a proxy adds to a direct connection in the same round, so direct
    /// comes first.
    fn idle(&mut self, metric: &Metric, count: usize) -> Result<(), String> {
        let count = self.scaled(metric, count);
        for round in 0..self.options.few_rounds() {
            say(&format!("{}, round {} of {}", metric.name, round + 1, self.options.few_rounds()));
            let mut direct = None;
            for contender in self.contenders {
                if contender.fitting(count, self.machine.open_files) < count {
                    continue;
                }
                stop::check()?;
                let mut measured =
                    self.stage(contender).and_then(|stage| fresh::idle(stage, count));
                if let Ok(sample) = &mut measured {
                    let total = sample.get("kernel_total_each");
                    if contender.role == Role::Direct {
                        direct = total;
                    } else if let (Some(total), Some(direct)) = (total, direct) {
                        sample.insert("kernel_each", total - direct);
                    }
                }
                self.note(metric, contender, round, measured);
            }
        }
        Ok(())
    }

    /// As many connections as were meant, or as open files allow: each takes two.
    fn scaled(&mut self, metric: &Metric, wanted: usize) -> usize {
        let room = self.machine.open_files.saturating_sub(SPARE_FILES) / 2;
        if room < wanted {
            let open_files = self.machine.open_files;
            self.samples.notes.push(format!(
                "{}: {room} connections, because the limit of open files is {open_files}",
                metric.name
            ));
        }
        wanted.min(room)
    }

    fn note(
        &mut self,
        metric: &Metric,
        contender: &Contender,
        round: usize,
        measured: Result<Sample, String>,
    ) {
        match measured {
            Ok(sample) => self.samples.add(metric.name, contender.name, round, sample),
            Err(error) => self.failed(metric.name, contender, &error),
        }
    }

    fn failed(&mut self, doing: &str, contender: &Contender, error: &str) {
        let what = format!("{}, {doing}", contender.name);
        say(&format!("    {what}: {error}"));
        self.samples.failed(what, error);
    }
}
