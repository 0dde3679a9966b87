//! Takes entries and actions one by one, checks each, and keeps within limits while it does.

use std::collections::{BTreeMap, BTreeSet};

use super::action;
use super::path::is_user;
use super::{
    Action, Attributes, Conflict, Entry, EntryKind, GuestPath, Owner, PathRules, Placeholder,
    StepContent, TemplateFormat, Text,
};
use crate::blobs::Blob;
use crate::contract::{OsFamily, Quota, Summary};
use crate::error::GeneratorError;

/// What an entry costs besides its bytes: its tar header and its line in step.json.
const ENTRY_COST: u64 = 512;
const MAX_ACTIONS: usize = 1000;

/// How much one step may write, and which secrets it may name.
#[derive(Clone, Debug)]
pub struct StepLimits {
    pub bytes: u64,
    pub entries: u64,
    /// Names that stand in the step's configuration where the plugin says that secrets stand.
    pub secrets: BTreeSet<String>,
}

/// Content in the making. Nothing of it counts unless the run succeeds.
#[derive(Debug)]
pub struct StepBuilder {
    rules: PathRules,
    limits: StepLimits,
    entries: BTreeMap<String, Slot>,
    actions: Vec<Action>,
    bytes: u64,
    count: u64,
    /// The first limit that was reached. The run has failed from then on, whatever the generator makes of the answer.
    broken: Option<GeneratorError>,
}

#[derive(Debug)]
enum Slot {
    Entry(Entry),
    /// A writer that is not finished. Blocks the path, is no entry.
    Reserved,
}

/// A path set aside for content that is still being written.
#[derive(Debug)]
pub struct Reservation {
    key: String,
    path: GuestPath,
    attributes: Attributes,
}

// === impl StepBuilder ===

impl StepBuilder {
    pub fn new(os: OsFamily, limits: StepLimits) -> Self {
        Self {
            rules: PathRules::new(os),
            limits,
            entries: BTreeMap::new(),
            actions: Vec::new(),
            bytes: 0,
            count: 0,
            broken: None,
        }
    }

    /// Adds a file.
    pub fn file(
        &mut self,
        path: &str,
        attributes: Attributes,
        content: Blob,
    ) -> Result<(), GeneratorError> {
        self.charge(content.size())?;
        self.add(path, attributes, EntryKind::File(content))
    }

    /// Adds text that the host fills per launch.
    pub fn template(
        &mut self,
        path: &str,
        attributes: Attributes,
        text: &str,
        format: TemplateFormat,
    ) -> Result<(), GeneratorError> {
        self.charge(text.len() as u64)?;
        let parsed = Text::parse(text)
            .map_err(|error| GeneratorError::Unsupported(format!("template {path}: {error}")))?;
        self.check_secrets(parsed.placeholders())?;
        let kind = if parsed.is_constant() {
            EntryKind::File(Blob::from_bytes(text.as_bytes().to_vec()))
        } else {
            EntryKind::Template(parsed, format)
        };
        self.add(path, attributes, kind)
    }

    /// Adds a directory. Adding it again with the same attributes changes nothing.
    pub fn dir(&mut self, path: &str, attributes: Attributes) -> Result<(), GeneratorError> {
        let path = self.path(path)?;
        let key = self.rules.collision_key(&path);
        if let Some(Slot::Entry(Entry {
            attributes: held,
            kind: EntryKind::Dir,
            ..
        })) = self.entries.get(&key)
            && *held == attributes
        {
            return Ok(());
        }
        self.add(path.as_str(), attributes, EntryKind::Dir)
    }

    /// Adds a symbolic link with a relative target that stays inside.
    pub fn symlink(&mut self, path: &str, to: &str) -> Result<(), GeneratorError> {
        let link = self.path(path)?;
        self.rules
            .symlink(&link, to)
            .map_err(|error| GeneratorError::Denied(error.to_string()))?;
        self.charge(to.len() as u64)?;
        self.add(path, Attributes::link(), EntryKind::Symlink(to.to_owned()))
    }

    /// Sets a path aside for a writer.
    pub fn reserve(
        &mut self,
        path: &str,
        attributes: Attributes,
    ) -> Result<Reservation, GeneratorError> {
        let (key, path) = self.place(path, &attributes, false)?;
        self.entries.insert(key.clone(), Slot::Reserved);
        Ok(Reservation {
            key,
            path,
            attributes,
        })
    }

    /// Counts bytes that a writer takes, before it takes them.
    pub fn charge(&mut self, bytes: u64) -> Result<(), GeneratorError> {
        let total = self.bytes.saturating_add(bytes);
        if total > self.limits.bytes {
            return Err(self.fail(GeneratorError::quota(
                Quota::OutputBytes,
                format!("the step may write {} bytes", self.limits.bytes),
            )));
        }
        self.bytes = total;
        Ok(())
    }

