//! `bootsplice plugin grant`.

use clap::Args;
use reqwest::Method;

use super::reference::Release;
use super::show::describe;
use crate::api::PluginView;
use crate::cli::{Failure, Global, Output};
use crate::plugins::grants::Grant as Body;
use crate::size::ByteSize;

/// Say what a pushed release may reach, in the place of what was said before. Without flags it may reach nothing.
#[derive(Args)]
#[command(
    after_help = "Example: bootsplice plugin grant acme/hello@1.2.0 --fetch https://mirror.example/ --secret api-key --memory 512MiB --time 120s"
)]
pub struct Grant {
    /// `namespace/name@version`. The grant holds for this release's bytes alone.
    release: Release,
    /// Prefix of URLs; several times for several.
    #[arg(long)]
    fetch: Vec<String>,
    /// Name of a secret, `*` for any; several times for several.
    #[arg(long = "secret")]
    secrets: Vec<String>,
    /// Memory for one call: `512MiB`.
    #[arg(long)]
    memory: Option<ByteSize>,
    /// Processor time for one call: `120s`.
    #[arg(long, value_parser = seconds)]
    time: Option<u64>,
}

// === impl Grant ===

impl Grant {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        let body = Body {
            fetch: self.fetch,
            secrets: self.secrets,
            memory: self.memory,
            time: self.time,
        };
        let path = format!("{}/grant", self.release.path());
        let client = global.client()?;
        let answer = client
            .json::<_, PluginView>(Method::PUT, &path, Some(&body), &[])
            .await?;
        output.answer(&answer.value, || describe(&answer.value));
        Ok(())
    }
}

fn seconds(text: &str) -> Result<u64, String> {
    let digits = text.strip_suffix('s').unwrap_or(text);
    digits
        .parse()
        .map_err(|_| format!("`{text}` is not seconds, such as 120s"))
}
