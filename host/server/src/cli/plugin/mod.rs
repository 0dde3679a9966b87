//! `bootsplice plugin`: one file per subcommand.

mod list;

use clap::Subcommand;

use super::{Failure, Global, Output};

#[derive(Subcommand)]
pub enum Plugin {
    /// List the generators that profiles may use.
    List(list::List),
}

// === impl Plugin ===

impl Plugin {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(global, output).await,
        }
    }
}
