//! The committed references: `docs/openapi.json` and `docs/rest.md`.

use clap::{Args, ValueEnum};

use super::{Failure, Format, Output};

#[derive(Args)]
pub struct Reference {
    #[arg(value_enum)]
    what: What,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    Openapi,
    Rest,
}

impl Reference {
    pub fn run(self) -> Result<(), Failure> {
        let text = match self.what {
            What::Openapi => crate::openapi::text(),
            What::Rest => crate::openapi::markdown(),
        };
        Output::new(Format::Text).answer(&(), || text);
        Ok(())
    }
}
