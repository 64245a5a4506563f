//! The project's own chores: `cargo xtask COMMAND`. One file a command.

#[cfg(target_os = "linux")]
mod bench;
mod cargo;
#[cfg(target_os = "linux")]
mod chaos;
mod files;
mod fuzz;
mod guest;
mod languages;
mod lock;
mod model;
mod plugins;
mod readme;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
The project's own chores.

Usage: cargo xtask COMMAND

Commands:
  test [ARGUMENTS]   installs what the tests need, checks the embedded components, runs all tests;
                     arguments go to the test runner (cargo nextest, or cargo test without it)
  bench [OPTIONS]    compares a release build with other proxies, for docs/performance.md;
                     `bench --help` says more
  chaos [OPTIONS]    runs the binary between clients, hooks and targets that fail at random, and
                     counts broken invariants; `chaos --help` says more
  fuzz [--minutes N] [TARGET...]
                     tries random inputs for everything that parses, each target for 15 minutes; the
                     target `components` tries random plugins
  orders             tries every order of threads at the door that counts clients
  mutants [ARGUMENTS]
                     changes the lifecycle and the door in every way, and sees whether their tests
                     notice; arguments go to `cargo mutants`
  plugins            builds the embedded components and writes their lock files
  plugins --check    fails if an embedded component is not what its sources say
  plugins LANG...    builds and tests the plugin of examples/plugins/ in these languages, from
                     nothing, with the commands of their READMEs: rust, c, go, python, javascript,
                     or all
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["test", rest @ ..] => test::run(rest),
        #[cfg(target_os = "linux")]
        ["bench", rest @ ..] => bench::run(rest),
        // A part of `bench`, which starts it.
        #[cfg(target_os = "linux")]
        ["bench-load", rest @ ..] => bench::load::run(rest),
        #[cfg(not(target_os = "linux"))]
        ["bench", ..] => Err("`bench` needs Linux: it reads /proc".to_owned()),
        #[cfg(target_os = "linux")]
        ["chaos", rest @ ..] => chaos::run(rest),
        #[cfg(not(target_os = "linux"))]
        ["chaos", ..] => Err("`chaos` needs Linux: it reads /proc".to_owned()),
        ["fuzz", rest @ ..] => fuzz::run(rest),
        ["orders"] => model::orders(),
        ["mutants", rest @ ..] => model::mutants(rest),
        ["plugins"] => plugins::build(),
        ["plugins", "--check"] => plugins::check(),
        ["plugins", languages @ ..] => languages::run(languages),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        [] => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
        _ => {
            eprintln!("error: there is no `{}`\n\n{USAGE}", arguments.join(" "));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
