//! `bootsplice plugin`.

use clap::Subcommand;

use super::{Failure, Global, Output};
use crate::api::PluginList;

#[derive(Subcommand)]
pub enum Plugin {
    /// List the generators that profiles may use.
    List,
}

// === impl Plugin ===

impl Plugin {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        match self {
            Self::List => {
                let list: PluginList = global.client()?.get("/v1/plugins").await?;
                let rows = list.plugins.iter().map(|plugin| {
                    [
                        plugin.name.clone(),
                        plugin.version.clone(),
                        plugin.title.clone(),
                        plugin.digest.clone(),
                    ]
                });
                output.table(
                    &list.plugins,
                    ["NAME", "VERSION", "TITLE", "DIGEST"],
                    rows.collect(),
                );
            }
        }
        Ok(())
    }
}
