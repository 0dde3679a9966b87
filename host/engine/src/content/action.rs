//! What the agent does after a step's entries are in place.

use bootsplice_archive::step::{Action, Command, FileEdit, Service, Verb};
use serde_json::Value;

use super::path::is_user;
use super::{FillError, PathRules, Placeholder, TemplateFormat, Text, Values};

/// Longest script, in bytes.
const MAX_SCRIPT: usize = 64 * 1024;
const MAX_CHANGES: usize = 10_000;

/// Refuses what no agent could run; says which part and why.
pub fn check(action: &Action, rules: PathRules) -> Result<(), String> {
    match action {
        Action::Edit(edit) => check_edit(edit, rules),
        Action::Run(command) => check_command(command),
        Action::Service(service) => check_service(service),
    }
}

/// Every placeholder in it. An action with one belongs to the instance layer.
pub fn placeholders(action: &Action) -> Result<Vec<Placeholder>, FillError> {
    let mut found = Vec::new();
    match action {
        Action::Edit(edit) => {
            for value in edit
                .changes
                .iter()
                .filter_map(|change| change.value.as_ref())
            {
                in_json(value, &mut found)?;
            }
        }
        Action::Run(command) => {
            for (_, value) in &command.environment {
                found.extend(Text::parse(value)?.placeholders().cloned());
            }
        }
        Action::Service(_) => {}
    }
    Ok(found)
}

/// The action with every placeholder filled, values as they are: JSON and the environment have no syntax to break out of.
pub fn fill(action: &Action, values: &Values) -> Result<Action, FillError> {
    let mut action = action.clone();
    match &mut action {
        Action::Edit(edit) => {
            for value in edit
                .changes
                .iter_mut()
                .filter_map(|change| change.value.as_mut())
            {
                fill_json(value, values)?;
            }
        }
        Action::Run(command) => {
            for (_, value) in &mut command.environment {
                *value = fill_text(value, values)?;
            }
        }
        Action::Service(_) => {}
    }
    Ok(action)
}

/// What it counts against the output limit.
pub fn bytes(action: &Action) -> u64 {
    serde_json::to_vec(action).map_or(0, |text| text.len() as u64)
}

fn check_edit(edit: &FileEdit, rules: PathRules) -> Result<(), String> {
    rules.path(&edit.file).map_err(|error| error.to_string())?;
    if edit.changes.is_empty() || edit.changes.len() > MAX_CHANGES {
        return Err(format!(
            "an edit of {} has 1 to {MAX_CHANGES} changes",
            edit.file
        ));
    }
    for change in &edit.changes {
        if !change.path.starts_with('/') || change.path.len() > 4096 {
            return Err(format!(
                "`{}` is no JSON Pointer below the root of {}",
                change.path, edit.file
            ));
        }
        // With `remove` the value is the item to take out; without one, all at the path goes.
        if change.verb != Verb::Remove && change.value.is_none() {
            return Err(format!(
                "{:?} of {} needs a value",
                change.verb, change.path
            ));
        }
    }
    for command in &edit.on_change {
        if command.first().is_none_or(String::is_empty)
            || command.iter().any(|word| word.contains('\0'))
        {
            return Err("an on-change command is a program and its arguments".into());
        }
    }
    Ok(())
}

fn check_command(command: &Command) -> Result<(), String> {
    let absolute = command.interpreter.starts_with('/') || command.interpreter == "powershell";
    if !absolute || command.interpreter.contains('\0') {
        return Err(format!(
            "`{}` is not the absolute path of an interpreter",
            command.interpreter
        ));
    }
    if command.text.len() > MAX_SCRIPT {
        return Err(format!(
            "the script has {} bytes; {MAX_SCRIPT} are allowed",
            command.text.len()
        ));
    }
    if command.arguments.iter().any(|word| word.contains('\0')) {
        return Err("an argument holds NUL".into());
    }
    for (name, _) in &command.environment {
        let mut bytes = name.bytes();
        let first = bytes.next();
        if !first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
            || !bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            return Err(format!("`{name}` is no name of an environment variable"));
        }
    }
    check_user(command.user.as_deref())?;
    if let Some(directory) = &command.working_directory
        && (!directory.starts_with(['/', '~']) || directory.contains('\0'))
    {
        return Err(format!("working directory `{directory}` is not absolute"));
    }
    Ok(())
}

