//! The guest's `policy-rc.d` while packages are installed (invoke-rc.d(8), deb-systemd-invoke(1p)): nothing is started, and what would have been is written down for the stage `late`.
//!
//! Debian's maintainer scripts ask before they start anything, so the record holds exactly what an installation on a running machine would have left running: units, sockets and timers that are enabled, and scripts without a unit.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::clock;

/// Where it is written down. `/run`: the next boot starts what is enabled by itself.
pub const RECORD: &str = "/run/bootsplice/services";
/// The variable that tells every program of a step its step.
pub const STEP: &str = "BOOTSPLICE_STEP";
/// How far up a question is followed to the program that has it: shells may stand between.
const ANCESTORS: usize = 6;
/// Larger records are not read.
const LIMIT: u64 = 1 << 20;

/// One start that was held back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Of whose package.
    pub step: String,
    /// With its suffix.
    pub unit: String,
    pub action: HeldAction,
    pub asker: Asker,
    /// The boot in which it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldAction {
    /// Tell it that something changed, if it runs.
    Reload,
    Start,
    Restart,
}

/// Who asked: it decides which units are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asker {
    /// deb-systemd-invoke: units, started only when they are enabled.
    Unit,
    /// invoke-rc.d: a script, or the unit of its name. It looked itself whether that is enabled.
    Script,
    /// `invoke-rc.d --skip-systemd-native`: a script that has no unit of its own.
    ScriptOnly,
}

/// What is said to who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Allowed,
    /// Not now. These are to be started later.
    Denied(Vec<(String, HeldAction, Asker)>),
}

/// Answers a question, `words` being the arguments of policy-rc.d; true when it is allowed. What is denied is added to `record`.
pub fn ask(words: &[String], record: &Path) -> io::Result<bool> {
    let Answer::Denied(units) = answer(words, &asker(std::process::id())) else {
        return Ok(true);
    };
    let step = std::env::var(STEP).unwrap_or_default();
    let mut lines = Vec::new();
    for (unit, action, asker) in units {
        let held = Held {
            step: step.clone(),
            unit,
            action,
            asker,
            boot: clock::boot_id(),
        };
        serde_json::to_writer(&mut lines, &held)?;
        lines.push(b'\n');
    }
    if let Some(directory) = record.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut file = File::options()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(record)?;
    file.write_all(&lines)?;
    Ok(false)
}

