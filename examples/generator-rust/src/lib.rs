//! An example of a generator: a table of one line per job becomes systemd services and timers.
//!
//! ```yaml
//! - id: jobs
//!   use: timers
//!   at: base
//!   with: { spread: 3600, timers: { backup: "daily | root | /usr/local/bin/backup --all" } }
//! ```
//!
//! With `spread` the step needs the instance, so it runs once for each; without, its layer is made once for all.
//!
//! Build it with `cargo build --profile small --target wasm32-wasip2 -p bootsplice-example-timers`, and copy what lies in
//! `target/wasm32-wasip2/small/bootsplice_example_timers.wasm` to the host's directory of plugins.

use std::collections::BTreeMap;

use bootsplice_sdk::path::{check_path, check_user};
use bootsplice_sdk::prelude::*;
use serde::Deserialize;

/// `with:` of a step that uses `timers`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub timers: BTreeMap<String, String>,
    /// Seconds over which the instances of a fleet are spread: each starts its jobs later than the calendar says, by its own share.
    #[serde(default)]
    pub spread: u32,
}

/// A line of the table, cut at its bars.
struct Timer<'a> {
    calendar: &'a str,
    user: &'a str,
    command: &'a str,
}

/// The generator.
pub struct Timers;

// === impl Timer ===

impl<'a> Timer<'a> {
    fn parse(line: &'a str) -> Result<Self, String> {
        let mut cells = line.splitn(3, '|').map(str::trim);
        let (Some(calendar), Some(user), Some(command)) =
            (cells.next(), cells.next(), cells.next())
        else {
            return Err("a line is `calendar | user | command`".to_owned());
        };
        if line.chars().any(char::is_control) {
            return Err("a line holds no line break and no other control character".to_owned());
        }
        if calendar.is_empty() {
            return Err("the calendar is empty".to_owned());
        }
        check_user(user).map_err(str::to_owned)?;
        let program = command.split(' ').next().unwrap_or(command);
        if !program.starts_with('/') || check_path(program).is_err() {
            return Err(format!("`{program}` is not the absolute path of a program"));
        }
        Ok(Self {
            calendar,
            user,
            command,
        })
    }

    fn service(&self, name: &str, delay: Option<u32>) -> String {
        let Self { user, command, .. } = self;
        let delay = delay.map_or_else(String::new, |delay| {
            format!("ExecStartPre=/bin/sleep {delay}\n")
        });
        format!(
            "[Unit]\nDescription={name}\n\n[Service]\nType=oneshot\nUser={user}\n{delay}ExecStart={command}\n"
        )
    }

    fn timer(&self, name: &str) -> String {
        let calendar = self.calendar;
        format!(
            "[Unit]\nDescription={name}\n\n[Timer]\nOnCalendar={calendar}\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n"
        )
    }
}

// === impl Timers ===

impl Generator for Timers {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor {
            id: "timers".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            title: "Timers".into(),
            summary: "Commands that systemd runs by the calendar, one line each.".into(),
            os_families: vec![OsFamily::Linux],
            stage: StepStage::Late,
            capabilities: CapabilityRequest {
                fetch: vec![],
                secrets: vec![],
            },
            config_schema: include_str!("../schema.json").into(),
            examples: vec![Example {
                title: "A backup every night".into(),
                config: r#"{"timers": {"backup": "daily | root | /usr/local/bin/backup --all"}}"#
                    .into(),
            }],
            joins_steps: false,
        }
    }

    fn validate(_target: Option<&Target>, config: &Config) -> Vec<Diagnostic> {
        let lines = config.timers.iter();
        let findings = lines.filter_map(|(name, line)| {
            let reason = Timer::parse(line).err()?;
            let at = Pointer::root().key("timers").key(name);
            Some(
                Diagnostic::error(at, "invalid-line", reason)
                    .with_hint("write it like `daily | root | /usr/local/bin/backup --all`"),
            )
        });
        findings.collect()
    }

    fn resolve(
        _target: &Target,
        config: &Config,
        _previous: Option<Locked>,
    ) -> Result<LockFile, Error> {
        // No share has more digits than the whole.
        let longest = (config.spread > 0).then_some(config.spread);
        Ok(LockFile {
            needs_instance: longest.is_some(),
            ..LockFile::without_pins(content(config, longest)?.max_output())
        })
    }

    fn generate(
        _target: &Target,
        config: &Config,
        locked: &Locked,
        instance: Option<&Instance>,
        sink: &Sink,
    ) -> Result<Summary, Error> {
        let delay = instance.map(|instance| share(&instance.id, config.spread));
        content(config, delay)?.write(locked, sink)
    }
}