fn check_service(service: &Service) -> Result<(), String> {
    let suffix = service.unit.rsplit_once('.').map(|(_, suffix)| suffix);
    let known = matches!(
        suffix,
        Some("service" | "socket" | "timer" | "path" | "mount" | "automount" | "target" | "slice")
    );
    let clean = service.unit.len() <= 255
        && service.unit.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_' | b'.' | b'-' | b'\\' | b'@')
        })
        && !service.unit.starts_with(['-', '.', '@']);
    if !known || !clean {
        return Err(format!(
            "`{}` is no unit's name; expected one such as `nginx.service`",
            service.unit
        ));
    }
    check_user(service.user.as_deref())
}

fn check_user(user: Option<&str>) -> Result<(), String> {
    match user {
        Some(name) if !is_user(name) => Err(format!("`{name}` is no user's name")),
        _ => Ok(()),
    }
}

/// Collects the placeholders of every string in a JSON value. Keys are not templates.
fn in_json(value: &Value, found: &mut Vec<Placeholder>) -> Result<(), FillError> {
    match value {
        Value::String(text) => found.extend(Text::parse(text)?.placeholders().cloned()),
        Value::Array(items) => items.iter().try_for_each(|item| in_json(item, found))?,
        Value::Object(members) => members.values().try_for_each(|item| in_json(item, found))?,
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

fn fill_json(value: &mut Value, values: &Values) -> Result<(), FillError> {
    match value {
        Value::String(text) => *text = fill_text(text, values)?,
        Value::Array(items) => items
            .iter_mut()
            .try_for_each(|item| fill_json(item, values))?,
        Value::Object(members) => members
            .values_mut()
            .try_for_each(|item| fill_json(item, values))?,
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

fn fill_text(text: &str, values: &Values) -> Result<String, FillError> {
    let filled = Text::parse(text)?.fill(values, TemplateFormat::Plain)?;
    Ok(filled.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::OsFamily;

    fn check(action: &Action) -> Result<(), String> {
        super::check(action, PathRules::new(OsFamily::Linux))
    }

    #[test]
    fn what_no_agent_could_run_is_refused() {
        let command = |interpreter: &str, name: &str| {
            Action::Run(Command {
                interpreter: interpreter.into(),
                text: "true".into(),
                arguments: vec![],
                environment: vec![(name.into(), "x".into())],
                user: None,
                working_directory: None,
            })
        };
        assert!(check(&command("/bin/sh", "KEY")).is_ok());
        assert!(check(&command("sh", "KEY")).is_err());
        assert!(check(&command("/bin/sh", "A=B")).is_err());
        let edit = |verb: Verb, value: Option<Value>| {
            Action::Edit(FileEdit {
                file: "/etc/app.json".into(),
                format: bootsplice_archive::step::EditFormat::Json,
                create: false,
                changes: vec![bootsplice_archive::step::Change {
                    verb,
                    path: "/list".into(),
                    value,
                    expected: None,
                }],
                on_change: vec![],
            })
        };
        assert!(check(&edit(Verb::Append, Some("a".into()))).is_ok());
        assert!(check(&edit(Verb::Remove, Some("a".into()))).is_ok());
        assert!(check(&edit(Verb::Remove, None)).is_ok());
        assert!(check(&edit(Verb::Append, None)).is_err());
        let service = |unit: &str| {
            Action::Service(Service {
                unit: unit.into(),
                user: None,
                enable: true,
                start: true,
            })
        };
        assert!(check(&service("getty@tty1.service")).is_ok());
        for wrong in ["nginx", "../x.service", "-x.service", "a b.service"] {
            assert!(check(&service(wrong)).is_err(), "{wrong}");
        }
    }
}
