//! `bootsplice plugin run`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bootsplice_engine::clock::{Clock, system_clock};
use bootsplice_engine::contract::Descriptor;
use bootsplice_engine::{Level, Plugin};
use clap::Args;

use super::network::Network;
use super::shown;
use super::workplace::Workplace;
use crate::author::AuthorError;
use crate::author::case::{Case, InstanceFile, TargetFile, read};
use crate::author::listener::Listener;
use crate::author::subject::Subject;
use crate::author::test::TestClock;
use crate::author::workshop::{Made, Workshop};
use crate::cli::{Failure, Output, profile, volume};
use crate::local::Places;
use crate::local::base::{Base, Status};
use crate::local::progress::Progress;
use crate::local::sandbox::Sandbox;
use crate::plugins::directory::default_directory;

/// Run a generator here, in the sandbox of a host and without one, and show what a launch would put on the disk.
#[derive(Args)]
#[command(after_help = "\
Examples:
  bootsplice plugin run --config case.yaml
  bootsplice plugin run build/motd.wasm --config case.yaml --instance box-7 --attribute owner=ada --out archive.tar
  bootsplice plugin run . --profile web.yaml --base-status /var/lib/dpkg/status --output json

Secrets are not known here: each one's value is `secret-NAME`.")]
pub struct Run {
    /// A plugin's directory, or a component.
    #[arg(default_value = ".", value_name = "DIR|FILE.wasm")]
    subject: PathBuf,
    #[command(flatten)]
    inputs: Inputs,
    /// Write the tar that a launch would carry to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What a generator is run with.
#[derive(Args)]
#[group(skip)]
pub struct Inputs {
    /// The generator's configuration: YAML or JSON. [default: the first example of its descriptor]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A profile, which may use other generators too: YAML or JSON.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    profile: Option<PathBuf>,
    /// The id of the instance.
    #[arg(long, value_name = "ID", default_value = "instance-1")]
    instance: String,
    /// An attribute of the instance; several times for several.
    #[arg(long, value_name = "NAME=VALUE", value_parser = attribute)]
    attribute: Vec<(String, String)>,
    /// The insertion point, with `--config`.
    #[arg(long, default_value = "base")]
    at: String,
    /// An image's distribution, release, architecture and files, as a test's `target.yaml`. [default: a plain Debian bookworm, amd64]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["base_status", "volume"])]
    target: Option<PathBuf>,
    /// The image's `/var/lib/dpkg/status`.
    #[arg(long, value_name = "FILE", conflicts_with = "volume")]
    base_status: Option<PathBuf>,
    /// The root directory whose `etc/apt`, `usr/share/keyrings` and os-release count; this machine's when absent.
    #[arg(long, value_name = "DIR", requires = "base_status")]
    apt_root: Option<PathBuf>,
    /// A base volume by its name, from `--store`.
    #[arg(long, requires = "store")]
    volume: Option<String>,
    /// The object store of the volume.
    #[arg(long, env = "BOOTSPLICE_STORE")]
    store: Option<String>,
    #[command(flatten)]
    network: Network,
    /// Tell nothing of what the generator logs.
    #[arg(long, short)]
    quiet: bool,
    /// Directory of the other generators of a profile. [default: `plugins` beside the executable]
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
    #[command(flatten)]
    workplace: Workplace,
}

// === impl Run ===

impl Run {
    pub async fn run(self, output: &Output) -> Result<(), Failure> {
        let subject = Subject::open(&self.subject)?;
        let made = self.inputs.make(&subject).await?;
        if let Some(path) = &self.out {
            write_tar(&made, path)?;
        }
        output.answer(&made.outcome, || shown::outcome(&made.outcome));
        Ok(())
    }
}

// === impl Inputs ===

impl Inputs {
    /// Whether it was said what to make.
    pub fn is_given(&self) -> bool {
        self.config.is_some() || self.profile.is_some()
    }

    /// A workshop with what `subject` is now, and the case to run in it.
    pub async fn open(&self, subject: &Subject) -> Result<(Workshop, Plugin, Case), Failure> {
        let (workshop, plugin) = self.workshop_at(subject, system_clock()).await?;
        let case = self.case(plugin.descriptor()).await?;
        Ok((workshop, plugin, case))
    }

    /// A workshop for cases, which have clocks of their own.
    pub async fn workshop(
        &self,
        subject: &Subject,
        clock: &TestClock,
    ) -> Result<(Workshop, Plugin), Failure> {
        self.workshop_at(subject, clock.clock()).await
    }

