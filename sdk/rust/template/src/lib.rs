//! A generator for bootsplice: greets whoever logs in.

use bootsplice_sdk::prelude::*;
use serde::Deserialize;

/// `with:` of a step. The same as in schema.json, by which the host checks it first.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    greeting: String,
}

struct Plugin;

impl Generator for Plugin {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor {
            id: "{{name}}".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            title: "Greeting".into(),
            summary: "Greets whoever logs in.".into(),
            os_families: vec![OsFamily::Linux],
            stage: StepStage::Files,
            capabilities: CapabilityRequest {
                fetch: vec![],
                secrets: vec![],
            },
            config_schema: include_str!("../schema.json").into(),
            examples: vec![Example {
                title: "A greeting".into(),
                config: r#"{"greeting": "Welcome to {{instance:id}}"}"#.into(),
            }],
            joins_steps: false,
        }
    }

    /// What the schema cannot say.
    fn validate(_target: Option<&Target>, config: &Config) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let at = Pointer::root().key("greeting");
        check_text(&at, &config.greeting, &mut found);
        if config.greeting.trim().is_empty() {
            found.push(
                Diagnostic::error(at, "blank", "the greeting is blank")
                    .with_hint("write one, or drop the step"),
            );
        }
        found
    }

    /// Nothing is fetched, so there is nothing to pin.
    fn resolve(
        _target: &Target,
        config: &Config,
        _previous: Option<Locked>,
    ) -> Result<LockFile, Error> {
        Ok(LockFile::without_pins(content(config).max_output()))
    }

    fn generate(
        _target: &Target,
        config: &Config,
        locked: &Locked,
        _instance: Option<&Instance>,
        sink: &Sink,
    ) -> Result<Summary, Error> {
        content(config).write(locked, sink)
    }
}

bootsplice_sdk::export!(Plugin);

/// What a configuration comes to: plain data, tested without a host.
fn content(config: &Config) -> StepContent {
    let attrs = entry_attrs(None, 0o644, None, None, OnConflict::Replace);
    let text = format!("{}\n", config.greeting);
    StepContent {
        entries: vec![Entry {
            path: "/etc/motd.d/{{name}}".into(),
            // The host fills placeholders in per launch.
            kind: Kind::Template(attrs, text, TemplateFormat::Plain),
        }],
        ..StepContent::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(greeting: &str) -> Config {
        Config {
            greeting: greeting.into(),
        }
    }

    #[test]
    fn the_greeting_is_a_line_of_the_message_of_the_day() {
        let config = config("Hello");
        assert!(Plugin::validate(None, &config).is_empty());
        let step = content(&config);
        assert_eq!(step.entries[0].path, "/etc/motd.d/{{name}}");
        assert!(matches!(&step.entries[0].kind, Kind::Template(_, text, _) if text == "Hello\n"));
    }

    #[test]
    fn a_blank_greeting_is_refused_at_its_place() {
        let found = Plugin::validate(None, &config(" "));
        assert_eq!(found[0].pointer, "/greeting");
    }
}
