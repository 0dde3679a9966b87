//! What a configuration comes to, without a host.

use bootsplice_sdk::archive::{Action, TemplateFormat};
use bootsplice_sdk::prelude::{Generator, Kind, StepContent, StepStage};
use bootsplice_sdk::{config as reader, refuse};
use serde_json::{Value, json};

use crate::ScriptGenerator;
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

fn made(value: Value) -> StepContent {
    let config = config(value);
    content(&config, config.text.as_deref())
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
    let descriptor = ScriptGenerator::describe();
    assert_eq!(descriptor.stage, StepStage::Late);
    assert!(
        descriptor
            .capabilities
            .secrets
            .contains(&"/secrets/*".to_owned())
    );
    for example in descriptor.examples {
        refuse(config(serde_json::from_str(&example.config).unwrap()).check()).unwrap();
    }
}

#[test]
fn a_secret_is_a_variable_that_the_host_fills() {
    let content = made(serde_json::from_str(include_str!("../examples/key.json")).unwrap());
    let [Action::Run(command)] = content.actions.as_slice() else {
        panic!("{:?}", content.actions);
    };
    assert_eq!(command.interpreter, "/bin/sh");
    assert_eq!(
        command.environment,
        [("KEY".to_owned(), "{{secret:ada-api-key}}".to_owned())]
    );
    assert_eq!(
        command.text,
        "install -m 600 /dev/null ~ada/.key && printf %s \"$KEY\" > ~ada/.key"
    );
    assert!(content.entries.is_empty());
}

#[test]
fn services_come_after_the_script_and_their_files_before_it() {
    let content = made(serde_json::from_str(include_str!("../examples/services.json")).unwrap());
    let paths: Vec<_> = content
        .entries
        .iter()
        .map(|entry| entry.path.as_str())
        .collect();
    assert_eq!(
        paths,
        [
            "/etc/systemd/system/worker.service",
            "~ada/.config/systemd/user/sync.timer",
            "~ada/.config/systemd/user/sync.service"
        ]
    );
    assert!(matches!(content.actions[0], Action::Run(_)));
    let units: Vec<_> = content.actions[1..]
        .iter()
        .map(|action| match action {
            Action::Service(service) => (
                service.unit.as_str(),
                service.user.as_deref(),
                service.enable,
                service.start,
            ),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        units,
        [
            ("worker.service", None, true, true),
            ("sync.timer", Some("ada"), true, true),
            ("nginx.service", None, true, false)
        ]
    );
}

#[test]
fn a_value_with_shell_syntax_stays_out_of_the_text() {
    let content = made(
        json!({"text": "echo \"$NAME\"", "parameters": {"NAME": {"type": "string", "value": "'; rm -rf / #"}}}),
    );
    let Action::Run(command) = &content.actions[0] else {
        panic!()
    };
    assert_eq!(command.text, "echo \"$NAME\"");
    assert_eq!(
        command.environment,
        [("NAME".to_owned(), "'; rm -rf / #".to_owned())]
    );
}

#[test]
fn variables_are_sorted_by_name_whatever_list_they_stand_in() {
    let content = made(
        json!({"text": "true", "parameters": {"B": {"type": "boolean", "value": true}}, "environment": {"C": "{{instance:id}}"}, "secrets": {"A": "s"}}),
    );
    let Action::Run(command) = &content.actions[0] else {
        panic!()
    };
    let names: Vec<_> = command
        .environment
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["A", "B", "C"]);
}

#[test]
fn a_unit_with_a_placeholder_is_a_template() {
    let content = made(
        json!({"services": [{"unit": "a.service", "content": "[Service]\nExecStart=/bin/x {{instance:id}}\n", "enable": false}]}),
    );
    assert!(matches!(
        content.entries[0].kind,
        Kind::Template(_, _, TemplateFormat::Ini)
    ));
}

#[test]
fn a_script_from_a_url_is_pinned_and_noted() {
    let config = config(
        json!({"file": {"url": "s3://team/setup.sh"}, "files": [{"path": "/opt/x", "source": {"url": "https://a.example/x"}}]}),
    );
    let names: Vec<_> = sources(&config).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["/file", "/files/0"]);
    let content = content(&config, Some("echo hi"));
    assert_eq!(content.notes.len(), 2);
    assert!(matches!(&content.actions[0], Action::Run(command) if command.text == "echo hi"));
}

#[test]
fn every_fault_is_found_at_once_with_its_pointer() {
    let found = codes(json!({
        "interpreter": "sh", "text": " ", "arguments": ["{{instance:id}}"],
        "parameters": {"A": {"type": "integer", "value": 9, "maximum": 8}, "1x": {"type": "boolean", "value": true}},
        "environment": {"A": "x", "B": "{{instance:ip}}", "BOOTSPLICE_X": ""},
        "secrets": {"B": "no secret's name"},
        "user": "a b", "working_directory": "relative",
        "files": [{"path": "/etc/systemd/system/a.service", "content": ""}],
        "services": [{"unit": "a.service", "content": "[Service]\n"}, {"unit": "b@.service"}, {"unit": "c", "enable": false, "start": false}]
    }));
    let expected = [
        ("/interpreter", "invalid-path"),
        ("/text", "empty-script"),
        ("/arguments/0", "placeholder-not-filled"),
        ("/parameters/1x", "invalid-name"),
        ("/environment/A", "duplicate-variable"),
        ("/environment/BOOTSPLICE_X", "reserved-name"),
        ("/secrets/B", "duplicate-variable"),
        ("/parameters/A/value", "out-of-range"),
        ("/environment/B", "unknown-placeholder"),
        ("/secrets/B", "invalid-name"),
        ("/user", "invalid-name"),
        ("/working_directory", "invalid-path"),
        ("/services/0/enable", "nothing-to-enable"),
        ("/services/1/unit", "template-unit"),
        ("/services/2/unit", "invalid-name"),
        ("/services/2", "nothing-to-do"),
        ("/services/0/content", "duplicate-path"),
    ];
    assert_eq!(
        found,
        expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned()))
    );
}

#[test]
fn a_step_without_a_script_has_nothing_to_give_it() {
    assert_eq!(
        codes(json!({})),
        [(String::new(), "nothing-to-do".to_owned())]
    );
    assert_eq!(
        codes(json!({"services": [{"unit": "a.service"}], "user": "ada"})),
        [("/user".to_owned(), "no-script".to_owned())]
    );
}

#[test]
fn a_placeholder_in_the_text_is_a_warning_that_stops_nothing() {
    let config = config(json!({"text": "echo {{secret:key}}"}));
    let found = config.check();
    assert_eq!(found[0].code, "placeholder-not-filled");
    refuse(found).unwrap();
}

#[test]
fn what_the_schema_must_refuse_it_refuses() {
    for wrong in [
        json!({}),
        json!({"text": "true", "timeout": 3}),
        json!({"text": "true", "interpreter": "sh"}),
        json!({"text": "true", "parameters": {"A": "x"}}),
        json!({"text": "true", "parameters": {"A": {"type": "integer", "value": "x"}}}),
        json!({"text": "true", "parameters": {"A": {"type": "enum", "value": "x"}}}),
        json!({"text": "true", "parameters": {"A-B": {"type": "boolean", "value": true}}}),
        json!({"text": "true", "environment": {"A": 1}}),
        json!({"text": "true", "secrets": {"A": "a b"}}),
        json!({"services": [{"unit": "nginx"}]}),
        json!({"services": [{"unit": "nginx.service", "restart": true}]}),
    ] {
        assert!(!schema().is_valid(&wrong), "the schema accepts {wrong}");
    }
}