/// The part of `spread` that falls to an instance: always the same (FNV-1a of its id).
fn share(instance: &str, spread: u32) -> u32 {
    let hash = instance
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    // Below `spread`, so it fits.
    (hash % u64::from(spread.max(1))) as u32
}

/// Two unit files for each line, and their timer enabled and started.
fn content(config: &Config, delay: Option<u32>) -> Result<StepContent, Error> {
    let mut content = StepContent::default();
    for (name, line) in &config.timers {
        let timer = Timer::parse(line).map_err(Error::Fault)?;
        for (kind, text) in [
            ("service", timer.service(name, delay)),
            ("timer", timer.timer(name)),
        ] {
            let attrs = entry_attrs(None, 0o644, None, None, OnConflict::Replace);
            content.entries.push(Entry {
                path: format!("/etc/systemd/system/{name}.{kind}"),
                kind: Kind::Bytes(attrs, text.into_bytes()),
            });
        }
        content.actions.push(Action::Service(Service {
            unit: format!("{name}.timer"),
            user: None,
            enable: true,
            start: true,
        }));
    }
    Ok(content)
}

bootsplice_sdk::export!(Timers);

#[cfg(test)]
mod tests {
    use super::*;

    fn config(line: &str) -> Config {
        Config {
            timers: BTreeMap::from([("backup".to_owned(), line.to_owned())]),
            spread: 0,
        }
    }

    #[test]
    fn a_line_becomes_a_service_a_timer_and_its_start() {
        let content = content(&config("daily | ada | /usr/bin/x --a | sort"), None).unwrap();
        let Kind::Bytes(_, service) = &content.entries[0].kind else {
            panic!()
        };
        let service = String::from_utf8_lossy(service);
        assert!(
            service.contains("User=ada\nExecStart=/usr/bin/x --a | sort\n"),
            "{service}"
        );
        assert_eq!(content.entries[1].path, "/etc/systemd/system/backup.timer");
        assert!(
            matches!(&content.actions[..], [Action::Service(service)] if service.unit == "backup.timer")
        );
    }

    #[test]
    fn instances_are_spread_and_each_keeps_its_share() {
        let shares: Vec<_> = (0..100).map(|n| share(&format!("web-{n}"), 3600)).collect();
        assert!(shares.iter().all(|&share| share < 3600));
        let different: std::collections::BTreeSet<_> = shares.iter().collect();
        assert!(different.len() > 90, "{shares:?}");
        assert_eq!(share("web-1", 3600), shares[1]);

        let content = content(&config("daily | ada | /bin/x"), Some(17)).unwrap();
        let Kind::Bytes(_, service) = &content.entries[0].kind else {
            panic!()
        };
        let service = String::from_utf8_lossy(service);
        assert!(
            service.contains("ExecStartPre=/bin/sleep 17\nExecStart=/bin/x\n"),
            "{service}"
        );
    }

    #[test]
    fn a_line_that_is_no_job_is_named_by_its_pointer() {
        for wrong in [
            "daily",
            "daily | root",
            " | root | /bin/x",
            "daily | a b | /bin/x",
            "daily | root | x",
            "daily | root | /bin/x\nUser=root",
        ] {
            let found = Timers::validate(None, &config(wrong));
            assert_eq!(found.len(), 1, "{wrong}");
            assert_eq!(found[0].pointer, "/timers/backup");
        }
    }
}
