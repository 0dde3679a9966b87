//! `bootsplice plugin`: one file per subcommand.

mod grant;
mod list;
mod namespace;
mod push;
mod reference;
mod registry;
mod show;
mod sign;
mod upgrade;
mod usage;
mod workplace;
mod yank;

use clap::Subcommand;

use super::{Failure, Global, Output};

#[derive(Subcommand)]
pub enum Plugin {
    List(list::List),
    Push(push::Push),
    Sign(sign::Sign),
    Verify(sign::Verify),
    Keygen(sign::Keygen),
    Show(show::Show),
    Usage(usage::Usage),
    Yank(yank::Yank),
    Unyank(yank::Unyank),
    Upgrade(upgrade::Upgrade),
    Grant(grant::Grant),
    Namespace(namespace::Namespace),
}

// === impl Plugin ===

impl Plugin {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Push(push) => push.run(global, output).await,
            Self::Sign(sign) => sign.run(global, output).await,
            Self::Verify(verify) => verify.run(global, output).await,
            Self::Keygen(keygen) => keygen.run(output),
            Self::List(command) => command.run(global, output).await,
            Self::Show(command) => command.run(global, output).await,
            Self::Usage(command) => command.run(global, output).await,
            Self::Yank(command) => command.run(global, output).await,
            Self::Unyank(command) => command.run(global, output).await,
            Self::Upgrade(command) => command.run(global, output).await,
            Self::Grant(command) => command.run(global, output).await,
            Self::Namespace(command) => command.run(global, output).await,
        }
    }
}
