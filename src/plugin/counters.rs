//! What each plugin has done so far, and what it has done wrong.
//!
//! Every call of a plugin is counted once, by how it ended. A plugin that *reports* a failure works as
//! it should: the fault is elsewhere, mostly with the target. One that crashes, spends a limit or
//! answers nonsense is at fault itself. If that happens again and again, an error says so, at a
//! growing distance, so that nobody looks for it in the target; and a line says when it is over.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::{self, PluginSource};

use crate::text;

/// After so many faults in a row the plugin is blamed; then after twice as many, and so on.
const BLAMED_AFTER: u64 = 5;

/// What a plugin has done since Dormouse began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls of its functions that were begun.
    pub calls: u64,
    /// Calls that it answered with a failure.
    pub failures: u64,
    /// Calls that crashed: traps, panics, exits.
    pub crashes: u64,
    /// Calls that used up their CPU time.
    pub cpu: u64,
    /// Calls that did not return before their deadline.
    pub late: u64,
    /// Calls that wanted more memory than they may have.
    pub memory: u64,
    /// Calls that were answered with what can't be.
    pub nonsense: u64,
    /// Things that it wanted to do and was not allowed to.
    pub denials: u64,
    /// Lines that it wanted to log beyond its limit.
    pub lines_left_out: u64,
}

impl Counts {
    /// Whether there is anything that it has done wrong. A failure that it reported is nothing of that
    /// kind.
    pub fn has_faults(&self) -> bool {
        self.faults() != Counts::default()
    }

    /// What of it is wrong.
    fn faults(&self) -> Counts {
        Counts { calls: 0, failures: 0, ..*self }
    }
}

/// `12 calls, 1 failure, 3 crashes`: what is 0 is left out.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            (self.calls, "call", "calls"),
            (self.failures, "failure", "failures"),
            (self.crashes, "crash", "crashes"),
            (self.cpu, "call that used up its CPU time", "calls that used up their CPU time"),
            (self.late, "missed deadline", "missed deadlines"),
            (self.memory, "call that used up its memory", "calls that used up their memory"),
            (self.nonsense, "answer that can't be", "answers that can't be"),
            (self.denials, "denial", "denials"),
            (self.lines_left_out, "line left out of the log", "lines left out of the log"),
        ];
        let mut between = "";
        for (count, one, many) in words.into_iter().filter(|(count, ..)| *count > 0) {
            write!(f, "{between}{count} {}", if count == 1 { one } else { many })?;
            between = ", ";
        }
        Ok(())
    }
}

/// What a plugin is called in the counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginCounts {
    /// Its name in the config.
    pub plugin: String,
    /// The service whose hooks it runs, if it is the shell plugin behind them.
    pub hooks_of: Option<String>,
    /// What it has done.
    pub counts: Counts,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With an answer.
    Answered,
    /// With a failure that the plugin reported.
    Failed,
    /// By a trap.
    Crashed,
    /// The CPU time was used up.
    OutOfCpu,
    /// The deadline passed.
    Late,
    /// The deadline passed while the call waited for a command: the command's fault, if anybody's.
    LateForCommand,
    /// The memory was used up.
    OutOfMemory,
    /// With an answer that can't be.
    Nonsense,
}

impl End {
    /// Where it is counted, and whether the plugin is to blame.
    fn count(self, counts: &mut Counts) -> bool {
        let (count, to_blame) = match self {
            End::Answered => return false,
            End::Failed => (&mut counts.failures, false),
            End::LateForCommand => (&mut counts.late, false),
            End::Crashed => (&mut counts.crashes, true),
            End::OutOfCpu => (&mut counts.cpu, true),
            End::Late => (&mut counts.late, true),
            End::OutOfMemory => (&mut counts.memory, true),
            End::Nonsense => (&mut counts.nonsense, true),
        };
        *count += 1;
        to_blame
    }
}

/// The account of one plugin.
#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<Ledger>);

#[derive(Debug, Default)]
struct Ledger {
    counts: Counts,
    /// What people have been told of.
    told: Counts,
    /// For each function, what has gone wrong in a row.
    rows: BTreeMap<&'static str, Row>,
}