/// What is written down, each once, in the order it was asked for. A line that is damaged is nothing.
pub fn read(record: &Path) -> io::Result<Vec<Held>> {
    use std::io::Read as _;
    let mut text = String::new();
    match File::open(record) {
        Ok(file) => file.take(LIMIT).read_to_string(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut all: Vec<Held> = Vec::new();
    for held in text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
    {
        if !all.contains(&held) {
            all.push(held);
        }
    }
    Ok(all)
}

/// `words` is `[--OPTION…] NAME ACTIONS [RUNLEVEL]`; `asker` the command line of deb-systemd-invoke or invoke-rc.d behind it, if it is known.
pub fn answer(words: &[String], asker: &[String]) -> Answer {
    let mut plain = words.iter().filter(|word| !word.starts_with("--"));
    let (Some(name), Some(actions)) = (plain.next(), plain.next()) else {
        return Answer::Allowed;
    };
    // `(start)`: it is not enabled, and would not be started anyway.
    let out_of_level = actions.starts_with('(');
    let action = actions.split_whitespace().next().unwrap_or_default();
    let action = match action {
        "stop" | "force-stop" | "status" => return Answer::Allowed,
        "start" => HeldAction::Start,
        "restart" => HeldAction::Restart,
        _ => HeldAction::Reload,
    };
    let has = |option: &str| asker.iter().any(|word| word == option);
    // Managers of users start their units themselves; none runs yet.
    if out_of_level || has("--user") {
        return Answer::Denied(Vec::new());
    }
    let by_unit = asker
        .first()
        .is_some_and(|name| name == "deb-systemd-invoke");
    let kind = match (by_unit, has("--skip-systemd-native")) {
        (true, _) => Asker::Unit,
        (false, true) => Asker::ScriptOnly,
        // Nobody else names units with their suffix.
        (false, false) if asker.is_empty() && has_suffix(name) => Asker::Unit,
        (false, false) => Asker::Script,
    };
    // It gives up at the first unit that is denied, and asks for no other.
    let mut units: Vec<&String> = vec![name];
    if by_unit {
        let others = asker[1..].iter().filter(|word| !word.starts_with("--"));
        units.extend(others.skip(1).filter(|other| *other != name));
    }
    Answer::Denied(
        units
            .into_iter()
            .filter_map(|name| Some((unit(name, kind)?, action, kind)))
            .collect(),
    )
}

/// The unit that `name` means; none for what is no name of one (patterns, templates).
fn unit(name: &str, asker: Asker) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":_.\\@-".contains(&byte);
    if name.is_empty() || name.len() > 200 || name.starts_with('-') || !name.bytes().all(plain) {
        return None;
    }
    let unit = match asker {
        Asker::Unit if has_suffix(name) => name.to_owned(),
        Asker::Unit => format!("{name}.service"),
        _ => format!("{}.service", name.strip_suffix(".sh").unwrap_or(name)),
    };
    (!unit.contains("@.")).then_some(unit)
}

fn has_suffix(name: &str) -> bool {
    const SUFFIXES: [&str; 6] = [
        ".service", ".socket", ".timer", ".path", ".mount", ".target",
    ];
    SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// The name and arguments of the deb-systemd-invoke or invoke-rc.d that `process` descends from; empty when there is none.
fn asker(process: u32) -> Vec<String> {
    let mut process = process;
    for _ in 0..ANCESTORS {
        let Some(parent) = parent(process) else { break };
        let line = fs::read(format!("/proc/{parent}/cmdline")).unwrap_or_default();
        if let Some(words) = command(&line) {
            return words;
        }
        process = parent;
    }
    Vec::new()
}

/// A command line as `/proc` has it, from the name of its script on.
fn command(line: &[u8]) -> Option<Vec<String>> {
    let mut words: Vec<String> = line
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    // An interpreter and its options stand before.
    let at = words.iter().take(4).position(|word| {
        let name = word.rsplit('/').next().unwrap_or_default();
        !word.contains(char::is_whitespace) && matches!(name, "deb-systemd-invoke" | "invoke-rc.d")
    })?;
    let mut words = words.split_off(at);
    words[0] = words[0].rsplit('/').next().unwrap_or_default().to_owned();
    words.retain(|word| !word.is_empty());
    Some(words)
}

/// proc_pid_stat(5): the name may hold anything, so what follows its last parenthesis counts.
fn parent(process: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    let parent = rest.split_whitespace().nth(1)?.parse().ok()?;
    (parent > 0).then_some(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    }

    fn denied(asked: &str, asker: &str) -> Vec<(String, HeldAction, Asker)> {
        match answer(&words(asked), &words(asker)) {
            Answer::Denied(units) => units,
            Answer::Allowed => panic!("`{asked}` was allowed"),
        }
    }

    #[test]
    fn every_unit_of_a_package_is_held_though_only_the_first_is_asked_for() {
        let all = denied(
            "ssh.service start",
            "deb-systemd-invoke start ssh.service ssh.socket clean.timer",
        );
        let names: Vec<_> = all.iter().map(|(unit, _, _)| unit.as_str()).collect();
        assert_eq!(names, ["ssh.service", "ssh.socket", "clean.timer"]);
        let one = denied("ssh.service restart", "");
        assert_eq!(
            one,
            [("ssh.service".into(), HeldAction::Restart, Asker::Unit)]
        );
    }

    #[test]
    fn scripts_are_held_by_the_unit_of_their_name() {
        let one = |asked: &str, asker: &str| denied(asked, asker).remove(0);
        assert_eq!(
            one("postgresql start 5", "invoke-rc.d postgresql start 15"),
            (
                "postgresql.service".into(),
                HeldAction::Start,
                Asker::Script
            )
        );
        let native = one(
            "--quiet old.sh start",
            "invoke-rc.d --skip-systemd-native old.sh start",
        );
        assert_eq!(
            native,
            ("old.service".into(), HeldAction::Start, Asker::ScriptOnly)
        );
        assert_eq!(
            one("nginx upgrade", "invoke-rc.d nginx upgrade").1,
            HeldAction::Reload
        );
    }

    #[test]
    fn what_is_not_enabled_what_stops_and_what_is_a_users_is_not_held() {
        for asked in ["nginx status", "nginx stop 5", "--list nginx"] {
            assert_eq!(answer(&words(asked), &[]), Answer::Allowed, "{asked}");
        }
        assert_eq!(denied("nginx (start) 5", ""), []);
        assert_eq!(
            denied(
                "pipewire.socket start",
                "deb-systemd-invoke --user start pipewire.socket"
            ),
            []
        );
        assert_eq!(
            denied("a@.service start", "deb-systemd-invoke start a@.service b*"),
            []
        );
    }

    #[test]
    fn the_asking_program_is_found_behind_its_interpreter() {
        let line = b"/usr/bin/perl\0-w\0/usr/bin/deb-systemd-invoke\0start\0a.service\0";
        assert_eq!(
            command(line).unwrap(),
            ["deb-systemd-invoke", "start", "a.service"]
        );
        assert_eq!(command(b"sh\0-c\0invoke-rc.d x start\0"), None);
        assert!(parent(std::process::id()).is_some());
    }

    #[test]
    fn the_record_keeps_each_request_once_and_survives_a_damaged_line() {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("run/services");
        assert_eq!(read(&record).unwrap(), []);
        for asked in ["a.service start", "a.service start", "b.timer start"] {
            assert!(!ask(&words(asked), &record).unwrap());
        }
        assert!(ask(&words("a.service stop"), &record).unwrap());
        let mut file = File::options().append(true).open(&record).unwrap();
        file.write_all(b"{\"step\":\"cut sho").unwrap();
        let held = read(&record).unwrap();
        let names: Vec<_> = held.iter().map(|one| one.unit.as_str()).collect();
        assert_eq!(names, ["a.service", "b.timer"]);
        assert_eq!(held[0].boot, clock::boot_id());
    }
}
