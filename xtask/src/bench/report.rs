//! The report: how it was measured, where Dormouse stands, and a table for each metric.

use super::contenders::{Contender, Role};
use super::loaded::FOREIGN;
use super::machine::{self, Machine};
use super::metrics::{self, Better, Column, Metric};
use super::options::Options;
use super::program::Programs;
use super::samples::{Samples, Spread, Values, median, ratio};

const DORMOUSE: &str = "dormouse";
const DIRECT: &str = "direct";
const NOTHING: &str = "–";

/// The report as Markdown.
pub fn write(
    options: &Options,
    programs: &Programs,
    machine: &Machine,
    contenders: &[Contender],
    samples: &Samples,
) -> String {
    let measured = || metrics::ALL.iter().filter(|metric| samples.has(metric.name, None));
    let mut parts = vec![circumstances(options, programs, machine, contenders, samples)];
    if contenders.iter().any(|contender| contender.name == DORMOUSE) {
        parts.push(summary(measured(), contenders, samples));
    }
    parts.push(
        "Each cell: median · ratio to direct · ratio to the best peer. A ratio is the median of \
         the rounds' own ratios."
            .to_owned(),
    );
    parts.extend(measured().map(|metric| table(metric, contenders, samples)));
    parts.join("\n\n")
}

fn circumstances(
    options: &Options,
    programs: &Programs,
    machine: &Machine,
    contenders: &[Contender],
    samples: &Samples,
) -> String {
    let versions: Vec<String> =
        contenders.iter().filter_map(Contender::version).fold(Vec::new(), |mut known, version| {
            if !known.contains(&version) {
                known.push(version);
            }
            known
        });
    let (count, contended) = samples.contended();
    let priority = if machine.nice { "at nice -10" } else { "at the usual priority" };
    let mut lines = vec![
        format!("Measured on {} with `{}`.", machine::date(), options.command),
        format!("Machine: {}.", machine::description()),
        format!("{}; {}.", programs.version(), versions.join("; ")),
        format!(
            "Rounds: {} (each load {} s), but {} of memory. Up to {} open files; all that was \
             measured ran {priority}.",
            options.rounds,
            options.seconds(),
            options.few_rounds(),
            machine.open_files,
        ),
        format!(
            "Load average {} before and {} after. During {contended} of {count} loads \
             others used more than {:.0} % of the machine.",
            machine.load_before,
            machine::load_average(),
            FOREIGN * 100.0,
        ),
    ];
    lines.extend(samples.notes.iter().map(|note| format!("{note}.")));
    lines.extend(samples.failures());
    lines.iter().map(|line| format!("- {line}")).collect::<Vec<_>>().join("\n")
}

/// The peer with the best median.
fn best_peer<'a>(
    metric: &Metric,
    column: &Column,
    contenders: &'a [Contender],
    samples: &Samples,
) -> Option<(&'a Contender, Values)> {
    contenders
        .iter()
        .filter(|contender| contender.role == Role::Peer)
        .filter_map(|contender| {
            let values = samples.values(metric.name, contender.name, column.key);
            Some((median(&values)?, contender, values))
        })
        .max_by(|(one, ..), (other, ..)| match column.better {
            Better::High => one.total_cmp(other),
            Better::Low => other.total_cmp(one),
        })
        .map(|(_, contender, values)| (contender, values))
}

/// A line for each number: Dormouse beside the best peer of this number, and beside itself with
/// more services.
fn summary<'a>(
    measured: impl Iterator<Item = &'a Metric>,
    contenders: &[Contender],
    samples: &Samples,
) -> String {
    let mut rows = vec![
        vec![
            "",
            "Dormouse",
            "best peer",
            "Dormouse ÷ best peer (quartiles)",
            "÷ direct",
            "one of 100 ÷ alone",
            "one of 1,000 ÷ alone",
        ]
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>(),
    ];
    for metric in measured {
        for column in metric.columns {
            let of = |name| samples.values(metric.name, name, column.key);
            let ours = of(DORMOUSE);
            let Some(middle) = median(&ours) else { continue };
            let best = best_peer(metric, column, contenders, samples);
            let arrow = if column.better == Better::High { "↑" } else { "↓" };
            rows.push(vec![
                format!("{}: {} {arrow}", metric.name, column.label),
                number(middle, column),
                best.as_ref().map_or(NOTHING.to_owned(), |(peer, values)| {
                    let value = median(values).map_or(NOTHING.to_owned(), |it| number(it, column));
                    format!("{value} ({})", peer.name)
                }),
                best.and_then(|(_, values)| ratio(&ours, &values)).map_or(
                    NOTHING.to_owned(),
                    |Spread { lower, median, upper }| {
                        format!("**{median:.2}** ({lower:.2}–{upper:.2})")
                    },
                ),
                part(&ours, &of(DIRECT)),
                part(&of("dormouse-100"), &ours),
                part(&of("dormouse-1000"), &ours),
            ]);
        }
    }
    format!("### Where Dormouse stands\n\n↑ more is better, ↓ less is better.\n\n{}", lines(&rows))
}

