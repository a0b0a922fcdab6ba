//! What works here, in words.

use engine::Engine;
use engine::abilities::{Abilities, NoOwnNetwork};

use super::other;
use crate::error::{BackendError, chain};
use crate::rootless::Caller;

/// A line for each thing that differs between machines and users.
pub(super) fn lines(
    engine: &Engine,
    caller: &Caller,
) -> Result<Vec<(&'static str, String)>, BackendError> {
    let found = engine.abilities().map_err(other)?;
    Ok(vec![
        ("Store", found.store.display().to_string()),
        ("User", user(&found, caller)),
        ("Commands", commands(&found)),
        ("Layers", layers(&found)),
    ])
}

fn user(found: &Abilities, caller: &Caller) -> String {
    if caller.is_superuser() {
        return "the machine's superuser".to_owned();
    }
    if found.own_network.is_err() {
        return "an ordinary one, without a user namespace".to_owned();
    }
    match &found.single_id {
        None => "an ordinary one, with further ids in a user namespace".to_owned(),
        Some(reason) => format!("an ordinary one, with no id but its own: {reason}"),
    }
}

fn commands(found: &Abilities) -> String {
    match &found.own_network {
        Err(reason) => format!("cannot be run: {}", chain(reason)),
        Ok(Ok(())) => "run in a network of their own, connected by `pasta`".to_owned(),
        Ok(Err(NoOwnNetwork::Superuser)) => "run in the host's network".to_owned(),
        Ok(Err(reason)) => format!("run in the host's network: {reason}"),
    }
}

fn layers(found: &Abilities) -> String {
    match &found.mounted_layers {
        Ok(()) => "mounted as they are".to_owned(),
        Err(reason) => format!("unpacked into directories: {}", chain(reason)),
    }
}
