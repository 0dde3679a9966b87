//! `bootsplice plan`.

use clap::Args;
use reqwest::Method;
use url::Url;

use super::request::Request;
use super::{Failure, Global, Output};
use crate::launch::lock::PinView;
use crate::launch::plan::Plan;
use crate::launch::prepare::access::StepAccess;
use crate::lock::document::in_words;

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
    for warning in &plan.warnings {
        text.push_str(&format!("\nwarning: {warning}"));
    }
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
            text.push_str(&access_text(&step.access));
            if !step.pins.is_empty() {
                let bytes: u64 = step.pins.iter().map(|pin| pin.size).sum();
                let count = step.pins.len();
                text.push_str(&format!(
                    "\n    {count} pinned, {bytes} bytes to fetch unless they are here"
                ));
            }
            for pin in &step.pins {
                text.push_str(&format!("\n    pinned {}", pin_text(pin)));
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

/// What the step may reach, when its generator wants anything: wanted, granted, and what comes of both.
fn access_text(access: &StepAccess) -> String {
    let mut text = String::new();
    let StepAccess {
        wanted,
        granted,
        effective,
        ..
    } = access;
    let words = |items: &[String]| match items {
        [] => "nothing".to_owned(),
        items => items.join(" "),
    };
    for (what, wanted, granted, effective) in [
        ("fetch", &wanted.fetch, &granted.fetch, &effective.fetch),
        (
            "secrets",
            &wanted.secrets,
            &granted.secrets,
            &effective.secrets,
        ),
    ] {
        if !wanted.is_empty() {
            text.push_str(&format!(
                "\n    {what}: wants {}; granted {}; gets {}",
                words(wanted),
                words(granted),
                words(effective)
            ));
        }
    }
    text
}

/// What it is, how large, why it is here, where it comes from and who signed for it.
pub fn pin_text(pin: &PinView) -> String {
    let mut text = format!("{} ({} bytes)", pin.name, pin.size);
    let reason = pin.attribute("reason");
    if !reason.is_empty() {
        text.push_str(&format!(", {}", in_words(reason)));
    }
    let host = pin.urls.first().and_then(|url| Url::parse(url).ok());
    let host = host.as_ref().and_then(Url::host_str).unwrap_or_default();
    let place = [host, pin.attribute("suite"), pin.attribute("component")];
    let place: Vec<&str> = place.into_iter().filter(|part| !part.is_empty()).collect();
    if !place.is_empty() {
        text.push_str(&format!(", from {}", place.join(" ")));
    }
    // The last sixteen digits of a fingerprint are what people know a key by.
    let keys = pin.attribute("signed-by").split_whitespace();
    let keys: Vec<&str> = keys
        .map(|key| key.get(key.len().saturating_sub(16)..).unwrap_or(key))
        .collect();
    match keys.as_slice() {
        [] => text.push_str(&format!(", {}", pin.digest)),
        keys => text.push_str(&format!(", signed by {}", keys.join(" "))),
    }
    text
}