/// Faults of one function without an answer between them.
#[derive(Debug, Default)]
struct Row {
    length: u64,
    faults: Counts,
    /// The length at which the plugin was blamed last.
    blamed: u64,
}

/// What is to be told of a row.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It goes on, and is so long by now.
    Blamed { length: u64, faults: Counts },
    /// It is over, and was so long.
    Recovered { length: u64 },
}

impl Counters {
    /// A call begins.
    pub(super) fn begin(&self) {
        self.ledger().counts.calls += 1;
    }

    /// A call of `function` has ended. Tells if that is one fault too many.
    pub(super) fn end(&self, plugin: &config::Plugin, function: &'static str, end: End) {
        // Nothing is logged under the lock.
        let verdict = self.ledger().end(function, end);
        if let Some(verdict) = verdict {
            tell(plugin, function, &verdict);
        }
    }

    /// Something was denied.
    pub(super) fn denied(&self) {
        self.ledger().counts.denials += 1;
    }

    /// So many lines were left out of the log.
    pub(super) fn left_out(&self, lines: usize) {
        self.ledger().counts.lines_left_out += lines as u64;
    }

    pub(super) fn counts(&self) -> Counts {
        self.ledger().counts
    }

    /// The counts, if there are faults that people have not been told of.
    pub(super) fn untold(&self) -> Option<Counts> {
        let mut ledger = self.ledger();
        let counts = ledger.counts;
        let news = counts.faults() != ledger.told.faults();
        ledger.told = counts;
        news.then_some(counts)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    fn end(&mut self, function: &'static str, end: End) -> Option<Verdict> {
        let row = self.rows.entry(function).or_default();
        if end.count(&mut self.counts) {
            end.count(&mut row.faults);
            row.length += 1;
            let next = (2 * row.blamed).max(BLAMED_AFTER);
            if row.length < next {
                return None;
            }
            row.blamed = row.length;
            return Some(Verdict::Blamed { length: row.length, faults: row.faults });
        }
        if end == End::LateForCommand {
            return None;
        }
        let Row { length, blamed, .. } = std::mem::take(row);
        (blamed > 0).then_some(Verdict::Recovered { length })
    }
}

fn tell(plugin: &config::Plugin, function: &str, verdict: &Verdict) {
    let who = who(plugin);
    match verdict {
        Verdict::Blamed { length, faults } => {
            let remedy = match &plugin.source {
                PluginSource::Builtin(_) => "This is a fault of Dormouse: please report it",
                PluginSource::File(_) => {
                    "The messages of its failures say what would help. Otherwise tell its author, and \
                     put another version in the place of its file, which is taken up at once"
                }
            };
            tracing::error!(
                plugin = plugin.name,
                "{who} has failed {length} times in a row in `{function}` ({faults}): this is the \
                 plugin's fault, not the target's. {remedy}",
            );
        }
        Verdict::Recovered { length } => tracing::info!(
            plugin = plugin.name,
            "{who} answers again in `{function}`, after {length} faults in a row",
        ),
    }
}

/// Whom a line is about: the beginning of a sentence.
pub(super) fn who(plugin: &config::Plugin) -> String {
    let name = |name: &str| text::line(name, 200);
    match &plugin.hooks_of {
        Some(service) => format!("the shell plugin behind the hooks of `{}`", name(service)),
        None => format!("the plugin `{}`", name(&plugin.name)),
    }
}

/// The accounts of all plugins of a process.
#[derive(Debug, Default)]
pub(super) struct Accounts(Mutex<BTreeMap<Holder, Arc<Counters>>>);

/// Whose account it is: the service whose hooks it runs, if it does, and the name.
pub(super) type Holder = (Option<String>, String);

/// Whose account the calls of `plugin` go to.
pub(super) fn holder(plugin: &config::Plugin) -> Holder {
    (plugin.hooks_of.clone(), plugin.name.clone())
}

impl Accounts {
    /// The account of `plugin`.
    pub(super) fn of(&self, plugin: &config::Plugin) -> Arc<Counters> {
        Arc::clone(self.accounts().entry(holder(plugin)).or_default())
    }

    /// All counts, in the order of the names.
    pub(super) fn counts(&self) -> Vec<PluginCounts> {
        let counts = |((hooks_of, plugin), counters): (&Holder, &Arc<Counters>)| PluginCounts {
            plugin: plugin.clone(),
            hooks_of: hooks_of.clone(),
            counts: counters.counts(),
        };
        self.accounts().iter().map(counts).collect()
    }

