//! `bootsplice plugin yank` and `unyank`.

use clap::Args;
use reqwest::Method;

use super::reference::Release;
use crate::api::{PluginView, YankBody};
use crate::cli::{Failure, Global, Output};

/// Stop new profiles and new revisions from using a release. What is pinned to it runs on, with a warning.
#[derive(Args)]
#[command(
    after_help = "Example: bootsplice plugin yank acme/hello@1.2.0 --reason \"writes the wrong mode\""
)]
pub struct Yank {
    /// `namespace/name@version`.
    release: Release,
    /// For whoever uses it.
    #[arg(long)]
    reason: String,
}

/// Allow new profiles and revisions to use a release again.
#[derive(Args)]
pub struct Unyank {
    /// `namespace/name@version`.
    release: Release,
}

// === impl Yank ===

impl Yank {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        let body = YankBody {
            reason: self.reason,
        };
        let path = format!("{}/yank", self.release.path());
        let client = global.client()?;
        let answer = client
            .json::<_, PluginView>(Method::PUT, &path, Some(&body), &[])
            .await?;
        let done = &answer.value.summary;
        output.answer(&answer.value, || {
            format!("{}@{} is yanked", done.name, done.version)
        });
        Ok(())
    }
}

// === impl Unyank ===

impl Unyank {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        let path = format!("{}/yank", self.release.path());
        let client = global.client()?;
        let answer = client
            .json::<(), PluginView>(Method::DELETE, &path, None, &[])
            .await?;
        let done = &answer.value.summary;
        output.answer(&answer.value, || {
            format!("{}@{} is active", done.name, done.version)
        });
        Ok(())
    }
}
