//! The parts of Dormouse that decide what a plugin may reach, without the rest: how grants are read
//! (`config`), and how a command, an address or a request is compared with them (`plugin`).

#![allow(dead_code, unused_imports, reason = "the rest of Dormouse is not here to use it")]
#![allow(unreachable_pub, reason = "visibility is that of the main crate")]

pub mod config;
pub mod text;

/// What `config` and `plugin` name of the port.
pub mod decide {
    /// The variable with the mark of a call.
    pub const CALL_VARIABLE: &str = "DORMOUSE_CALL";
}

pub mod plugin {
    pub(super) mod children {
        pub(in crate::plugin) const MARK: &str = "DORMOUSE_CHILD";
    }

    pub mod grants {
        mod commands;
        mod denial;
        #[cfg(test)]
        mod for_tests;
        mod network;

        pub(super) use denial::{Denial, toml_key, toml_string};
    }

    pub mod http {
        /// How many bytes of a request are shown.
        const SHOWN: usize = 1024;

        mod address;
        mod body_error;
        mod route;
    }
}
