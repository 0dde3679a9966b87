//! Enables and starts units (systemctl(1)). Enabling works offline; starting waits for nothing.

use std::io;
use std::time::Duration;

use bootsplice_archive::step::Service;

use crate::accounts::{self, User};
use crate::command::Program;
use crate::root::{Access, Root};

/// Places where units of users stand, in the order systemd looks (systemd.unit(5)); `~` is the home.
const USER_UNITS: [&str; 5] = [
    "~/.config/systemd/user",
    "/etc/systemd/user",
    "/usr/local/lib/systemd/user",
    "/usr/lib/systemd/user",
    "/lib/systemd/user",
];

/// Does what `service` says.
pub fn apply(root: &Root, service: &Service, timeout: Duration) -> Result<(), String> {
    match &service.user {
        None => apply_system(root, service, timeout),
        Some(name) => {
            let user = accounts::user(root, name).map_err(|error| error.to_string())?;
            apply_user(root, service, &user, timeout)
        }
    }
}

fn apply_system(root: &Root, service: &Service, timeout: Duration) -> Result<(), String> {
    if service.enable {
        let mut words = vec!["systemctl".into()];
        if !root.is_system() {
            words.push(format!("--root={}", root.path().display()));
        }
        words.extend([
            "--quiet".into(),
            "enable".into(),
            "--".into(),
            service.unit.clone(),
        ]);
        Program::new(words, timeout).run()?;
    }
    if service.start && root.is_system() {
        systemctl(&["--no-block", "start", "--", &service.unit], timeout)?;
    }
    Ok(())
}

/// A user's unit is enabled by its links, as `systemctl --user enable` would make them: there is no manager of hers to ask yet. Lingering starts her manager at boot.
fn apply_user(
    root: &Root,
    service: &Service,
    user: &User,
    timeout: Duration,
) -> Result<(), String> {
    let readable = |error: io::Error| error.to_string();
    if service.enable {
        let (path, text) = find_unit(root, &service.unit, user)?;
        let targets = wanted_by(&text);
        if targets.is_empty() {
            return Err(format!(
                "{path} cannot be enabled: it has no `WantedBy=` in its `[Install]`"
            ));
        }
        for target in targets {
            let link = format!(
                "{}/.config/systemd/user/{target}.wants/{}",
                user.home, service.unit
            );
            let place = root.place(&link, (user.uid, user.gid)).map_err(readable)?;
            let there = place.stat().map_err(readable)?.is_some();
            if !there {
                place
                    .put_link(&path, user.uid, user.gid)
                    .map_err(readable)?;
            }
        }
    }
    if service.enable || service.start {
        linger(root, user).map_err(readable)?;
    }
    if service.start && root.is_system() {
        let manager = format!("user@{}.service", user.uid);
        if service.enable {
            systemctl(&["--no-block", "start", "--", &manager], timeout)?;
        } else {
            systemctl(&["start", "--", &manager], timeout)?;
            let machine = format!("--machine={}@.host", user.name);
            systemctl(
                &[
                    "--user",
                    &machine,
                    "--no-block",
                    "start",
                    "--",
                    &service.unit,
                ],
                timeout,
            )?;
        }
    }
    Ok(())
}

fn find_unit(root: &Root, unit: &str, user: &User) -> Result<(String, String), String> {
    for directory in USER_UNITS {
        let directory = directory.replace('~', &user.home);
        let path = format!("{directory}/{unit}");
        let bytes = root
            .read(&path, 1 << 20)
            .map_err(|error| error.to_string())?;
        if let Some(bytes) = bytes {
            return Ok((path, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    Err(format!(
        "no unit `{unit}` for the user `{}`: put it in an earlier step",
        user.name
    ))
}

fn wanted_by(text: &str) -> Vec<String> {
    let mut section = "";
    let mut targets = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if section == "[Install]"
            && let Some((key, value)) = line.split_once('=')
            && key.trim() == "WantedBy"
        {
            targets.extend(
                value
                    .split_whitespace()
                    .filter(|target| !target.contains('/'))
                    .map(str::to_owned),
            );
        }
    }
    targets
}

fn linger(root: &Root, user: &User) -> io::Result<()> {
    let owner = crate::entry::process_owner();
    let place = root.place(&format!("/var/lib/systemd/linger/{}", user.name), owner)?;
    if place.stat()?.is_some() {
        return Ok(());
    }
    let access = Access {
        mode: 0o644,
        uid: owner.0,
        gid: owner.1,
    };
    place.put_file(&mut io::empty(), access, |_, _| Ok(()))
}

fn systemctl(arguments: &[&str], timeout: Duration) -> Result<(), String> {
    Program::new([&["systemctl"], arguments].concat(), timeout).run()
}
