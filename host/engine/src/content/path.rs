//! Paths in the guest: one normal form, everything else refused, never repaired (threat 11).

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::contract::OsFamily;

const MAX_PATH: usize = 4096;
const MAX_SEGMENT: usize = 255;

/// Where a thing goes: absolute (`/etc/motd`) or in a user's home (`~ada/notes`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GuestPath(String);

/// What differs between operating systems.
#[derive(Clone, Copy, Debug)]
pub struct PathRules {
    os: OsFamily,
}

/// Why a text is not a path in the guest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("path `{path}`: {reason}")]
pub struct PathError {
    pub path: String,
    pub reason: &'static str,
}

// === impl PathRules ===

impl PathRules {
    pub fn new(os: OsFamily) -> Self {
        Self { os }
    }

    /// Checks and takes `text`.
    pub fn path(&self, text: &str) -> Result<GuestPath, PathError> {
        let wrong = |reason| PathError {
            path: text.chars().take(200).collect(),
            reason,
        };
        if text.len() > MAX_PATH {
            return Err(wrong("longer than 4096 bytes"));
        }
        let below = if let Some(home) = text.strip_prefix('~') {
            let (user, below) = home
                .split_once('/')
                .ok_or_else(|| wrong("a home is `~user/…`"))?;
            if !is_user(user) {
                return Err(wrong("the user's name after `~` is not valid"));
            }
            below
        } else {
            text.strip_prefix('/')
                .ok_or_else(|| wrong("start it with `/` or `~user/`"))?
        };
        for segment in below.split('/') {
            self.segment(segment).map_err(wrong)?;
        }
        Ok(GuestPath(text.to_owned()))
    }

    /// Checks a symbolic link's target: relative, and lexically inside the root (or home) that `link` lies in.
    pub fn symlink(&self, link: &GuestPath, to: &str) -> Result<(), PathError> {
        let wrong = |reason| PathError {
            path: format!("{link} -> {}", to.chars().take(200).collect::<String>()),
            reason,
        };
        if to.is_empty() || to.len() >= MAX_PATH {
            return Err(wrong("a link's target has 1 to 4095 bytes"));
        }
        if to.starts_with('/') || to.starts_with('~') {
            return Err(wrong("a link's target is relative"));
        }
        let mut depth = link.segments().count() - 1;
        for segment in to.split('/') {
            match segment {
                "" | "." => {}
                ".." => {
                    depth = depth
                        .checked_sub(1)
                        .ok_or_else(|| wrong("it leads out of its root"))?;
                }
                name => {
                    self.segment(name).map_err(wrong)?;
                    depth += 1;
                }
            }
        }
        Ok(())
    }

    /// Two paths with one key are one file to this operating system, or look like one: Unicode forms are joined everywhere,
    /// upper and lower case on Windows.
    pub fn collision_key(&self, path: &GuestPath) -> String {
        let composed: String = path.0.nfc().collect();
        match self.os {
            OsFamily::Windows => composed.to_lowercase(),
            OsFamily::Linux | OsFamily::Bsd | OsFamily::Other => composed,
        }
    }

    fn segment(&self, segment: &str) -> Result<(), &'static str> {
        if segment.is_empty() {
            return Err("an empty segment (`//`, or a `/` at the end)");
        }
        if segment == "." || segment == ".." {
            return Err("a `.` or `..` segment");
        }
        if segment.len() > MAX_SEGMENT {
            return Err("a segment longer than 255 bytes");
        }
        if segment.chars().any(char::is_control) {
            return Err("a control character");
        }
        if segment.chars().any(is_direction_mark) {
            return Err("a character that reverses the direction of text");
        }
        if self.os == OsFamily::Windows {
            if segment.contains(['\\', ':', '<', '>', '"', '|', '?', '*']) {
                return Err("a character that Windows does not allow");
            }
            if segment.ends_with([' ', '.']) {
                return Err("Windows drops a space or dot at the end of a name");
            }
            if is_device(segment) {
                return Err("a name that Windows keeps for a device");
            }
        }
        Ok(())
    }
}

// === impl GuestPath ===

impl GuestPath {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The user whose home the path is in.
    pub fn user(&self) -> Option<&str> {
        self.0.strip_prefix('~')?.split('/').next()
    }

