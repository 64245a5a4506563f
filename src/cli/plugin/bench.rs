//! `dormouse plugin try`: has a plugin decide, and shows what came of it.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::arguments::Try;
use super::told::Paint;
use super::watch::Watch;
use super::{compare, json, print, runtime, told, words};
use crate::cli::signals::Signals;
use crate::cli::{Complaint, Failure};
use crate::config::script::{self, Call, CommandEnd, Script};
use crate::config::{self, Config, PluginSource, trial};
use crate::plugin::Decision;
use crate::plugin::process::Exit;
use crate::plugin::trial::{Bench, PlayedCommand, PlayedEnd, Question, Trial};
use crate::telemetry;
use crate::telemetry::say;

/// Tries the plugin once, or again and again.
pub(super) fn execute(given: &Try) -> Result<(), Failure> {
    let calls = given.calls()?;
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::new()?;
        if given.watch {
            watch(given, &calls, &mut signals).await
        } else {
            match once(given, &calls, &mut signals).await? {
                Outcome::Good => Ok(()),
                Outcome::Bad => Err(Failure::Told),
                Outcome::Interrupted(signal) => {
                    Err(Complaint::new(format!("{signal}: ended before the answer")).into())
                }
            }
        }
    });
    // What still runs there is a plugin being compiled.
    runtime.shutdown_background();
    ended
}

