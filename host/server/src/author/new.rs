//! A new project: the language's template under the author's name, and the SDK beside it.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::AuthorError;
use super::project::{Language, valid_name};

/// What a project of one language is made of. Paths are relative, with `/`.
struct Kit {
    language: &'static str,
    template: &'static [(&'static str, &'static [u8])],
    sdk: &'static [(&'static str, &'static [u8])],
}

include!(concat!(env!("OUT_DIR"), "/kits.rs"));

/// Stands for the project's name, in contents and in names of files.
const NAME: &str = "{{name}}";

/// A project that was made.
#[derive(Clone, Debug, Serialize)]
pub struct Made {
    pub directory: PathBuf,
    pub name: String,
    pub language: Language,
    /// The author's, without the SDK's.
    pub files: Vec<String>,
}

/// Makes `into/name`, whole or not at all. Nothing is fetched.
pub fn make(name: &str, language: Language, into: &Path) -> Result<Made, AuthorError> {
    if !valid_name(name) {
        let shown: String = name.chars().take(60).collect();
        return Err(AuthorError::Invalid(format!(
            "`{shown}` is no name of a plugin: expected 1 to 40 of a-z, 0-9 and `-`"
        )));
    }
    let directory = into.join(name);
    if std::fs::symlink_metadata(&directory).is_ok() {
        return Err(AuthorError::Exists(format!(
            "`{}` is there already: choose another name, or `--into DIR`",
            directory.display()
        )));
    }
    let kit = KITS.iter().find(|kit| kit.language == language.as_str());
    let kit = kit.ok_or_else(|| AuthorError::Machine(format!("no template for {language}")))?;
    std::fs::create_dir_all(into).map_err(AuthorError::io("make", into))?;
    let beside = tempfile::Builder::new()
        .prefix(".new-plugin-")
        .tempdir_in(into)
        .map_err(AuthorError::io("write in", into))?;
    let mut files = Vec::new();
    for (path, bytes) in kit.template {
        let path = path.replace(NAME, name);
        match std::str::from_utf8(bytes) {
            Ok(text) => put(beside.path(), &path, text.replace(NAME, name).as_bytes())?,
            Err(_) => put(beside.path(), &path, bytes)?,
        }
        files.push(path);
    }
    for (path, bytes) in kit.sdk {
        put(beside.path(), path, bytes)?;
    }
    let made = beside.keep();
    // A temporary directory is its maker's alone; a project is like any other directory.
    let finished =
        std::fs::set_permissions(&made, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .and_then(|()| std::fs::rename(&made, &directory));
    if let Err(error) = finished {
        // The failure tells more than what cannot be removed either.
        let _ = std::fs::remove_dir_all(&made);
        return Err(AuthorError::io("make", &directory)(error));
    }
    Ok(Made {
        directory,
        name: name.to_owned(),
        language,
        files,
    })
}

fn put(directory: &Path, path: &str, bytes: &[u8]) -> Result<(), AuthorError> {
    let path = directory.join(path);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(AuthorError::io("make", parent))?;
    }
    std::fs::write(&path, bytes).map_err(AuthorError::io("write", &path))
}

#[cfg(test)]
mod tests {
    use super::super::project::Project;
    use super::*;

    #[test]
    fn every_language_has_a_project_that_reads_and_no_placeholder_is_left() {
        let scratch = tempfile::tempdir().unwrap();
        for language in Language::ALL {
            let name = format!("my-{language}");
            let made = make(&name, language, scratch.path()).unwrap();
            let project = Project::read(&made.directory).unwrap();
            assert_eq!(project.name(), name);
            assert_eq!(project.document.plugin.language, language);
            assert!(made.directory.join("sdk").is_dir(), "{language}");
            for file in &made.files {
                let text = std::fs::read_to_string(made.directory.join(file)).unwrap();
                assert!(
                    !text.contains(NAME) && !file.contains(NAME),
                    "{language}: {file}"
                );
            }
            let cases = made.directory.join("cases");
            assert!(cases.is_dir(), "{language}");
        }
        let left = std::fs::read_dir(scratch.path()).unwrap().count();
        assert_eq!(left, Language::ALL.len());
    }

    #[test]
    fn what_is_there_stays_and_a_bad_name_makes_nothing() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("motd"), "mine").unwrap();
        let error = make("motd", Language::C, scratch.path()).unwrap_err();
        assert!(matches!(error, AuthorError::Exists(_)));
        for name in ["", "Motd", "../x", "a b", &"x".repeat(41)] {
            let error = make(name, Language::C, scratch.path()).unwrap_err();
            assert!(matches!(error, AuthorError::Invalid(_)), "{name}");
        }
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1);
    }
}
