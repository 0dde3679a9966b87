//! The profile document (RFC 0003, "Steps").

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use bootsplice_content::Digest;
use bootsplice_store::{Document, Version};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::PluginRef;

/// What a launch shall put on the disk, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// `[a-z0-9][a-z0-9.-]{0,62}`.
    pub name: String,
    /// For people; at most 4,096 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How long what was resolved for a base stays chosen.
    #[serde(default, skip_serializing_if = "LockPolicy::is_default")]
    pub locks: LockPolicy,
    /// At most 200.
    pub steps: Vec<Step>,
}

/// How long what was resolved stays chosen (RFC 0004).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LockPolicy {
    /// Until somebody renews it.
    #[default]
    Pinned,
    /// Seconds after which a launch resolves anew. The operator bounds it.
    MaxAge(u32),
}

/// One piece of work for one generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// `[a-z0-9-]{1,40}`, once in a profile.
    pub id: String,
    /// A generator: `apt`, `apt@1.2`, `acme/hello@1.2.0` or `apt@sha256:…`.
    #[serde(rename = "use")]
    #[schema(value_type = String, example = "apt@1.2")]
    pub uses: PluginRef,
    /// An insertion point of the volume: `[a-z0-9-]{1,25}`.
    pub at: String,
    /// The generator's configuration, judged by its JSON Schema.
    #[serde(default)]
    pub with: Map<String, Value>,
    /// When the agent runs the step; the generator's own stage when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// Ids of steps that must have been run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    #[serde(default)]
    pub on_failure: OnFailure,
    /// How often a failed step is run again, 1 to 10; with `on_failure: retry` only. 3 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Seconds before the first retry, doubled each time, 1 to 3,600. 5 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<u32>,
    /// Seconds after which the step has failed, 1 to 86,400. When absent 3,600 in the stage `packages` and 300 in the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u32>,
}

/// When the agent runs a step, in order.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Before users and most services exist.
    Files,
    Packages,
    /// Users exist, services may start.
    Late,
}

/// What a step's failure means for those that follow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// Nothing more is run.
    #[default]
    Abort,
    /// It is reported and the rest goes on.
    Warn,
    /// The step is run again, then as `abort`.
    Retry,
}

/// A profile by name, and by version where one is meant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProfileRef {
    pub name: String,
    pub version: Option<u32>,
}

/// A text names nothing.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct NameError {
    text: String,
    expected: &'static str,
}

/// One version of a profile, as it is stored. It never changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    pub profile: Profile,
    pub version: u32,
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// The generator of each step, by step id, as its `use:` was resolved when this version was saved.
    pub plugins: BTreeMap<String, Digest>,
    /// The version of the record, filled when it is read.
    #[serde(skip, default = "never")]
    pub record: Version,
}

const PROFILE: &str =
    "the name of a profile: expected a letter or digit, then up to 62 of a-z, 0-9, `.` and `-`";
const PROFILE_REF: &str = "a profile: expected `name` or `name@version`";

fn never() -> Version {
    Version(0)
}

/// `[a-z0-9-]{1,max}`: ids of steps, names of points and of generators.
pub fn valid_name(text: &str, max: usize) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=max).contains(&text.len()) && text.bytes().all(good)
}

// === impl LockPolicy ===

impl LockPolicy {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

// === impl Profile ===

impl Profile {
    /// Refuses what cannot name a profile.
    pub fn valid_name(name: &str) -> Result<(), NameError> {
        let good = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
        };
        let starts = name
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if starts && name.len() <= 63 && name.bytes().all(good) {
            Ok(())
        } else {
            Err(refused(name, PROFILE))
        }
    }
}

// === impl Step ===

impl Step {
    pub const RETRIES: u32 = 3;
    pub const BACKOFF: u32 = 5;

    /// Seconds that a step of `stage` has when it does not say: packages are unpacked and configured by the hundred.
    pub fn timeout_in(stage: Stage) -> u32 {
        match stage {
            Stage::Packages => 3600,
            Stage::Files | Stage::Late => 300,
        }
    }
}

// === impl Saved ===

impl Document for Saved {
    const KIND: &'static str = "profile";
}

impl Saved {
    pub fn reference(&self) -> ProfileRef {
        ProfileRef {
            name: self.profile.name.clone(),
            version: Some(self.version),
        }
    }
}

// === impl ProfileRef ===

impl FromStr for ProfileRef {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (name, version) = match text.split_once('@') {
            None => (text, None),
            Some((name, digits)) => {
                let plain = !digits.starts_with(['0', '+']);
                let number = digits.parse().ok().filter(|_| plain);
                (
                    name,
                    Some(number.ok_or_else(|| refused(text, PROFILE_REF))?),
                )
            }
        };
        Profile::valid_name(name)?;
        Ok(Self {
            name: name.to_owned(),
            version,
        })
    }
}

impl TryFrom<String> for ProfileRef {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<ProfileRef> for String {
    fn from(reference: ProfileRef) -> Self {
        reference.to_string()
    }
}

impl fmt::Display for ProfileRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            None => f.write_str(&self.name),
            Some(version) => write!(f, "{}@{version}", self.name),
        }
    }
}

pub(super) fn refused(text: &str, expected: &'static str) -> NameError {
    NameError {
        text: text.chars().take(80).collect(),
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_profiles_are_read_and_written_back() {
        let three: ProfileRef = "web-developer@3".parse().unwrap();
        assert_eq!(
            (three.version, &*three.to_string()),
            (Some(3), "web-developer@3")
        );
        for wrong in [
            "", "-a", "a@", "a@0", "a@03", "a@+3", "a@x", "a/b", "a b", "Ä",
        ] {
            assert!(wrong.parse::<ProfileRef>().is_err(), "{wrong}");
        }
    }
}
