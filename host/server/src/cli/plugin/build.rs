//! `bootsplice plugin build`.

use std::path::PathBuf;

use clap::Args;

use crate::author::AuthorError;
use crate::author::build::build;
use crate::author::project::Project;
use crate::cli::{Failure, Output};

/// Make the component of a project, by the tools of its language.
#[derive(Args)]
#[command(after_help = "\
Examples:
  bootsplice plugin build
  bootsplice plugin build ../motd --output json

The component is left in build/NAME.wasm. `[build] command` in bootsplice-plugin.toml replaces the language's own command.
Environment: BOOTSPLICE_PYTHON is an interpreter with componentize-py.")]
pub struct Build {
    /// A plugin's directory.
    #[arg(default_value = ".", value_name = "DIR")]
    directory: PathBuf,
}

// === impl Build ===

impl Build {
    pub async fn run(self, output: &Output) -> Result<(), Failure> {
        let project = Project::read(&self.directory).map_err(AuthorError::from)?;
        let built = build(&project).await?;
        output.answer(&built, || {
            format!(
                "{}: {} bytes, in {:.1} s",
                built.component.display(),
                built.size,
                built.seconds
            )
        });
        Ok(())
    }
}
