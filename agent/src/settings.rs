//! `/etc/bootsplice/agent.toml` and the trusted keys beside it (RFC 0006).

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use bootsplice_archive::keys::{self, VerifyingKey};
use serde::Deserialize;

use crate::AgentError;

/// Boots that a launch may take unless the settings say otherwise.
const BOOTS: u32 = 3;

/// What the operator of the image decided. A missing file means all defaults.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Settings {
    /// An empty point, or none, is nothing to do instead of a failure.
    pub allow_unspliced: bool,
    /// Every timeout is multiplied by it (emulated machines are slow). 1 to 100.
    pub timeout_scale: Option<u32>,
    /// Boots after which a launch that did not come to its end is given up and its secrets are overwritten. 1 to 100, 3 unless told.
    pub boots: Option<u32>,
}

// === impl Settings ===

impl Settings {
    pub fn read(path: &Path) -> Result<Self, AgentError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(AgentError::system(path.display().to_string(), error)),
        };
        let settings: Self = toml::from_str(&text)
            .map_err(|error| AgentError::Usage(format!("{}: {error}", path.display())))?;
        if settings
            .timeout_scale
            .is_some_and(|scale| !(1..=100).contains(&scale))
        {
            return Err(AgentError::Usage(format!(
                "{}: `timeout-scale` is 1 to 100",
                path.display()
            )));
        }
        if settings
            .boots
            .is_some_and(|boots| !(1..=100).contains(&boots))
        {
            return Err(AgentError::Usage(format!(
                "{}: `boots` is 1 to 100",
                path.display()
            )));
        }
        Ok(settings)
    }

    pub fn boots(&self) -> u32 {
        self.boots.unwrap_or(BOOTS)
    }
}

/// Every `*.pem` in `directory`.
pub fn trusted_keys(directory: &Path) -> Result<Vec<VerifyingKey>, AgentError> {
    let failed = |error| AgentError::system(format!("keys in {}", directory.display()), error);
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "pem") {
            files.push(path);
        }
    }
    files.sort();
    files
        .iter()
        .map(|path| {
            let pem = fs::read_to_string(path).map_err(failed)?;
            keys::read_public(&pem)
                .map_err(|error| AgentError::Usage(format!("{}: {error}", path.display())))
        })
        .collect()
}
