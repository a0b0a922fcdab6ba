//! The program as its users meet it: each test drives the binary on a store of its own.
//!
//!     cargo test --test it [MODULE::]
//!
//! They need root, Debian's packages (`scripts/test` installs them) and, for `real`, a network.

mod arguments;
mod bad_input;
mod bad_network;
mod bombs;
mod builds;
mod cache;
mod calls;
mod containers;
mod copies;
mod damage;
mod debugging;
mod escapes;
mod extensions;
mod foresight;
mod hostile;
mod interruption;
mod layers;
mod layouts;
mod logins;
mod mirrors;
mod named_contexts;
mod outputs;
mod platforms;
mod powers;
mod pushes;
mod real;
mod registries;
mod remote_contexts;
mod remote_files;
mod remote_repositories;
mod reproducible;
mod rootless;
mod sandbox;
mod secrets;
mod sharing;
mod space;
mod terminal;
mod tls;
mod torture;

use testkit::rbuild::Rbuild;

/// The program with a store that is made already, so that other files can be beside it: its directory is the user's home
/// too.
fn at_home() -> Rbuild {
    let rbuild = rbuild();
    rbuild.run(["images"]).succeeded();
    rbuild
}

/// The program with an empty store.
fn rbuild() -> Rbuild {
    Rbuild::new(env!("CARGO_BIN_EXE_rbuild"))
}
