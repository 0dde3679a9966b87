//! `bootsplice plugin test`.

use std::path::PathBuf;
use std::sync::Arc;

use bootsplice_engine::Level;
use bootsplice_engine::fetch::FetchPolicy;
use clap::Args;

use super::run::refused;
use super::workplace::Workplace;
use crate::author::AuthorError;
use crate::author::listener::Listener;
use crate::author::project::Project;
use crate::author::subject::Subject;
use crate::author::test::{TestClock, Tested, Verdict, cases, test};
use crate::author::workshop::Workshop;
use crate::cli::exit::Code;
use crate::cli::{Failure, Output};
use crate::local::progress::Progress;
use crate::local::reach::Reach;
use crate::local::sandbox::Sandbox;

/// Run every case of `cases/`, twice, and compare what it makes with what is expected.
#[derive(Args)]
#[command(after_help = "\
Examples:
  bootsplice plugin test
  bootsplice plugin test . --bless        # what it makes now is what is expected
  bootsplice plugin test ../motd --case empty --output json

A case is a directory: cases/NAME/config.yaml, target.yaml and instance.yaml where they matter, and expected/, which --bless writes.
Exit codes: 0 all as expected, 1 not")]
pub struct Test {
    /// A plugin's directory.
    #[arg(default_value = ".", value_name = "DIR")]
    directory: PathBuf,
    /// What is made now is what is expected from now on.
    #[arg(long)]
    bless: bool,
    /// Only this case; several times for several.
    #[arg(long, value_name = "NAME")]
    case: Vec<String>,
    #[command(flatten)]
    workplace: Workplace,
}

// === impl Test ===

impl Test {
    pub async fn run(self, output: &Output) -> Result<(), Failure> {
        let project = Project::read(&self.directory).map_err(AuthorError::from)?;
        let wanted = self.wanted(&project)?;
        let subject = Subject::Project(project);
        let component = subject.read()?;
        let clock = TestClock::default();
        let places = self.workplace.places(PathBuf::new())?;
        let progress = Progress::start();
        let policy = FetchPolicy::default();
        let sandbox = Sandbox::open_at(&places, policy.clone(), progress.clone(), clock.clock())?;
        let sandbox = Arc::new(sandbox);
        let file = subject.path().display().to_string();
        let plugin = sandbox.load(component, &file).await;
        let plugin = plugin.map_err(|error| refused(error, &file))?;
        let id = plugin.descriptor().id.clone();
        let listener = Arc::new(Listener::new(progress, Some(Level::Warn)));
        let reach = Reach {
            policy,
            granted: Vec::new(),
            wishes: true,
        };
        let workshop = Workshop::new(sandbox, &places, reach, listener)?;
        workshop.put(plugin).await;
        let mut tested = Vec::new();
        for directory in &wanted {
            tested.push(test(&workshop, &clock, &id, directory, self.bless).await?);
        }
        output.answer(&tested, || text(&tested));
        let failed = tested.iter().filter(|one| one.verdict == Verdict::Failed);
        match failed.count() {
            0 => Ok(()),
            count => Err(Failure::new(
                Code::Failure,
                format!("{count} of {} cases failed", tested.len()),
            )),
        }
    }

    fn wanted(&self, project: &Project) -> Result<Vec<PathBuf>, Failure> {
        let all = cases(project)?;
        let named = |path: &PathBuf| {
            path.file_name()
                .is_some_and(|name| self.case.iter().any(|case| name == case.as_str()))
        };
        let place = project.directory.join("cases");
        for case in &self.case {
            if !all.contains(&place.join(case)) {
                let message = format!("--case: there is no case `{case}` in `{}`", place.display());
                return Err(Failure::new(Code::NotFound, message));
            }
        }
        Ok(match self.case.is_empty() {
            true => all,
            false => all.into_iter().filter(named).collect(),
        })
    }
}

fn text(tested: &[Tested]) -> String {
    let mut text = String::new();
    for one in tested {
        let word = match one.verdict {
            Verdict::Passed => "ok     ",
            Verdict::Failed => "FAILED ",
            Verdict::Blessed => "blessed",
        };
        text.push_str(&format!("{word} {}\n", one.case));
        for difference in &one.differences {
            for line in difference.lines() {
                text.push_str(&format!("    {line}\n"));
            }
        }
    }
    text
}
