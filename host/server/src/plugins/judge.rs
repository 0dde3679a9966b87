//! What a component must show before anybody may use it: the same for a host that it is pushed to and for its author's `check`.
//!
//! Size, kind and world are judged in the compiler's child, `describe` and the examples by their schema when it is installed; here is the rest. Pointers
//! lead into the plugin's descriptor.

use std::time::Duration;

use bootsplice_engine::contract::Severity;
use bootsplice_engine::{Engine, EngineError, Plugin};
use semver::Version;
use serde_json::Value;

use crate::problem::Fault;

/// Most examples of one plugin.
const EXAMPLES: usize = 32;
/// What all examples together may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The only dialect of JSON Schema that hosts read.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Why a component is no plugin, when that is what the error says; any other error is this machine's.
pub fn refusal(error: EngineError) -> Result<Fault, EngineError> {
    match error {
        EngineError::Refused(why) => Ok(Fault::new("", "no-plugin", why)),
        EngineError::Describe(error) => {
            Ok(Fault::new("", error.code(), format!("`describe`: {error}")))
        }
        other => Err(other),
    }
}

/// Every fault of a plugin's description of itself.
pub async fn faults(engine: &Engine, plugin: &Plugin) -> Vec<Fault> {
    let descriptor = plugin.descriptor();
    let mut faults = Vec::new();
    match Version::parse(&descriptor.version) {
        Ok(own) if own.build.is_empty() => {}
        _ => {
            let detail = format!(
                "`{}` is no semantic version without build metadata: a tag must be able to hold it",
                descriptor.version
            );
            faults.push(Fault::new("/version", "invalid-version", detail));
        }
    }
    let dialect = descriptor.config_schema.get("$schema");
    if let Some(other) = dialect.and_then(Value::as_str)
        && other.trim_end_matches('#') != DIALECT
    {
        let shown: String = other.chars().take(100).collect();
        let detail = format!("`{shown}` is not JSON Schema 2020-12");
        let fault = Fault::new("/config-schema/$schema", "other-dialect", detail);
        faults.push(fault.hint(format!("write `{DIALECT}`, or nothing")));
    }
    if descriptor.examples.len() > EXAMPLES {
        let detail = format!("{} examples; at most {EXAMPLES}", descriptor.examples.len());
        faults.push(Fault::new("/examples", "too-many", detail));
        return faults;
    }
    match tokio::time::timeout(PATIENCE, examples(engine, plugin)).await {
        Ok(found) => faults.extend(found),
        Err(_) => {
            let detail = format!(
                "`validate` did not judge all examples within {} s",
                PATIENCE.as_secs()
            );
            faults.push(Fault::new("/examples", "too-slow", detail));
        }
    }
    faults
}

/// What the plugin itself says about its examples.
async fn examples(engine: &Engine, plugin: &Plugin) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, example) in plugin.descriptor().examples.iter().enumerate() {
        let at = format!("/examples/{index}");
        match engine.validate(plugin, None, &example.config).await {
            Ok(found) => {
                let errors = found
                    .into_iter()
                    .filter(|finding| finding.severity == Severity::Error);
                faults.extend(errors.map(|finding| {
                    let pointer = format!("{at}/config{}", finding.pointer);
                    let detail = format!("example `{}`: {}", example.title, finding.message);
                    Fault {
                        hint: finding.hint,
                        ..Fault::new(pointer, &finding.code, detail)
                    }
                }));
            }
            Err(error) => {
                let detail = format!("example `{}`: `validate`: {error}", example.title);
                faults.push(Fault::new(at, error.code(), detail));
            }
        }
    }
    faults
}