    /// Tells of the plugins that have done something wrong since they were told of last.
    pub(super) fn tell(&self) {
        let accounts = self.accounts();
        let untold: Vec<_> = accounts
            .iter()
            .filter_map(|(holder, counters)| Some((holder.clone(), counters.untold()?)))
            .collect();
        drop(accounts);
        for ((hooks_of, plugin), counts) in untold {
            tracing::info!(plugin, hooks_of, "what this plugin has done so far: {counts}");
        }
    }

    fn accounts(&self) -> MutexGuard<'_, BTreeMap<Holder, Arc<Counters>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lengths at which somebody is told, of so many faults in a row.
    fn blamed(ledger: &mut Ledger, function: &'static str, times: u64) -> Vec<u64> {
        let verdicts = (0..times).filter_map(|_| ledger.end(function, End::Crashed));
        let length = |verdict| match verdict {
            Verdict::Blamed { length, .. } | Verdict::Recovered { length } => length,
        };
        verdicts.map(length).collect()
    }

    #[test]
    fn a_plugin_is_blamed_after_five_faults_in_a_row_and_then_at_a_growing_distance() {
        let mut ledger = Ledger::default();
        assert_eq!(blamed(&mut ledger, "start", 100), [5, 10, 20, 40, 80]);
    }

    #[test]
    fn an_answer_and_a_failure_that_was_reported_end_a_row() {
        for end in [End::Answered, End::Failed] {
            let mut ledger = Ledger::default();
            assert_eq!(blamed(&mut ledger, "start", 4), [0; 0]);
            assert_eq!(ledger.end("start", end), None);
            assert_eq!(blamed(&mut ledger, "start", 7), [5]);
            assert_eq!(ledger.end("start", end), Some(Verdict::Recovered { length: 7 }));
            assert_eq!(ledger.end("start", end), None, "told once");
            assert_eq!(blamed(&mut ledger, "start", 5), [5], "it begins anew");
        }
    }

    #[test]
    fn failures_that_are_reported_are_no_faults_however_many_there_are() {
        let mut ledger = Ledger::default();
        for _ in 0..1000 {
            assert_eq!(ledger.end("start", End::Failed), None);
            assert_eq!(ledger.end("start", End::LateForCommand), None);
        }
        assert_eq!(ledger.counts.failures, 1000);
    }

    #[test]
    fn a_function_that_answers_does_not_hide_another_that_never_does() {
        let mut ledger = Ledger::default();
        for _ in 0..4 {
            assert_eq!(ledger.end("should-wake", End::Late), None);
            assert_eq!(ledger.end("start", End::Answered), None);
        }
        assert!(ledger.end("should-wake", End::Late).is_some());
    }

    #[test]
    fn what_has_gone_wrong_in_a_row_is_told_apart() {
        let mut ledger = Ledger::default();
        ledger.end("ready", End::OutOfMemory);
        ledger.end("ready", End::Answered);
        for end in [End::Crashed, End::OutOfCpu, End::Late, End::OutOfMemory] {
            assert_eq!(ledger.end("ready", end), None);
        }
        let one =
            Counts { crashes: 1, cpu: 1, late: 1, memory: 1, nonsense: 1, ..Counts::default() };
        let verdict = Verdict::Blamed { length: 5, faults: one };
        assert_eq!(ledger.end("ready", End::Nonsense), Some(verdict));
        assert_eq!(ledger.counts.memory, 2);
    }

    #[test]
    fn counts_are_told_when_faults_have_come_to_them_and_once() {
        let counters = Counters::default();
        counters.begin();
        counters.ledger().end("start", End::Failed);
        assert_eq!(counters.untold(), None, "a failure is no fault");
        counters.denied();
        counters.left_out(3);
        let told = counters.untold().map(|counts| counts.to_string());
        let expected = "1 call, 1 failure, 1 denial, 3 lines left out of the log";
        assert_eq!(told.as_deref(), Some(expected));
        counters.begin();
        assert_eq!(counters.untold(), None);
        assert!(counters.counts().has_faults());
    }
}
