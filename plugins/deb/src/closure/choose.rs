//! Which versions of a name may be chosen: the candidate, as pins and policy have it, and the installed one.

use std::rc::Rc;

use bootsplice_resolver::{Candidates, Name, Solvable};

use super::catalog::{Catalog, Version};
use super::{frozen, phase};
use crate::Result;
use crate::pins::{DOWNGRADE, Facts};
use crate::policy::Base;
use crate::version;

// === impl Catalog ===

impl Catalog<'_> {
    /// What may be chosen of a name.
    pub(super) fn candidates_of(&self, name: Name) -> Result<Rc<Candidates>> {
        if let Some(known) = self.candidates.borrow().get(&name) {
            return Ok(known.clone());
        }
        let found = Rc::new(self.choose(name)?);
        self.candidates.borrow_mut().insert(name, found.clone());
        Ok(found)
    }

    fn choose(&self, name: Name) -> Result<Candidates> {
        let (group, architecture) = self.parts(name);
        let loaded = self.load(group)?;
        let versions = &loaded.versions[architecture];
        let installed = versions
            .iter()
            .copied()
            .find(|&solvable| self.version(solvable).installed.is_some());
        let candidate = match self.chosen.borrow().get(&name) {
            Some(&chosen) => Some(chosen),
            None => self.candidate(versions, installed),
        };
        let locked_in = self.locked_version(name, versions);
        let policy = self.input.policy;
        let held = installed.is_some_and(|installed| {
            let number = self.version(installed).installed;
            number.is_some_and(|number| self.input.status.packages()[number].held)
        });
        let mut solvables: Vec<Solvable> = Vec::new();
        for solvable in [locked_in, candidate, installed].into_iter().flatten() {
            if !solvables.contains(&solvable) {
                solvables.push(solvable);
            }
        }
        Ok(Candidates {
            solvables,
            installed,
            favored: match policy.base {
                Base::Upgrade => locked_in,
                Base::Minimal if self.favored.borrow().contains(&name) => candidate,
                Base::Frozen | Base::Minimal => installed.or(locked_in),
            },
            locked: installed.filter(|_| held || frozen(policy)),
            several: false,
        })
    }

    /// apt's candidate: the highest priority, then the newest; older than the installed one only from 1000 on.
    fn candidate(&self, versions: &[Solvable], installed: Option<Solvable>) -> Option<Solvable> {
        let now = installed.map(|installed| self.version(installed));
        let mut best: Option<(i32, Solvable)> = None;
        for &solvable in versions {
            let version = self.version(solvable);
            let priority = self.priority(&version);
            if priority <= 0 || best.is_some_and(|(best, _)| priority <= best) {
                continue;
            }
            let older = now
                .as_ref()
                .is_some_and(|now| version::compare(&version.text, &now.text).is_lt());
            if priority < DOWNGRADE && older {
                continue;
            }
            best = Some((priority, solvable));
        }
        best.map(|(_, solvable)| solvable)
    }

    fn priority(&self, version: &Version) -> i32 {
        let origins = version
            .origins
            .iter()
            .map(|&(index, origin)| &self.input.indexes[index].origins()[origin as usize]);
        let name = self.group_name(version.group);
        // A package that was given by its own file is what the request wants.
        if let super::catalog::Place::Extra(_) = version.place {
            return DOWNGRADE + 1;
        }
        let facts = Facts {
            name: &name,
            architecture: &self.input.architectures[version.architecture],
            native: version.architecture == 0,
            source: version.source.as_deref().unwrap_or(&name),
            version: &version.text,
            installed: version.installed.is_some(),
        };
        let priority = self.input.preferences.priority(&facts, origins);
        let source_version = version.source_version.as_deref().unwrap_or(&version.text);
        match version.phased {
            Some(percentage)
                if version.installed.is_none()
                    && !phase::includes(
                        &self.input.policy.phased,
                        facts.source,
                        source_version,
                        percentage,
                    ) =>
            {
                priority.min(1)
            }
            _ => priority,
        }
    }

    /// The version that a lock holds for a name.
    fn locked_version(&self, name: Name, versions: &[Solvable]) -> Option<Solvable> {
        if self.input.locked.is_empty() {
            return None;
        }
        let (group, architecture) = self.parts(name);
        let text = self.group_name(group);
        let locked = self.input.locked.iter().find(|(locked, arch, _)| {
            **locked == *text
                && self
                    .architecture(arch)
                    .is_some_and(|(number, _)| number == architecture)
        })?;
        versions
            .iter()
            .copied()
            .find(|&solvable| *self.version(solvable).text == *locked.2)
    }
}