    async fn workshop_at(
        &self,
        subject: &Subject,
        clock: Clock,
    ) -> Result<(Workshop, Plugin), Failure> {
        let component = subject.read()?;
        let (places, reach) = (self.places()?, self.network.reach()?);
        let progress = Progress::start();
        let sandbox = Sandbox::open_at(&places, reach.policy.clone(), progress.clone(), clock)?;
        let sandbox = Arc::new(sandbox);
        let file = subject.path().display().to_string();
        let plugin = sandbox.load(component, &file).await;
        let plugin = plugin.map_err(|error| refused(error, &file))?;
        let level = (!self.quiet).then_some(Level::Debug);
        let listener = Arc::new(Listener::new(progress, level));
        let workshop = Workshop::new(sandbox, &places, reach, listener)?;
        workshop.put(plugin.clone()).await;
        Ok((workshop, plugin))
    }

    /// One run of what `subject` is now.
    pub async fn make(&self, subject: &Subject) -> Result<Made, Failure> {
        let (workshop, _, case) = self.open(subject).await?;
        let made = workshop.run(&case).await?;
        if !self.network.is_given() && !self.quiet {
            for step in made
                .outcome
                .steps
                .iter()
                .filter(|step| !step.granted.is_empty())
            {
                eprintln!(
                    "bootsplice: `{}` might fetch below {}, as it asks; a host grants what its operator gave",
                    step.id,
                    step.granted.join(", ")
                );
            }
        }
        Ok(made)
    }

    pub fn places(&self) -> Result<Places, Failure> {
        let plugins = match &self.plugins {
            Some(directory) => Some(directory.clone()),
            None => default_directory()?,
        };
        self.workplace.places(plugins.unwrap_or_default())
    }

    async fn case(&self, plugin: &Descriptor) -> Result<Case, Failure> {
        let (base, at) = self.base().await?;
        let who = InstanceFile {
            id: self.instance.clone(),
            attributes: self.attribute.iter().cloned().collect::<BTreeMap<_, _>>(),
        };
        Ok(match (&self.profile, &self.config) {
            (Some(path), _) => Case::of_profile(profile::read(path)?, base, who),
            (None, Some(path)) => Case::of_config(&plugin.id, profile::read(path)?, &at, base, who),
            (None, None) => {
                let example = plugin.examples.first().ok_or_else(|| {
                    Failure::usage(
                        "what shall it make? Its descriptor has no example: `--config FILE` or `--profile FILE`",
                    )
                })?;
                eprintln!("bootsplice: with its example `{}`", example.title);
                Case::of_config(&plugin.id, example.config.clone(), &at, base, who)
            }
        })
    }

    async fn base(&self) -> Result<(Base, String), Failure> {
        let invalid = |error: anyhow::Error| AuthorError::Invalid(format!("{error:#}"));
        let base = match (&self.base_status, &self.volume, &self.store) {
            (Some(file), ..) => Base::of_status(&Status {
                file,
                apt_root: self.apt_root.as_deref(),
                architecture: None,
            })
            .map_err(invalid)?,
            (None, Some(name), Some(store)) => Base::of_volume(&volume::open(store)?, name).await?,
            _ => {
                let target = match &self.target {
                    Some(path) => read::<TargetFile>(path)?.ok_or_else(|| {
                        AuthorError::NotFound(format!("there is no `{}`", path.display()))
                    })?,
                    None => TargetFile {
                        at: self.at.clone(),
                        ..TargetFile::default()
                    },
                };
                return Ok((target.base(), target.at));
            }
        };
        Ok((base, self.at.clone()))
    }
}

/// What is no plugin, or broke down when it was asked what it is.
pub fn refused(error: bootsplice_engine::EngineError, file: &str) -> Failure {
    match crate::plugins::judge::refusal(error) {
        Ok(fault) => AuthorError::Invalid(format!(
            "`{file}` would be refused: {} [{}]",
            fault.detail, fault.code
        ))
        .into(),
        Err(error) => AuthorError::from(error).into(),
    }
}

fn write_tar(made: &Made, path: &Path) -> Result<(), Failure> {
    let written = std::fs::File::create(path).and_then(|file| made.layers.write_tar(file));
    Ok(written.map_err(AuthorError::io("write", path))?)
}

fn attribute(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
