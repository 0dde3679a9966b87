//! What a command is about: a project, or a component by itself.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::AuthorError;
use super::project::{Project, read_component};

#[derive(Clone, Debug)]
pub enum Subject {
    Project(Project),
    Component(PathBuf),
}

// === impl Subject ===

impl Subject {
    /// `DIR|FILE.wasm`.
    pub fn open(place: &Path) -> Result<Self, AuthorError> {
        if place.is_file() {
            return Ok(Self::Component(place.to_owned()));
        }
        Ok(Self::Project(Project::read(place)?))
    }

    /// Where the component is.
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Project(project) => project.component(),
            Self::Component(path) => path.clone(),
        }
    }

    pub fn read(&self) -> Result<Bytes, AuthorError> {
        Ok(read_component(&self.path())?)
    }
}
