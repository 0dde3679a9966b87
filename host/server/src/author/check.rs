//! What a host would say about a component when it is pushed, said before.

use std::time::{Duration, Instant};

use bootsplice_content::Digest;
use bootsplice_engine::contract::Descriptor;
use bootsplice_engine::{Inspection, MAX_COMPONENT};
use bytes::Bytes;
use serde::Serialize;

use super::AuthorError;
use super::subject::Subject;
use crate::local::sandbox::Sandbox;
use crate::plugins::judge;
use crate::problem::Fault;

/// A component that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The component's file, or its reference in a registry.
    pub file: String,
    pub size: u64,
    /// In a registry: the digest of the manifest that names it, which is what signatures sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
    /// Absent when it is no plugin at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inspection: Option<Inspection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<Descriptor>,
    /// In the order of the checks, up to the first that the others depend on.
    pub checks: Vec<Check>,
    /// None where a host would take it.
    pub errors: Vec<Fault>,
}

/// One question and its answer.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    pub check: &'static str,
    pub ok: bool,
    pub detail: String,
}

// === impl Report ===

impl Report {
    /// Compiles, describes and judges a component. An error is this machine's; what is wrong with the component is in the report.
    pub async fn of(sandbox: &Sandbox, subject: &Subject) -> Result<Self, AuthorError> {
        let component = subject.read()?;
        let file = subject.path().display().to_string();
        let mut report = Self::of_component(sandbox, component, file).await?;
        if let (Subject::Project(project), Some(id)) = (subject, report.id()) {
            report.same_name(project.name(), &id);
        }
        Ok(report)
    }

    /// Of bytes from wherever `file` says.
    pub async fn of_component(
        sandbox: &Sandbox,
        component: Bytes,
        file: String,
    ) -> Result<Self, AuthorError> {
        let mut report = Self {
            file,
            size: component.len() as u64,
            manifest: None,
            inspection: None,
            descriptor: None,
            checks: Vec::new(),
            errors: Vec::new(),
        };
        let began = Instant::now();
        let plugin = match sandbox.load(component, &report.file).await {
            Ok(plugin) => plugin,
            Err(error) => {
                let fault = judge::refusal(error)?;
                report.say("component", false, fault.detail.clone());
                report.errors.push(fault);
                return Ok(report);
            }
        };
        report.look(plugin.inspection(), plugin.descriptor(), began.elapsed());
        let faults = judge::faults(sandbox.engine(), &plugin).await;
        report.judge(plugin.descriptor(), faults);
        Ok(report)
    }

    fn id(&self) -> Option<String> {
        let descriptor = self.descriptor.as_ref();
        descriptor.map(|descriptor| descriptor.id.clone())
    }

    pub fn is_fine(&self) -> bool {
        self.errors.is_empty()
    }

    fn say(&mut self, check: &'static str, ok: bool, detail: impl Into<String>) {
        let detail = detail.into();
        self.checks.push(Check { check, ok, detail });
    }

    fn look(&mut self, inspection: &Inspection, descriptor: &Descriptor, took: Duration) {
        let size = self.size;
        let room = MAX_COMPONENT >> 20;
        let seconds = took.as_secs_f64();
        self.say(
            "component",
            true,
            format!("{size} bytes of at most {room} MiB, ready in {seconds:.2} s"),
        );
        let world = format!("bootsplice:generator/plugin@{}", inspection.wit);
        self.say("world", true, world);
        let count = inspection.imports.len();
        self.say(
            "imports",
            true,
            format!("{count}, all of the contract or of WASI 0.2"),
        );
        let Descriptor { id, version, .. } = descriptor;
        self.say("describe", true, format!("{id}@{version}"));
        self.inspection = Some(inspection.clone());
        self.descriptor = Some(descriptor.clone());
    }

    fn judge(&mut self, descriptor: &Descriptor, faults: Vec<Fault>) {
        let count = descriptor.examples.len();
        let good = [
            ("version", "/version", "a tag can hold it".to_owned()),
            ("schema", "/config-schema", "JSON Schema 2020-12".to_owned()),
            (
                "examples",
                "/examples",
                format!("{count}, valid by the schema and by `validate`"),
            ),
        ];
        for (check, pointer, detail) in good {
            let mine = faults
                .iter()
                .find(|fault| fault.pointer.starts_with(pointer));
            match mine {
                Some(fault) => self.say(check, false, fault.detail.clone()),
                None => self.say(check, true, detail),
            }
        }
        let wishes = |wishes: &[String]| match wishes {
            [] => "nothing".to_owned(),
            some => some.join(", "),
        };
        let asked = &descriptor.capabilities;
        self.say("fetches", true, wishes(&asked.fetch));
        self.say("secrets", true, wishes(&asked.secrets));
        self.errors.extend(faults);
    }

    fn same_name(&mut self, project: &str, id: &str) {
        if project == id {
            return;
        }
        let detail = format!("the project is `{project}` and the component says `{id}`");
        self.say("name", false, detail.clone());
        let fault = Fault::new("/id", "other-id", detail);
        self.errors
            .push(fault.hint("make `plugin.name` and the descriptor's `id` the same"));
    }
}
