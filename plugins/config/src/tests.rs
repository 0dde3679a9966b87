//! What a configuration comes to, without a host.

use bootsplice_sdk::archive::{Action, ChangeVerb, EditFormat};
use bootsplice_sdk::prelude::*;
use bootsplice_sdk::{config as reader, refuse};
use serde_json::{Value, json};

use crate::ConfigGenerator;
use crate::config::Config;
use crate::content::{content, sources};

fn schema() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(include_str!("../schema.json")).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
}

/// Reads a configuration that the schema accepts.
fn config(value: Value) -> Config {
    assert!(schema().is_valid(&value), "the schema refuses {value}");
    reader::read(&value.to_string()).unwrap()
}

fn codes(value: Value) -> Vec<(String, String)> {
    let found = reader::read::<Config>(&value.to_string()).unwrap().check();
    found
        .into_iter()
        .map(|finding| (finding.pointer, finding.code))
        .collect()
}

#[test]
fn the_examples_are_valid_and_the_descriptor_is_whole() {
    let descriptor = ConfigGenerator::describe();
    assert_eq!(descriptor.id, "config");
    for example in descriptor.examples {
        let value: Value = serde_json::from_str(&example.config).unwrap();
        refuse(config(value).check()).unwrap();
    }
}

#[test]
fn an_edit_and_a_template_become_one_action_and_one_entry() {
    let content = content(&config(
        serde_json::from_str(include_str!("../examples/browser.json")).unwrap(),
    ))
    .unwrap();
    let [
        Entry {
            path,
            kind: Kind::Template(attrs, text, TemplateFormat::Plain),
        },
    ] = content.entries.as_slice()
    else {
        panic!("{:?}", content.entries);
    };
    assert_eq!((path.as_str(), attrs.mode), ("/etc/motd", 0o644));
    assert_eq!(text, "{{instance:id}} for {{instance:attributes.owner}}\n");
    let [Action::Edit(edit)] = content.actions.as_slice() else {
        panic!("{:?}", content.actions);
    };
    assert_eq!(
        (edit.file.as_str(), edit.format, edit.create),
        ("/etc/xdg/mimeapps.list", EditFormat::Ini, true)
    );
    assert_eq!(edit.changes[0].path, "/Default Applications/text~1html");
    assert_eq!(
        edit.changes[0].value.as_deref(),
        Some("\"firefox.desktop\"")
    );
}

#[test]
fn changes_come_as_removals_then_settings_then_items() {
    let content = content(&config(json!({"edits": [{
        "file": "/etc/x.json", "format": "json",
        "append": {"/list": ["a", "b"]}, "set": {"/one": null}, "remove": ["/gone"],
        "expected": {"/list": [], "/gone": 1}
    }]})))
    .unwrap();
    let Action::Edit(edit) = &content.actions[0] else {
        panic!()
    };
    let changes: Vec<_> = edit
        .changes
        .iter()
        .map(|change| {
            (
                change.verb,
                change.value.as_deref(),
                change.expected.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        changes,
        [
            (ChangeVerb::Remove, None, Some("1")),
            (ChangeVerb::Set, Some("null"), None),
            (ChangeVerb::Append, Some("\"a\""), Some("[]")),
            (ChangeVerb::Append, Some("\"b\""), None),
        ]
    );
}

#[test]
fn a_dropin_is_an_edit_of_its_own_file_and_reloads_systemd() {
    let content = content(&config(json!({"dropins": [
        {"unit": "nginx.service", "name": "10-limits", "set": {"/Service/Environment": ["A=1"]}},
        {"unit": "sync.timer", "name": "x.conf", "set": {"/Timer/Persistent": true}, "user": true}
    ]})))
    .unwrap();
    let Action::Edit(system) = &content.actions[0] else {
        panic!()
    };
    assert_eq!(
        system.file,
        "/etc/systemd/system/nginx.service.d/10-limits.conf"
    );
    assert_eq!(system.on_change, [["systemctl", "daemon-reload"]]);
    let Action::Edit(user) = &content.actions[1] else {
        panic!()
    };
    assert_eq!(user.file, "/etc/systemd/user/sync.timer.d/x.conf");
    assert!(user.on_change.is_empty());
}

#[test]
fn a_source_is_pinned_under_the_pointer_of_its_file() {
    let config = config(json!({"files": [
        {"path": "/a", "content": ""},
        {"path": "/b", "source": {"url": "https://example.com/b"}},
        {"path": "/c", "source": {"url": "https://example.com/c", "sha256": "ab".repeat(32)}}
    ]}));
    let names: Vec<_> = sources(&config).map(|(name, _)| name).collect();
    assert_eq!(names, ["/files/1", "/files/2"]);
    let content = content(&config).unwrap();
    assert!(matches!(&content.entries[1].kind, Kind::Pinned(_, name) if name == "/files/1"));
    assert_eq!(content.notes.len(), 1, "{:?}", content.notes);
}

#[test]
fn every_fault_is_found_at_once_with_its_pointer() {
    let found = codes(json!({
        "files": [{"path": "etc/motd", "content": "{{instance:ip}}"}, {"path": "/x", "content": ""}],
        "directories": [{"path": "/x"}],
        "symlinks": [{"path": "/y", "to": "../../z"}],
        "edits": [{"file": "/e", "format": "ini", "set": {"/only": 1, "/s/k": {"a": 1}}, "expected": {"/s/other": 1}, "on_change": [[]]}],
        "dropins": [{"unit": "nginx", "name": "a/b", "set": {"/Service": 1}}]
    }));
    let expected = [
        ("/files/0/path", "invalid-path"),
        ("/files/0/content", "unknown-placeholder"),
        ("/edits/0/set/~1only", "invalid-pointer"),
        ("/edits/0/set/~1s~1k", "value-not-possible"),
        ("/edits/0/expected/~1s~1other", "expected-without-change"),
        ("/edits/0/on_change/0", "invalid-command"),
        ("/dropins/0/unit", "invalid-name"),
        ("/dropins/0/name", "invalid-name"),
        ("/dropins/0/set/~1Service", "invalid-pointer"),
        ("/symlinks/0/to", "invalid-target"),
        ("/directories/0/path", "duplicate-path"),
    ];
    assert_eq!(
        found,
        expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned()))
    );
}