    /// Bytes charged so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes the entry of a reservation. Its bytes were charged as they came.
    pub fn fulfil(&mut self, reservation: Reservation, content: Blob) {
        let entry = Entry {
            path: reservation.path,
            attributes: reservation.attributes,
            kind: EntryKind::File(content),
        };
        self.entries.insert(reservation.key, Slot::Entry(entry));
    }

    pub fn action(&mut self, action: Action) -> Result<(), GeneratorError> {
        action::check(&action, self.rules).map_err(GeneratorError::Unsupported)?;
        if self.actions.len() >= MAX_ACTIONS {
            return Err(self.fail(GeneratorError::quota(
                Quota::OutputEntries,
                format!("a step has at most {MAX_ACTIONS} actions"),
            )));
        }
        let named = action::placeholders(&action)
            .map_err(|error| GeneratorError::Unsupported(error.to_string()))?;
        self.check_secrets(named.iter())?;
        self.charge(action::bytes(&action))?;
        self.actions.push(action);
        Ok(())
    }

    /// The limit that was reached, if one was.
    pub fn broken(&self) -> Option<&GeneratorError> {
        self.broken.as_ref()
    }

    /// The content, when no limit was reached and every writer was finished.
    pub fn finish(self, summary: Summary) -> Result<StepContent, GeneratorError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let mut entries = Vec::with_capacity(self.entries.len());
        for (key, slot) in self.entries {
            match slot {
                Slot::Entry(entry) => entries.push(entry),
                Slot::Reserved => {
                    return Err(GeneratorError::Fault(format!(
                        "the writer of {key} was never finished"
                    )));
                }
            }
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(StepContent {
            entries,
            actions: self.actions,
            notes: summary.notes,
            reboot_required: summary.reboot_required,
            bytes: self.bytes,
        })
    }

    fn add(
        &mut self,
        path: &str,
        attributes: Attributes,
        kind: EntryKind,
    ) -> Result<(), GeneratorError> {
        let (key, path) = self.place(path, &attributes, matches!(kind, EntryKind::Dir))?;
        self.entries.insert(
            key,
            Slot::Entry(Entry {
                path,
                attributes,
                kind,
            }),
        );
        Ok(())
    }

    /// Checks a new entry's path against the rules and all others.
    fn place(
        &mut self,
        path: &str,
        attributes: &Attributes,
        is_dir: bool,
    ) -> Result<(String, GuestPath), GeneratorError> {
        let path = self.path(path)?;
        check_attributes(&path, attributes)?;
        let key = self.rules.collision_key(&path);
        let denied = |reason: &str| GeneratorError::Denied(format!("{path}: {reason}"));
        if self.entries.contains_key(&key) {
            return Err(denied("the step already has an entry of this name"));
        }
        // No entry lies below one that is no directory: that is how a link would be written through.
        let mut end = key.len();
        while let Some(slash) = key[..end].rfind('/') {
            end = slash;
            match self.entries.get(&key[..end]) {
                None
                | Some(Slot::Entry(Entry {
                    kind: EntryKind::Dir,
                    ..
                })) => {}
                Some(_) => return Err(denied("it lies below an entry that is no directory")),
            }
        }
        if !is_dir {
            let below = format!("{key}/");
            let next = self.entries.range(below.clone()..).next();
            if next.is_some_and(|(other, _)| other.starts_with(&below)) {
                return Err(denied(
                    "the step has entries below it, so it must be a directory",
                ));
            }
        }
        if self.count >= self.limits.entries {
            return Err(self.fail(GeneratorError::quota(
                Quota::OutputEntries,
                format!("the step may write {} entries", self.limits.entries),
            )));
        }
        self.charge(ENTRY_COST + path.as_str().len() as u64)?;
        self.count += 1;
        Ok((key, path))
    }

    fn path(&self, path: &str) -> Result<GuestPath, GeneratorError> {
        self.rules
            .path(path)
            .map_err(|error| GeneratorError::Denied(error.to_string()))
    }

    fn check_secrets<'a>(
        &self,
        placeholders: impl Iterator<Item = &'a Placeholder>,
    ) -> Result<(), GeneratorError> {
        for placeholder in placeholders {
            if let Placeholder::Secret(name) = placeholder
                && !self.limits.secrets.contains(name)
            {
                return Err(GeneratorError::Denied(format!(
                    "secret `{name}` is not named in the step's configuration where its generator says that secrets stand"
                )));
            }
        }
        Ok(())
    }

    fn fail(&mut self, error: GeneratorError) -> GeneratorError {
        self.broken.get_or_insert(error).clone()
    }
}

