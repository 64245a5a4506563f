//! Native code of a component, and the one place where it is trusted.

use wasmtime::Engine;
use wasmtime::component::Component;

/// Native code that this very user's Dormouse has compiled. It can be made in two ways only: from
/// the output of a compiler that this process has started, and from an entry of the cache whose
/// authentication code was verified.
pub(super) struct Native {
    bytes: Vec<u8>,
    /// Where the code begins.
    begin: usize,
}

impl Native {
    /// What a compiler that this process has started wrote to its pipe.
    pub(super) fn from_compiler(bytes: Vec<u8>) -> Native {
        Native { bytes, begin: 0 }
    }

    /// The rest of `bytes` from `begin` on, which is authenticated: it was written by who can read
    /// the key of the cache.
    pub(super) fn from_verified_entry(bytes: Vec<u8>, begin: usize) -> Native {
        Native { begin: begin.min(bytes.len()), bytes }
    }

    /// The code.
    pub(super) fn code(&self) -> &[u8] {
        &self.bytes[self.begin..]
    }

    /// The component that it is the code of.
    ///
    /// # Errors
    ///
    /// If it is of another version or for another machine, or if there is no memory for code.
    #[allow(
        unsafe_code,
        reason = "wasmtime can't tell whether native code was compiled by it; this type can"
    )]
    pub(super) fn component(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: the bytes must be those that wasmtime has compiled. `from_compiler` gets them
        // through a pipe whose only writer is this program, compiling with this engine's config.
        // `from_verified_entry` gets them with an HMAC-SHA256 under a random key in a file that
        // nobody but this user (and root) can read: a process that could forge it can write to this
        // process anyway. The HMAC covers the sum of the component and the hash of version, config
        // and machine; wasmtime checks version and config once more.
        unsafe { Component::deserialize(engine, self.code()) }
    }
}
