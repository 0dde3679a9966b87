//! `bootsplice plugin show`.

use clap::Args;

use super::reference::Release;
use crate::api::PluginView;
use crate::cli::wire::date;
use crate::cli::{Failure, Global, Output};

/// Show a release: what it says of itself, what it imports, what it asks for and what it was granted.
#[derive(Args)]
#[command(after_help = "Example: bootsplice plugin show acme/hello@1.2.0")]
pub struct Show {
    /// `name@version` or `namespace/name@version`; the newest without a version.
    release: Release,
}

// === impl Show ===

impl Show {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        let view: PluginView = global.client()?.get(&self.release.path()).await?;
        output.answer(&view, || describe(&view));
        Ok(())
    }
}

/// A release in text.
pub fn describe(view: &PluginView) -> String {
    let one = &view.summary;
    let mut text = format!(
        "{}@{}  {}\n{}: {}\ndigest {}, {} bytes, contract {}\nstage {}",
        one.name,
        one.version,
        one.state,
        one.title,
        one.summary,
        one.digest,
        view.size,
        view.wit,
        serde_json::json!(one.stage).as_str().unwrap_or_default(),
    );
    match &one.pushed_by {
        Some(by) => text.push_str(&format!(
            "\npushed {} by tenant {}, token {}",
            date(one.installed),
            by.tenant,
            by.token
        )),
        None => text.push_str(&format!("\ncame with the host, {}", date(one.installed))),
    }
    if !one.tags.is_empty() {
        text.push_str(&format!("\ntags {}", one.tags.join(", ")));
    }
    if let Some(yank) = &one.yanked {
        text.push_str(&format!(
            "\nyanked {} by tenant {}: {}",
            date(yank.at),
            yank.by.tenant,
            yank.reason
        ));
    }
    if let Some(missing) = &one.unsigned {
        text.push_str(&format!("\nmay not be used yet: {missing}"));
    }
    text.push_str(&format!("\nwants to fetch {}", listed(&view.wants_fetch)));
    text.push_str(&format!(
        "\nwants secrets at {}",
        listed(&view.wants_secrets)
    ));
    match (&view.grant, &one.namespace) {
        (Some(granted), _) => {
            let grant = &granted.grant;
            text.push_str(&format!(
                "\ngranted {} by token {}\n  fetch {}\n  secrets {}",
                date(granted.at),
                granted.by.token,
                listed(&grant.fetch),
                listed(&grant.secrets)
            ));
            if let Some(memory) = grant.memory {
                text.push_str(&format!("\n  memory {} bytes", memory.0));
            }
            if let Some(time) = grant.time {
                text.push_str(&format!("\n  time {time} s"));
            }
        }
        (None, Some(_)) => text.push_str("\ngranted nothing"),
        (None, None) => text.push_str("\ngranted what the host's configuration grants the tenant"),
    }
    text.push_str(&format!("\nimports {}", listed(&view.imports)));
    for example in &view.examples {
        let config = serde_yaml_ng::to_string(&example.config).unwrap_or_default();
        text.push_str(&format!("\nexample: {}\n", example.title));
        for line in config.lines() {
            text.push_str(&format!("  {line}\n"));
        }
    }
    let schema = serde_json::to_string_pretty(&view.config_schema).unwrap_or_default();
    text.push_str(&format!("\nconfiguration (JSON Schema):\n{schema}"));
    text
}

fn listed(items: &[String]) -> String {
    if items.is_empty() {
        "nothing".to_owned()
    } else {
        items.join(", ")
    }
}
