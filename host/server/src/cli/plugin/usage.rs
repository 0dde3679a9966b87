//! `bootsplice plugin usage`.

use clap::Args;

use super::reference::Release;
use crate::cli::wire::after;
use crate::cli::{Failure, Global, Output};
use crate::usage::Usage as Found;

/// Show which revisions of profiles use a release, and their launches.
#[derive(Args)]
#[command(after_help = "Example: bootsplice plugin usage acme/hello@1.2.0")]
pub struct Usage {
    /// `name@version` or `namespace/name@version`; the newest without a version.
    release: Release,
}

// === impl Usage ===

impl Usage {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        let client = global.client()?;
        let path = format!("{}/usage", self.release.path());
        let mut all: Found = client.get(&path).await?;
        while let Some(next) = all.next.take() {
            let page: Found = client.get(&after(&path, Some(&next))).await?;
            all.profiles.extend(page.profiles);
            all.next = page.next;
        }
        let rows = all.profiles.iter().map(|one| {
            let state = match (one.deleted, one.latest) {
                (true, _) => "deleted",
                (false, true) => "latest",
                (false, false) => "older",
            };
            let more = if one.more_launches { ", …" } else { "" };
            [
                one.tenant.to_string(),
                one.profile.clone(),
                state.to_owned(),
                format!("{}{more}", one.launches.join(", ")),
            ]
        });
        let head = ["TENANT", "PROFILE", "REVISION", "LAUNCHES"];
        output.table(&all, head, rows.collect());
        Ok(())
    }
}