    /// Where the payload lies below a step's `tree/`: `root/etc/motd`, `home/ada/notes` (RFC 0003).
    pub fn in_tree(&self) -> String {
        match self.0.strip_prefix('~') {
            Some(home) => format!("home/{home}"),
            None => format!("root{}", self.0),
        }
    }

    /// Segments below the root or the home.
    fn segments(&self) -> impl Iterator<Item = &str> {
        let below = match self.0.strip_prefix('~') {
            Some(home) => home.split_once('/').map_or("", |(_, below)| below),
            None => &self.0[1..],
        };
        below.split('/')
    }
}

impl fmt::Display for GuestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A login name as shadow and systemd take it.
pub(super) fn is_user(name: &str) -> bool {
    let body = name.strip_suffix('$').unwrap_or(name);
    (1..=32).contains(&name.len())
        && body
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && body
            .bytes()
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_')
}

/// Marks and overrides that make a name read as another (Trojan Source, CVE-2021-42574).
fn is_direction_mark(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

fn is_device(segment: &str) -> bool {
    let stem = segment.split('.').next().unwrap_or(segment);
    let stem = stem.trim_end().to_ascii_uppercase();
    matches!(
        stem.as_str(),
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$"
    ) || ["COM", "LPT"].iter().any(|port| {
        stem.strip_prefix(port).is_some_and(|rest| {
            matches!(
                rest,
                "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³"
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINUX: PathRules = PathRules {
        os: OsFamily::Linux,
    };
    const WINDOWS: PathRules = PathRules {
        os: OsFamily::Windows,
    };

    #[test]
    fn a_path_outside_its_normal_form_is_refused() {
        for good in [
            "/etc/motd",
            "~ada/Documents/plan.txt",
            "/a b/ü",
            "/systemd/dev-disk\\x2d1.mount",
        ] {
            assert_eq!(LINUX.path(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "/",
            "etc/motd",
            "//etc",
            "/etc/",
            "/etc//x",
            "/../x",
            "/etc/./x",
            "/etc/..",
            "~",
            "~/x",
            "~ada",
            "~ada/",
            "~ada/../bob",
            "~../x",
            "/a\0b",
            "/a\nb",
            "/a\u{1b}[2J",
            "/exe\u{202e}txt.sh",
        ] {
            assert!(LINUX.path(bad).is_err(), "{bad:?}");
        }
        assert!(LINUX.path(&format!("/{}", "x".repeat(256))).is_err());
        assert!(LINUX.path(&"/x".repeat(3000)).is_err());
    }

    #[test]
    fn names_that_windows_reads_otherwise_are_refused_there() {
        for bad in [
            "/c:/x",
            "/a\\b",
            "/NUL",
            "/nul.txt",
            "/com1.log",
            "/x ",
            "/x.",
            "/a*",
        ] {
            assert!(WINDOWS.path(bad).is_err(), "{bad}");
        }
        assert!(WINDOWS.path("/Program Files/console.txt").is_ok());
    }

    #[test]
    fn a_link_stays_inside_its_root() {
        let link = LINUX.path("/usr/bin/x").unwrap();
        for good in ["y", "../lib/y", "../../etc/y", "./y"] {
            assert!(LINUX.symlink(&link, good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/etc/shadow",
            "../../../etc/shadow",
            "a/../../../../x",
            "~root/x",
        ] {
            assert!(LINUX.symlink(&link, bad).is_err(), "{bad}");
        }
        let home = LINUX.path("~ada/x").unwrap();
        assert!(LINUX.symlink(&home, "../bob/y").is_err());
    }

    #[test]
    fn one_name_in_two_unicode_forms_collides() {
        let composed = LINUX.path("/caf\u{e9}").unwrap();
        let decomposed = LINUX.path("/cafe\u{301}").unwrap();
        assert_eq!(
            LINUX.collision_key(&composed),
            LINUX.collision_key(&decomposed)
        );
        let upper = WINDOWS.path("/A").unwrap();
        let lower = WINDOWS.path("/a").unwrap();
        assert_eq!(WINDOWS.collision_key(&upper), WINDOWS.collision_key(&lower));
        assert_ne!(LINUX.collision_key(&upper), LINUX.collision_key(&lower));
    }

    #[test]
    fn the_tree_keeps_roots_and_homes_apart() {
        assert_eq!(LINUX.path("/etc/motd").unwrap().in_tree(), "root/etc/motd");
        assert_eq!(LINUX.path("~ada/x").unwrap().in_tree(), "home/ada/x");
    }
}
