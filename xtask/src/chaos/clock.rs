//! One clock for all processes of the run: hundredths of a second since the machine was started.
//!
//! `/proc/uptime` and the start times of processes in `/proc/PID/stat` are the same clock, rounded
//! down in the same way. So from `a < b` in ticks follows that `a` was before `b`, without any
//! tolerance, even where one is the start of a process and the other was read by another process.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

/// Hundredths of a second since the machine was started.
pub type Tick = u64;

/// How many ticks a second has.
pub const PER_SECOND: Tick = 100;

/// The time now; 0 if `/proc` can't be read.
pub fn now() -> Tick {
    static UPTIME: OnceLock<Option<File>> = OnceLock::new();
    let file = UPTIME.get_or_init(|| File::open("/proc/uptime").ok());
    let mut text = [0; 64];
    let length = file.as_ref().and_then(|file| file.read_at(&mut text, 0).ok()).unwrap_or(0);
    parse(&text[..length]).unwrap_or(0)
}

/// Reads `123.45 67.89` as 12345.
fn parse(text: &[u8]) -> Option<Tick> {
    let text = std::str::from_utf8(text).ok()?;
    let (seconds, hundredths) = text.split(' ').next()?.split_once('.')?;
    Some(seconds.parse::<Tick>().ok()? * PER_SECOND + hundredths.parse::<Tick>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::procfs::Process;

    #[test]
    fn the_uptime_is_read_in_ticks() {
        assert_eq!(parse(b"123.45 67.89\n"), Some(12_345));
        assert_eq!(parse(b"7.00 1.00\n"), Some(700));
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn it_goes_on_and_agrees_with_the_start_of_a_process() {
        let before = now();
        let mut child = std::process::Command::new("sleep").arg("10").spawn().unwrap();
        let born = Process::of(child.id()).unwrap().born;
        let after = now();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(before > 0 && before <= born && born <= after, "{before} {born} {after}");
    }
}
