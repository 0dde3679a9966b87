//! What a generator is run with: a configuration or a profile, a target, an instance.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bootsplice_content::Digest;
use bootsplice_engine::blobs::Blob;
use bootsplice_engine::contract::Instance;
use bootsplice_engine::tape::Tape;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::AuthorError;
use crate::local::base::Base;
use crate::lock::document::Target;
use crate::problem::{Kind, Problem};
use crate::recording::RecordingError;

/// Largest document of a case.
const LARGEST: u64 = 4 << 20;
/// Pointers to the configuration of the only step of a profile made from one.
pub const ONLY: &str = "/steps/0";

/// One run's inputs.
pub struct Case {
    /// A profile.
    pub document: Value,
    /// Made from a configuration alone: faults point into that.
    pub of_config: bool,
    pub base: Base,
    pub instance: Instance,
    /// What comes into the run comes from this recording, and nothing from the network.
    pub recording: Option<PathBuf>,
}

/// `target.yaml`: the image that a case is for, as far as generators see it. Every key may be absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetFile {
    /// `ID` of os-release.
    pub distribution: String,
    /// `VERSION_CODENAME`.
    pub release: String,
    /// Debian's name of it.
    pub architecture: String,
    /// The insertion point.
    pub at: String,
    /// Seconds since 1970: when `resolve` runs, and `generate`'s clock.
    pub epoch: u64,
    /// Files of the image by the contract's names: `dpkg-status`, `/etc/apt/sources.list`.
    pub files: BTreeMap<String, String>,
}

/// `instance.yaml`: for whom a launch is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InstanceFile {
    pub id: String,
    pub attributes: BTreeMap<String, String>,
}

// === impl Case ===

impl Case {
    /// A configuration for the generator `plugin`, as the only step of a profile.
    pub fn of_config(plugin: &str, config: Value, at: &str, base: Base, who: InstanceFile) -> Self {
        let config = if config.is_null() { json!({}) } else { config };
        let step = json!({"id": plugin, "use": plugin, "at": at, "with": config});
        Self {
            document: json!({"name": plugin, "steps": [step]}),
            of_config: true,
            base,
            instance: who.instance(plugin),
            recording: None,
        }
    }

    pub fn of_profile(document: Value, base: Base, who: InstanceFile) -> Self {
        let name = document.get("name").and_then(Value::as_str);
        let instance = who.instance(name.unwrap_or("profile"));
        Self {
            document,
            of_config: false,
            base,
            instance,
            recording: None,
        }
    }

    /// Its recording, from the beginning.
    pub fn replayed(&self) -> Result<Option<Arc<Tape>>, AuthorError> {
        let tape = self.recording.as_ref().map(Tape::replay).transpose();
        Ok(tape.map_err(RecordingError::from)?.map(Arc::new))
    }

    /// Makes a problem's pointers lead into what the author wrote.
    pub fn told(&self, problem: Problem) -> Problem {
        match self.of_config {
            true => of_config(problem),
            false => problem,
        }
    }
}

/// Makes the pointers of a problem of the only step lead into its configuration.
pub fn of_config(mut problem: Problem) -> Problem {
    for fault in &mut problem.faults {
        let inside = fault.pointer.strip_prefix(ONLY).map(|rest| {
            let config = rest.strip_prefix("/with");
            config.unwrap_or_default().to_owned()
        });
        fault.pointer = inside.unwrap_or_default();
    }
    if problem.kind == Kind::InvalidProfile {
        problem.kind = Kind::PlanRefused;
    }
    problem
}

// === impl TargetFile ===

impl Default for TargetFile {
    fn default() -> Self {
        Self {
            distribution: "debian".into(),
            release: "bookworm".into(),
            architecture: "amd64".into(),
            at: "base".into(),
            epoch: 1_767_225_600,
            files: BTreeMap::new(),
        }
    }
}

