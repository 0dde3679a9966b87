//! `bootsplice profile`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use reqwest::Method;
use reqwest::header::{IF_MATCH, IF_NONE_MATCH};
use serde_json::Value;

use super::exit::Code;
use super::{Failure, Format, Global, Output};
use crate::api::{LockBody, LockList, ProfileList, ProfileView};

/// Most bytes of a profile's file.
const LARGEST: u64 = 4 << 20;

#[derive(Subcommand)]
pub enum Profile {
    /// Save a profile as a new version.
    #[command(after_help = "Example: bootsplice profile put web-developer -f web-developer.yaml")]
    Put {
        name: String,
        /// YAML or JSON; `-` reads standard input.
        #[arg(short, long)]
        file: PathBuf,
        /// Only when the latest version has this ETag.
        #[arg(long, conflicts_with = "new")]
        if_match: Option<String>,
        /// Only when there is no such profile yet.
        #[arg(long)]
        new: bool,
    },
    /// Show a profile: its latest version, or `name@version`.
    Get { profile: String },
    /// List profiles, or the versions of one.
    List { name: Option<String> },
    /// Show what a profile is locked to on a volume: every artefact with size, reason and origin. Nothing that is pinned is fetched.
    #[command(
        after_help = "Examples:\n  bootsplice profile lock web-developer --volume debian-12\n  bootsplice profile lock web-developer --volume debian-12 --update"
    )]
    Lock {
        /// `name`, or `name@version`.
        profile: String,
        /// The base volume that launches start from.
        #[arg(long)]
        volume: String,
        /// Resolve anew; launches from now on use that.
        #[arg(long)]
        update: bool,
    },
    /// Delete a profile. Launches that run keep their version.
    Delete { name: String },
}

// === impl Profile ===

impl Profile {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        let client = global.client()?;
        match self {
            Self::Put {
                name,
                file,
                if_match,
                new,
            } => {
                let document = read(&file)?;
                let mut headers = Vec::new();
                if let Some(etag) = &if_match {
                    headers.push((IF_MATCH, etag.as_str()));
                }
                if new {
                    headers.push((IF_NONE_MATCH, "*"));
                }
                let path = path(&name);
                let answer = client
                    .json::<_, ProfileView>(Method::PUT, &path, Some(&document), &headers)
                    .await?;
                output.answer(&answer.value, || {
                    format!("{}@{}", answer.value.profile.name, answer.value.version)
                });
            }
            Self::Get { profile } => {
                let view: ProfileView = client.get(&path(&profile)).await?;
                let yaml = match output.format() {
                    Format::Json => String::new(),
                    Format::Text => serde_yaml_ng::to_string(&view)
                        .map_err(|error| Failure::new(Code::Failure, error.to_string()))?,
                };
                output.answer(&view, || yaml);
            }
            Self::List { name } => {
                let base = match &name {
                    Some(name) => format!("{}/versions", path(name)),
                    None => "/v1/profiles".to_owned(),
                };
                let mut all = ProfileList {
                    profiles: Vec::new(),
                    next: None,
                };
                loop {
                    let query = super::wire::after(&base, all.next.as_deref());
                    let page: ProfileList = client.get(&query).await?;
                    all.profiles.extend(page.profiles);
                    all.next = page.next;
                    if all.next.is_none() {
                        break;
                    }
                }
                let rows = all.profiles.iter().map(|profile| {
                    [
                        profile.name.clone(),
                        profile.version.to_string(),
                        super::wire::date(profile.updated),
                    ]
                });
                output.table(&all.profiles, ["NAME", "VERSION", "SAVED"], rows.collect());
            }
            Self::Lock {
                profile,
                volume,
                update,
            } => {
                let body = LockBody {
                    profile,
                    volume,
                    renew: update,
                };
                let locks = client
                    .json::<_, LockList>(Method::POST, "/v1/locks", Some(&body), &[])
                    .await?
                    .value;
                output.answer(&locks, || lock_text(&locks));
            }
            Self::Delete { name } => client.delete(&path(&name)).await?,
        }
        Ok(())
    }
}

fn lock_text(locks: &LockList) -> String {
    let mut text = format!("{} on {}", locks.profile, locks.base);
    for point in &locks.points {
        let date = super::wire::date(point.resolved);
        text.push_str(&format!(
            "\npoint {}: {} of {date}",
            point.point, point.digest
        ));
        for step in &point.steps {
            let own = if step.needs_instance {
                ", per instance"
            } else {
                ""
            };
            text.push_str(&format!(
                "\n  {}: {} artefacts, {} bytes{own}",
                step.id,
                step.pins.len(),
                step.pins.iter().map(|pin| pin.size).sum::<u64>()
            ));
            for pin in &step.pins {
                text.push_str(&format!("\n    {}", super::plan::pin_text(pin)));
            }
        }
    }
    text
}

fn path(name: &str) -> String {
    format!("/v1/profiles/{}", super::wire::segment(name))
}

/// A YAML or JSON file as JSON.
pub fn read(file: &Path) -> Result<Value, Failure> {
    let shown = file.display();
    let failed = |error: std::io::Error| {
        Failure::new(Code::Failure, format!("cannot read `{shown}`: {error}"))
    };
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin()
            .take(LARGEST + 1)
            .read_to_string(&mut text)
            .map_err(failed)?;
    } else {
        std::fs::File::open(file)
            .and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text))
            .map_err(failed)?;
    }
    if text.len() as u64 > LARGEST {
        let message = format!("`{shown}` is larger than {LARGEST} bytes");
        return Err(Failure::new(Code::Invalid, message));
    }
    // JSON is a part of YAML, but its own parser names faults better.
    let json = text.trim_start().starts_with('{');
    let parsed = if json {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    } else {
        serde_yaml_ng::from_str(&text).map_err(|error| error.to_string())
    };
    parsed.map_err(|error| {
        let language = if json { "JSON" } else { "YAML" };
        Failure::new(
            Code::Invalid,
            format!("`{shown}` is not {language}: {error}"),
        )
    })
}
