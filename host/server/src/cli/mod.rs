//! The `bootsplice` command: one module a noun, the same words as the API.
//!
//! Exit codes: 0 done, 1 failure, 2 usage, 3 not found, 4 not allowed (no token, or one without the verb), 5 conflict or failed precondition, 6 not
//! reachable or not now, 7 refused as invalid, 8 a lock that does not hold, 9 known vulnerabilities.

mod exit;
mod fetch;
mod key;
mod launch;
mod lock;
mod output;
mod plan;
mod plugin;
mod profile;
mod reference;
mod request;
mod secret;
mod serve;
mod token;
mod volume;
mod wire;

pub use exit::Failure;
pub use output::{Format, Output};

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use url::Url;

use crate::client::{Client, ClientError};

/// Personalises a base volume while it streams to where a machine boots from.
#[derive(Parser)]
#[command(name = "bootsplice", version, propagate_version = true, after_help = AFTER)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const AFTER: &str = "\
Environment:
  BOOTSPLICE_URL    where the host is (http://127.0.0.1:8080)
  BOOTSPLICE_TOKEN  the token to talk to it with

Exit codes: 0 done, 1 failure, 2 usage, 3 not found, 4 not allowed, 5 conflict, 6 not reachable, 7 invalid,
8 lock does not hold, 9 vulnerable";

/// What every command takes.
#[derive(Args, Clone)]
pub struct Global {
    /// Where the host is.
    #[arg(
        long,
        global = true,
        env = "BOOTSPLICE_URL",
        default_value = "http://127.0.0.1:8080",
        help_heading = "Host"
    )]
    pub url: Url,
    /// The token to talk to the host with; better in the environment than here, where other users can see it.
    #[arg(
        long,
        global = true,
        env = "BOOTSPLICE_TOKEN",
        hide_env_values = true,
        help_heading = "Host"
    )]
    pub token: Option<String>,
    /// PEM file of certificates to trust besides the system's.
    #[arg(long, global = true, env = "BOOTSPLICE_CA", help_heading = "Host")]
    pub ca: Option<PathBuf>,
    /// How answers are printed.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub output: Format,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run a host.
    Serve(serve::Serve),
    /// Base volumes, in an object store; without a running host.
    #[command(subcommand)]
    Volume(volume::Volume),
    /// Profiles: what a launch shall put on the disk.
    #[command(subcommand)]
    Profile(profile::Profile),
    /// Launches: personalised volumes.
    #[command(subcommand)]
    Launch(launch::LaunchCommand),
    Plan(plan::PlanCommand),
    Lock(Box<lock::Lock>),
    /// Generators that profiles use.
    #[command(subcommand)]
    Plugin(plugin::Plugin),
    /// Secrets: written, never read back.
    #[command(subcommand)]
    Secret(secret::Secret),
    /// Keys that sign archives; works on the state directory, without a running host.
    #[command(subcommand)]
    Key(key::Key),
    /// Tokens of the API.
    #[command(subcommand)]
    Token(token::Token),
    /// Prints the OpenAPI document, or the REST reference made from it.
    #[command(hide = true)]
    Reference(reference::Reference),
}

// === impl Cli ===

impl Cli {
    /// Runs the command of this process.
    pub async fn run(self) -> ExitCode {
        let output = Output::new(self.global.output);
        let done = match self.command {
            Command::Serve(command) => command.run().await,
            Command::Volume(command) => command.run(&output).await,
            Command::Profile(command) => command.run(&self.global, &output).await,
            Command::Launch(command) => command.run(&self.global, &output).await,
            Command::Plan(command) => command.run(&self.global, &output).await,
            Command::Lock(command) => command.run(&self.global, &output).await,
            Command::Plugin(command) => command.run(&self.global, &output).await,
            Command::Secret(command) => command.run(&self.global, &output).await,
            Command::Key(command) => command.run(&output).await,
            Command::Token(command) => command.run(&self.global, &output).await,
            Command::Reference(command) => command.run(),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                output.failure(&failure);
                failure.code.into()
            }
        }
    }
}

// === impl Global ===

impl Global {
    pub fn client(&self) -> Result<Client, ClientError> {
        let token = self.token.as_ref().map(|token| token.trim().to_owned());
        Client::new(self.url.clone(), token, self.ca.as_deref())
    }
}