fn check_attributes(path: &GuestPath, attributes: &Attributes) -> Result<(), GeneratorError> {
    if attributes.mode > 0o777 {
        return Err(GeneratorError::Denied(format!(
            "{path}: mode {:o} has bits beyond 0777 (setuid, setgid, sticky)",
            attributes.mode
        )));
    }
    if let Some(Owner { user, group }) = &attributes.owner {
        for name in [user, group] {
            if !is_user(name) {
                return Err(GeneratorError::Denied(format!(
                    "{path}: `{name}` is no user's or group's name"
                )));
            }
        }
    }
    Ok(())
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            mode: 0o644,
            owner: None,
            on_conflict: Conflict::Fail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> StepBuilder {
        let limits = StepLimits {
            bytes: 100_000,
            entries: 10,
            secrets: BTreeSet::from(["granted".to_owned()]),
        };
        StepBuilder::new(OsFamily::Linux, limits)
    }

    fn file(builder: &mut StepBuilder, path: &str) -> Result<(), GeneratorError> {
        builder.file(path, Attributes::default(), Blob::from_bytes(&b"x"[..]))
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let mut step = builder();
        step.symlink("/a/link", "../b").unwrap();
        assert!(matches!(
            file(&mut step, "/a/link/x"),
            Err(GeneratorError::Denied(_))
        ));
        file(&mut step, "/c/d/e").unwrap();
        assert!(matches!(
            step.symlink("/c/d", "../b"),
            Err(GeneratorError::Denied(_))
        ));
        assert!(matches!(
            file(&mut step, "/c"),
            Err(GeneratorError::Denied(_))
        ));
        // A name that merely begins the same is another.
        file(&mut step, "/c/d.txt").unwrap();
        step.dir(
            "/c/d",
            Attributes {
                mode: 0o755,
                ..Attributes::default()
            },
        )
        .unwrap();
    }

    #[test]
    fn a_duplicate_is_refused_but_the_same_directory_is_not() {
        let mut step = builder();
        file(&mut step, "/x").unwrap();
        assert!(matches!(
            file(&mut step, "/x"),
            Err(GeneratorError::Denied(_))
        ));
        step.dir("/d", Attributes::default()).unwrap();
        step.dir("/d", Attributes::default()).unwrap();
        let other = Attributes {
            mode: 0o700,
            ..Attributes::default()
        };
        assert!(step.dir("/d", other).is_err());
    }

    #[test]
    fn an_output_bomb_stays_broken_even_if_the_generator_goes_on() {
        let mut step = builder();
        let big = Blob::from_bytes(vec![0; 99_999]);
        assert!(matches!(
            step.file("/big", Attributes::default(), big.clone())
                .and_then(|()| step.file("/more", Attributes::default(), big)),
            Err(GeneratorError::Quota {
                quota: Quota::OutputBytes,
                ..
            })
        ));
        assert!(matches!(
            step.finish(Summary::default()),
            Err(GeneratorError::Quota { .. })
        ));
        let mut step = builder();
        let last = (0..11)
            .map(|n| file(&mut step, &format!("/{n}")))
            .last()
            .unwrap();
        assert!(matches!(
            last,
            Err(GeneratorError::Quota {
                quota: Quota::OutputEntries,
                ..
            })
        ));
    }

    #[test]
    fn special_modes_and_strange_owners_are_refused() {
        let mut step = builder();
        for mode in [0o4755, 0o2755, 0o1777, 0o100_644] {
            let attributes = Attributes {
                mode,
                ..Attributes::default()
            };
            assert!(matches!(
                step.dir("/d", attributes),
                Err(GeneratorError::Denied(_))
            ));
        }
        let owner = Some(Owner {
            user: "a:b".into(),
            group: "root".into(),
        });
        assert!(
            step.dir(
                "/d",
                Attributes {
                    owner,
                    ..Attributes::default()
                }
            )
            .is_err()
        );
    }

    #[test]
    fn a_secret_that_the_configuration_does_not_name_is_denied() {
        let mut step = builder();
        let mut template =
            |text: &str| step.template("/t", Attributes::default(), text, TemplateFormat::Plain);
        assert!(matches!(
            template("{{secret:other}}"),
            Err(GeneratorError::Denied(_))
        ));
        template("{{secret:granted}}").unwrap();
    }

    #[test]
    fn an_unfinished_writer_fails_the_run() {
        let mut step = builder();
        let held = step.reserve("/w", Attributes::default()).unwrap();
        assert!(file(&mut step, "/w").is_err());
        step.charge(1).unwrap();
        step.fulfil(held, Blob::from_bytes(&b"y"[..]));
        let _never = step.reserve("/v", Attributes::default()).unwrap();
        assert!(matches!(
            step.finish(Summary::default()),
            Err(GeneratorError::Fault(_))
        ));
    }
}