/// How a try ended.
enum Outcome {
    /// An answer came, or all was as expected.
    Good,
    /// It did not, and that has been told.
    Bad,
    /// A signal came first.
    Interrupted(&'static str),
}

/// Tries the plugin at each change of its file or its script, until a signal comes.
async fn watch(given: &Try, calls: &[Call], signals: &mut Signals) -> Result<(), Failure> {
    let mut files = given.script.clone().into_iter().collect::<Vec<_>>();
    if let PluginSource::File(file) = trial::source(&given.file).map_err(Failure::BadFlags)? {
        files.push(file);
    }
    let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    let mut watch = Watch::new(files);
    loop {
        match once(given, calls, signals).await {
            Ok(Outcome::Interrupted(_)) => return Ok(()),
            Ok(Outcome::Good | Outcome::Bad) => {}
            Err(failure @ Failure::Output(_)) => return Err(failure),
            Err(failure) => {
                failure.report();
            }
        }
        say(&format!("waiting for a change of {}; Ctrl-C ends", names.join(" or ")));
        tokio::select! {
            () = watch.changed() => {}
            _ = signals.next() => return Ok(()),
        }
    }
}

/// Tries the plugin once.
async fn once(given: &Try, calls: &[Call], signals: &mut Signals) -> Result<Outcome, Failure> {
    let source = trial::source(&given.file).map_err(Failure::BadFlags)?;
    let script = match &given.script {
        Some(path) => Some(script::read(path, source.clone()).map_err(Failure::BadConfig)?),
        None => None,
    };
    let config = match &script {
        Some(script) => script.config.clone(),
        None => config_of(given, source)?,
    };
    // Gone when this function returns, whatever the plugin has put there.
    let folder = tempfile::tempdir()
        .map_err(|error| Complaint::new(format!("there is no temporary folder: {error}")))?;
    let state_dir = match &given.state_dir {
        Some(folder) => absolute(folder)?,
        None => folder.path().to_owned(),
    };
    let played = script.as_ref().and_then(|script| script.commands.clone());
    let played = played.map(|commands| commands.into_iter().map(of_script).collect());
    let mut bench = Bench::new(config, &state_dir, played)
        .map_err(|error| Complaint::new(format!("plugins can't be run: {error}")))?;
    let work = async {
        match &script {
            Some(script) => play(&mut bench, script).await,
            None => ask(&mut bench, calls, given.json).await,
        }
    };
    let ended = tokio::select! {
        ended = work => ended,
        signal = signals.next() => Ok(Outcome::Interrupted(signal)),
    };
    bench.shutdown().await;
    ended
}

/// The plugin as flags or a config describe it.
fn config_of(given: &Try, source: PluginSource) -> Result<Config, Failure> {
    let Some((path, name)) = given.config() else {
        return trial::from_flags(source, &given.flags()).map_err(Failure::BadFlags);
    };
    let (config, _) = config::read(path).map_err(Failure::BadConfig)?;
    trial::from_config(&config, name, source).ok_or_else(|| {
        let known = config.plugins.iter().filter(|plugin| plugin.hooks_of.is_none());
        let known: Vec<_> = known.map(|plugin| format!("`{}`", plugin.name)).collect();
        let what = format!("no service of the config has a plugin `{name}`");
        let complaint = Complaint::new(what);
        match known.as_slice() {
            [] => complaint.remedy("name it in a service, or give its grants as flags").into(),
            known => complaint.remedy(format!("its services have {}", known.join(", "))).into(),
        }
    })
}

fn absolute(folder: &std::path::Path) -> Result<PathBuf, Failure> {
    std::path::absolute(folder).map_err(|error| {
        Complaint::new(format!("`{}` is no folder: {error}", folder.display())).into()
    })
}

/// Asks one question after the other, and shows each answer.
async fn ask(bench: &mut Bench, calls: &[Call], as_json: bool) -> Result<Outcome, Failure> {
    let exports = load(bench).await?;
    let paint = Paint { colour: telemetry::stdout_has_colour() };
    let mut outcome = Outcome::Good;
    for (index, call) in calls.iter().enumerate() {
        let question = words::of_call(call);
        let trial = decide(bench, &exports, &question).await?;
        if trial.answer.is_err() || !trial.record.denied.is_empty() {
            outcome = Outcome::Bad;
        }
        if as_json {
            print(&format!("{}\n", json::trial(&question, &trial)))?;
        } else {
            let gap = if index > 0 { "\n" } else { "" };
            print(&format!("{gap}{}", told::block(&question, &trial, bench.limits(), paint)))?;
        }
        let asks_for_more =
            trial.answer.as_ref().is_ok_and(|answer| words::answer(answer) == "more");
        if !asks_for_more && index + 1 < calls.len() {
            let left = calls.len() - index - 1;
            say(&format!("the conversation is over: {left} more `--send` were not sent"));
            break;
        }
    }
    Ok(outcome)
}

/// Plays a script, and says of each step whether it went as expected.
async fn play(bench: &mut Bench, script: &Script) -> Result<Outcome, Failure> {
    let exports = load(bench).await?;
    let paint = Paint { colour: telemetry::stdout_has_colour() };
    let mut different = 0;
    for (index, step) in script.steps.iter().enumerate() {
        tokio::time::sleep(step.wait).await;
        let question = words::of_call(&step.call);
        let trial = decide(bench, &exports, &question).await?;
        let differences = compare::differences(&step.expect, &trial);
        let word = if differences.is_empty() {
            paint.good("ok     ")
        } else {
            different += 1;
            paint.bad("differs")
        };
        let (number, took) = (index + 1, words::time(trial.time));
        let mut line =
            format!("{word} {number:>3}  {}  {}\n", words::question(&question), paint.dim(&took));
        for difference in &differences {
            line.push_str(&difference.rows(paint));
        }
        print(&line)?;
    }
    let steps = script.steps.len();
    let mut end = format!("\n{steps} {}", if steps == 1 { "step" } else { "steps" });
    let _ = match different {
        0 => write!(end, ", all as expected"),
        different => write!(end, ", {different} not as expected"),
    };
    print(&format!("{end}\n"))?;
    Ok(if different == 0 { Outcome::Good } else { Outcome::Bad })
}

async fn load(bench: &Bench) -> Result<Vec<Decision>, Failure> {
    bench.load().await.map_err(|error| Complaint::new(error.to_string()).into())
}

/// Asks a question that the plugin answers.
async fn decide(
    bench: &mut Bench,
    exports: &[Decision],
    question: &Question,
) -> Result<Trial, Failure> {
    let decision = question.decision();
    if !exports.contains(&decision) {
        let exported: Vec<_> = exports.iter().map(|export| format!("`{export}`")).collect();
        let function = question.function();
        let what = format!(
            "the plugin can't be asked `{function}`: it does not export `{decision}`, but {}",
            exported.join(", ")
        );
        return Err(Complaint::new(what)
            .remedy("ask what it exports, or export the interface: `dormouse plugin wit` writes it")
            .into());
    }
    let trial = bench.ask(question.clone()).await;
    trial.map_err(|error| Complaint::new(error.to_string()).into())
}

fn of_script(command: script::Command) -> PlayedCommand {
    let script::Command { program, arguments, end, stdout, stderr } = command;
    let end = match end {
        CommandEnd::Status(status) => PlayedEnd::Exit(Exit::Status(status)),
        CommandEnd::Signal(signal) => PlayedEnd::Exit(Exit::Signal(signal)),
        CommandEnd::TimedOut => PlayedEnd::Exit(Exit::TimedOut),
        CommandEnd::Failed(reason) => PlayedEnd::Failed(reason),
    };
    PlayedCommand { program, arguments, end, stdout, stderr }
}
