//! From a configuration to a plan: what the image lacks, where each package comes from, and what the lock file says of it.

use bootsplice_deb::closure::{self, Extra, From, Input, Package, Reason};
use bootsplice_deb::pins::Preferences;
use bootsplice_deb::policy;
use bootsplice_deb::request::Request;
use bootsplice_deb::status::Status;
use bootsplice_sdk::job;
use bootsplice_sdk::prelude::*;
use bootsplice_sdk::source::{Pinned, file_name, pin_all};

use crate::acquire::{Archive, Circumstances, acquire};
use crate::config::{Base, Config, Phased, Recommends, Wish, is_package};
use crate::content::content;
use crate::image::Image;
use crate::sources::SourceError;
use crate::state::{Mark, Planned, State};
use crate::{debfile, prepared};

/// The lock file of a configuration.
pub fn resolve(
    target: &Target,
    config: &Config,
    previous: Option<&Locked>,
) -> Result<LockFile, Error> {
    let image = Image::open();
    let sources = match config.own_sources() {
        Some(own) => own,
        None => image.sources()?,
    };
    let sources = sources.map_err(invalid_sources)?;
    if sources.is_empty() {
        let at = Pointer::root().key("sources");
        let text = "neither the step nor the image names a source of packages";
        let finding = Diagnostic::error(at, "no-sources", text);
        return Err(Error::InvalidConfig(vec![finding]));
    }
    let mut architectures = vec![target.arch.clone()];
    for foreign in image.foreign_architectures()? {
        if !architectures.contains(&foreign) {
            architectures.push(foreign);
        }
    }
    let last = previous.and_then(|locked| State::of(locked).ok());
    let around = Circumstances {
        config,
        image: &image,
        architectures: &architectures,
        now: target.source_date_epoch,
        last: last.as_ref().map_or(&[], |state| &state.repositories),
    };
    job::progress("repositories", 0, None);
    let archive = acquire(&sources, &around)?;
    job::progress("indexes", 0, None);
    let indexes = prepared::open(&archive, config)?;
    let files = files(config)?;
    check_architectures(&files, &architectures)?;
    let mut status = Status::parse(&image.status()?).map_err(broken)?;
    status
        .mark(&image.extended_states()?, &target.arch)
        .map_err(broken)?;
    let preferences = preferences(config, &image)?;
    let requests = requests(config)?;
    let extras: Vec<Extra> = files.iter().map(|(_, extra)| extra.clone()).collect();
    let policy = rules(config, &image)?;
    let locked = kept(previous);
    let stop = || job::is_cancelled();
    job::progress("packages", 0, None);
    let plan = closure::resolve(&Input {
        architectures: &architectures,
        indexes: &indexes,
        status: &status,
        preferences: &preferences,
        requests: &requests,
        extras: &extras,
        locked: &locked,
        policy: &policy,
        stop: Some(&stop),
    })
    .map_err(|error| refused(error, config))?;

    let mut pins = Vec::new();
    let mut packages = Vec::new();
    for package in &plan.packages {
        let (pin, planned) = planned(package, &archive, &files)?;
        pins.push(pin);
        packages.push(planned);
    }
    // Each came after what brought it in; dpkg alone wants it the other way round.
    packages.reverse();
    let bytes: u64 = plan.packages.iter().map(|package| package.size).sum();
    let mut notes = vec![format!("{} packages, {bytes} bytes", packages.len())];
    notes.extend(unpinned(config));
    let state = State {
        v: 1,
        notes,
        packages,
        remove: plan
            .removed
            .iter()
            .map(|gone| format!("{}:{}", gone.name, gone.architecture))
            .collect(),
        repositories: archive
            .suites
            .iter()
            .map(|used| used.record.clone())
            .collect(),
    };
    let max_output = content(config, &state, &target.insertion_point).max_output();
    Ok(LockFile {
        pins,
        state: Some(state.to_blob()?),
        ..LockFile::without_pins(max_output)
    })
}

