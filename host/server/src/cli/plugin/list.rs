//! `bootsplice plugin list`.

use clap::Args;

use crate::api::PluginList;
use crate::cli::{Failure, Global, Output};

#[derive(Args)]
pub struct List {}

// === impl List ===

impl List {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
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
        Ok(())
    }
}
