//! `bootsplice plugin test`.

use std::path::PathBuf;
use std::sync::Arc;

use bootsplice_engine::Level;
use clap::Args;

use super::network::Network;
use super::run::refused;
use super::workplace::Workplace;
use crate::author::AuthorError;
use crate::author::cases::cases;
use crate::author::listener::Listener;
use crate::author::project::Project;
use crate::author::subject::Subject;
use crate::author::test::{Renew, TestClock, Tested, Verdict, test};
use crate::author::workshop::Workshop;
use crate::cli::exit::Code;
use crate::cli::{Failure, Output};
use crate::local::progress::Progress;
use crate::local::sandbox::Sandbox;

/// Run every case of `cases/`, twice, and compare what it makes with what is expected.
#[derive(Args)]
#[command(after_help = "\
Examples:
  bootsplice plugin test
  bootsplice plugin test . --bless        # what it makes now is what is expected
  bootsplice plugin test . --case index --record    # what it fetches now comes from cases/index/recording from now on
  bootsplice plugin test ../motd --case empty --output json

A case is a directory: cases/NAME/config.yaml, target.yaml and instance.yaml where they matter, recording, which --record writes, and expected/,
which --bless writes. A case may also be a recording alone: `plugin record --launch ID --step STEP --out cases/NAME/recording`.
Exit codes: 0 all as expected, 1 not")]
pub struct Test {
    /// A plugin's directory.
    #[arg(default_value = ".", value_name = "DIR")]
    directory: PathBuf,
    /// What is made now is what is expected from now on.
    #[arg(long)]
    bless: bool,
    /// Fetch anew, and keep what comes: the case needs no network from now on. A case that fetches nothing gets no recording.
    #[arg(long)]
    record: bool,
    /// Only this case; several times for several.
    #[arg(long, value_name = "NAME")]
    case: Vec<String>,
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    workplace: Workplace,
}

// === impl Test ===

impl Test {
    pub async fn run(self, output: &Output) -> Result<(), Failure> {
        let project = Project::read(&self.directory).map_err(AuthorError::from)?;
        let wanted = cases(&project, &self.case)?;
        let subject = Subject::Project(project);
        let component = subject.read()?;
        let clock = TestClock::default();
        let places = self.workplace.places(PathBuf::new())?;
        let progress = Progress::start();
        let reach = self.network.reach()?;
        let policy = reach.policy.clone();
        let sandbox = Sandbox::open_at(&places, policy, progress.clone(), clock.clock())?;
        let sandbox = Arc::new(sandbox);
        let file = subject.path().display().to_string();
        let plugin = sandbox.load(component, &file).await;
        let plugin = plugin.map_err(|error| refused(error, &file))?;
        let listener = Arc::new(Listener::new(progress, Some(Level::Warn)));
        let workshop = Workshop::new(sandbox, &places, reach, listener)?;
        workshop.put(plugin.clone()).await;
        let mut tested = Vec::new();
        let renew = Renew {
            bless: self.bless,
            record: self.record,
        };
        for case in &wanted {
            tested.push(test(&workshop, &clock, &plugin, case, renew).await?);
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
}

fn text(tested: &[Tested]) -> String {
    let mut text = String::new();
    for one in tested {
        let word = match one.verdict {
            Verdict::Passed => "ok     ",
            Verdict::Failed => "FAILED ",
            Verdict::Blessed => "blessed",
        };
        let recorded = if one.recorded { ", recorded" } else { "" };
        text.push_str(&format!("{word} {}{recorded}\n", one.case));
        for difference in &one.differences {
            for line in difference.lines() {
                text.push_str(&format!("    {line}\n"));
            }
        }
    }
    text
}
