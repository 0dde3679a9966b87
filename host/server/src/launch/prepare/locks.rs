//! Which lock is in force for the steps at a point, and new ones.
//!
//! A lock is chosen once for a version of a profile on a base (rule 17). While it is in force nothing is validated or resolved again: a launch whose
//! layers are there runs no guest code at all.

use std::iter::zip;

use bootsplice_engine::contract::{Severity, StepLock};
use bootsplice_volume::Point;
use futures::future::try_join_all;
use time::Duration;

use super::{LockChoice, PreparedPoint, PreparedStep, Wanted, refused};
use crate::launch::Launches;
use crate::launch::lock::{LOCK_SCHEMA, LockKey, LockedStep, PointLock};
use crate::launch::record::Base;
use crate::problem::{Fault, Kind, Problem};
use crate::profile::{LockPolicy, Saved};

// === impl Launches ===

impl Launches {
    /// Gives the steps at each point their lock: that of the record, that in force, or a new one.
    pub(super) async fn locked(
        &self,
        wanted: &Wanted<'_>,
        profile: &Saved,
        base: &Base,
        points: &[Point],
        steps: Vec<Vec<PreparedStep>>,
    ) -> Result<Vec<PreparedPoint>, Problem> {
        let key = |point| LockKey {
            tenant: wanted.tenant.as_str(),
            profile: &profile.profile.name,
            profile_version: profile.version,
            base: base.volume,
            point,
        };
        let mut missing = Vec::new();
        let mut locks = Vec::new();
        for (point, steps) in zip(points, &steps) {
            let lock = match &wanted.locks {
                LockChoice::Pinned(pinned) => {
                    let digest = pinned.get(point.name.as_str());
                    Some(self.recorded(wanted, point, digest.copied()).await?)
                }
                LockChoice::Renew => None,
                LockChoice::InForce | LockChoice::Chosen | LockChoice::DryRun => {
                    self.in_force(key(point.name.as_str()), profile).await?
                }
            };
            if lock.is_none() {
                missing.extend(steps);
            }
            locks.push(lock);
        }
        self.validate(&missing).await?;
        let mut prepared = Vec::new();
        for ((point, steps), lock) in zip(zip(points, steps), locks) {
            let lock = match lock {
                Some(lock) => lock,
                None => {
                    let key = key(point.name.as_str());
                    self.resolve(wanted, profile, key, &steps).await?
                }
            };
            prepared.push(PreparedPoint {
                point: point.clone(),
                lock,
                steps,
            });
        }
        Ok(prepared)
    }

    async fn recorded(
        &self,
        wanted: &Wanted<'_>,
        point: &Point,
        digest: Option<bootsplice_content::Digest>,
    ) -> Result<PointLock, Problem> {
        let lock = match digest {
            Some(digest) => self.locks.get(wanted.tenant.as_str(), digest).await?,
            None => None,
        };
        let gone = || format!("the lock of point `{}` is gone", point.name);
        lock.ok_or_else(|| Problem::new(Kind::Internal, gone()))
    }

    /// The chosen lock, unless the profile wants none so old.
    async fn in_force(
        &self,
        key: LockKey<'_>,
        profile: &Saved,
    ) -> Result<Option<PointLock>, Problem> {
        let Some(lock) = self.locks.chosen(key).await? else {
            return Ok(None);
        };
        let oldest = match profile.profile.locks {
            LockPolicy::Pinned => return Ok(Some(lock)),
            LockPolicy::MaxAge(seconds) => {
                let limits = &self.app.config.limits;
                u64::from(seconds).clamp(limits.least_lock_age, limits.most_lock_age)
            }
        };
        let age = self.app.clock.now() - lock.resolved;
        let fresh = age < Duration::seconds(i64::try_from(oldest).unwrap_or(i64::MAX));
        Ok(fresh.then_some(lock))
    }

    /// Asks each generator about its step's configuration; all faults at once.
    async fn validate(&self, steps: &[&PreparedStep]) -> Result<(), Problem> {
        let mut faults = Vec::new();
        for step in steps {
            let at = format!("/profile/steps/{}", step.order);
            let (engine, job) = (self.installed.engine(), &step.job);
            let found = engine
                .validate(&step.plugin, Some(&job.target), &job.config)
                .await
                .map_err(|error| refused(&step.step.id, &error, &at))?;
            let errors = found
                .into_iter()
                .filter(|one| one.severity == Severity::Error);
            faults.extend(errors.map(|one| Fault {
                hint: one.hint,
                ..Fault::new(format!("{at}/with{}", one.pointer), &one.code, one.message)
            }));
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Problem::new(Kind::PlanRefused, "").with_faults(faults))
        }
    }

    /// A new lock, put in force unless the run is dry. Of many that ask at once one resolves and the others use its lock.
    async fn resolve(
        &self,
        wanted: &Wanted<'_>,
        profile: &Saved,
        key: LockKey<'_>,
        steps: &[PreparedStep],
    ) -> Result<PointLock, Problem> {
        let renew = matches!(wanted.locks, LockChoice::Renew);
        let _resolving = self.resolving.lock(format!("{key:?}")).await;
        if !renew && let Some(lock) = self.in_force(key, profile).await? {
            return Ok(lock);
        }
        let before = self.locks.chosen(key).await?;
        let runs = steps.iter().map(async |step| {
            let previous = before.as_ref().and_then(|lock| lock.step(&step.step.id));
            let engine = self.installed.engine();
            let lock = engine.resolve(&step.plugin, &step.job, previous).await;
            let at = format!("/profile/steps/{}", step.order);
            lock.map_err(|error| refused(&step.step.id, &error, &at))
        });
        let locks: Vec<StepLock> = try_join_all(runs).await?;
        let locked = zip(steps, locks).map(|(step, lock)| LockedStep {
            id: step.step.id.clone(),
            lock,
        });
        let lock = PointLock {
            schema: LOCK_SCHEMA.to_owned(),
            profile: profile.reference().to_string(),
            base: key.base,
            point: key.point.to_owned(),
            resolved: self.app.clock.now(),
            steps: locked.collect(),
        };
        if matches!(wanted.locks, LockChoice::DryRun) {
            return Ok(lock);
        }
        // An old one gives way, whoever chose it.
        Ok(self.locks.choose(key, lock, before.is_some()).await?)
    }
}
