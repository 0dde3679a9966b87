//! `bootsplice plugin new`.

use std::path::PathBuf;

use clap::Args;

use crate::author::new::{Made, make};
use crate::author::project::Language;
use crate::cli::{Failure, Output};

/// Make a project: a small generator that works, its tests, and the SDK of this release. Nothing is fetched.
#[derive(Args)]
#[command(after_help = "\
Examples:
  bootsplice plugin new motd --lang python
  bootsplice plugin new motd --lang rust --into ~/generators")]
pub struct New {
    /// The plugin's name, `[a-z0-9-]{1,40}`: what profiles say after `use:`.
    name: String,
    /// `js` is TypeScript's too.
    #[arg(long, value_enum)]
    lang: Language,
    /// Make the project's directory in this one.
    #[arg(long, value_name = "DIR", default_value = ".")]
    into: PathBuf,
}

// === impl New ===

impl New {
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let made = make(&self.name, self.lang, &self.into)?;
        output.answer(&made, || text(&made));
        Ok(())
    }
}

fn text(made: &Made) -> String {
    let directory = made.directory.display();
    let mut text = format!("{directory}: a generator in {}\n", made.language);
    for file in &made.files {
        text.push_str(&format!("  {file}\n"));
    }
    text.push_str("  sdk/\n\nNext:\n");
    for (command, why) in [
        (format!("cd {directory}"), ""),
        ("bootsplice plugin build".into(), "the component"),
        ("bootsplice plugin check".into(), "would a host take it?"),
        (
            "bootsplice plugin test --bless".into(),
            "what its cases make is what is expected",
        ),
        ("bootsplice plugin dev".into(), "all again on every change"),
    ] {
        let line = match why {
            "" => command,
            why => format!("{command:32} # {why}"),
        };
        text.push_str(&format!("  {line}\n"));
    }
    text
}
