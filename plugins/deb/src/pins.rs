//! Which version of a package is wanted: apt's preferences (apt_preferences(5)), with the priorities that releases have by themselves.

mod pattern;

use crate::control::stanzas;
use crate::origin::Origin;
use crate::{Error, Result};
use pattern::Pattern;
pub(crate) use pattern::glob_matches;

/// Priority of a version that is installed, and of releases that upgrade only what came from them.
pub const INSTALLED: i32 = 100;

/// Priority of releases by themselves.
pub const NORMAL: i32 = 500;

/// From here on a version wins although the installed one is newer.
pub const DOWNGRADE: i32 = 1000;

/// `Pin-Priority: never`: below every number.
const NEVER: i32 = -32768;

/// The preferences of an image or a profile, in the order in which apt reads them.
#[derive(Clone, Debug, Default)]
pub struct Preferences {
    /// Pins of `Package: *`.
    general: Vec<Pin>,
    specific: Vec<(Vec<Package>, Pin)>,
}

/// What a pin looks at.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The package.
    pub name: &'a str,
    /// Its architecture, that of `all` being the native one.
    pub architecture: &'a str,
    /// It is of the native architecture.
    pub native: bool,
    /// Its source package.
    pub source: &'a str,
    /// Its version.
    pub version: &'a str,
    /// It is the installed version.
    pub installed: bool,
}

#[derive(Clone, Debug)]
struct Package {
    source: bool,
    name: Pattern,
    architecture: Option<String>,
}

#[derive(Clone, Debug)]
struct Pin {
    target: Target,
    priority: i32,
}

#[derive(Clone, Debug)]
enum Target {
    Version(Pattern),
    Site(Pattern),
    Release(Box<Release>),
}

/// The parts of `Pin: release`; none means any.
#[derive(Clone, Debug, Default)]
struct Release {
    everything: bool,
    version: Option<Pattern>,
    origin: Option<Pattern>,
    archive: Option<Pattern>,
    codename: Option<Pattern>,
    label: Option<Pattern>,
    component: Option<Pattern>,
    architecture: Option<Pattern>,
    /// A name alone: archive or codename.
    name: Option<Pattern>,
}

// === impl Preferences ===

impl Preferences {
    /// Reads a file of preferences and adds it behind what is there.
    pub fn read(&mut self, bytes: &[u8]) -> Result<()> {
        for stanza in stanzas(bytes) {
            let stanza = stanza?;
            if stanza.fields().next().is_none() {
                continue;
            }
            let place = format!("preferences, the stanza at byte {}", stanza.offset);
            let target = stanza.need("Pin")?;
            let priority = stanza.need("Pin-Priority")?;
            let pin = Pin {
                target: Target::parse(target).ok_or_else(|| {
                    Error::malformed(
                        place.clone(),
                        target,
                        "a pin: version, release or origin and a value",
                    )
                })?,
                priority: match priority {
                    "never" => NEVER,
                    number => match number.parse::<i16>() {
                        Ok(number) if number != 0 && i32::from(number) != NEVER => number.into(),
                        _ => {
                            return Err(Error::malformed(
                                place,
                                priority,
                                "a priority: a number but 0, of 16 bits",
                            ));
                        }
                    },
                },
            };
            let packages = stanza.need("Package")?;
            if packages == "*" {
                self.general.push(pin);
                continue;
            }
            let packages = packages
                .split_ascii_whitespace()
                .map(|word| {
                    Package::parse(word).ok_or_else(|| {
                        Error::malformed(place.clone(), word, "a package, a glob or a /pattern/")
                    })
                })
                .collect::<Result<Vec<_>>>()?;
            self.specific.push((packages, pin));
        }
        Ok(())
    }

    /// Sets `APT::Default-Release`: that release has priority 990 before all other pins of releases.
    pub fn default_release(&mut self, release: &str) -> Result<()> {
        let target = Target::parse(&format!("release {release}"))
            .ok_or_else(|| Error::malformed("default release", release, "a release"))?;
        self.general.insert(
            0,
            Pin {
                target,
                priority: 990,
            },
        );
        Ok(())
    }

    /// The priority of everything that comes from an origin.
    pub fn of_origin(&self, origin: &Origin, architecture: &str) -> i32 {
        let own = if origin.but_automatic_upgrades {
            INSTALLED
        } else if origin.not_automatic {
            1
        } else {
            NORMAL
        };
        let mut found = None;
        for pin in &self.general {
            if (found.is_none() || pin.priority == NEVER)
                && found != Some(NEVER)
                && pin.target.is_from(origin, architecture)
            {
                found = Some(pin.priority);
            }
        }
        found.unwrap_or(own)
    }

