//! The contract's data, from the types of this WIT version to the host's own and back.

use std::time::Duration;

use super::bindings::bootsplice::generator::{archive, types};
use super::bindings::exports::bootsplice::generator::{generator, plugin_info};
use crate::content::{
    Action, Attributes, Change, Command, Conflict, EditFormat, FileEdit, Owner, Service, Verb,
};
use crate::contract::{
    Capabilities, Descriptor, Diagnostic, Example, Instance, OsFamily, Quota, Severity, Stage,
    Summary, Target,
};
use crate::error::GeneratorError;
use crate::trust::Distrust;

/// Diagnostics of one answer; more are cut.
const MAX_DIAGNOSTICS: usize = 1000;

/// Translates what goes into a guest and what comes out of it.
pub(crate) struct Guest;

// === impl Guest ===

impl Guest {
    pub fn target(target: &Target, epoch: u64) -> types::Target {
        types::Target {
            os: match target.os {
                OsFamily::Linux => types::OsFamily::Linux,
                OsFamily::Windows => types::OsFamily::Windows,
                OsFamily::Bsd => types::OsFamily::Bsd,
                OsFamily::Other => types::OsFamily::Other,
            },
            distro: target.distro.clone(),
            release: target.release.clone(),
            arch: target.arch.clone(),
            insertion_point: target.insertion_point.clone(),
            source_date_epoch: epoch,
            features: target.features.clone(),
        }
    }

    pub fn instance(instance: &Instance) -> types::Instance {
        types::Instance {
            id: instance.id.clone(),
            profile: instance.profile.clone(),
            attributes: instance.attributes.clone().into_iter().collect(),
        }
    }

    pub fn diagnostics(found: Vec<types::Diagnostic>) -> Vec<Diagnostic> {
        found
            .into_iter()
            .take(MAX_DIAGNOSTICS)
            .map(|found| Diagnostic {
                severity: match found.severity {
                    types::Severity::Hint => Severity::Hint,
                    types::Severity::Warning => Severity::Warning,
                    types::Severity::Error => Severity::Error,
                },
                pointer: found.pointer,
                code: found.code,
                message: found.message,
                hint: found.hint,
            })
            .collect()
    }

    pub fn summary(summary: generator::Summary) -> Summary {
        Summary {
            notes: summary.notes,
            reboot_required: summary.reboot_required,
        }
    }

    /// What the plugin says about itself; its texts are checked by the caller.
    pub fn descriptor(told: plugin_info::Descriptor) -> Result<Descriptor, String> {
        let config_schema = serde_json::from_str(&told.config_schema)
            .map_err(|error| format!("its config-schema is not JSON: {error}"))?;
        let examples = told
            .examples
            .into_iter()
            .map(|example| {
                let config = serde_json::from_str(&example.config)
                    .map_err(|error| format!("example `{}` is not JSON: {error}", example.title))?;
                Ok(Example {
                    title: example.title,
                    config,
                })
            })
            .collect::<Result<_, String>>()?;
        Ok(Descriptor {
            id: told.id,
            version: told.version,
            title: told.title,
            summary: told.summary,
            os_families: told
                .os_families
                .into_iter()
                .map(|family| match family {
                    types::OsFamily::Linux => OsFamily::Linux,
                    types::OsFamily::Windows => OsFamily::Windows,
                    types::OsFamily::Bsd => OsFamily::Bsd,
                    types::OsFamily::Other => OsFamily::Other,
                })
                .collect(),
            stage: match told.stage {
                plugin_info::StepStage::Files => Stage::Files,
                plugin_info::StepStage::Packages => Stage::Packages,
                plugin_info::StepStage::Late => Stage::Late,
            },
            capabilities: Capabilities {
                fetch: told.capabilities.fetch,
                secrets: told.capabilities.secrets,
            },
            config_schema,
            examples,
            joins_steps: told.joins_steps,
        })
    }

