//! `bootsplice plugin`: one file per subcommand.

mod list;
mod push;
mod registry;
mod sign;
mod workplace;

use clap::Subcommand;

use super::{Failure, Global, Output};

#[derive(Subcommand)]
pub enum Plugin {
    /// List the generators that profiles may use.
    List(list::List),
    Push(push::Push),
    Sign(sign::Sign),
    Verify(sign::Verify),
    Keygen(sign::Keygen),
}

// === impl Plugin ===

impl Plugin {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(global, output).await,
            Self::Push(push) => push.run(global, output).await,
            Self::Sign(sign) => sign.run(global, output).await,
            Self::Verify(verify) => verify.run(global, output).await,
            Self::Keygen(keygen) => keygen.run(output),
        }
    }
}