    /// The priority of one version, given where it comes from. 0 or less: it is not installed by itself.
    pub fn priority<'o>(
        &self,
        facts: &Facts<'_>,
        origins: impl Iterator<Item = &'o Origin> + Clone,
    ) -> i32 {
        for (packages, pin) in &self.specific {
            let meant = packages.iter().any(|package| package.is(facts));
            if !meant || !pin.target.matches(facts, origins.clone()) {
                continue;
            }
            let all_never = origins
                .clone()
                .all(|origin| self.of_origin(origin, facts.architecture) == NEVER);
            if pin.priority == NEVER || !all_never || facts.installed {
                return pin.priority;
            }
            break;
        }
        let now = facts.installed.then(|| self.of_installed());
        origins
            .map(|origin| self.of_origin(origin, facts.architecture))
            .chain(now)
            .max()
            .unwrap_or(0)
    }

    /// The priority of what is installed: the image counts as an archive named `now`.
    fn of_installed(&self) -> i32 {
        let now = |pattern: &Option<Pattern>| {
            pattern
                .as_ref()
                .is_none_or(|pattern| pattern.matches("now"))
        };
        self.general
            .iter()
            .find(|pin| match &pin.target {
                Target::Release(release) => {
                    let unknown = [
                        &release.version,
                        &release.origin,
                        &release.codename,
                        &release.label,
                    ];
                    release.everything
                        || unknown.iter().all(|part| part.is_none())
                            && release.component.is_none()
                            && now(&release.archive)
                            && now(&release.name)
                }
                Target::Version(_) | Target::Site(_) => false,
            })
            .map_or(INSTALLED, |pin| pin.priority)
    }
}

// === impl Package ===

impl Package {
    fn parse(word: &str) -> Option<Self> {
        let (source, word) = match word.strip_prefix("src:") {
            Some(rest) => (true, rest),
            None => (false, word),
        };
        // A colon within /…/ is the pattern's own.
        let after_pattern = word.rfind('/').unwrap_or(0);
        let (name, architecture) = match word[after_pattern..].rfind(':') {
            Some(at) => (
                &word[..after_pattern + at],
                Some(word[after_pattern + at + 1..].to_owned()),
            ),
            None => (word, None),
        };
        Some(Self {
            source,
            name: Pattern::parse(name)?,
            architecture,
        })
    }

    fn is(&self, facts: &Facts<'_>) -> bool {
        let here = match self.architecture.as_deref() {
            None | Some("native") => facts.native,
            Some("any") => true,
            Some(architecture) => architecture == facts.architecture,
        };
        here && self.name.matches(if self.source {
            facts.source
        } else {
            facts.name
        })
    }
}

// === impl Target ===

impl Target {
    fn parse(text: &str) -> Option<Self> {
        let (kind, value) = text.split_once(char::is_whitespace)?;
        let value = value.trim();
        if value.is_empty() {
            return None;
        }
        match kind {
            "version" => Pattern::parse(value).map(Self::Version),
            "origin" => Pattern::parse(value.trim_matches('"')).map(Self::Site),
            "release" => Release::parse(value).map(|release| Self::Release(Box::new(release))),
            _ => None,
        }
    }

    fn is_from(&self, origin: &Origin, architecture: &str) -> bool {
        match self {
            Self::Version(_) => false,
            Self::Site(site) => site.matches(&origin.site),
            Self::Release(release) => release.is(origin, architecture),
        }
    }

    fn matches<'o>(
        &self,
        facts: &Facts<'_>,
        mut origins: impl Iterator<Item = &'o Origin>,
    ) -> bool {
        match self {
            Self::Version(version) => version.matches(facts.version),
            Self::Site(_) | Self::Release(_) => {
                origins.any(|origin| self.is_from(origin, facts.architecture))
            }
        }
    }
}

// === impl Release ===

impl Release {
    fn parse(text: &str) -> Option<Self> {
        let mut release = Self::default();
        if text == "*" {
            release.everything = true;
            return Some(release);
        }
        if !text.contains('=') {
            let pattern = Some(Pattern::parse(text)?);
            if text.starts_with(|c: char| c.is_ascii_digit()) {
                release.version = pattern;
            } else {
                release.name = pattern;
            }
            return Some(release);
        }
        for part in text.split(',') {
            let (key, value) = part.trim().split_once('=')?;
            let slot = match key.to_ascii_lowercase().as_str() {
                "v" => &mut release.version,
                "o" => &mut release.origin,
                "a" => &mut release.archive,
                "n" => &mut release.codename,
                "l" => &mut release.label,
                "c" => &mut release.component,
                "b" => &mut release.architecture,
                _ => return None,
            };
            *slot = Some(Pattern::parse(value)?);
        }
        Some(release)
    }

    fn is(&self, origin: &Origin, architecture: &str) -> bool {
        let part = |pattern: &Option<Pattern>, text: &str| {
            pattern.as_ref().is_none_or(|pattern| pattern.matches(text))
        };
        self.everything
            || part(&self.version, &origin.version)
                && part(&self.origin, &origin.origin)
                && part(&self.archive, &origin.suite)
                && part(&self.codename, &origin.codename)
                && part(&self.label, &origin.label)
                && part(&self.component, &origin.component)
                && part(&self.architecture, architecture)
                && (part(&self.name, &origin.suite) || part(&self.name, &origin.codename))
    }
}

#[cfg(test)]
mod tests;
