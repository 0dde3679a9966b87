//! The `script` generator: a script with typed parameters and secrets, files it needs, and services to register after it.
//!
//! The configuration's schema is `schema.json`. Values reach the script as environment variables and are never spliced into its text. When it
//! runs, how often it is tried and for how long belongs to the step, not to the generator.

pub mod config;
pub mod content;
pub mod parameter;
#[cfg(test)]
mod tests;

use bootsplice_sdk::blobs::Blob;
use bootsplice_sdk::prelude::*;
use bootsplice_sdk::refuse;
use bootsplice_sdk::source::{open, pin_all};

use crate::config::{Config, MAX_TEXT, check_script_text};
use crate::content::{SCRIPT, content, sources};

/// The generator.
pub struct ScriptGenerator;

// === impl ScriptGenerator ===

impl Generator for ScriptGenerator {
    type Config = Config;

    fn describe() -> Descriptor {
        let example = |title: &str, config: &str| Example {
            title: title.to_owned(),
            config: config.to_owned(),
        };
        Descriptor {
            id: "script".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            title: "Script".into(),
            summary:
                "A script with typed parameters and secrets, and services to enable and start."
                    .into(),
            os_families: vec![OsFamily::Linux],
            stage: StepStage::Late,
            capabilities: CapabilityRequest {
                fetch: vec![
                    "${config:/file/url}".into(),
                    "${config:/files/*/source/url}".into(),
                ],
                secrets: vec![
                    "/secrets/*".into(),
                    "/file/credential".into(),
                    "/files/*/source/credential".into(),
                ],
            },
            config_schema: include_str!("../schema.json").into(),
            examples: vec![
                example("A key for a user", include_str!("../examples/key.json")),
                example(
                    "Parameters, and services of the system and of a user",
                    include_str!("../examples/services.json"),
                ),
            ],
            joins_steps: false,
        }
    }

    fn validate(_target: Option<&Target>, config: &Config) -> Vec<Diagnostic> {
        config.check()
    }

    fn resolve(
        _target: &Target,
        config: &Config,
        _previous: Option<Locked>,
    ) -> Result<LockFile, Error> {
        let pinned = pin_all(sources(config))?;
        let script = pinned.iter().find(|pinned| pinned.pin.name == SCRIPT);
        let fetched = script
            .map(|script| script_text(&script.content))
            .transpose()?;
        let content = content(config, fetched.as_deref().or(config.text.as_deref()));
        Ok(LockFile {
            pins: pinned.into_iter().map(|pinned| pinned.pin).collect(),
            ..LockFile::without_pins(content.max_output())
        })
    }

    fn generate(
        _target: &Target,
        config: &Config,
        locked: &Locked,
        _instance: Option<&Instance>,
        sink: &Sink,
    ) -> Result<Summary, Error> {
        let fetched = match &config.file {
            Some(_) => Some(script_text(&open(locked, SCRIPT)?)?),
            None => None,
        };
        content(config, fetched.as_deref().or(config.text.as_deref())).write(locked, sink)
    }
}

/// The text of a script that came from a URL.
fn script_text(file: &Blob) -> Result<String, Error> {
    let at = Pointer::root().key("file");
    if file.size() > MAX_TEXT as u64 {
        let finding = Diagnostic::error(
            at,
            "too-long",
            format!("{} bytes; a script has at most {MAX_TEXT}", file.size()),
        );
        return Err(Error::InvalidConfig(vec![
            finding.with_hint("put the long part under `files` and call it"),
        ]));
    }
    let text = String::from_utf8(file.bytes(MAX_TEXT)?).map_err(|_| {
        let finding = Diagnostic::error(at.clone(), "not-text", "the file is not UTF-8 text");
        Error::InvalidConfig(vec![
            finding.with_hint("put a program under `files`, and run it from `text`"),
        ])
    })?;
    let mut found = Vec::new();
    check_script_text(&at, &text, &mut found);
    refuse(found)?;
    Ok(text)
}

bootsplice_sdk::export!(ScriptGenerator);
