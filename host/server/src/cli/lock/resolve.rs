//! Resolving, here or by a host.

use anyhow::Context as _;
use reqwest::Method;
use serde_json::Value;

use super::super::exit::Code;
use super::super::profile::read as read_profile;
use super::super::wire::segment;
use super::super::{Failure, Global, Output, volume};
use super::file::{read, write};
use super::{Machine, Wanted, finish, gate};
use crate::api::{LockBody, LockList, ProfileView};
use crate::config::{Config, Grant};
use crate::launch::lock::LOCK_SCHEMA;
use crate::local::base::{Base, Status};
use crate::local::progress::Progress;
use crate::local::reach::Reach;
use crate::local::{Local, Places};
use crate::lock::document::{Of, SCHEMA, Target};
use crate::lock::{Diff, LockFile, Package, Step};
use crate::plugins::directory::default_directory;
use crate::plugins::fetch;
use crate::profile::Profile;

const NO_BASE: &str = "which image is the lock for? Give `--base-status FILE` (its /var/lib/dpkg/status) or `--volume NAME`";

pub async fn run(wanted: Wanted, global: &Global, output: &Output) -> Result<(), Failure> {
    let path = wanted.profile.clone();
    let path = path.ok_or_else(|| Failure::usage("--profile: expected a file"))?;
    let old = match wanted.locked.as_ref().or(wanted.from.as_ref()) {
        Some(path) => Some(read(path)?),
        None => None,
    };
    let document = read_profile(&path)?;
    let mut lock = match (&wanted.volume, &wanted.store) {
        (Some(volume), None) => of_host(&wanted, &document, volume, global).await?,
        _ => here(&wanted, &document, old.as_ref()).await?,
    };
    if let Some(old) = &old {
        if wanted.locked.is_some() {
            gate::same(old, &lock)?;
        } else {
            tell_moved(old, &lock, &wanted.update);
        }
        lock.keep_words_of(old);
    }
    if let Some(path) = &wanted.out {
        write(path, &lock.to_text())?;
    }
    finish(&lock, &wanted.judged, output)
}

/// On this machine.
async fn here(
    wanted: &Wanted,
    document: &Value,
    old: Option<&LockFile>,
) -> Result<LockFile, Failure> {
    let keep = kept(old, wanted)?;
    let invalid = |error: anyhow::Error| Failure::new(Code::Invalid, format!("{error:#}"));
    let base = match (&wanted.base_status, &wanted.volume, &wanted.store) {
        (Some(file), ..) => Base::of_status(&Status {
            file,
            apt_root: wanted.apt_root.as_deref(),
            architecture: wanted.architecture.as_deref(),
        })
        .map_err(invalid)?,
        (None, Some(name), Some(store)) => Base::of_volume(&volume::open(store)?, name).await?,
        _ => return Err(Failure::usage(NO_BASE)),
    };
    let (places, reach) = wanted.machine.settings()?;
    let progress = Progress::start();
    let local = Local::open(&places, reach, progress)?;
    let lock = local.lock(document, &base, &keep).await;
    lock.map_err(|problem| Failure::from(problem.body("")))
}

/// The packages that shall stay as they are.
fn kept<'a>(old: Option<&'a LockFile>, wanted: &Wanted) -> Result<Vec<&'a Package>, Failure> {
    let Some(old) = old.filter(|_| !wanted.newest) else {
        return Ok(Vec::new());
    };
    for name in &wanted.update {
        if !old.packages().any(|package| package.name == *name) {
            let near = old.packages().map(|package| package.name.as_str());
            let near = near.max_by(|a, b| strsim::jaro(a, name).total_cmp(&strsim::jaro(b, name)));
            let near = near.map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
            let message = format!("--update: the lock has no package `{name}`{near}");
            return Err(Failure::new(Code::NotFound, message));
        }
    }
    // `--from` alone keeps all that will do.
    let stays = |package: &&Package| !wanted.update.contains(&package.name);
    Ok(old.packages().filter(stays).collect())
}