/// What the caller wants to stay as it was, by name, architecture and version: pins of the last lock with the attribute `keep`.
fn kept(previous: Option<&Locked>) -> Vec<(String, String, String)> {
    let pins = previous.map_or(&[][..], |locked| &locked.pins);
    let said = |pin: &Pin, wanted: &str| {
        let found = pin.attributes.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.clone())
    };
    pins.iter()
        .filter(|pin| said(pin, "keep").is_some())
        .filter_map(|pin| {
            let parts = (said(pin, "package")?, said(pin, "architecture")?);
            Some((parts.0, parts.1, pin.version.clone()))
        })
        .collect()
}

/// Package files by URL, with what their control files say.
fn files(config: &Config) -> Result<Vec<(Pinned, Extra)>, Error> {
    let wanted = config
        .packages
        .iter()
        .enumerate()
        .filter_map(|(index, wish)| match wish {
            Wish::File(file) => Some((
                Pointer::root().key("packages").index(index).to_string(),
                file,
            )),
            Wish::Name(_) => None,
        });
    let mut found = Vec::new();
    for pinned in pin_all(wanted)? {
        let url = pinned.pin.urls.first().cloned().unwrap_or_default();
        let extra = Extra {
            id: pinned.pin.name.clone(),
            control: debfile::control(&pinned.content, &url)?,
            size: pinned.pin.size,
            sha256: digest(&pinned.pin.digest)?,
        };
        found.push((pinned, extra));
    }
    Ok(found)
}

/// What people are told of package files whose digest nobody gave. Where they lie stays out: it would change the layer.
fn unpinned(config: &Config) -> impl Iterator<Item = String> {
    config.packages.iter().filter_map(|wish| match wish {
        Wish::File(file) if file.sha256.is_none() => Some(format!(
            "{} is pinned by the digest it had when the step was resolved; the profile names none",
            file_name(&file.url)
        )),
        _ => None,
    })
}

/// Files for a machine of another kind are refused where they are asked for.
fn check_architectures(files: &[(Pinned, Extra)], known: &[String]) -> Result<(), Error> {
    let mut found = Vec::new();
    for (pinned, extra) in files {
        let mut lines = extra.control.lines();
        let architecture = lines.find_map(|line| line.strip_prefix("Architecture:"));
        let architecture = architecture.unwrap_or_default().trim();
        if architecture != "all" && !known.iter().any(|one| one == architecture) {
            let url = pinned.pin.urls.first().map_or("", String::as_str);
            let text = format!(
                "`{url}` is for the architecture `{architecture}`; the image is of {}",
                known.join(", ")
            );
            let at = pinned.pin.name.clone();
            found.push(Diagnostic::error(at, "wrong-architecture", text));
        }
    }
    if found.is_empty() {
        Ok(())
    } else {
        Err(Error::InvalidConfig(found))
    }
}

fn preferences(config: &Config, image: &Image) -> Result<Preferences, Error> {
    let mut preferences = Preferences::default();
    let at = Pointer::root().key("preferences");
    let wrong = |error: bootsplice_deb::Error| {
        let finding = Diagnostic::error(at.clone(), "invalid-preferences", error.to_string());
        Error::InvalidConfig(vec![finding])
    };
    preferences
        .read(config.preferences.as_bytes())
        .map_err(wrong)?;
    preferences
        .read(image.preferences()?.as_bytes())
        .map_err(wrong)?;
    if let Some(release) = &config.default_release {
        preferences.default_release(release).map_err(wrong)?;
    }
    Ok(preferences)
}

fn requests(config: &Config) -> Result<Vec<Request>, Error> {
    let mut found = Vec::new();
    for (index, wish) in config.packages.iter().enumerate() {
        if let Wish::Name(name) = wish {
            found.push(Request::parse(name).map_err(|error| {
                let at = Pointer::root().key("packages").index(index);
                Error::InvalidConfig(vec![Diagnostic::error(
                    at,
                    "invalid-package",
                    error.to_string(),
                )])
            })?);
        }
    }
    Ok(found)
}

