//! `bootsplice plugin list`.

use clap::Args;

use crate::api::PluginList;
use crate::cli::wire::{after, date};
use crate::cli::{Failure, Global, Output};

/// List the generators that profiles may use, with the state of each release.
#[derive(Args)]
pub struct List {}

// === impl List ===

impl List {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        let client = global.client()?;
        let mut all = PluginList {
            plugins: Vec::new(),
            next: None,
        };
        loop {
            let path = after("/v1/plugins", all.next.as_deref());
            let page: PluginList = client.get(&path).await?;
            all.plugins.extend(page.plugins);
            all.next = page.next;
            if all.next.is_none() {
                break;
            }
        }
        let rows = all.plugins.iter().map(|plugin| {
            let by = plugin.pushed_by.as_ref();
            [
                plugin.name.clone(),
                plugin.version.clone(),
                plugin.state.clone(),
                plugin.tags.join(","),
                date(plugin.installed),
                by.map_or_else(|| "the host".to_owned(), |by| by.tenant.to_string()),
                plugin.digest.clone(),
                plugin.title.clone(),
            ]
        });
        let head = [
            "NAME", "VERSION", "STATE", "TAGS", "SINCE", "FROM", "DIGEST", "TITLE",
        ];
        output.table(&all.plugins, head, rows.collect());
        Ok(())
    }
}
