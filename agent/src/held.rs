//! Starts the services that the stage `packages` held back, and tells which of them came up (systemctl(1), `org.freedesktop.systemd1`(5)).
//!
//! Starts are enqueued without waiting, so that systemd orders them and no unit can wait for this one while this one waits for it; then their states are looked at until they settle or time is over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::clock;
use crate::command::Program;
use crate::console::Console;
use crate::policy::{Asker, Held, HeldAction};

/// How often states are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// What fails at once has failed by then, though its start was called a success.
const SETTLE: Duration = Duration::from_secs(1);
/// Units asked about at once: their answers fit into what is kept of a program's output.
const AT_ONCE: usize = 16;
/// Characters that are kept of what a unit said.
const SAID: usize = 600;
/// One question to systemd.
const QUESTION: Duration = Duration::from_secs(90);
/// Units that come up only after this one has ended.
const AFTER_US: [&str; 6] = [
    "bootsplice-late.service",
    "cloud-final.service",
    "cloud-init.target",
    "multi-user.target",
    "graphical.target",
    "default.target",
];
/// What is asked of a unit.
const PROPERTIES: &str = "--property=LoadState,UnitFileState,SourcePath,ActiveState,SubState,Result,Job,After,ConsistsOf,ConditionResult,ConditionTimestampMonotonic,InactiveExitTimestampMonotonic";

/// systemd, as far as it is needed here, and time.
pub trait Manager {
    /// What is known of each unit, in their order.
    fn look(&mut self, units: &[&str]) -> Result<Vec<Unit>, String>;
    /// Enqueues `verb` for a unit and waits for nothing.
    fn enqueue(&mut self, verb: &str, unit: &str) -> Result<(), String>;
    /// The last lines that a unit said in this boot.
    fn said(&mut self, unit: &str) -> String;
    fn sleep(&mut self, time: Duration);
    /// Time since some moment in the past.
    fn now(&self) -> Duration;
    fn boot(&self) -> Option<String>;
}

/// Properties of a unit; those that its kind does not have are missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit(BTreeMap<String, String>);

/// The systemd that runs this machine.
#[derive(Debug)]
pub struct Systemd {
    since: Instant,
}

/// How one unit stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    Up,
    /// Nothing to complain of, with the reason.
    Idle(&'static str),
    /// Not yet known.
    Coming,
    Failed(String),
}

/// Starts what of `held` is to be started. Gives what did not come up, by name and with its reason.
pub fn start(
    manager: &mut dyn Manager,
    held: &[Held],
    limit: Duration,
    console: &mut Console,
) -> Vec<String> {
    let wanted = match wanted(manager, held) {
        Ok(wanted) => wanted,
        Err(reason) => return vec![reason],
    };
    let begin = manager.now();
    let mut faults = BTreeMap::new();
    for (unit, verb) in &wanted {
        if let Err(reason) = manager.enqueue(verb, unit) {
            faults.insert(*unit, reason);
        }
    }
    let units: Vec<&str> = wanted
        .iter()
        .map(|(unit, _)| *unit)
        .filter(|unit| !faults.contains_key(unit))
        .collect();
    if !units.is_empty() {
        let standings = settle(manager, &units, begin + limit);
        for (unit, standing) in units.iter().zip(standings) {
            match standing {
                Standing::Up => console.say(&format!("service {unit} is up")),
                Standing::Idle(reason) => console.say(&format!("service {unit} {reason}")),
                Standing::Coming => {
                    let reason = format!("was not up after {} s", limit.as_secs());
                    faults.insert(unit, reason);
                }
                Standing::Failed(reason) => {
                    faults.insert(unit, reason);
                }
            }
        }
    }
    faults
        .into_iter()
        .map(|(unit, reason)| {
            console.say(&format!("service {unit} {reason}"));
            format!("{unit} {reason}")
        })
        .collect()
}