#[test]
fn changes_that_depend_on_their_order_are_refused() {
    let edit = |edit: Value| {
        let mut whole = json!({"file": "/e", "format": "yaml"});
        whole
            .as_object_mut()
            .unwrap()
            .extend(edit.as_object().unwrap().clone());
        codes(json!({"edits": [whole]}))
    };
    assert_eq!(edit(json!({"set": {"/a": 1, "/a/b": 2}})).len(), 1);
    assert_eq!(edit(json!({"set": {"/a/b": 1}, "remove": ["/a"]})).len(), 1);
    assert_eq!(
        edit(json!({"set": {"/a": []}, "append": {"/a": 1}})).len(),
        1
    );
    assert_eq!(edit(json!({"set": {"/a": 1, "/a-b": 2, "/ab": 2}, "append": {"/c/d": 1}, "remove": ["/c/e"]})).len(), 0);
    assert_eq!(
        edit(json!({"set": {"/a": 1, "/a-b": 2, "/a/c": 2}})).len(),
        1
    );
}

#[test]
fn what_the_schema_must_refuse_it_refuses() {
    for wrong in [
        json!({}),
        json!({"file": []}),
        json!({"files": [{"content": "x"}]}),
        json!({"files": [{"path": "/a", "content": "x", "mode": 420}]}),
        json!({"files": [{"path": "/a", "content": "x", "mode": "4755"}]}),
        json!({"files": [{"path": "a", "content": "x"}]}),
        json!({"edits": [{"file": "/a", "format": "xml", "set": {"/a": 1}}]}),
        json!({"edits": [{"file": "/a", "format": "json"}]}),
        json!({"edits": [{"file": "/a", "format": "json", "set": {"a": 1}}]}),
        json!({"dropins": [{"unit": "nginx", "name": "x", "set": {"/A/b": 1}}]}),
    ] {
        assert!(!schema().is_valid(&wrong), "the schema accepts {wrong}");
    }
}

#[test]
fn an_empty_configuration_says_what_it_could_hold() {
    assert_eq!(
        codes(json!({})),
        [(String::new(), "nothing-to-do".to_owned())]
    );
}

#[test]
fn an_agent_that_cannot_edit_is_named_when_the_target_is_known() {
    let config = config(serde_json::from_str(include_str!("../examples/browser.json")).unwrap());
    let mut target = Target {
        os: OsFamily::Linux,
        distro: "debian".into(),
        release: "bookworm".into(),
        arch: "amd64".into(),
        insertion_point: "base".into(),
        source_date_epoch: 0,
        features: vec!["edit-v1".into()],
    };
    assert!(ConfigGenerator::validate(Some(&target), &config).is_empty());
    assert!(ConfigGenerator::validate(None, &config).is_empty());
    target.features = vec!["user-units".into()];
    assert_eq!(
        ConfigGenerator::validate(Some(&target), &config)[0].code,
        "agent-too-old"
    );
}
