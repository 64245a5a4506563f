//! Limits: `[plugins.NAME.limits]`, what a plugin may use up.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::Limits;
use super::fault::Fault;
use super::reader::{Table, Value};

/// What the table looks like.
pub(super) const EXAMPLE: &str = "a table, such as `{ memory = \"64MiB\", cpu = \"1s\" }`";

/// `limits`: a key each, and its default for what is left out.
pub(super) fn read(mut table: Table<'_>, faults: &mut Vec<Fault>) -> Option<Limits> {
    let default = Limits::default();
    let time = |value: &Value<'_>, faults: &mut Vec<Fault>| {
        value.duration(Duration::from_millis(1), "from 1ms to 365d", faults)
    };
    let memory = size("memory", 1 << 20..=4 << 30, "from 1MiB to 4GiB");
    let memory = table.take_or("memory", default.memory, memory, faults);
    let memories = count(1000, "from 1 to 1000");
    let memories = table.take_or("memories", default.memories, memories, faults);
    let tables = count(10_000, "from 1 to 10000");
    let tables = table.take_or("tables", default.tables, tables, faults);
    let instances = count(10_000, "from 1 to 10000");
    let instances = table.take_or("instances", default.instances, instances, faults);
    let cpu = table.take_or("cpu", default.cpu, time, faults);
    let call = table.take_or("call", default.call, time, faults);
    let output = size("output", 1 << 10..=1 << 20, "from 1KiB to 1MiB");
    let output = table.take_or("output", default.output, output, faults);
    let log_lines = count(1_000_000, "from 1 to 1000000");
    let log_lines = table.take_or("log_lines", default.log_lines, log_lines, faults);
    let log_bytes = size("log_bytes", 1 << 10..=64 << 20, "from 1KiB to 64MiB");
    let log_bytes = table.take_or("log_bytes", default.log_bytes, log_bytes, faults);
    let state = size("state", 1 << 10..=64 << 20, "from 1KiB to 64MiB");
    let state = table.take_or("state", default.state, state, faults);
    let requests = count(256, "from 1 to 256");
    let requests = table.take_or("requests", default.requests, requests, faults);
    let handles = count(65_536, "from 1 to 65536");
    let handles = table.take_or("handles", default.handles, handles, faults);
    let children = count(1024, "from 1 to 1024");
    let children = table.take_or("children", default.children, children, faults);
    let threads = count(64, "from 1 to 64");
    let threads = table.take_or("threads", default.threads, threads, faults);
    table.finish(faults);
    Some(Limits {
        memory: memory?,
        memories: memories?,
        tables: tables?,
        instances: instances?,
        cpu: cpu?,
        call: call?,
        output: output?,
        log_lines: log_lines?,
        log_bytes: log_bytes?,
        state: state?,
        requests: requests?,
        handles: handles?,
        children: children?,
        threads: threads?,
    })
}

/// Reads a size within `allowed`, which `bounds` says in words.
fn size(
    key: &'static str,
    allowed: RangeInclusive<u64>,
    bounds: &'static str,
) -> impl FnOnce(&Value<'_>, &mut Vec<Fault>) -> Option<usize> {
    move |value, faults| value.size(key, allowed, bounds, faults)
}

/// Reads a number of at least 1 and at most `most`, which `bounds` says in words.
fn count(
    most: usize,
    bounds: &'static str,
) -> impl FnOnce(&Value<'_>, &mut Vec<Fault>) -> Option<usize> {
    move |value, faults| value.count(most, bounds, faults)
}
