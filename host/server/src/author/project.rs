//! A generator's project: a directory with `bootsplice-plugin.toml`, or a component by itself.
//!
//! ```toml
//! [plugin]
//! name = "hello"
//! language = "rust"
//!
//! [build]                                # optional
//! command = ["make", "component"]        # instead of the language's own way
//! component = "build/hello.wasm"         # where it comes to lie
//! ```

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::local::sandbox::component;

/// The project's file, in its directory.
pub const FILE: &str = "bootsplice-plugin.toml";
/// Largest project file, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// What an author works on.
#[derive(Clone, Debug)]
pub struct Project {
    pub directory: PathBuf,
    pub document: Document,
}

/// `bootsplice-plugin.toml`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    pub plugin: Named,
    #[serde(default)]
    pub build: Build,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// `[a-z0-9-]{1,40}`: the id in the generator's descriptor.
    pub name: String,
    pub language: Language,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Build {
    /// Program and arguments, run in the project's directory. None: the language's own way.
    pub command: Option<Vec<String>>,
    /// Below the project's directory. None: `build/NAME.wasm`.
    pub component: Option<PathBuf>,
}

/// A language that there is an SDK for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    Rust,
    Python,
    Js,
    Go,
    C,
}

/// A directory or a file is not what is worked on.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    #[error("`{}` is neither a component nor a directory with `{FILE}`: make a project with `bootsplice plugin new`", .0.display())]
    NotThere(PathBuf),
    #[error("`{}`: {why}", file.display())]
    Document { file: PathBuf, why: String },
    #[error("there is no component `{}` yet: `bootsplice plugin build` makes it", .0.display())]
    NotBuilt(PathBuf),
    #[error("`{}`: {why}", path.display())]
    Component { path: PathBuf, why: String },
}

// === impl Project ===

impl Project {
    /// The project in `directory`.
    pub fn read(directory: &Path) -> Result<Self, ProjectError> {
        let file = directory.join(FILE);
        let wrong = |why: String| ProjectError::Document {
            file: file.clone(),
            why,
        };
        let size = match std::fs::metadata(&file) {
            Ok(meta) => meta.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ProjectError::NotThere(directory.to_owned()));
            }
            Err(error) => return Err(wrong(error.to_string())),
        };
        if size > MAX_FILE {
            return Err(wrong(format!("{size} bytes; at most {MAX_FILE} are read")));
        }
        let text = std::fs::read_to_string(&file).map_err(|error| wrong(error.to_string()))?;
        let document: Document = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let name = &document.plugin.name;
        if !valid_name(name) {
            return Err(wrong(format!(
                "`plugin.name` is `{name}`, expected 1 to 40 of a-z, 0-9 and `-`"
            )));
        }
        Ok(Self {
            directory: directory.to_owned(),
            document,
        })
    }

    pub fn name(&self) -> &str {
        &self.document.plugin.name
    }

    /// Where the component lies once it is built.
    pub fn component(&self) -> PathBuf {
        match &self.document.build.component {
            Some(path) => self.directory.join(path),
            None => self.directory.join(format!("build/{}.wasm", self.name())),
        }
    }
}

/// The component that `DIR|FILE.wasm` means.
pub fn component_of(place: &Path) -> Result<PathBuf, ProjectError> {
    if place.is_file() {
        return Ok(place.to_owned());
    }
    let path = Project::read(place)?.component();
    if path.is_file() {
        Ok(path)
    } else {
        Err(ProjectError::NotBuilt(path))
    }
}

/// A component's bytes, of at most 64 MiB.
pub fn read_component(path: &Path) -> Result<Bytes, ProjectError> {
    let wrong = |why: String| ProjectError::Component {
        path: path.to_owned(),
        why,
    };
    component(path)
        .map_err(|error| wrong(error.to_string()))?
        .ok_or_else(|| ProjectError::NotBuilt(path.to_owned()))
}

/// Whether a text can be a generator's id.
pub fn valid_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

// === impl Language ===

impl Language {
    pub const ALL: [Self; 5] = [Self::Rust, Self::Python, Self::Js, Self::Go, Self::C];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::Js => "js",
            Self::Go => "go",
            Self::C => "c",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Language {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL
            .into_iter()
            .find(|language| language.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is none of rust, python, js, go, c"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(text: &str) -> (tempfile::TempDir, Result<Project, ProjectError>) {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join(FILE), text).unwrap();
        let project = Project::read(scratch.path());
        (scratch, project)
    }

    #[test]
    fn a_project_says_where_its_component_comes_to_lie() {
        let (scratch, read) = project("[plugin]\nname = \"hello\"\nlanguage = \"go\"\n");
        let read = read.unwrap();
        assert_eq!(read.document.plugin.language, Language::Go);
        assert_eq!(read.component(), scratch.path().join("build/hello.wasm"));
        assert!(matches!(
            component_of(scratch.path()),
            Err(ProjectError::NotBuilt(_))
        ));
        let (scratch, read) = project(
            "[plugin]\nname = \"hello\"\nlanguage = \"c\"\n[build]\ncommand = [\"make\"]\ncomponent = \"out/x.wasm\"\n",
        );
        assert_eq!(read.unwrap().component(), scratch.path().join("out/x.wasm"));
    }

    #[test]
    fn a_project_file_with_a_mistake_names_it() {
        for (text, part) in [
            (
                "[plugin]\nname = \"Hello\"\nlanguage = \"go\"\n",
                "plugin.name",
            ),
            (
                "[plugin]\nname = \"hello\"\nlanguage = \"cobol\"\n",
                "cobol",
            ),
            (
                "[plugin]\nname = \"hello\"\nlanguage = \"go\"\n[build]\ncommands = []\n",
                "commands",
            ),
        ] {
            let told = project(text).1.unwrap_err().to_string();
            assert!(told.contains(part), "{told}");
        }
        let empty = tempfile::tempdir().unwrap();
        let told = Project::read(empty.path()).unwrap_err().to_string();
        assert!(told.contains("plugin new"), "{told}");
    }
}
