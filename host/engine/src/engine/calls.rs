//! The four calls of the contract, each in a store of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use bootsplice_content::Digest;
use serde_json::Value;

use super::Engine;
use crate::blobs::Blob;
use crate::content::StepContent;
use crate::contract::{Descriptor, Diagnostic, Instance, Severity, StepLock, Target};
use crate::error::GeneratorError;
use crate::job::Job;
use crate::key;
use crate::limits::Limits;
use crate::plugin::Plugin;
use crate::run::{Access, Caller, Phase, Run};
use crate::tape::{Asked, Begun, Outside};
use crate::v0_1::{self, Guest};

// === impl Engine ===

impl Engine {
    /// Asks an installed plugin once more what it is. [`Plugin::descriptor`] is what it said when it was installed.
    pub async fn describe(&self, plugin: &Plugin) -> Result<Descriptor, GeneratorError> {
        self.ask(plugin.digest(), plugin.ready()).await
    }

    /// Asks a component what it is.
    pub(super) async fn ask(
        &self,
        digest: &Digest,
        ready: &v0_1::PluginPre<Run>,
    ) -> Result<Descriptor, GeneratorError> {
        let run = self.pure(Phase::Describe, digest);
        self.0.counters.describes.fetch_add(1, Ordering::Relaxed);
        let (told, _) = self
            .0
            .sandbox
            .call(ready, run, async |world, store| {
                world
                    .bootsplice_generator_plugin_info()
                    .call_describe(store)
                    .await
            })
            .await?;
        Guest::descriptor(told).map_err(GeneratorError::Fault)
    }

    /// Where `config` is wrong: by the plugin's schema and, when that holds, by the plugin itself. `target` is none while a profile is saved.
    pub async fn validate(
        &self,
        plugin: &Plugin,
        target: Option<&Target>,
        config: &Value,
    ) -> Result<Vec<Diagnostic>, GeneratorError> {
        let found = plugin.check_schema(config);
        if !found.is_empty() {
            return Ok(found);
        }
        let run = self.pure(Phase::Validate, plugin.digest());
        let text = key::canonical(config);
        let target = target.map(|target| Guest::target(target, 0));
        self.0.counters.validates.fetch_add(1, Ordering::Relaxed);
        let (found, _) = self
            .0
            .sandbox
            .call(plugin.ready(), run, async |world, store| {
                world
                    .bootsplice_generator_plugin_info()
                    .call_validate(store, target.as_ref(), &text)
                    .await
            })
            .await?;
        Ok(Guest::diagnostics(found))
    }

    /// Decides every artefact of a step: the lock. `previous` is the lock that is being renewed.
    pub async fn resolve(
        &self,
        plugin: &Plugin,
        job: &Job,
        previous: Option<&StepLock>,
    ) -> Result<StepLock, GeneratorError> {
        check_config(plugin, &job.config)?;
        let outside = Outside::from(job.tape.clone());
        let result = self.resolved(plugin, job, previous, &outside).await;
        outside.end(self.blobs(), result).await
    }

    async fn resolved(
        &self,
        plugin: &Plugin,
        job: &Job,
        previous: Option<&StepLock>,
        outside: &Outside,
    ) -> Result<StepLock, GeneratorError> {
        let begun = self.begin_resolve(job, previous, outside).await?;
        let epoch = begun.epoch;
        let seed = seed(plugin, job, "resolve", epoch, None);
        let mut run = Run::new(
            Phase::Resolve,
            Access::from(job),
            &self.0.services,
            Caller::of(plugin),
            epoch,
            &seed,
        );
        let previous = begun
            .previous
            .as_ref()
            .map(|lock| run.lock_in(lock))
            .transpose()?;
        let target = Guest::target(&job.target, epoch);
        let config = key::canonical(&job.config);
        self.0.counters.resolves.fetch_add(1, Ordering::Relaxed);
        let (answer, run) = self
            .0
            .sandbox
            .call(plugin.ready(), run, async |world, store| {
                world
                    .bootsplice_generator_generator()
                    .call_resolve(store, &target, &config, previous.as_ref())
                    .await
            })
            .await?;
        let lock_file = answer.map_err(Guest::error)?;
        run.lock_out(lock_file, *plugin.digest(), epoch).await
    }

    /// Makes the content of a step from its lock. `instance` is given when the lock says `needs_instance`, and only then seen by the guest.
    pub async fn generate(
        &self,
        plugin: &Plugin,
        job: &Job,
        lock: &StepLock,
        instance: Option<&Instance>,
    ) -> Result<StepContent, GeneratorError> {
        check_config(plugin, &job.config)?;
        if lock.plugin != *plugin.digest() {
            return Err(GeneratorError::Unsupported(format!(
                "the lock was made by plugin {}, not by {}; make a new one",
                lock.plugin,
                plugin.digest()
            )));
        }
        let who = match (lock.needs_instance, instance) {
            (true, None) => {
                return Err(GeneratorError::Unsupported(
                    "this step needs an instance; none was given".into(),
                ));
            }
            (true, Some(instance)) => Some(instance),
            (false, _) => None,
        };
        let outside = Outside::from(job.tape.clone());
        let result = self.generated(plugin, job, lock, who, &outside).await;
        outside.end(self.blobs(), result).await
    }

