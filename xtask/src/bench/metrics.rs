//! What is measured, and what each number means.

/// Which of two numbers is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    High,
    Low,
}

/// One number of a metric: a column of its table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name in a sample.
    pub key: &'static str,
    pub label: &'static str,
    pub better: Better,
    /// Digits after the point.
    pub digits: usize,
}

/// How a metric is measured.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A load on proxies that run for the whole round.
    Loaded(Load),
    /// Memory of so many connections that do nothing.
    Idle(usize),
    /// Time from the start of the process.
    Startup,
    /// A target that is down until the start hook has run, and so many clients.
    Wake(usize),
}

/// A load, and how the proxy's CPU time is counted over it.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub arguments: &'static [&'static str],
    /// Whether client, proxy and target share one core. One request at a time keeps one of the
    /// three busy: which cores the scheduler happens to pick would count for more than the proxy.
    pub one_core: bool,
    /// The number of the load that counts its work.
    pub work: &'static str,
    /// The column of CPU time over work, and the factor that makes its unit of seconds.
    pub cpu: (&'static str, f64),
}

/// One thing that is measured.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    pub name: &'static str,
    pub title: &'static str,
    pub columns: &'static [Column],
    pub kind: Kind,
}

const fn high(key: &'static str, label: &'static str, digits: usize) -> Column {
    Column { key, label, better: Better::High, digits }
}

const fn low(key: &'static str, label: &'static str, digits: usize) -> Column {
    Column { key, label, better: Better::Low, digits }
}

const BULK: &[Column] = &[high("gbit_s", "Gbit/s", 1), low("cpu_s_gb", "proxy CPU s/GB", 3)];

const fn bulk(
    name: &'static str,
    title: &'static str,
    arguments: &'static [&'static str],
) -> Metric {
    let cpu = ("cpu_s_gb", 1e9);
    let load = Load { arguments, one_core: false, work: "bytes", cpu };
    Metric { name, title, columns: BULK, kind: Kind::Loaded(load) }
}

const REQUESTS: &[Column] = &[
    high("per_s", "per second", 0),
    low("p50_us", "p50 µs", 1),
    low("p99_us", "p99 µs", 0),
    low("cpu_us", "proxy CPU µs each", 1),
];

const fn requests(
    name: &'static str,
    title: &'static str,
    arguments: &'static [&'static str],
    one_core: bool,
) -> Metric {
    let load = Load { arguments, one_core, work: "count", cpu: ("cpu_us", 1e6) };
    Metric { name, title, columns: REQUESTS, kind: Kind::Loaded(load) }
}

const IDLE: &[Column] = &[
    low("proxy_each", "proxy, bytes each", 0),
    low("kernel_each", "kernel beyond direct's, bytes each", 0),
    low("proxy_mib", "proxy in all, MiB", 1),
];

const STARTUP: &[Column] = &[
    low("listening_ms", "start → listening, ms", 1),
    low("served_ms", "start → first answer, ms", 1),
];

const WAKE: &[Column] = &[
    low("hook_ms", "SYN → hook, ms", 2),
    low("first_ms", "target listens → first held byte there, ms", 2),
    low("last_ms", "→ last client answered, ms", 2),
    high("served", "clients served", 0),
];

/// All metrics, in the order of the report.
pub const ALL: &[Metric] = &[
    bulk(
        "up1",
        "Bulk, client to target, 1 connection",
        &["bulk", "--direction", "up", "--connections", "1"],
    ),
    bulk(
        "down1",
        "Bulk, target to client, 1 connection",
        &["bulk", "--direction", "down", "--connections", "1"],
    ),
    bulk(
        "up16",
        "Bulk, client to target, 16 connections",
        &["bulk", "--direction", "up", "--connections", "16"],
    ),
    bulk(
        "down16",
        "Bulk, target to client, 16 connections",
        &["bulk", "--direction", "down", "--connections", "16"],
    ),
    requests(
        "conn",
        "New connections, 32 at once: connect, 1 byte each way, close",
        &["connections"],
        false,
    ),
    requests(
        "pp1",
        "64-byte request and response, 1 connection, all on one core",
        &["requests", "--connections", "1"],
        true,
    ),
    requests(
        "pp64",
        "64-byte request and response, 64 connections",
        &["requests", "--connections", "64"],
        false,
    ),
    Metric {
        name: "idle1000",
        title: "Memory of 1,000 idle connections",
        columns: IDLE,
        kind: Kind::Idle(1000),
    },
    Metric {
        name: "idle9500",
        title: "Memory of 9,500 idle connections",
        columns: IDLE,
        kind: Kind::Idle(9500),
    },
    Metric {
        name: "startup",
        title: "Start-up, warm caches",
        columns: STARTUP,
        kind: Kind::Startup,
    },
    Metric {
        name: "wake1",
        title: "Wake with 1 client; the target listens 200 ms after the start hook ran",
        columns: WAKE,
        kind: Kind::Wake(1),
    },
    Metric {
        name: "wake4096",
        title: "Wake with 4,096 clients; the target listens 200 ms after all of them connected",
        columns: WAKE,
        kind: Kind::Wake(4096),
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_loads_have_a_column_for_their_cpu_time() {
        let names: HashSet<_> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len());
        for metric in ALL {
            if let Kind::Loaded(load) = metric.kind {
                assert!(metric.columns.iter().any(|column| column.key == load.cpu.0));
            }
        }
    }

    #[test]
    fn the_usage_names_every_metric() {
        for metric in ALL {
            assert!(crate::bench::options::USAGE.contains(metric.name), "{}", metric.name);
        }
    }
}
