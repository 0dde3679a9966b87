//! `bootsplice plan`.

use clap::Args;
use reqwest::Method;

use super::request::Request;
use super::{Failure, Global, Output};
use crate::launch::plan::Plan;

/// Show what a launch would do: every step, entry, byte and size. Nothing is recorded.
#[derive(Args)]
#[command(
    after_help = "Example: bootsplice plan --instance i-0042 --profile web-developer --volume debian-12"
)]
pub struct PlanCommand {
    #[command(flatten)]
    request: Request,
}

// === impl PlanCommand ===

impl PlanCommand {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        let client = global.client()?;
        let body = self.request.read()?;
        let plan = client
            .json::<_, Plan>(Method::POST, "/v1/plans", Some(&body), &[])
            .await?
            .value;
        output.answer(&plan, || plan_text(&plan));
        Ok(())
    }
}

fn plan_text(plan: &Plan) -> String {
    let mut text = format!("{} on {}, {} bytes", plan.profile, plan.base, plan.size);
    for point in &plan.points {
        text.push_str(&format!(
            "\npoint {}: {} of {} bytes",
            point.name, point.needed, point.capacity
        ));
        for step in &point.steps {
            text.push_str(&format!(
                "\n  {} ({}, stage {}): {} entries, {} bytes",
                step.id, step.generator, step.stage, step.entries, step.bytes
            ));
            for pin in &step.pins {
                text.push_str(&format!(
                    "\n    pinned {} {} ({} bytes)",
                    pin.name, pin.digest, pin.size
                ));
            }
            for entry in &step.paths {
                let own = if entry.instance { ", per instance" } else { "" };
                text.push_str(&format!("\n    {} ({} bytes{own})", entry.path, entry.size));
            }
            for action in &step.actions {
                text.push_str(&format!("\n    {action}"));
            }
            for note in &step.notes {
                text.push_str(&format!("\n    note: {note}"));
            }
        }
    }
    text
}
