//! `bootsplice plugin inspect`.

use std::path::Path;

use bootsplice_engine::Inspection;
use bootsplice_engine::contract::Descriptor;
use bootsplice_engine::fetch::FetchPolicy;
use clap::Args;
use oci_client::RegistryOperation;

use super::check::refused;
use super::registry;
use super::workplace::Workplace;
use crate::author::check::Report;
use crate::author::subject::Subject;
use crate::cli::{Failure, Global, Output};
use crate::oci::reference::Reference;

/// Show what a component is and says about itself: digest, world, imports, wishes, schema, examples.
#[derive(Args)]
#[command(after_help = "\
Examples:
  bootsplice plugin inspect build/motd.wasm
  bootsplice plugin inspect . --output json | jq .descriptor.config_schema
  bootsplice plugin inspect acme/motd:1.2.0
  bootsplice plugin inspect ghcr.io/acme/motd@sha256:…

What is neither a file nor a directory is looked for in a registry, without a host's name in that of `--url`, and never run there: it is compiled and
asked here, in the sandbox.")]
pub struct Inspect {
    /// A component, a plugin's directory, or a reference in a registry.
    #[arg(value_name = "FILE.wasm|DIR|REFERENCE")]
    subject: String,
    #[command(flatten)]
    workplace: Workplace,
}

// === impl Inspect ===

impl Inspect {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        let report = match self.reference()? {
            Some(reference) => self.pulled(&reference, global).await?,
            None => {
                let subject = Subject::open(Path::new(&self.subject))?;
                let sandbox = self.workplace.open(FetchPolicy::default())?;
                Report::of(&sandbox, &subject).await?
            }
        };
        output.answer(&report, || match (&report.inspection, &report.descriptor) {
            (Some(inspection), Some(descriptor)) => text(&report, inspection, descriptor),
            _ => format!("{}: {} bytes", report.file, report.size),
        });
        refused(&report)
    }

    /// Where it is, if that is a registry: what is there on this machine comes first, and what looks like a path is one.
    fn reference(&self) -> Result<Option<Reference>, Failure> {
        let path = Path::new(&self.subject);
        let begins = [".", "/", "~"]
            .iter()
            .any(|sign| self.subject.starts_with(sign));
        if path.exists() || begins || self.subject.ends_with(".wasm") {
            return Ok(None);
        }
        match self.subject.parse() {
            Ok(reference) => Ok(Some(reference)),
            // A single word is no reference: the project or the file is missing.
            Err(_) if !self.subject.contains(['/', ':', '@']) => Ok(None),
            Err(error) => Err(Failure::usage(error.to_string())),
        }
    }

    async fn pulled(&self, reference: &Reference, global: &Global) -> Result<Report, Failure> {
        let remote = registry::open(global, reference)?;
        let enter = remote.enter(RegistryOperation::Pull).await;
        enter.map_err(registry::failed)?;
        let (component, manifest) = remote.component().await.map_err(registry::failed)?;
        let sandbox = self.workplace.open(FetchPolicy::default())?;
        let report = Report::of_component(&sandbox, component, reference.to_string()).await?;
        Ok(Report {
            manifest: Some(manifest),
            ..report
        })
    }
}

fn text(report: &Report, inspection: &Inspection, descriptor: &Descriptor) -> String {
    let list = |items: &[String]| match items {
        [] => "none".to_owned(),
        some => some.join(", "),
    };
    let name = |value: serde_json::Result<serde_json::Value>| {
        let value = value.unwrap_or_default();
        value.as_str().unwrap_or_default().to_owned()
    };
    let families = descriptor.os_families.iter();
    let families: Vec<String> = families
        .map(|family| name(serde_json::to_value(family)))
        .collect();
    let asked = &descriptor.capabilities;
    let mut text = format!(
        "{}@{}: {}\n{}\n\n",
        descriptor.id, descriptor.version, descriptor.title, descriptor.summary
    );
    if let Some(manifest) = &report.manifest {
        text.push_str(&format!("{:8} {manifest}\n", "manifest"));
    }
    for (key, value) in [
        ("digest", inspection.digest.clone()),
        ("size", format!("{} bytes", inspection.size)),
        (
            "world",
            format!("bootsplice:generator/plugin@{}", inspection.wit),
        ),
        ("systems", list(&families)),
        ("stage", name(serde_json::to_value(descriptor.stage))),
        (
            "joins",
            if descriptor.joins_steps { "yes" } else { "no" }.to_owned(),
        ),
        ("fetches", list(&asked.fetch)),
        ("secrets", list(&asked.secrets)),
        ("imports", inspection.imports.join("\n         ")),
        ("exports", inspection.exports.join("\n         ")),
    ] {
        text.push_str(&format!("{key:8} {value}\n"));
    }
    let json = |value| serde_json::to_string_pretty(value).unwrap_or_default();
    text.push_str(&format!("\nschema\n{}\n", json(&descriptor.config_schema)));
    for example in &descriptor.examples {
        text.push_str(&format!(
            "\nexample: {}\n{}\n",
            example.title,
            json(&example.config)
        ));
    }
    text
}