    async fn generated(
        &self,
        plugin: &Plugin,
        job: &Job,
        lock: &StepLock,
        who: Option<&Instance>,
        outside: &Outside,
    ) -> Result<StepContent, GeneratorError> {
        self.begin_generate(job, lock, who, outside).await?;
        let seed = seed(plugin, job, "generate", lock.epoch, who);
        let mut run = Run::new(
            Phase::Generate,
            Access::from(job),
            &self.0.services,
            Caller::of(plugin),
            lock.epoch,
            &seed,
        );
        run.reach.pins = lock
            .pins
            .iter()
            .map(|pin| (pin.digest, pin.clone()))
            .collect();
        let step = run.open_step(job.target.os, plugin.secrets_in(&job.config));
        let locked = run.lock_in(lock)?;
        let sink = run.sink_in(step.clone())?;
        let target = Guest::target(&job.target, lock.epoch);
        let config = key::canonical(&job.config);
        let who = who.map(Guest::instance);
        let counter = if lock.needs_instance {
            &self.0.counters.instance_generates
        } else {
            &self.0.counters.shared_generates
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let outcome = self
            .0
            .sandbox
            .call(plugin.ready(), run, async |world, store| {
                world
                    .bootsplice_generator_generator()
                    .call_generate(store, &target, &config, &locked, who.as_ref(), sink)
                    .await
            })
            .await;
        // A limit on the output explains whatever came after it.
        if let Some(broken) = step.lock().broken() {
            return Err(broken.clone());
        }
        let (answer, run) = outcome?;
        let summary = answer.map_err(Guest::error)?;
        drop(run);
        let step = Arc::into_inner(step)
            .ok_or_else(|| {
                GeneratorError::Host("a step is still being written after its run".into())
            })?
            .into_inner();
        step.finish(Guest::summary(summary))
    }

    /// The clock and the older lock that a `resolve` sees: those of now, or those of a recording.
    async fn begin_resolve(
        &self,
        job: &Job,
        previous: Option<&StepLock>,
        outside: &Outside,
    ) -> Result<Begun, GeneratorError> {
        let asked = || {
            Ok(Asked::Resolve {
                config: job.config.as_ref().clone(),
                target: job.target.clone(),
            })
        };
        let real = async {
            let epoch = (self.0.clock)()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs());
            let begun = Begun {
                epoch,
                previous: previous.cloned(),
                grants: job.grants.clone(),
            };
            Ok((self.state_of(previous)?, begun))
        };
        let (state, begun) = outside.exchange(self.blobs(), asked, real).await?;
        self.bring_state(outside, state, begun.previous.as_ref())?;
        Ok(begun)
    }

    async fn begin_generate(
        &self,
        job: &Job,
        lock: &StepLock,
        who: Option<&Instance>,
        outside: &Outside,
    ) -> Result<(), GeneratorError> {
        let asked = || {
            Ok(Asked::Generate {
                config: job.config.as_ref().clone(),
                target: job.target.clone(),
                instance: who.cloned(),
            })
        };
        let real = async { Ok((self.state_of(Some(lock))?, lock.clone())) };
        let (state, lock) = outside.exchange(self.blobs(), asked, real).await?;
        self.bring_state(outside, state, Some(&lock))
    }

    /// The state that a lock names, if it is still here.
    fn state_of(&self, lock: Option<&StepLock>) -> Result<Option<Blob>, GeneratorError> {
        let Some((lock, digest)) = lock.and_then(|lock| Some((lock, lock.state?))) else {
            return Ok(None);
        };
        let found = self.blobs().admitted([&lock.scope], &digest);
        Ok(found
            .map_err(GeneratorError::host("reading the lock's state"))?
            .map(|(blob, _)| blob))
    }

    /// Puts a recorded lock's state where a run looks for it.
    fn bring_state(
        &self,
        outside: &Outside,
        state: Option<Blob>,
        lock: Option<&StepLock>,
    ) -> Result<(), GeneratorError> {
        if let (true, Some(state), Some(lock)) = (outside.replays(), state, lock) {
            self.blobs()
                .keep_blob(&state, &lock.scope)
                .map_err(GeneratorError::host("keeping the lock's state"))?;
        }
        Ok(())
    }

    fn pure(&self, phase: Phase, plugin: &Digest) -> Run {
        let access = Access::nothing(phase.call(), Limits::pure());
        let caller = Caller {
            plugin,
            generator: "",
        };
        Run::new(phase, access, &self.0.services, caller, 0, plugin)
    }
}

fn check_config(plugin: &Plugin, config: &Value) -> Result<(), GeneratorError> {
    let found = plugin.check_schema(config);
    if found.iter().any(|found| found.severity == Severity::Error) {
        return Err(GeneratorError::InvalidConfig(found));
    }
    Ok(())
}

/// The seed of a run's randomness: the same inputs see the same numbers.
fn seed(plugin: &Plugin, job: &Job, phase: &str, epoch: u64, who: Option<&Instance>) -> Digest {
    key::canonical_digest(&(
        "bootsplice/seed/v1",
        plugin.digest(),
        phase,
        key::canonical(&job.config),
        &job.target,
        epoch,
        who,
    ))
}
