//! Services of packages, from the record of what was held back to the report.

#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "other tests use the rest of it")]
mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bootsplice_agent::apply::{Job, Outcome, apply_with};
use bootsplice_agent::console::Console;
use bootsplice_agent::held::{Manager, Unit};
use bootsplice_agent::journal::{Journal, State};
use bootsplice_agent::policy::{Asker, Held, HeldAction};
use bootsplice_agent::{points, settings};
use bootsplice_archive::step::Stage;
use support::{Step, disk, payload, write_keys};

/// A machine whose units are up once they were asked for, but for `bad.service`.
#[derive(Default)]
struct Fake {
    asked: Vec<String>,
    /// A file of the stage `late`, which must not be there when services are started.
    late: PathBuf,
    time: Duration,
}

impl Manager for Fake {
    fn look(&mut self, units: &[&str]) -> Result<Vec<Unit>, String> {
        let state = |unit: &str| match self.asked.iter().any(|asked| asked.ends_with(unit)) {
            false => "inactive",
            true if unit == "bad.service" => "failed",
            true => "active",
        };
        let text = |unit: &str| {
            let state = state(unit);
            format!(
                "LoadState=loaded\nUnitFileState=enabled\nActiveState={state}\nResult=exit-code"
            )
        };
        Ok(units.iter().map(|unit| Unit::parse(&text(unit))).collect())
    }

    fn enqueue(&mut self, verb: &str, unit: &str) -> Result<(), String> {
        assert!(!self.late.exists(), "the stage `late` ran before {unit}");
        self.asked.push(format!("{verb} {unit}"));
        Ok(())
    }

    fn said(&mut self, _unit: &str) -> String {
        "port 80 is taken\n".into()
    }

    fn sleep(&mut self, time: Duration) {
        self.time += time;
    }

    fn now(&self) -> Duration {
        self.time
    }

    fn boot(&self) -> Option<String> {
        Some("this boot".into())
    }
}

struct Guest {
    folder: tempfile::TempDir,
}

impl Guest {
    fn new() -> Self {
        let guest = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let mut apps = Step::new("apps", &[("/opt/pool", "packages\n")]);
        apps.stage = Stage::Packages;
        let mut last = Step::new("last", &[("/late", "scripts\n")]);
        last.stage = Stage::Late;
        write_keys(&guest.path("keys"));
        std::fs::create_dir(guest.path("root")).unwrap();
        std::fs::write(guest.path("disk"), disk(payload(1), &[apps, last])).unwrap();
        guest
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn record(&self, units: &[(&str, HeldAction)], boot: &str) {
        let lines: Vec<String> = units
            .iter()
            .map(|(unit, action)| {
                let held = Held {
                    step: "apps".into(),
                    unit: (*unit).into(),
                    action: *action,
                    asker: Asker::Unit,
                    boot: Some(boot.into()),
                };
                serde_json::to_string(&held).unwrap()
            })
            .collect();
        std::fs::write(self.path("services"), lines.join("\n")).unwrap();
    }

    fn run(&self, stage: Stage, manager: &mut Fake) -> Outcome {
        let job = Job {
            points: points::in_image(&self.path("disk")).unwrap(),
            trusted: settings::trusted_keys(&self.path("keys")).unwrap(),
            root: self.path("root"),
            state: self.path("state"),
            product_uuid: None,
            allow_unspliced: false,
            stage: Some(stage),
            scale: 1,
            dry_run: false,
            once: true,
            boots: 3,
            record: None,
            held: Some(self.path("services")),
        };
        apply_with(&job, manager, &mut Console::default()).unwrap()
    }

    fn fake(&self) -> Fake {
        Fake {
            late: self.path("root/late"),
            ..Fake::default()
        }
    }
}

fn step(state: &Path, id: &str) -> serde_json::Value {
    let text = std::fs::read(state.join("status.json")).unwrap();
    let status: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let steps = status["steps"].as_array().unwrap();
    steps.iter().find(|step| step["id"] == id).unwrap().clone()
}

#[test]
fn a_service_that_does_not_come_up_degrades_the_launch_and_is_named_at_its_step() {
    let guest = Guest::new();
    let start = HeldAction::Start;
    guest.record(
        &[
            ("web.service", start),
            ("bad.service", start),
            ("web.service", start),
        ],
        "this boot",
    );
    let mut manager = guest.fake();
    assert_eq!(guest.run(Stage::Packages, &mut manager), Outcome::StageDone);
    assert!(manager.asked.is_empty());
    assert!(!guest.path("services").exists());
    let done = guest.run(Stage::Late, &mut manager);
    assert_eq!(done, Outcome::Done(State::Degraded));
    assert_eq!(manager.asked, ["start web.service", "start bad.service"]);
    assert!(guest.path("root/late").exists());
    let apps = step(&guest.path("state"), "apps");
    assert_eq!(apps["result"], "failed");
    assert_eq!(
        apps["detail"],
        "services of its packages did not come up: bad.service failed (exit-code); it said: port 80 is taken"
    );
    assert_eq!(step(&guest.path("state"), "last")["result"], "ok");
}

#[test]
fn a_boot_that_ends_before_the_stage_late_loses_no_service() {
    let guest = Guest::new();
    guest.record(&[("web.service", HeldAction::Restart)], "an earlier boot");
    assert_eq!(
        guest.run(Stage::Packages, &mut guest.fake()),
        Outcome::StageDone
    );
    let journal = Journal::load(&guest.path("state")).unwrap().unwrap();
    assert_eq!(journal.steps["apps"].held.len(), 1);
    // systemd started what is enabled when it booted.
    let mut manager = guest.fake();
    manager.asked.push("start web.service".into());
    let done = guest.run(Stage::Late, &mut manager);
    assert_eq!(done, Outcome::Done(State::Applied));
    assert_eq!(manager.asked, ["start web.service", "start web.service"]);
    let journal = Journal::load(&guest.path("state")).unwrap().unwrap();
    assert!(journal.steps["apps"].held.is_empty());
    assert_eq!(step(&guest.path("state"), "apps")["result"], "ok");
}