/// Which units, and what is asked of each, in the order in which their packages asked.
fn wanted<'a>(
    manager: &mut dyn Manager,
    held: &'a [Held],
) -> Result<Vec<(&'a str, &'static str)>, String> {
    let mut names: Vec<&str> = Vec::new();
    for one in held {
        if !names.contains(&one.unit.as_str()) {
            names.push(&one.unit);
        }
    }
    let units = manager.look(&names)?;
    let boot = manager.boot();
    let mut wanted = Vec::new();
    for (name, unit) in names.into_iter().zip(&units) {
        let action = held
            .iter()
            .filter(|one| one.unit == name && unit.is_meant(one))
            .map(|one| {
                // Whatever runs was started after that boot.
                let earlier = one.boot != boot;
                match (one.action, unit.is_active()) {
                    (HeldAction::Restart, false) => HeldAction::Start,
                    (HeldAction::Restart, true) if earlier => HeldAction::Start,
                    (action, _) => action,
                }
            })
            .max();
        match action {
            Some(HeldAction::Start) => wanted.push((name, "start")),
            Some(HeldAction::Restart) => wanted.push((name, "restart")),
            Some(HeldAction::Reload) if unit.is_active() => {
                wanted.push((name, "try-reload-or-restart"));
            }
            Some(HeldAction::Reload) | None => {}
        }
    }
    Ok(wanted)
}

/// Looks until nothing is coming any more, or until `end`.
fn settle(manager: &mut dyn Manager, units: &[&str], end: Duration) -> Vec<Standing> {
    let mut settled = false;
    loop {
        let standings = match manager.look(units) {
            Ok(found) => found.iter().map(Unit::standing).collect(),
            Err(reason) => vec![Standing::Failed(reason); units.len()],
        };
        let coming = standings.contains(&Standing::Coming);
        if (!coming && settled) || manager.now() >= end {
            return units
                .iter()
                .zip(standings)
                .map(|(unit, standing)| explain(manager, unit, standing))
                .collect();
        }
        settled = !coming;
        manager.sleep(if coming { LOOK } else { SETTLE });
    }
}

/// A unit is no better than its parts (`PartOf=`): instances that a generator made are started through it.
fn explain(manager: &mut dyn Manager, unit: &str, standing: Standing) -> Standing {
    let mut standing = standing;
    let mut culprit = unit.to_owned();
    if standing == Standing::Up
        && let Some(part) = failed_part(manager, unit)
    {
        standing = Standing::Failed(format!("is up, its part {part} is not"));
        culprit = part;
    }
    let Standing::Failed(reason) = standing else {
        return standing;
    };
    let said = manager.said(&culprit);
    Standing::Failed(match said.trim() {
        "" => reason,
        said => {
            let skipped = said.chars().count().saturating_sub(SAID);
            let end: String = said.chars().skip(skipped).collect();
            format!("{reason}; it said: {end}")
        }
    })
}

fn failed_part(manager: &mut dyn Manager, unit: &str) -> Option<String> {
    let found = manager.look(&[unit]).ok()?;
    let parts: Vec<String> = found
        .first()?
        .list("ConsistsOf")
        .map(str::to_owned)
        .collect();
    let names: Vec<&str> = parts.iter().map(String::as_str).collect();
    if names.is_empty() {
        return None;
    }
    let failed = manager.look(&names).ok()?;
    let at = failed
        .iter()
        .position(|part| part.get("ActiveState") == "failed")?;
    parts.into_iter().nth(at)
}

// === impl Unit ===

impl Unit {
    /// `KEY=VALUE` lines, as `systemctl show` prints them.
    pub fn parse(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Self(
            pairs
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        )
    }

    /// One paragraph a unit.
    fn parse_all(text: &str) -> Vec<Self> {
        text.trim_end().split("\n\n").map(Self::parse).collect()
    }