fn rules(config: &Config, image: &Image) -> Result<policy::Policy, Error> {
    let recommends = match &config.recommends {
        Some(Recommends::All(all)) => *all,
        Some(Recommends::Named(_)) => false,
        None => image.recommends()?,
    };
    Ok(policy::Policy {
        base: match config.base {
            Base::Minimal => policy::Base::Minimal,
            Base::Frozen => policy::Base::Frozen,
            Base::Upgrade => policy::Base::Upgrade,
        },
        upgrade_by_source: config.upgrade_by_source,
        recommends: match &config.recommends {
            Some(Recommends::Named(names)) => policy::Recommends::Of(names.clone()),
            _ if recommends => policy::Recommends::All,
            _ => policy::Recommends::None,
        },
        suggests: false,
        phased: match config.phased_updates {
            Phased::Never => policy::Phased::Never,
            Phased::Always => policy::Phased::Always,
        },
        allow_removals: config.allow_removals,
    })
}

/// A package as the lock file and the guest know it.
fn planned(
    package: &Package,
    archive: &Archive,
    files: &[(Pinned, Extra)],
) -> Result<(Pin, Planned), Error> {
    check_words(package)?;
    let file = format!(
        "{}_{}_{}.deb",
        package.name,
        package.version.replace(':', "%3a"),
        package.architecture
    );
    let mut attributes = vec![
        ("package".to_owned(), package.name.clone()),
        ("architecture".to_owned(), package.architecture.clone()),
        ("reason".to_owned(), reason(&package.reason)),
        ("source".to_owned(), package.source.clone()),
        ("source-version".to_owned(), package.source_version.clone()),
    ];
    if let Some(installed) = &package.replaces {
        attributes.push(("replaces".to_owned(), installed.clone()));
    }
    let urls = match &package.from {
        From::Archive { origin, filename } => {
            let suite = origin
                .id
                .parse::<usize>()
                .ok()
                .and_then(|n| archive.suites.get(n));
            let suite = suite.ok_or_else(|| Error::Fault("a package of no suite".into()))?;
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/+._~%:-".contains(&byte);
            let path = filename.trim_start_matches("./");
            let leaves = path.split('/').any(|part| matches!(part, ".." | "." | ""));
            if leaves || !path.bytes().all(plain) {
                let text = format!(
                    "the index of {} names the file `{filename}`, which is no path inside a repository",
                    origin.asked
                );
                return Err(Error::Denied(text));
            }
            attributes.push(("suite".to_owned(), suite.record.name.clone()));
            attributes.push(("component".to_owned(), origin.component.clone()));
            attributes.push(("origin".to_owned(), suite.record.origin.clone()));
            attributes.push(("codename".to_owned(), suite.record.codename.clone()));
            attributes.push(("released".to_owned(), suite.record.date.to_string()));
            attributes.push(("signed-by".to_owned(), suite.record.signed_by.join(" ")));
            suite
                .roots
                .iter()
                .map(|root| format!("{root}{}", path.replace('%', "%25")))
                .collect()
        }
        From::Extra(id) => {
            let (pinned, _) = files
                .iter()
                .find(|(pinned, _)| pinned.pin.name == *id)
                .ok_or_else(|| Error::Fault(format!("a package of no file `{id}`")))?;
            attributes.extend(pinned.pin.attributes.iter().cloned());
            pinned.pin.urls.clone()
        }
    };
    let hex: String = package
        .sha256
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let pin = Pin {
        name: file.clone(),
        version: package.version.clone(),
        urls,
        digest: format!("sha256:{hex}"),
        size: package.size,
        attributes,
    };
    let mark = match (&package.reason, &package.replaces) {
        (Reason::Requested(_), _) => Mark::Manual,
        (_, Some(_)) => Mark::Keep,
        (_, None) => Mark::Auto,
    };
    let planned = Planned {
        name: package.name.clone(),
        version: package.version.clone(),
        architecture: package.architecture.clone(),
        file,
        mark,
    };
    Ok((pin, planned))
}

