//! `bootsplice plugin dev`.

use std::path::PathBuf;

use clap::Args;

use super::run::Inputs;
use super::shown;
use crate::author::AuthorError;
use crate::author::build::build;
use crate::author::project::Project;
use crate::author::subject::Subject;
use crate::author::watch::{Look, changed};
use crate::cli::{Failure, Output};
use crate::made::tree::{Tree, differences, of_outcome};

/// Build and run a project again whenever a file of it changes; show what is different in what it makes. Ctrl-C ends it.
#[derive(Args)]
#[command(after_help = "\
Examples:
  bootsplice plugin dev                        # with the first example of the descriptor
  bootsplice plugin dev . --config case.yaml")]
pub struct Dev {
    /// A plugin's directory.
    #[arg(default_value = ".", value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    inputs: Inputs,
}

// === impl Dev ===

impl Dev {
    pub async fn run(self, output: &Output) -> Result<(), Failure> {
        // A directory that is no project is told at once.
        Project::read(&self.directory).map_err(AuthorError::from)?;
        tokio::select! {
            never = self.watch(output) => never,
            ended = tokio::signal::ctrl_c() => {
                ended.map_err(|error| Failure::from(anyhow::Error::from(error)))
            }
        }
    }

    async fn watch(&self, output: &Output) -> Result<(), Failure> {
        let mut last: Option<Tree> = None;
        loop {
            let seen = Look::at(&self.directory);
            match self.once(output, &mut last).await {
                Ok(()) => {}
                // What the author mends next.
                Err(failure) => output.failure(&failure),
            }
            eprintln!("bootsplice: waiting for a change; Ctrl-C ends");
            let (_, path) = changed(&self.directory, &seen).await;
            eprintln!("bootsplice: `{}` changed", path.display());
        }
    }

    async fn once(&self, output: &Output, last: &mut Option<Tree>) -> Result<(), Failure> {
        // The project's file may be what changed.
        let project = Project::read(&self.directory).map_err(AuthorError::from)?;
        let built = build(&project).await?;
        eprintln!("bootsplice: built in {:.1} s", built.seconds);
        let made = self.inputs.make(&Subject::Project(project)).await?;
        let tree = of_outcome(&made.outcome);
        match last.replace(tree.clone()) {
            None => output.answer(&made.outcome, || shown::outcome(&made.outcome)),
            Some(older) => {
                let told = differences(&older, &tree);
                output.answer(&told, || match told.is_empty() {
                    true => "it makes the same".to_owned(),
                    false => told.join("\n"),
                });
            }
        }
        Ok(())
    }
}