    fn get(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    fn list(&self, key: &str) -> impl Iterator<Item = &str> {
        self.get(key).split_whitespace()
    }

    fn is_active(&self) -> bool {
        matches!(self.get("ActiveState"), "active" | "reloading")
    }

    /// Whether `held` would have reached this unit, were its asker let through.
    fn is_meant(&self, held: &Held) -> bool {
        if matches!(self.get("LoadState"), "masked" | "not-found") {
            return false;
        }
        let enabled = self.get("UnitFileState").starts_with("enabled");
        match held.asker {
            Asker::Unit => enabled || (held.action != HeldAction::Start && self.is_active()),
            Asker::Script => self.get("UnitFileState") != "disabled" || self.is_active(),
            Asker::ScriptOnly => self.get("SourcePath").starts_with("/etc/init.d/"),
        }
    }

    fn standing(&self) -> Standing {
        let happened = |key: &str| !matches!(self.get(key), "" | "0");
        let job = happened("Job");
        match self.get("ActiveState") {
            "active" | "reloading" if !job => Standing::Up,
            "failed" if !job => Standing::Failed(format!("failed ({})", self.get("Result"))),
            "inactive" if job && self.list("After").any(|unit| AFTER_US.contains(&unit)) => {
                Standing::Idle("is started when the boot is done")
            }
            "inactive" if !job => {
                if happened("ConditionTimestampMonotonic") && self.get("ConditionResult") == "no" {
                    Standing::Idle("has nothing to do here: a condition of its is not met")
                } else if happened("InactiveExitTimestampMonotonic") {
                    Standing::Idle("has ended")
                } else {
                    Standing::Failed(
                        "was not started: what it requires failed, or its start was taken back"
                            .into(),
                    )
                }
            }
            _ => Standing::Coming,
        }
    }
}

// === impl Systemd ===

impl Default for Systemd {
    fn default() -> Self {
        Self {
            since: Instant::now(),
        }
    }
}

impl Manager for Systemd {
    fn look(&mut self, units: &[&str]) -> Result<Vec<Unit>, String> {
        let words = ["systemctl", "show", PROPERTIES, "--"];
        let mut found = Vec::new();
        for units in units.chunks(AT_ONCE) {
            let text = Program::new([&words[..], units].concat(), QUESTION).output()?;
            found.extend(Unit::parse_all(&text));
        }
        if found.len() == units.len() {
            Ok(found)
        } else {
            Err(format!(
                "systemd was asked for {} units and told of {}",
                units.len(),
                found.len()
            ))
        }
    }

    fn enqueue(&mut self, verb: &str, unit: &str) -> Result<(), String> {
        let words = ["systemctl", "--quiet", "--no-block", verb, "--", unit];
        Program::new(words, QUESTION).run()
    }

    fn said(&mut self, unit: &str) -> String {
        let unit = format!("--unit={unit}");
        let words = [
            "journalctl",
            "--quiet",
            "--no-pager",
            "--boot",
            "--lines=6",
            "--output=cat",
            &unit,
        ];
        Program::new(words, QUESTION).output().unwrap_or_default()
    }

    fn sleep(&mut self, time: Duration) {
        std::thread::sleep(time);
    }

    fn now(&self) -> Duration {
        self.since.elapsed()
    }

