//! `cargo xtask plugins`: the embedded components, and whether they are what their sources say.

use crate::cargo::{self, announce};
use crate::files;
use crate::guest::{EMBEDDED, Guest};
use crate::lock::Lock;

/// Builds the embedded components and writes their lock files.
pub fn build() -> Result<(), String> {
    cargo::ensure_wasm_target()?;
    for guest in EMBEDDED {
        let component = guest.build()?;
        let lock = Lock {
            rustc: cargo::compiler()?,
            component: files::sha256(&component),
            inputs: guest.inputs()?,
        };
        files::write(&guest.component(), &component)?;
        lock.write(&guest.lock())?;
        announce(&format!("wrote {} ({} bytes)", guest.component().display(), component.len()));
    }
    Ok(())
}

/// Fails if an embedded component is not what its sources say.
pub fn check() -> Result<(), String> {
    for guest in EMBEDDED {
        check_one(&guest).map_err(|problem| {
            format!("{problem}. Run `cargo xtask plugins` and commit what it writes")
        })?;
    }
    Ok(())
}

fn check_one(guest: &Guest) -> Result<(), String> {
    let name = guest.name;
    let lock = Lock::read(&guest.lock())?;
    let component = files::read(&guest.component())?;
    if files::sha256(&component) != lock.component {
        return Err(format!("the component {name} is not the one that its lock file names"));
    }
    if guest.inputs()? != lock.inputs {
        return Err(format!(
            "the sources of the component {name} have changed since it was built (plugins/ or wit/)"
        ));
    }
    let compiler = cargo::compiler()?;
    if compiler != lock.rustc {
        announce(&format!(
            "the component {name} has the sources that its lock file names; it is not built again, \
             because that was {} and this is {compiler}",
            lock.rustc
        ));
        return Ok(());
    }
    cargo::ensure_wasm_target()?;
    let built = guest.build()?;
    if built != component {
        return Err(format!(
            "the component {name} is not what its sources give: {} and {} bytes, or others",
            component.len(),
            built.len()
        ));
    }
    announce(&format!("the component {name} is what its sources give, byte for byte"));
    Ok(())
}
