//! The cases of a project: `cases/NAME/`, each with its inputs, and a recording instead of the network where there is one.
//!
//! | in `cases/NAME/` | inputs |
//! |---|---|
//! | `config.yaml` | given by the author, with `target.yaml` and `instance.yaml` where they matter |
//! | `config.yaml`, `recording` | the same; what came into the run comes from the recording |
//! | `recording` | a launch's: all its inputs are in it |
//!
//! A recording is the directory `recording`, or the file `recording.tar`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::AuthorError;
use super::case::{Case, InstanceFile, TargetFile, read};
use super::project::Project;
use crate::recording::pack::Opened;

/// A directory in `cases/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseDirectory(PathBuf);

/// What a case is run with.
pub enum Inputs {
    /// The author's.
    Own(Box<Own>),
    /// A recording's, all of them.
    Recorded(Box<Opened>),
}

pub struct Own {
    pub case: Case,
    /// The clock.
    pub epoch: u64,
    /// The case's recording, if it has one; its files are there while this lives.
    pub opened: Option<Opened>,
}

/// The cases of a project, by name; only those in `wanted`, where it is not empty.
pub fn cases(project: &Project, wanted: &[String]) -> Result<Vec<CaseDirectory>, AuthorError> {
    let directory = project.directory.join("cases");
    let none = || {
        AuthorError::NotFound(format!(
            "there is no case in `{}`: write one as `cases/NAME/config.yaml`, then `bootsplice plugin test --bless`",
            directory.display()
        ))
    };
    let entries = match std::fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(none()),
        Err(error) => return Err(AuthorError::io("read", &directory)(error)),
    };
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let mut found: Vec<CaseDirectory> = paths
        .filter(|path| path.is_dir())
        .map(CaseDirectory)
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    if found.is_empty() {
        return Err(none());
    }
    for name in wanted {
        if !found.iter().any(|case| case.name() == *name) {
            let place = directory.display();
            let message = format!("--case: there is no case `{name}` in `{place}`");
            return Err(AuthorError::NotFound(message));
        }
    }
    found.retain(|case| wanted.is_empty() || wanted.contains(&case.name()));
    Ok(found)
}

// === impl CaseDirectory ===

impl CaseDirectory {
    pub fn name(&self) -> String {
        let name = self.0.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What the case is run with, from the beginning.
    pub fn inputs(&self, plugin: &str) -> Result<Inputs, AuthorError> {
        let recording = self.recording();
        let opened = recording.as_deref().map(Opened::at).transpose()?;
        match (self.own(plugin)?, opened) {
            (Some(mut own), opened) => {
                own.case.recording = opened
                    .as_ref()
                    .map(|opened| opened.recording.directory.clone());
                own.opened = opened;
                Ok(Inputs::Own(Box::new(own)))
            }
            (None, Some(opened)) => Ok(Inputs::Recorded(Box::new(opened))),
            (None, None) => Err(AuthorError::NotFound(format!(
                "the case has no `{}`",
                self.0.join("config.yaml").display()
            ))),
        }
    }

    /// The author's inputs, without a recording; none where the case has only that.
    pub fn own(&self, plugin: &str) -> Result<Option<Own>, AuthorError> {
        let config: Option<Value> = read(&self.0.join("config.yaml"))?;
        let Some(config) = config else {
            return Ok(None);
        };
        let target: TargetFile = read(&self.0.join("target.yaml"))?.unwrap_or_default();
        let who: InstanceFile = read(&self.0.join("instance.yaml"))?.unwrap_or_default();
        let case = Case::of_config(plugin, config, &target.at, target.base(), who);
        Ok(Some(Own {
            case,
            epoch: target.epoch,
            opened: None,
        }))
    }

    /// Where its recording is, if it has one.
    fn recording(&self) -> Option<PathBuf> {
        let places = ["recording", "recording.tar"].map(|name| self.0.join(name));
        places.into_iter().find(|place| place.exists())
    }
}
