//! `job`: what people see while the work runs. The only interface that answers in every phase.

use super::bindings::bootsplice::generator::job::{Host, Level as GuestLevel};
use crate::job::Level;
use crate::run::Run;

impl Host for Run {
    async fn log(
        &mut self,
        level: GuestLevel,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        let level = match level {
            GuestLevel::Trace => Level::Trace,
            GuestLevel::Debug => Level::Debug,
            GuestLevel::Info => Level::Info,
            GuestLevel::Warn => Level::Warn,
            GuestLevel::Error => Level::Error,
        };
        self.log.message(level, &message, &fields);
        Ok(())
    }

    async fn progress(
        &mut self,
        stage: String,
        done: u64,
        total: Option<u64>,
    ) -> wasmtime::Result<()> {
        self.log.progress(&stage, done, total);
        Ok(())
    }

    async fn is_cancelled(&mut self) -> wasmtime::Result<bool> {
        Ok(self.reach.access.cancel.is_cancelled())
    }
}
