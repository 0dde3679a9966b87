//! From the configuration to entries and actions: files, then the script, then services.

use bootsplice_sdk::Pointer;
use bootsplice_sdk::archive::{Action, Command, Service as ServiceAction};
use bootsplice_sdk::config::{OnConflict, entry_attrs};
use bootsplice_sdk::placeholder::has_placeholders;
use bootsplice_sdk::source::Source;
use bootsplice_sdk::step::{Entry, Kind, StepContent};

use crate::config::{Config, Service, UNIT_FORMAT};

/// The name of the pin of the script itself.
pub const SCRIPT: &str = "/file";

/// What is to be fetched, by the names of its pins.
pub fn sources(config: &Config) -> Vec<(String, &Source)> {
    let script = config.file.iter().map(|source| (SCRIPT.to_owned(), source));
    let files = config.files.iter().enumerate();
    script
        .chain(
            files.filter_map(|(index, file)| {
                Some((place(index).to_string(), file.source.as_ref()?))
            }),
        )
        .collect()
}

/// Everything that the step puts into the guest. `text` is the script, wherever it came from.
pub fn content(config: &Config, text: Option<&str>) -> StepContent {
    let mut content = StepContent::default();
    for (index, file) in config.files.iter().enumerate() {
        content.entries.push(file.entry(&place(index)));
    }
    content
        .entries
        .extend(config.services.iter().filter_map(unit_file));
    content
        .actions
        .extend(text.map(|text| Action::Run(command(config, text))));
    content.actions.extend(
        config
            .services
            .iter()
            .filter(|service| service.enable || service.start)
            .map(register),
    );
    content.notes.extend(
        sources(config)
            .into_iter()
            .filter_map(|(_, source)| source.note()),
    );
    content
}

fn place(index: usize) -> Pointer {
    Pointer::root().key("files").index(index)
}

fn command(config: &Config, text: &str) -> Command {
    let parameters = config
        .parameters
        .iter()
        .map(|(name, parameter)| (name.clone(), parameter.text()));
    let environment = config
        .environment
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    let secrets = config
        .secrets
        .iter()
        .map(|(name, secret)| (name.clone(), format!("{{{{secret:{secret}}}}}")));
    let mut variables: Vec<_> = parameters.chain(environment).chain(secrets).collect();
    variables.sort();
    Command {
        interpreter: config.interpreter.clone(),
        text: text.to_owned(),
        arguments: config.arguments.clone(),
        environment: variables,
        user: config.user.clone(),
        working_directory: config.working_directory.clone(),
    }
}

fn unit_file(service: &Service) -> Option<Entry> {
    let text = service.content.clone()?;
    let attrs = entry_attrs(None, 0o644, None, None, OnConflict::Replace);
    Some(Entry {
        path: service.path(),
        kind: if has_placeholders(&text) {
            Kind::Template(attrs, text, UNIT_FORMAT.into())
        } else {
            Kind::Bytes(attrs, text.into_bytes())
        },
    })
}

fn register(service: &Service) -> Action {
    Action::Service(ServiceAction {
        unit: service.unit.clone(),
        user: service.user.clone(),
        enable: service.enable,
        start: service.start,
    })
}
