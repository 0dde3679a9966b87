//! From the configuration to entries and actions.

use bootsplice_sdk::archive::{Action, Change, ChangeVerb, EditFormat, FileEdit};
use bootsplice_sdk::config::entry_attrs;
use bootsplice_sdk::path::link_target;
use bootsplice_sdk::source::Source;
use bootsplice_sdk::step::{Entry, Kind, StepContent};
use bootsplice_sdk::{Error, Pointer};
use serde_json::Value;

use crate::config::{Config, Dropin, Edit};

/// Everything that the step puts into the guest.
pub fn content(config: &Config) -> Result<StepContent, Error> {
    let mut content = StepContent::default();
    for directory in &config.directories {
        let attrs = entry_attrs(
            directory.mode,
            0o755,
            directory.owner.as_deref(),
            directory.group.as_deref(),
            directory.on_conflict,
        );
        content.entries.push(Entry {
            path: directory.path.clone(),
            kind: Kind::Dir(attrs),
        });
    }
    for (index, file) in config.files.iter().enumerate() {
        content.entries.push(file.entry(&place(index)));
        content
            .notes
            .extend(file.source.as_ref().and_then(Source::note));
    }
    for symlink in &config.symlinks {
        let to = link_target(&symlink.path, &symlink.to)
            .map_err(|reason| Error::Fault(format!("`{}`: {reason}", symlink.to)))?;
        content.entries.push(Entry {
            path: symlink.path.clone(),
            kind: Kind::Symlink(to),
        });
    }
    content.actions.extend(config.edits.iter().map(edit));
    content.actions.extend(config.dropins.iter().map(dropin));
    Ok(content)
}

/// What is to be fetched, by the names of its pins.
pub fn sources(config: &Config) -> impl Iterator<Item = (String, &Source)> {
    let files = config.files.iter().enumerate();
    files.filter_map(|(index, file)| Some((place(index).to_string(), file.source.as_ref()?)))
}

fn place(index: usize) -> Pointer {
    Pointer::root().key("files").index(index)
}

fn edit(edit: &Edit) -> Action {
    let expected = |path: &str| edit.expected.get(path).map(Value::to_string);
    let mut changes = Vec::new();
    for path in &edit.remove {
        changes.push(Change {
            verb: ChangeVerb::Remove,
            path: path.clone(),
            value: None,
            expected: expected(path),
        });
    }
    for (path, value) in &edit.set {
        changes.push(Change {
            verb: ChangeVerb::Set,
            path: path.clone(),
            value: Some(value.to_string()),
            expected: expected(path),
        });
    }
    for (path, value) in &edit.append {
        let items = match value {
            Value::Array(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        for (index, item) in items.iter().enumerate() {
            changes.push(Change {
                verb: ChangeVerb::Append,
                path: path.clone(),
                value: Some(item.to_string()),
                // After the first item the list is no longer the expected one.
                expected: if index == 0 { expected(path) } else { None },
            });
        }
    }
    Action::Edit(FileEdit {
        file: edit.file.clone(),
        format: edit.format.into(),
        changes,
        create: edit.create,
        on_change: edit.on_change.clone(),
    })
}

fn dropin(dropin: &Dropin) -> Action {
    let changes = dropin.set.iter().map(|(path, value)| Change {
        verb: ChangeVerb::Set,
        path: path.clone(),
        value: Some(value.to_string()),
        expected: None,
    });
    // Managers of users read their units when they start, which is later than this.
    let reload = vec!["systemctl".to_owned(), "daemon-reload".to_owned()];
    Action::Edit(FileEdit {
        file: dropin.path(),
        format: EditFormat::Systemd,
        changes: changes.collect(),
        create: true,
        on_change: if dropin.user {
            Vec::new()
        } else {
            vec![reload]
        },
    })
}
