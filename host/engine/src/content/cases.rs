//! The cases that the fake hosts of all SDKs share (`sdk/cases.json`), against the real one: what is true of a fake host is true of this.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::blobs::Blob;
use crate::contract::OsFamily;
use crate::error::GeneratorError;

const SHARED: &str = include_str!("../../../../sdk/cases.json");

/// A text, or some letters `x` behind another.
fn name(value: &Value) -> String {
    let letters = value["x"].as_u64().unwrap_or(0) as usize;
    let before = value["before"].as_str().or(value.as_str()).unwrap_or("");
    format!("{before}{}", "x".repeat(letters))
}

fn text(call: &Value, field: &str) -> String {
    name(&call[field])
}

fn attributes(call: &Value) -> Attributes {
    let user = text(call, "user");
    let group = call["group"].as_str().unwrap_or(&user).to_owned();
    Attributes {
        mode: call["mode"].as_u64().unwrap_or(0o644) as u32,
        owner: (!user.is_empty()).then_some(Owner { user, group }),
        on_conflict: Conflict::Replace,
    }
}

fn call(step: &mut StepBuilder, call: &Value) -> Result<(), GeneratorError> {
    let content = "x".repeat(call["size"].as_u64().unwrap_or(0) as usize);
    let has = |field: &str| call.get(field).is_some();
    if has("file") {
        let content = Blob::from_bytes(content.into_bytes());
        step.file(&text(call, "file"), attributes(call), content)
    } else if has("dir") {
        step.dir(&text(call, "dir"), attributes(call))
    } else if has("template") {
        let (path, text) = (text(call, "template"), text(call, "text"));
        step.template(&path, attributes(call), &text, TemplateFormat::Plain)
    } else if has("symlink") {
        step.symlink(&text(call, "symlink"), &text(call, "to"))
    } else {
        step.action(action(call, content))
    }
}

fn action(call: &Value, content: String) -> Action {
    if call.get("service").is_some() {
        return Action::Service(Service {
            unit: text(call, "service"),
            user: None,
            enable: true,
            start: true,
        });
    }
    if call.get("run").is_some() {
        return Action::Run(Command {
            interpreter: text(call, "run"),
            text: content,
            arguments: vec![],
            environment: vec![],
            user: call["user"].as_str().map(str::to_owned),
            working_directory: None,
        });
    }
    let change = call.get("set").map(|set| Change {
        verb: Verb::Set,
        path: text(set, "path"),
        value: Some(set["value"].clone()),
        expected: None,
    });
    Action::Edit(FileEdit {
        file: text(call, "edit"),
        format: EditFormat::Ini,
        changes: change.into_iter().collect(),
        create: false,
        on_change: vec![],
    })
}

#[test]
fn the_shared_cases_of_the_fake_hosts_end_the_same_here() {
    let shared: Value = serde_json::from_str(SHARED).unwrap();
    let cases = shared["cases"].as_array().unwrap();
    assert!(cases.len() > 50);
    for case in cases {
        let limits = StepLimits {
            bytes: shared["limits"]["output_bytes"].as_u64().unwrap(),
            entries: shared["limits"]["output_entries"].as_u64().unwrap(),
            secrets: BTreeSet::from(["key".to_owned()]),
        };
        let mut step = StepBuilder::new(OsFamily::Linux, limits);
        let calls = case["do"].as_array().unwrap();
        let ended = calls.iter().try_for_each(|made| call(&mut step, made));
        let said = match ended {
            Ok(()) => None,
            Err(GeneratorError::Denied(words)) => Some(("denied", words)),
            Err(GeneratorError::Unsupported(words)) => Some(("unsupported", words)),
            Err(GeneratorError::Quota { detail, .. }) => Some(("quota-exceeded", detail)),
            Err(other) => panic!("{}: {other:?}", case["name"]),
        };
        match (said, case.get("refused")) {
            (None, None) => {}
            (Some((code, words)), Some(refused)) => {
                assert_eq!(refused["code"], code, "{}: {words}", case["name"]);
                assert!(
                    words.contains(refused["words"].as_str().unwrap()),
                    "{}: {words}",
                    case["name"]
                );
            }
            (said, _) => panic!("{}: {said:?}", case["name"]),
        }
    }
}