    fn boot(&self) -> Option<String> {
        clock::boot_id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Units by name with what each answers to one look after another; the last answer stays.
    #[derive(Default)]
    struct Fake {
        units: BTreeMap<&'static str, Vec<&'static str>>,
        looks: usize,
        asked: Vec<String>,
        refuses: Option<&'static str>,
        time: Duration,
    }

    impl Manager for Fake {
        fn look(&mut self, units: &[&str]) -> Result<Vec<Unit>, String> {
            self.looks += 1;
            Ok(units
                .iter()
                .map(|unit| match self.units.get(unit) {
                    Some(answers) => Unit::parse(answers[(self.looks - 1).min(answers.len() - 1)]),
                    None => Unit::parse("LoadState=not-found\nActiveState=inactive"),
                })
                .collect())
        }

        fn enqueue(&mut self, verb: &str, unit: &str) -> Result<(), String> {
            self.asked.push(format!("{verb} {unit}"));
            match self.refuses {
                Some(refused) if refused == unit => Err("systemctl ended with 5".into()),
                _ => Ok(()),
            }
        }

        fn said(&mut self, unit: &str) -> String {
            format!("{unit}: no such port\n")
        }

        fn sleep(&mut self, time: Duration) {
            self.time += time;
        }

        fn now(&self) -> Duration {
            self.time
        }

        fn boot(&self) -> Option<String> {
            Some("now".into())
        }
    }

    const NEW: &str = "LoadState=loaded\nUnitFileState=enabled\nActiveState=inactive";
    const STARTING: &str = "LoadState=loaded\nUnitFileState=enabled\nActiveState=activating\nJob=7";
    const UP: &str = "LoadState=loaded\nUnitFileState=enabled\nActiveState=active\nInactiveExitTimestampMonotonic=9";
    const FAILED: &str =
        "LoadState=loaded\nUnitFileState=enabled\nActiveState=failed\nResult=exit-code";

    fn held(unit: &str, action: HeldAction, asker: Asker) -> Held {
        Held {
            step: "apps".into(),
            unit: unit.into(),
            action,
            asker,
            boot: Some("now".into()),
        }
    }

    fn begin(unit: &str) -> Held {
        held(unit, HeldAction::Start, Asker::Unit)
    }

    fn run(fake: &mut Fake, held: &[Held]) -> Vec<String> {
        start(fake, held, Duration::from_secs(60), &mut Console::default())
    }

    #[test]
    fn what_was_held_back_is_started_in_its_order_and_waited_for() {
        let mut fake = Fake::default();
        fake.units
            .insert("web.service", vec![NEW, STARTING, STARTING, UP]);
        fake.units.insert("clean.timer", vec![NEW, UP]);
        let faults = run(
            &mut fake,
            &[
                begin("web.service"),
                begin("clean.timer"),
                begin("web.service"),
            ],
        );
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(fake.asked, ["start web.service", "start clean.timer"]);
        assert!(fake.time < Duration::from_secs(5));
    }

    #[test]
    fn what_fails_is_named_with_what_it_said() {
        let mut fake = Fake::default();
        fake.units.insert("a.service", vec![NEW, FAILED]);
        fake.units.insert("b.service", vec![NEW, UP, FAILED]);
        fake.units.insert("c.service", vec![NEW]);
        fake.units.insert("d.service", vec![NEW]);
        fake.refuses = Some("d.service");
        let all = ["a.service", "b.service", "c.service", "d.service"].map(begin);
        let faults = run(&mut fake, &all);
        assert_eq!(
            faults[0],
            "a.service failed (exit-code); it said: a.service: no such port"
        );
        // Called a success at first.
        assert!(faults[1].starts_with("b.service failed"), "{faults:?}");
        assert!(
            faults[2].starts_with("c.service was not started"),
            "{faults:?}"
        );
        assert!(
            faults[3].starts_with("d.service systemctl ended"),
            "{faults:?}"
        );
    }

    #[test]
    fn a_service_that_never_comes_up_costs_bounded_time() {
        let mut fake = Fake::default();
        fake.units.insert("slow.service", vec![NEW, STARTING]);
        let faults = run(&mut fake, &[begin("slow.service")]);
        assert_eq!(faults, ["slow.service was not up after 60 s"]);
        assert!(fake.time <= Duration::from_secs(61));
    }

    #[test]
    fn who_waits_for_the_end_of_the_boot_is_not_waited_for() {
        let mut fake = Fake::default();
        let queued = "LoadState=loaded\nUnitFileState=enabled\nActiveState=inactive\nJob=8\nAfter=basic.target multi-user.target";
        fake.units.insert("last.service", vec![NEW, queued]);
        assert_eq!(
            run(&mut fake, &[begin("last.service")]),
            Vec::<String>::new()
        );
        assert!(fake.time < Duration::from_secs(5));
    }

    #[test]
    fn a_part_that_failed_is_a_fault_of_the_whole() {
        let mut fake = Fake::default();
        let whole = "LoadState=loaded\nUnitFileState=enabled\nActiveState=active\nConsistsOf=db@15-main.service";
        fake.units.insert("db.service", vec![NEW, whole]);
        fake.units.insert("db@15-main.service", vec![FAILED]);
        let faults = run(&mut fake, &[begin("db.service")]);
        assert_eq!(
            faults,
            [
                "db.service is up, its part db@15-main.service is not; it said: db@15-main.service: no such port"
            ]
        );
    }

    /// What systemd 252 prints.
    #[test]
    fn systemds_words_are_understood() {
        let text = "Result=success\nConsistsOf=\nAfter=basic.target\nLoadState=loaded\nActiveState=active\nSubState=running\nSourcePath=\nUnitFileState=enabled\nInactiveExitTimestampMonotonic=27897925378\nJob=\nConditionResult=yes\nConditionTimestampMonotonic=27897924708\n\n\
            Result=success\nActiveState=activating\nSubState=start\nInactiveExitTimestampMonotonic=27897929354\nJob=15\n\n\
            Result=success\nLoadState=not-found\nActiveState=inactive\nUnitFileState=\nInactiveExitTimestampMonotonic=0\nJob=\nConditionResult=no\nConditionTimestampMonotonic=0\n\n\
            Result=success\nActiveState=inactive\nInactiveExitTimestampMonotonic=0\nJob=\nConditionResult=no\nConditionTimestampMonotonic=27901002429\n\n\
            Result=success\nActiveState=inactive\nInactiveExitTimestampMonotonic=27901036214\nJob=\nConditionResult=yes\nConditionTimestampMonotonic=27901035412\n\n\
            Result=exit-code\nActiveState=failed\nJob=\n";
        let found: Vec<Standing> = Unit::parse_all(text).iter().map(Unit::standing).collect();
        assert_eq!(found[..2], [Standing::Up, Standing::Coming]);
        // Never left its place: a unit that it requires failed.
        assert!(matches!(&found[2], Standing::Failed(reason) if reason.contains("requires")));
        assert!(matches!(found[3], Standing::Idle(reason) if reason.contains("condition")));
        assert_eq!(found[4], Standing::Idle("has ended"));
        assert_eq!(found[5], Standing::Failed("failed (exit-code)".into()));
    }

    #[test]
    fn only_what_would_have_been_started_is() {
        let mut fake = Fake::default();
        let with = |state: &'static str| vec![state];
        fake.units.insert(
            "off.service",
            with("LoadState=loaded\nUnitFileState=disabled\nActiveState=inactive"),
        );
        fake.units.insert(
            "masked.service",
            with("LoadState=masked\nUnitFileState=masked\nActiveState=inactive"),
        );
        fake.units.insert("native.service", with(NEW));
        fake.units.insert("script.service", vec!["LoadState=loaded\nUnitFileState=generated\nSourcePath=/etc/init.d/script\nActiveState=inactive", UP]);
        fake.units.insert("runs.service", with(UP));
        let script = |unit: &str, asker| held(unit, HeldAction::Start, asker);
        let all = [
            begin("off.service"),
            script("off.service", Asker::Script),
            script("masked.service", Asker::Script),
            begin("gone.service"),
            script("native.service", Asker::ScriptOnly),
            held("native.service", HeldAction::Reload, Asker::Script),
            script("script.service", Asker::ScriptOnly),
            held("runs.service", HeldAction::Reload, Asker::Script),
        ];
        assert_eq!(run(&mut fake, &all), Vec::<String>::new());
        assert_eq!(
            fake.asked,
            ["start script.service", "try-reload-or-restart runs.service"]
        );
    }

    #[test]
    fn what_runs_is_restarted_unless_it_was_started_after_that_boot() {
        let mut again = held("runs.service", HeldAction::Restart, Asker::Unit);
        let asked = |held: Held| {
            let mut fake = Fake::default();
            fake.units.insert("runs.service", vec![UP]);
            assert_eq!(
                run(&mut fake, &[held, begin("runs.service")]),
                Vec::<String>::new()
            );
            fake.asked
        };
        assert_eq!(asked(again.clone()), ["restart runs.service"]);
        again.boot = Some("before".into());
        assert_eq!(asked(again), ["start runs.service"]);
    }
}