impl TargetFile {
    /// The image, with an os-release and a dpkg status where the file names none.
    pub fn base(&self) -> Base {
        let Self {
            distribution,
            release,
            architecture,
            ..
        } = self;
        let os_release = format!("ID={distribution}\nVERSION_CODENAME={release}\n");
        let status = format!(
            "Package: dpkg\nStatus: install ok installed\nArchitecture: {architecture}\nVersion: 1.21.22\n\n"
        );
        let mut files = BTreeMap::from([
            ("os-release".to_owned(), os_release),
            ("dpkg-status".to_owned(), status),
        ]);
        files.extend(self.files.clone());
        let digest = Digest::of(files["dpkg-status"].as_bytes());
        let blob = |(name, text): (String, String)| (name, Blob::from_bytes(text.into_bytes()));
        Base {
            digest,
            target: Target {
                distribution: distribution.clone(),
                release: release.clone(),
                architecture: architecture.clone(),
            },
            files: Arc::new(files.into_iter().map(blob).collect()),
        }
    }
}

// === impl InstanceFile ===

impl Default for InstanceFile {
    fn default() -> Self {
        Self {
            id: "instance-1".into(),
            attributes: BTreeMap::new(),
        }
    }
}

impl InstanceFile {
    fn instance(self, profile: &str) -> Instance {
        Instance {
            id: self.id,
            profile: format!("{profile}@1"),
            attributes: self.attributes,
        }
    }
}

/// A YAML or JSON document; none where there is no file.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, AuthorError> {
    let size = match std::fs::metadata(path) {
        Ok(meta) => meta.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(AuthorError::io("read", path)(error)),
    };
    let shown = path.display();
    if size > LARGEST {
        return Err(AuthorError::Invalid(format!(
            "`{shown}` is larger than {LARGEST} bytes"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(AuthorError::io("read", path))?;
    let parsed = if text.trim_start().starts_with('{') {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    } else {
        serde_yaml_ng::from_str(&text).map_err(|error| error.to_string())
    };
    parsed
        .map(Some)
        .map_err(|error| AuthorError::Invalid(format!("`{shown}`: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Fault;

    #[test]
    fn faults_of_a_configuration_point_into_it_and_those_of_a_profile_stay() {
        let target = TargetFile::default();
        let who = InstanceFile::default;
        let case = Case::of_config("motd", Value::Null, "base", target.base(), who());
        assert_eq!(case.document["steps"][0]["with"], json!({}));
        let problem = || {
            let faults = ["/steps/0/with/a/b", "/steps/0"];
            let faults = faults.map(|at| Fault::new(at, "x", "y")).to_vec();
            Problem::new(Kind::InvalidProfile, "").with_faults(faults)
        };
        let pointers = |problem: Problem| -> Vec<String> {
            let faults = problem.faults.into_iter();
            faults.map(|fault| fault.pointer).collect()
        };
        assert_eq!(pointers(case.told(problem())), ["/a/b", ""]);
        let case = Case::of_profile(json!({"name": "p"}), target.base(), who());
        assert_eq!(
            pointers(case.told(problem())),
            ["/steps/0/with/a/b", "/steps/0"]
        );
        assert_eq!(case.instance.profile, "p@1");
    }

    #[test]
    fn a_target_says_what_it_says_and_the_rest_is_a_plain_bookworm() {
        let target: TargetFile =
            serde_yaml_ng::from_str("architecture: arm64\nfiles: {a: b}\n").unwrap();
        let base = target.base();
        assert_eq!(base.target.architecture, "arm64");
        assert_eq!(base.target.release, "bookworm");
        let names: Vec<&str> = base.files.keys().map(String::as_str).collect();
        assert_eq!(names, ["a", "dpkg-status", "os-release"]);
        let wrong = serde_yaml_ng::from_str::<TargetFile>("arch: arm64\n");
        assert!(wrong.unwrap_err().to_string().contains("arch"));
    }
}
