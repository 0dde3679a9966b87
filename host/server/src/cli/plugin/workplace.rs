//! Where commands that need no host compile and keep what they compiled.

use std::path::PathBuf;

use bootsplice_engine::fetch::FetchPolicy;
use clap::Args;

use crate::cli::Failure;
use crate::local::Places;
use crate::local::progress::Progress;
use crate::local::sandbox::Sandbox;

#[derive(Args)]
pub struct Workplace {
    /// Directory of compiled components. Default: `bootsplice` in the user's cache directory.
    #[arg(long, env = "BOOTSPLICE_CACHE", help_heading = "Sandbox")]
    cache: Option<PathBuf>,
    /// The compiler. Default: `bootsplice-compile` beside this executable.
    #[arg(long, env = "BOOTSPLICE_COMPILER", help_heading = "Sandbox")]
    compiler: Option<PathBuf>,
}

// === impl Workplace ===

impl Workplace {
    /// The sandbox of this machine, with what generators may fetch in it.
    pub fn open(&self, fetch: FetchPolicy) -> Result<Sandbox, Failure> {
        let places = self.places(PathBuf::new())?;
        Ok(Sandbox::open(&places, fetch, Progress::start())?)
    }

    /// Where things are, with other generators in `plugins`.
    pub fn places(&self, plugins: PathBuf) -> Result<Places, Failure> {
        let (compiler, cache) = (self.compiler.as_deref(), self.cache.as_deref());
        Ok(Places::of_user(plugins, compiler, cache)?)
    }
}
