//! What is measured of a proxy that was just started: memory of idle connections, the start, a wake.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use super::accounting;
use super::process::Running;
use super::samples::Sample;
use super::stage::{Stage, run_load};

/// From the start hook to the target's listening.
const TARGET_TAKES: &str = "200";

/// Until connections that were just opened have left nothing to do.
const QUIET: Duration = Duration::from_millis(500);

/// Memory that so many idle connections take: `kernel_total_each` is that of the client and of the
/// target too.
pub fn idle(mut stage: Stage<'_>, count: usize) -> Result<Sample, String> {
    stage.start()?;
    let proxy_memory = || stage.proxy_group().map(accounting::memory);
    let proxy_before = proxy_memory();
    let kernel_before = accounting::kernel_memory();

    let mut command = stage.load(&["idle", "--connections", &count.to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut clients = Running::start(&mut command).map_err(|error| error.to_string())?;
    let output = clients.child.stdout.take().ok_or("the load has no output")?;
    let lines = BufReader::new(output).lines().map_while(Result::ok);
    let report: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let held = Sample::parse(&report.join("\n")).get("count").unwrap_or(0.0);
    if held < count as f64 {
        return Err(format!("{held} of {count} connections stood"));
    }
    sleep(QUIET);

    let each = |after: u64, before: u64| (after as f64 - before as f64) / count as f64;
    let mut sample = Sample::default();
    sample.insert("kernel_total_each", each(accounting::kernel_memory(), kernel_before));
    if let (Some(after), Some(before)) = (proxy_memory(), proxy_before) {
        sample.insert("proxy_each", each(after, before));
        sample.insert("proxy_mib", after as f64 / f64::from(1 << 20));
    }
    Ok(sample)
}

/// Time from the start of the process to its listening and to its first client's answer, with what
/// it reads in the page cache, and what it keeps in its own caches kept from an earlier start.
pub fn startup(mut stage: Stage<'_>) -> Result<Sample, String> {
    stage.start()?;
    stage.stop_proxy();
    let (listening, served) = stage.time_start()?;
    let mut sample = Sample::default();
    sample.insert("listening_ms", listening.as_secs_f64() * 1e3);
    sample.insert("served_ms", served.as_secs_f64() * 1e3);
    Ok(sample)
}

/// A target that is woken by so many clients.
pub fn wake(mut stage: Stage<'_>, clients: usize) -> Result<Sample, String> {
    stage.start_asleep()?;
    let clients = clients.to_string();
    let mut command = stage.load(&["wake", "--clients", &clients, "--delay-ms", TARGET_TAKES]);
    run_load(command.args(stage.wake_addresses()))
}
