//! `bootsplice key`: on the state directory, without a running host (RFC 0006).

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::exit::Code;
use super::wire::date;
use super::{Failure, Output};
use crate::clock::{SystemClock, SystemEntropy};
use crate::keys::{KeyInfo, KeyState, Keyring};
use crate::state::StateDirectory;

#[derive(Subcommand)]
pub enum Key {
    /// Make a signing key and print its id.
    New(State),
    /// List keys with their state.
    List(State),
    /// Print a public key as PEM, for `/etc/bootsplice/keys.d/` of the image.
    #[command(
        after_help = "Example: bootsplice key export --state /var/lib/bootsplice > keys.d/host.pem"
    )]
    Export {
        #[command(flatten)]
        state: State,
        /// The only active key when absent.
        id: Option<String>,
    },
    /// Make another active key; archives carry a signature by each until the old one is retired.
    Rotate(State),
    /// Stop a key from signing.
    Retire {
        #[command(flatten)]
        state: State,
        id: String,
        /// The object store of the base volumes: a key that one of them needs is not retired.
        #[arg(long, required_unless_present = "no_volumes")]
        volumes: Option<String>,
        /// Retire it without looking at any base volume.
        #[arg(long, conflicts_with = "volumes")]
        no_volumes: bool,
    },
}

/// Where the keys are.
#[derive(Args)]
pub struct State {
    /// The host's state directory.
    #[arg(long, env = "BOOTSPLICE_STATE", default_value = "/var/lib/bootsplice")]
    state: PathBuf,
}

// === impl Key ===

impl Key {
    pub async fn run(self, output: &Output) -> Result<(), Failure> {
        match self {
            Self::New(state) => {
                let info = state.keys()?.create(&SystemClock, &SystemEntropy)?;
                output.answer(&info, || info.id.clone());
            }
            Self::Rotate(state) => {
                let keys = state.keys()?;
                if keys.active()?.is_empty() {
                    let message =
                        "there is no key to rotate: make the first with `bootsplice key new`";
                    return Err(Failure::new(Code::Conflict, message));
                }
                let info = keys.create(&SystemClock, &SystemEntropy)?;
                output.answer(&info, || info.id.clone());
            }
            Self::List(state) => {
                let keys = state.keys()?.list()?;
                let rows = keys.iter();
                let rows =
                    rows.map(|key| [key.id.clone(), name_of(key).to_owned(), date(key.created)]);
                output.table(&keys, ["ID", "STATE", "CREATED"], rows.collect());
            }
            Self::Export { state, id } => {
                let keys = state.keys()?;
                let id = match id {
                    Some(id) => id,
                    None => only_active(&keys)?,
                };
                let pem = keys.export(&id)?;
                output.answer(&serde_json::json!({ "id": id, "pem": pem }), || pem.clone());
            }
            Self::Retire {
                state,
                id,
                volumes,
                no_volumes: _,
            } => {
                let keys = state.keys()?;
                let trusting = match volumes {
                    Some(url) => trusted_by(&url).await?,
                    None => Vec::new(),
                };
                let info = keys.retire(&id, &trusting)?;
                output.answer(&info, || format!("{} is retired", info.id));
            }
        }
        Ok(())
    }
}

// === impl State ===

impl State {
    fn keys(&self) -> Result<Keyring, Failure> {
        let state = StateDirectory::open(&self.state)
            .map_err(|error| Failure::new(Code::Failure, error.to_string()))?;
        Ok(Keyring::at(&state.keys()))
    }
}

/// The names of a store's volumes with the ids of the keys that each trusts.
async fn trusted_by(url: &str) -> Result<Vec<(String, Vec<String>)>, Failure> {
    let store = super::volume::open(url)?;
    let mut trusting = Vec::new();
    for named in bootsplice_import::list(&store).await? {
        let found = bootsplice_import::inspect(&store, &named.name).await?;
        let keys = found.inventory.trusted_keys.into_iter().collect();
        trusting.push((named.name, keys));
    }
    Ok(trusting)
}

fn only_active(keys: &Keyring) -> Result<String, Failure> {
    let active = keys.active()?;
    match &active[..] {
        [only] => Ok(only.id.clone()),
        [] => {
            let message = "there is no active key: make one with `bootsplice key new`";
            Err(Failure::new(Code::NotFound, message))
        }
        several => {
            let ids: Vec<_> = several.iter().map(|key| &*key.id).collect();
            Err(Failure::usage(format!(
                "name one of the active keys: {}",
                ids.join(", ")
            )))
        }
    }
}

fn name_of(key: &KeyInfo) -> &'static str {
    match key.state {
        KeyState::Active => "active",
        KeyState::Retired => "retired",
    }
}