    /// A guest's own error.
    pub fn error(error: types::Error) -> GeneratorError {
        match error {
            types::Error::InvalidConfig(found) => {
                GeneratorError::InvalidConfig(Self::diagnostics(found))
            }
            types::Error::Unsatisfiable(why) => GeneratorError::Unsatisfiable(why),
            types::Error::NotFound(what) => GeneratorError::NotFound(what),
            types::Error::Denied(why) => GeneratorError::Denied(why),
            types::Error::Integrity(found) => {
                match (found.expected.parse(), found.actual.parse()) {
                    (Ok(expected), Ok(actual)) => GeneratorError::Integrity {
                        expected,
                        actual,
                        url: found.url,
                    },
                    _ => GeneratorError::Fault(format!(
                        "it reports wrong bytes from {} with malformed digests",
                        found.url
                    )),
                }
            }
            types::Error::Untrusted(rejection) => {
                distrust(rejection.reason).because(rejection.message).into()
            }
            types::Error::QuotaExceeded(quota) => GeneratorError::Quota {
                quota: match quota {
                    types::Quota::Memory => Quota::Memory,
                    types::Quota::Time => Quota::Time,
                    types::Quota::FetchCount => Quota::FetchCount,
                    types::Quota::FetchBytes => Quota::FetchBytes,
                    types::Quota::OutputBytes => Quota::OutputBytes,
                    types::Quota::OutputEntries => Quota::OutputEntries,
                    types::Quota::LogBytes => Quota::LogBytes,
                    types::Quota::CacheBytes => Quota::CacheBytes,
                    types::Quota::Handles => Quota::Handles,
                },
                detail: "reported by the generator".into(),
            },
            types::Error::Upstream(failure) => GeneratorError::Upstream {
                message: failure.message,
                retry_after: failure
                    .retry_after_ms
                    .map(|wait| Duration::from_millis(wait.into())),
            },
            types::Error::Unsupported(what) => GeneratorError::Unsupported(what),
            types::Error::Cancelled => GeneratorError::Cancelled,
            types::Error::Fault(why) => GeneratorError::Fault(why),
        }
    }
}

fn distrust(reason: types::Distrust) -> Distrust {
    match reason {
        types::Distrust::Missing => Distrust::Missing,
        types::Distrust::UnknownKey => Distrust::UnknownKey,
        types::Distrust::Bad => Distrust::Bad,
        types::Distrust::Weak => Distrust::Weak,
        types::Distrust::ExpiredKey => Distrust::ExpiredKey,
        types::Distrust::RevokedKey => Distrust::RevokedKey,
        types::Distrust::Expired => Distrust::Expired,
        types::Distrust::FromTheFuture => Distrust::FromTheFuture,
        types::Distrust::UnsignedBytes => Distrust::UnsignedBytes,
        types::Distrust::Malformed => Distrust::Malformed,
    }
}

pub(super) fn to_guest_diagnostic(found: Diagnostic) -> types::Diagnostic {
    types::Diagnostic {
        severity: match found.severity {
            Severity::Hint => types::Severity::Hint,
            Severity::Warning => types::Severity::Warning,
            Severity::Error => types::Severity::Error,
        },
        pointer: found.pointer,
        code: found.code,
        message: found.message,
        hint: found.hint,
    }
}

pub(super) fn attributes(attributes: archive::EntryAttrs) -> Attributes {
    Attributes {
        mode: attributes.mode,
        owner: attributes.owner.map(owner),
        on_conflict: conflict(attributes.on_conflict),
    }
}

pub(super) fn owner(owner: archive::Ownership) -> Owner {
    Owner {
        user: owner.user,
        group: owner.group,
    }
}

pub(super) fn conflict(conflict: archive::Conflict) -> Conflict {
    match conflict {
        archive::Conflict::Fail => Conflict::Fail,
        archive::Conflict::Replace => Conflict::Replace,
        archive::Conflict::KeepExisting => Conflict::KeepExisting,
        archive::Conflict::Backup => Conflict::Backup,
    }
}

pub(super) fn action(action: archive::Action) -> Result<Action, GeneratorError> {
    let unsupported = GeneratorError::Unsupported;
    Ok(match action {
        archive::Action::Edit(edit) => Action::Edit(FileEdit {
            file: edit.file,
            format: match edit.format {
                archive::EditFormat::Ini => EditFormat::Ini,
                archive::EditFormat::Json => EditFormat::Json,
                archive::EditFormat::Yaml => EditFormat::Yaml,
                archive::EditFormat::Toml => EditFormat::Toml,
                archive::EditFormat::KeyValue => EditFormat::KeyValue,
                archive::EditFormat::Systemd => EditFormat::Systemd,
            },
            changes: edit
                .changes
                .into_iter()
                .map(change)
                .collect::<Result<_, String>>()
                .map_err(unsupported)?,
            create: edit.create,
            on_change: edit.on_change,
        }),
        archive::Action::Run(command) => Action::Run(Command {
            interpreter: command.interpreter,
            text: command.text,
            arguments: command.arguments,
            environment: command.environment,
            user: command.user,
            working_directory: command.working_directory,
        }),
        archive::Action::Service(service) => Action::Service(Service {
            unit: service.unit,
            user: service.user,
            enable: service.enable,
            start: service.start,
        }),
    })
}

fn change(change: archive::Change) -> Result<Change, String> {
    let json = |text: Option<String>| {
        text.map(|text| {
            serde_json::from_str(&text)
                .map_err(|error| format!("value of {}: not JSON: {error}", change.path))
        })
        .transpose()
    };
    Ok(Change {
        verb: match change.verb {
            archive::ChangeVerb::Set => Verb::Set,
            archive::ChangeVerb::Remove => Verb::Remove,
            archive::ChangeVerb::Append => Verb::Append,
        },
        value: json(change.value)?,
        expected: json(change.expected)?,
        path: change.path,
    })
}