fn table(metric: &Metric, contenders: &[Contender], samples: &Samples) -> String {
    let mut rows: Vec<Vec<String>> = vec![
        std::iter::once(String::new())
            .chain(metric.columns.iter().map(|column| column.label.to_owned()))
            .collect(),
    ];
    for contender in contenders {
        let shows = |column: &Column| {
            let values = samples.values(metric.name, contender.name, column.key);
            let middle = median(&values)?;
            let direct = samples.values(metric.name, DIRECT, column.key);
            let best = best_peer(metric, column, contenders, samples);
            let best = best.map_or(NOTHING.to_owned(), |(_, best)| part(&values, &best));
            let direct = part(&values, &direct);
            Some(format!("{} · {direct} · {best}", number(middle, column)))
        };
        let cells: Vec<Option<String>> = metric.columns.iter().map(shows).collect();
        if cells.iter().any(Option::is_some) {
            let cells = cells.into_iter().map(|cell| cell.unwrap_or(NOTHING.to_owned()));
            rows.push(std::iter::once(contender.name.to_owned()).chain(cells).collect());
        }
    }
    format!("### {}\n\n{}", metric.title, lines(&rows))
}

fn part(values: &Values, against: &Values) -> String {
    ratio(values, against).map_or(NOTHING.to_owned(), |ratio| format!("{:.2}", ratio.median))
}

fn number(value: f64, column: &Column) -> String {
    format!("{value:.*}", column.digits)
}

/// Rows as a Markdown table, the first one as its head.
fn lines(rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let Some((head, body)) = rows.split_first() else { return String::new() };
    let rule = format!("| --- |{}", " ---: |".repeat(head.len().saturating_sub(1)));
    [line(head), rule]
        .into_iter()
        .chain(body.iter().map(|row| line(row)))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::contenders::ALL;
    use crate::bench::samples::Sample;

    fn connections() -> &'static Metric {
        metrics::ALL.iter().find(|metric| metric.name == "conn").unwrap()
    }

    /// Two rounds; the second is on a machine of half the speed.
    fn samples() -> Samples {
        let mut samples = Samples::default();
        for (name, rate, p99) in [
            ("direct", 20_000, 3),
            ("dormouse", 12_000, 6),
            ("haproxy", 10_000, 5),
            ("nginx", 8000, 4),
        ] {
            for (round, slowness) in [(0, 1), (1, 2)] {
                let (rate, p99) = (rate / slowness, p99 * slowness);
                let sample = Sample::parse(&format!("per_s {rate}\np99_us {p99}"));
                samples.add("conn", name, round, sample);
            }
        }
        samples
    }

    #[test]
    fn each_number_is_compared_with_the_peer_that_is_best_at_it() {
        let summary = summary([connections()].into_iter(), ALL, &samples());
        let rows: Vec<_> = summary.lines().filter(|line| line.contains("conn:")).collect();
        assert_eq!(
            rows,
            [
                "| conn: per second ↑ | 9000 | 7500 (haproxy) | **1.20** (1.20–1.20) | 0.60 | – | – |",
                "| conn: p99 µs ↓ | 9 | 6 (nginx) | **1.50** (1.50–1.50) | 2.00 | – | – |",
            ]
        );
    }

    #[test]
    fn a_table_has_a_row_for_each_contender_that_was_measured() {
        let table = table(connections(), ALL, &samples());
        let rows: Vec<_> = table.lines().skip(4).collect();
        assert_eq!(rows[0], "| direct | 15000 · 1.00 · 2.00 | – | 4 · 1.00 · 0.75 | – |");
        assert_eq!(rows[1], "| dormouse | 9000 · 0.60 · 1.20 | – | 9 · 2.00 · 1.50 | – |");
        assert_eq!(rows.len(), 4);
    }
}
