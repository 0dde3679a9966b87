//! What goes into the guest: the pool, the plan, and the script that installs it.

use bootsplice_sdk::archive::{Action, Command, EntryAttrs};
use bootsplice_sdk::config::{OnConflict, entry_attrs};
use bootsplice_sdk::step::{Entry, Kind, StepContent};

use crate::config::{Conffiles, Config};
use crate::state::State;

/// Where it lies in the guest, below a directory for the insertion point.
const DIRECTORY: &str = "/var/cache/bootsplice/apt";
const SCRIPT: &str = include_str!("install.sh");

/// Everything but the package files themselves.
pub fn content(config: &Config, state: &State, point: &str) -> StepContent {
    let here = format!("{DIRECTORY}/{point}");
    let mut content = StepContent {
        notes: state.notes.clone(),
        ..StepContent::default()
    };
    let mut put = |name: &str, text: String| {
        content.entries.push(Entry {
            path: format!("{here}/{name}"),
            kind: Kind::Bytes(attrs(0o644), text.into_bytes()),
        });
    };
    put("plan", plan(state));
    put("order", order(state));
    if !state.remove.is_empty() {
        put("remove", lines(&state.remove));
    }
    if let Some(answers) = &config.debconf {
        put("debconf", answers.clone());
    }
    if !config.hold.is_empty() {
        put("hold", lines(&config.hold));
    }
    for (name, text) in &config.later_sources {
        content.entries.push(Entry {
            path: format!("/etc/apt/sources.list.d/{name}"),
            kind: Kind::Bytes(attrs(0o644), text.as_bytes().to_vec()),
        });
    }
    content.actions.push(Action::Run(Command {
        interpreter: "/bin/sh".into(),
        text: SCRIPT.into(),
        arguments: Vec::new(),
        environment: vec![
            ("BOOTSPLICE_APT".into(), here),
            ("BOOTSPLICE_CONFFILES".into(), conffiles(config).into()),
        ],
        user: None,
        working_directory: None,
    }));
    content
}

/// Where a package file lies in the guest.
pub fn pool(point: &str, file: &str) -> String {
    format!("{DIRECTORY}/{point}/pool/{file}")
}

pub fn attrs(mode: u32) -> EntryAttrs {
    entry_attrs(None, mode, None, None, OnConflict::Replace)
}

/// `name architecture version file mark`, by name.
fn plan(state: &State) -> String {
    let mut rows: Vec<String> = state
        .packages
        .iter()
        .map(|one| {
            let mark = one.mark.word();
            let (name, architecture, version, file) =
                (&one.name, &one.architecture, &one.version, &one.file);
            format!("{name} {architecture} {version} {file} {mark}")
        })
        .collect();
    rows.sort();
    lines(&rows)
}

/// What others need comes first.
fn order(state: &State) -> String {
    let files: Vec<String> = state.packages.iter().map(|one| one.file.clone()).collect();
    lines(&files)
}

fn conffiles(config: &Config) -> &'static str {
    match config.conffiles {
        Conffiles::Keep => "confold",
        Conffiles::Replace => "confnew",
    }
}

fn lines(rows: &[String]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Mark, Planned};

    fn package(name: &str, mark: Mark) -> Planned {
        Planned {
            name: name.into(),
            version: "1:2.0-1".into(),
            architecture: "amd64".into(),
            file: format!("{name}_2.0-1_amd64.deb"),
            mark,
        }
    }

    #[test]
    fn the_plan_is_by_name_and_the_order_as_it_was_resolved() {
        let state = State {
            packages: vec![
                package("libc", Mark::Keep),
                package("b", Mark::Auto),
                package("a", Mark::Manual),
            ],
            ..State::default()
        };
        let config =
            serde_json::from_str(r#"{"packages": ["a"], "conffiles": "replace"}"#).unwrap();
        let content = content(&config, &state, "base");
        let text = |name: &str| {
            let path = format!("/var/cache/bootsplice/apt/base/{name}");
            let entry = content.entries.iter().find(|entry| entry.path == path);
            match &entry.unwrap().kind {
                Kind::Bytes(_, bytes) => String::from_utf8(bytes.clone()).unwrap(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            text("plan"),
            "a amd64 1:2.0-1 a_2.0-1_amd64.deb manual\nb amd64 1:2.0-1 b_2.0-1_amd64.deb auto\nlibc amd64 1:2.0-1 libc_2.0-1_amd64.deb keep\n"
        );
        assert_eq!(
            text("order"),
            "libc_2.0-1_amd64.deb\nb_2.0-1_amd64.deb\na_2.0-1_amd64.deb\n"
        );
        assert!(
            !content
                .entries
                .iter()
                .any(|entry| entry.path.ends_with("/remove"))
        );
        assert!(
            matches!(&content.actions[0], Action::Run(run) if run.environment[1].1 == "confnew")
        );
    }
}