/// What moved although nobody asked for it is told: its old version is gone, or what was asked for needs another one.
fn tell_moved(old: &LockFile, new: &LockFile, update: &[String]) {
    for (word, change) in Diff::between(old, new).changes() {
        if matches!(word, "upgraded" | "downgraded" | "replaced") && !update.contains(&change.name)
        {
            eprintln!(
                "bootsplice: warning: {word} too: {change}; its old version is gone from the repositories, or what is renewed needs this one"
            );
        }
    }
}

/// The lock that a host's launches use.
async fn of_host(
    wanted: &Wanted,
    document: &Value,
    volume: &str,
    global: &Global,
) -> Result<LockFile, Failure> {
    if wanted.from.is_some() || wanted.newest {
        return Err(Failure::usage(
            "a host renews a lock whole (`bootsplice profile lock --update`): give `--store` to renew single packages here",
        ));
    }
    let profile: Profile = serde_json::from_value(document.clone())
        .map_err(|error| Failure::new(Code::Invalid, format!("--profile: {error}")))?;
    let client = global.client()?;
    let path = format!("/v1/profiles/{}", segment(&profile.name));
    let saved: ProfileView = client.get(&path).await?;
    if saved.profile != profile {
        let message = format!(
            "the host's `{}@{}` is not what --profile says: `bootsplice profile put {} -f FILE` saves it",
            profile.name, saved.version, profile.name
        );
        return Err(Failure::new(Code::Conflict, message));
    }
    let body = LockBody {
        profile: format!("{}@{}", profile.name, saved.version),
        volume: volume.to_owned(),
        renew: false,
    };
    let told = client
        .json::<_, LockList>(Method::POST, "/v1/locks", Some(&body), &[])
        .await?
        .value;
    let steps = told.points.iter().flat_map(|point| &point.steps);
    let steps: Vec<Step> = steps
        .map(|step| Step::new(&step.id, step.plugin, step.needs_instance, &step.pins))
        .collect();
    let mut lock = LockFile {
        schema: SCHEMA.to_owned(),
        profile: Of::profile(&profile),
        base: told.base,
        target: Target::default(),
        date: None,
        steps,
    };
    lock.target.guess(&lock.steps);
    lock.set_date();
    lock.check().map_err(|error| {
        Failure::new(Code::Failure, format!("the host's {LOCK_SCHEMA}: {error}"))
    })?;
    Ok(lock)
}

// === impl Machine ===

impl Machine {
    fn settings(&self) -> Result<(Places, Reach), Failure> {
        let mut config = match &self.config {
            Some(path) => Config::read(path).map_err(|error| Failure::usage(error.to_string()))?,
            None => Config::default(),
        };
        config
            .private_networks
            .extend(self.private_network.iter().cloned());
        let urls = self.grant.iter().map(|prefix| prefix.url().clone());
        config.grants.push(Grant {
            tenant: None,
            urls: urls.collect(),
        });
        let policy =
            fetch::policy(&config).map_err(|error| Failure::usage(format!("{error:#}")))?;
        let urls = config.grants.iter().filter(|grant| grant.tenant.is_none());
        let granted = urls
            .flat_map(|grant| &grant.urls)
            .filter_map(|url| bootsplice_engine::grant::UrlPrefix::parse(url.as_str()).ok())
            .collect();
        Ok((
            self.places(&config)?,
            Reach {
                policy,
                granted,
                wishes: false,
            },
        ))
    }

    fn places(&self, config: &Config) -> anyhow::Result<Places> {
        let plugins = match self.plugins.as_ref().or(config.plugins.as_ref()) {
            Some(directory) => directory.clone(),
            None => default_directory()?.context(
                "there is no directory `plugins` beside this executable: `--plugins DIR` names the generators",
            )?,
        };
        Places::of_user(plugins, config.compiler.as_deref(), self.cache.as_deref())
    }
}