/// What a package is called becomes a file's name and words of the guest's plan: Debian Policy 5.6.7, 5.6.8 and 5.6.12 say what may stand there.
fn check_words(package: &Package) -> Result<(), Error> {
    let version = |byte: u8| byte.is_ascii_alphanumeric() || b".+-~:".contains(&byte);
    let architecture =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let good = is_package(&package.name)
        && !package.version.is_empty()
        && package.version.bytes().all(version)
        && package.architecture.bytes().all(architecture);
    let wrong = if !good {
        "is no name, version and architecture of a package"
    } else if package.size == 0 {
        "has no size"
    } else {
        return Ok(());
    };
    let from = match &package.from {
        From::Archive { origin, .. } => format!("the index of {}", origin.asked),
        From::Extra(id) => format!("the file at {id}"),
    };
    Err(Error::Denied(format!(
        "`{} {} {}` of {from} {wrong}",
        package.name, package.version, package.architecture
    )))
}

fn reason(reason: &Reason) -> String {
    match reason {
        Reason::Requested(_) => "requested".into(),
        Reason::DependsOf(other) => format!("depends-of {other}"),
        Reason::RecommendsOf(other) => format!("recommends-of {other}"),
        Reason::UpgradeFor(other) => format!("upgrade-for {other}"),
        Reason::SameSourceAs(other) => format!("same-source-as {other}"),
        Reason::Upgrade => "upgrade".into(),
    }
}

fn digest(text: &str) -> Result<[u8; 32], Error> {
    let hex = text.trim_start_matches("sha256:");
    let bytes: Option<Vec<u8>> = (0..32)
        .map(|index| u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok())
        .collect();
    let wrong = || Error::Fault(format!("`{text}` is no digest"));
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(wrong)
}

fn invalid_sources(errors: Vec<SourceError>) -> Error {
    let findings = errors.into_iter().map(|error| {
        Diagnostic::error(
            Pointer::root().key("sources"),
            "invalid-source",
            error.to_string(),
        )
    });
    Error::InvalidConfig(findings.collect())
}

fn broken(error: bootsplice_deb::Error) -> Error {
    Error::Unsupported(format!("the image's package database: {error}"))
}

/// A refusal of the resolver, at the wish that it is about.
fn refused(error: bootsplice_deb::Error, config: &Config) -> Error {
    use bootsplice_deb::Error as Deb;
    let at = |text: &str| {
        let named = |wish: &Wish| matches!(wish, Wish::Name(name) if name == text || name.split([':', '=', '/']).next() == Some(text));
        let packages = Pointer::root().key("packages");
        match config.packages.iter().position(named) {
            Some(index) => packages.index(index),
            None => packages,
        }
    };
    match &error {
        Deb::UnknownPackage { name, .. } => Error::InvalidConfig(vec![
            Diagnostic::error(at(name), "unknown-package", error.to_string())
                .with_hint("check the name, or add the source that has it"),
        ]),
        Deb::NoSuchVersion { request, .. } => Error::InvalidConfig(vec![Diagnostic::error(
            at(request),
            "no-such-version",
            error.to_string(),
        )]),
        Deb::Unsatisfiable { .. } => Error::Unsatisfiable(error.to_string()),
        Deb::Stopped => Error::Cancelled,
        Deb::Malformed { .. } | Deb::TooLarge { .. } => Error::Unsupported(format!(
            "what the image or a source says of its packages: {error}"
        )),
        Deb::Index(_) | Deb::Pages(_) => Error::Fault(error.to_string()),
    }
}
