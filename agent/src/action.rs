//! Runs one action of a step.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bootsplice_archive::step::{self, Action, EditFormat, FileEdit, Verb};
use bootsplice_edit as edit;

use crate::command::Program;
use crate::root::{Access, Root};
use crate::{accounts, entry, policy, service};

/// What an action may need to know.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub root: &'a Root,
    pub step: &'a str,
    pub index: u32,
    pub timeout: Duration,
    /// The action is of the instance layer: its environment may hold secrets.
    pub instance: bool,
}

/// Runs `action`. `before_change` is called when an edit is about to change its file and has commands to run afterwards: the caller notes that these are owed.
/// Gives the changed path, if any.
pub fn run(
    context: Context<'_>,
    action: &Action,
    owed: bool,
    before_change: impl FnOnce() -> io::Result<()>,
) -> Result<Option<String>, String> {
    match action {
        Action::Edit(edit) => run_edit(context, edit, owed, before_change),
        Action::Run(command) => run_command(context, command).map(|()| None),
        Action::Service(service) => {
            service::apply(context.root, service, context.timeout).map(|()| None)
        }
    }
}

fn run_edit(
    context: Context<'_>,
    wanted: &FileEdit,
    owed: bool,
    before_change: impl FnOnce() -> io::Result<()>,
) -> Result<Option<String>, String> {
    let root = context.root;
    let readable = |error: io::Error| format!("{}: {error}", wanted.file);
    let (path, home) = accounts::locate(root, &wanted.file).map_err(readable)?;
    let path = root.resolve(&path).map_err(readable)?;
    let original = root.read(&path, edit::MAX_FILE as u64).map_err(readable)?;
    let changes: Vec<edit::Change> = wanted.changes.iter().map(change).collect();
    let outcome = edit::apply(
        format(wanted.format),
        original.as_deref(),
        wanted.create,
        &changes,
    )
    .map_err(|error| format!("{}: {error}", wanted.file))?;
    let mut changed = None;
    if let edit::Outcome::Changed(bytes) = outcome {
        if !wanted.on_change.is_empty() {
            before_change().map_err(readable)?;
        }
        let owner = home.map_or_else(entry::process_owner, |user| (user.uid, user.gid));
        let place = root.place(&path, owner).map_err(readable)?;
        let access = match place.stat().map_err(readable)? {
            Some(stat) => Access {
                mode: stat.st_mode & 0o7777,
                uid: stat.st_uid,
                gid: stat.st_gid,
            },
            None => Access {
                mode: 0o644,
                uid: owner.0,
                gid: owner.1,
            },
        };
        place
            .put_file(&mut &bytes[..], access, |_, _| Ok(()))
            .map_err(readable)?;
        changed = Some(path);
    }
    if changed.is_some() || owed {
        for words in &wanted.on_change {
            Program::new(
                rooted(root, words.iter().map(OsString::from)),
                context.timeout,
            )
            .run()?;
        }
    }
    Ok(changed)
}

fn run_command(context: Context<'_>, command: &step::Command) -> Result<(), String> {
    let root = context.root;
    let readable = |error: io::Error| error.to_string();
    let user = match &command.user {
        Some(name) => Some(accounts::user(root, name).map_err(readable)?),
        None => None,
    };
    let (uid, gid) = user
        .as_ref()
        .map_or_else(entry::process_owner, |user| (user.uid, user.gid));
    let script = format!("/run/bootsplice/{}-{}", context.step, context.index);
    let place = root
        .place(&script, entry::process_owner())
        .map_err(readable)?;
    let access = Access {
        mode: 0o700,
        uid,
        gid,
    };
    place
        .put_file(&mut command.text.as_bytes(), access, |_, _| Ok(()))
        .map_err(readable)?;
    let mut words: Vec<OsString> = Vec::new();
    if let Some(user) = &user {
        words.extend([
            "setpriv".into(),
            format!("--reuid={}", user.uid).into(),
            format!("--regid={}", user.gid).into(),
        ]);
        words.extend(["--init-groups".into(), "--".into()]);
    }
    words.push(command.interpreter.clone().into());
    words.push(script.into());
    words.extend(command.arguments.iter().map(OsString::from));
    let mut program = Program::new(rooted(root, words), context.timeout);
    if let Some(user) = &user {
        program.environment.push(("HOME".into(), user.home.clone()));
        program.environment.push(("USER".into(), user.name.clone()));
        program
            .environment
            .push(("LOGNAME".into(), user.name.clone()));
    }
    program
        .environment
        .extend(command.environment.iter().cloned());
    program.environment.extend([
        (policy::STEP.into(), context.step.into()),
        (
            "BOOTSPLICE_TIMEOUT".into(),
            context.timeout.as_secs().to_string(),
        ),
    ]);
    if context.instance {
        program.secrets = command
            .environment
            .iter()
            .map(|(_, value)| value.clone())
            .collect();
    }
    let directory = match (&command.working_directory, &user) {
        (Some(path), _) => accounts::locate(root, path).map_err(readable)?.0,
        (None, Some(user)) => user.home.clone(),
        (None, None) => "/".into(),
    };
    program.directory = root.is_system().then(|| PathBuf::from(directory));
    let result = program.run();
    // The text may hold what should not stay; a run that was cut short is repeated, and removes it then.
    place.remove().map_err(readable)?;
    result
}

/// The words as run inside the root.
fn rooted(root: &Root, words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut all: Vec<OsString> = Vec::new();
    if !root.is_system() {
        all.extend(["chroot".into(), root.path().into()]);
    }
    all.extend(words);
    all
}

fn format(format: EditFormat) -> edit::Format {
    match format {
        EditFormat::Ini => edit::Format::Ini,
        EditFormat::Json => edit::Format::Json,
        EditFormat::Yaml => edit::Format::Yaml,
        EditFormat::Toml => edit::Format::Toml,
        EditFormat::KeyValue => edit::Format::KeyValue,
        EditFormat::Systemd => edit::Format::Systemd,
    }
}

fn change(change: &step::Change) -> edit::Change {
    edit::Change {
        verb: match change.verb {
            Verb::Set => edit::Verb::Set,
            Verb::Remove => edit::Verb::Remove,
            Verb::Append => edit::Verb::Append,
        },
        path: change.path.clone(),
        value: change.value.clone(),
        expected: change.expected.clone(),
    }
}
