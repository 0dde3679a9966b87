//! `bootsplice plugin inspect`.

use std::path::PathBuf;

use bootsplice_engine::Inspection;
use bootsplice_engine::contract::Descriptor;
use bootsplice_engine::fetch::FetchPolicy;
use clap::Args;

use super::check::refused;
use super::workplace::Workplace;
use crate::author::check::Report;
use crate::author::subject::Subject;
use crate::cli::{Failure, Output};

/// Show what a component is and says about itself: digest, world, imports, wishes, schema, examples.
#[derive(Args)]
#[command(after_help = "\
Examples:
  bootsplice plugin inspect build/motd.wasm
  bootsplice plugin inspect . --output json | jq .descriptor.config_schema")]
pub struct Inspect {
    /// A component, or a plugin's directory.
    #[arg(value_name = "FILE.wasm|DIR")]
    subject: PathBuf,
    #[command(flatten)]
    workplace: Workplace,
}

// === impl Inspect ===

impl Inspect {
    pub async fn run(self, output: &Output) -> Result<(), Failure> {
        let subject = Subject::open(&self.subject)?;
        let sandbox = self.workplace.open(FetchPolicy::default())?;
        let report = Report::of(&sandbox, &subject).await?;
        output.answer(&report, || match (&report.inspection, &report.descriptor) {
            (Some(inspection), Some(descriptor)) => text(inspection, descriptor),
            _ => format!("{}: {} bytes", report.file, report.size),
        });
        refused(&report)
    }
}

fn text(inspection: &Inspection, descriptor: &Descriptor) -> String {
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
