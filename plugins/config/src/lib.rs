//! The `config` generator: whole files and templates, structured edits of files that are in the guest, drop-ins of systemd units,
//! directories and symbolic links.
//!
//! The configuration's schema is `schema.json`. Edits are only described here; the agent makes them against what it finds.

pub mod config;
pub mod content;
#[cfg(test)]
mod tests;

use bootsplice_sdk::prelude::*;
use bootsplice_sdk::source::pin_all;

use crate::config::Config;
use crate::content::{content, sources};

/// The generator.
pub struct ConfigGenerator;

// === impl ConfigGenerator ===

impl Generator for ConfigGenerator {
    type Config = Config;

    fn describe() -> Descriptor {
        let example = |title: &str, config: &str| Example {
            title: title.to_owned(),
            config: config.to_owned(),
        };
        Descriptor {
            id: "config".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            title: "Configuration".into(),
            summary: "Files, templates, edits of existing files, drop-ins of systemd units, directories and links.".into(),
            os_families: vec![OsFamily::Linux],
            stage: StepStage::Files,
            capabilities: CapabilityRequest {
                fetch: vec!["${config:/files/*/source/url}".into()],
                secrets: vec!["/files/*/source/credential".into()],
            },
            config_schema: include_str!("../schema.json").into(),
            examples: vec![
                example("A message and the default browser", include_str!("../examples/browser.json")),
                example("Limits of a service, a time zone and a directory", include_str!("../examples/service.json")),
            ],
            joins_steps: false,
        }
    }

    fn validate(target: Option<&Target>, config: &Config) -> Vec<Diagnostic> {
        let mut found = config.check();
        let edits = !config.edits.is_empty() || !config.dropins.is_empty();
        if edits
            && target.is_some_and(|target| {
                !target.features.is_empty()
                    && !target.features.iter().any(|feature| feature == "edit-v1")
            })
        {
            found.push(
                Diagnostic::error(
                    "/edits",
                    "agent-too-old",
                    "the agent in this volume cannot edit files",
                )
                .with_hint("install a newer agent in the image and import it again"),
            );
        }
        found
    }

    fn resolve(
        _target: &Target,
        config: &Config,
        _previous: Option<Locked>,
    ) -> Result<LockFile, Error> {
        let pins = pin_all(sources(config))?
            .into_iter()
            .map(|pinned| pinned.pin)
            .collect();
        Ok(LockFile {
            pins,
            ..LockFile::without_pins(content(config)?.max_output())
        })
    }

    fn generate(
        _target: &Target,
        config: &Config,
        locked: &Locked,
        _instance: Option<&Instance>,
        sink: &Sink,
    ) -> Result<Summary, Error> {
        content(config)?.write(locked, sink)
    }
}

bootsplice_sdk::export!(ConfigGenerator);
