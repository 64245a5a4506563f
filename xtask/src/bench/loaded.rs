//! A load on a proxy that runs, with the CPU time that the proxy spends on it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::accounting::{self, KeptOn};
use super::machine::cores;
use super::metrics::Load;
use super::samples::Sample;
use super::stage::{Stage, run_load};

/// The share of the machine that others may use during a measurement.
pub const FOREIGN: f64 = 0.08;

/// Closing connections is the proxy's work too, and takes it a moment.
const CLOSING: Duration = Duration::from_millis(50);

/// Runs a load, and once more if others used the machine meanwhile.
pub fn measure(stage: &Stage<'_>, load: &Load, seconds: f64) -> Result<Sample, String> {
    let (mut sample, mut foreign) = measure_once(stage, load, seconds)?;
    if foreign > FOREIGN {
        sleep(Duration::from_millis(500));
        (sample, foreign) = measure_once(stage, load, seconds)?;
    }
    sample.insert("contended", if foreign > FOREIGN { 1.0 } else { 0.0 });
    Ok(sample)
}

/// The numbers of one run, and the share of the machine that others used meanwhile.
fn measure_once(stage: &Stage<'_>, load: &Load, seconds: f64) -> Result<(Sample, f64), String> {
    let core = load.one_core.then(|| stage.machine.last_core());
    let ours = || {
        let groups: Duration = stage.groups().into_iter().map(accounting::cpu).sum();
        groups + accounting::cpu_of_ended_children()
    };
    let seconds = seconds.to_string();
    let mut command = stage.load(load.arguments);
    command.args(["--seconds", &seconds]);
    if let Some(core) = core {
        command.args(["--core", &core.to_string()]);
    }

    let (ours_before, proxy_before) = (ours(), stage.proxy_cpu());
    let (all_before, begin) = (accounting::cpu_of_all(core), Instant::now());
    let kept = core.map(|core| KeptOn::core(core, &stage.groups()));
    let mut sample = run_load(&mut command)?;
    let (all, took) = (accounting::cpu_of_all(core) - all_before, begin.elapsed());
    sleep(CLOSING);
    drop(kept);

    if let (Some(work @ 1.0..), Some(_)) = (sample.get(load.work), stage.proxy_group()) {
        let (key, factor) = load.cpu;
        let cpu = stage.proxy_cpu() - proxy_before;
        sample.insert(key, cpu.as_secs_f64() * factor / work);
    }
    let foreign = all.saturating_sub(ours() - ours_before);
    let cores = if core.is_some() { 1 } else { cores() };
    Ok((sample, foreign.as_secs_f64() / took.as_secs_f64() / cores as f64))
}
