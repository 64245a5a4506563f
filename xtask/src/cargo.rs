//! Other programs: cargo, rustc and rustup, of the toolchain that runs this.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The target that guest components are built for.
pub const WASM: &str = "wasm32-wasip2";

/// The folder of the project.
pub fn root() -> PathBuf {
    // Asked when it runs, because checkouts may share a target folder, and with it this program.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR");
    let xtask = manifest.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask.parent().map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// Where guest components are built: a folder of its own, because the cargo that runs this may hold
/// the lock of the other one.
pub fn guest_target_folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    root().join(target).join("guests")
}

/// Says what is done next.
pub fn announce(step: &str) {
    eprintln!("==> {step}");
}

/// Cargo, in the folder of the project.
pub fn cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

fn rustc() -> Command {
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

/// Runs a command to its end; `what` it is for stands in the error.
pub fn run(command: &mut Command, what: &str) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{what} failed ({status}); the reason stands above")),
        Err(error) => Err(format!("{what} failed: cannot run `{program}`: {error}")),
    }
}

/// Runs a command and returns what it prints.
fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run `{program}`: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{program}` failed ({}); the reason stands above", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The compiler, as exactly as it matters for the bytes that it makes: version, commit and host.
pub fn compiler() -> Result<String, String> {
    let version = output(rustc().arg("-vV"))?;
    let mut lines = version.lines();
    let name = lines.next().unwrap_or_default();
    let host = lines.find_map(|line| line.strip_prefix("host: ")).unwrap_or("unknown host");
    Ok(format!("{name} on {host}"))
}

/// Whether cargo has this subcommand.
pub fn has_subcommand(name: &str) -> bool {
    let mut command = cargo([name, "--version"]);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Sees to it that the compiler can build for [`WASM`].
pub fn ensure_wasm_target() -> Result<(), String> {
    let folder = output(rustc().args(["--print", "target-libdir", "--target", WASM]))?;
    if Path::new(&folder).is_dir() {
        return Ok(());
    }
    announce(&format!("installing the target {WASM}"));
    run(Command::new("rustup").args(["target", "add", WASM]), "installing it").map_err(|error| {
        format!(
            "{error}\n\nThe plugins are built for {WASM}, and this compiler lacks its standard \
             library. With rustup, `rustup target add {WASM}` installs it (this needs the network \
             once). Without rustup, look for the package of this target in your distribution."
        )
    })
}
