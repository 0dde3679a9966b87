//! The cases of a project: `cases/<case>/config.yaml`, with `target.yaml` and `instance.yaml` where they matter, against `cases/<case>/expected/`.
//!
//! Every case is run twice: what differs between two runs of the same inputs would not be shared between launches.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use bootsplice_engine::clock::Clock;
use serde::Serialize;
use serde_json::Value;

use super::AuthorError;
use super::case::{Case, InstanceFile, TargetFile, read};
use super::expected::{self, Tree};
use super::project::Project;
use super::workshop::Workshop;

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Passed,
    Failed,
    /// What it makes is what is expected from now on.
    Blessed,
}

#[derive(Clone, Debug, Serialize)]
pub struct Tested {
    pub case: String,
    pub verdict: Verdict,
    /// A text for each file that is not as expected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
}

/// The clock of tests: what the case's target says.
#[derive(Clone, Default)]
pub struct TestClock(Arc<AtomicU64>);

// === impl TestClock ===

impl TestClock {
    pub fn clock(&self) -> Clock {
        let epoch = self.0.clone();
        Arc::new(move || UNIX_EPOCH + Duration::from_secs(epoch.load(Ordering::Relaxed)))
    }

    fn set(&self, epoch: u64) {
        self.0.store(epoch, Ordering::Relaxed);
    }
}

/// The directories of a project's cases, by name.
pub fn cases(project: &Project) -> Result<Vec<PathBuf>, AuthorError> {
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
    let mut found: Vec<PathBuf> = paths.filter(|path| path.is_dir()).collect();
    found.sort();
    if found.is_empty() {
        return Err(none());
    }
    Ok(found)
}

/// Runs one case; with `bless` what it makes becomes what is expected.
pub async fn test(
    workshop: &Workshop,
    clock: &TestClock,
    plugin: &str,
    directory: &Path,
    bless: bool,
) -> Result<Tested, AuthorError> {
    let name = directory.file_name().unwrap_or_default();
    let tested = |verdict, differences| Tested {
        case: name.to_string_lossy().into_owned(),
        verdict,
        differences,
    };
    let made = make(workshop, clock, plugin, directory).await?;
    let again = make(workshop, clock, plugin, directory).await?;
    let changing = expected::differences(&made, &again);
    if !changing.is_empty() {
        let mut told = vec![
            "two runs of the same inputs made different bytes: is there a hash map, a set or a random name in the output?".to_owned(),
        ];
        told.extend(changing);
        return Ok(tested(Verdict::Failed, told));
    }
    let place = directory.join("expected");
    let known = expected::read(&place)?;
    if bless {
        if known.as_ref() == Some(&made) {
            return Ok(tested(Verdict::Passed, Vec::new()));
        }
        expected::write(&place, &made)?;
        return Ok(tested(Verdict::Blessed, Vec::new()));
    }
    let Some(known) = known else {
        let told = "nothing is expected yet: look at what it makes with `bootsplice plugin run`, then `bootsplice plugin test --bless`";
        return Ok(tested(Verdict::Failed, vec![told.to_owned()]));
    };
    let differences = expected::differences(&known, &made);
    let verdict = match differences.is_empty() {
        true => Verdict::Passed,
        false => Verdict::Failed,
    };
    Ok(tested(verdict, differences))
}

async fn make(
    workshop: &Workshop,
    clock: &TestClock,
    plugin: &str,
    directory: &Path,
) -> Result<Tree, AuthorError> {
    let path = directory.join("config.yaml");
    let config: Option<Value> = read(&path)?;
    let config = config
        .ok_or_else(|| AuthorError::NotFound(format!("the case has no `{}`", path.display())))?;
    let target: TargetFile = read(&directory.join("target.yaml"))?.unwrap_or_default();
    let who: InstanceFile = read(&directory.join("instance.yaml"))?.unwrap_or_default();
    clock.set(target.epoch);
    let case = Case::of_config(plugin, config, &target.at, target.base(), who);
    match workshop.run(&case).await {
        Ok(made) => Ok(expected::of_outcome(&made.outcome)),
        Err(AuthorError::Problem(problem)) => Ok(expected::of_problem(&problem)),
        Err(error) => Err(error),
    }
}
