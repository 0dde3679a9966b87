//! The directory of built-in generators: installed at the start, each file read once in its life.
//!
//! Which bytes a file held is remembered beside its size, its time and its inode, so that a start hashes only what was changed. Nothing trusts that memory
//! with code: what runs is the artefact in the state directory, whose MAC is checked when it is first used.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use bootsplice_content::Digest;
use bootsplice_engine::MAX_COMPONENT;
use bootsplice_store::{Document, Transaction};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::release::Release;
use super::shelf::every;
use super::{Installed, beside};
use crate::config::Config;

const SEEN: &str = "plugin-file/";

/// A file as it was when its bytes were installed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SeenFile {
    path: PathBuf,
    size: u64,
    inode: u64,
    /// Nanoseconds since 1970.
    modified: i128,
    digest: Digest,
}

// === impl SeenFile ===

impl Document for SeenFile {
    const KIND: &'static str = "plugin's file";
}

impl SeenFile {
    fn of(path: &Path, facts: &Metadata, digest: Digest) -> Self {
        Self {
            path: path.to_owned(),
            size: facts.size(),
            inode: facts.ino(),
            modified: i128::from(facts.mtime()) * 1_000_000_000 + i128::from(facts.mtime_nsec()),
            digest,
        }
    }

    fn key(&self) -> String {
        let path = Digest::of(self.path.as_os_str().as_encoded_bytes());
        format!("{SEEN}{}", path.hex())
    }
}

// === impl Installed ===

impl Installed {
    /// Installs every `*.wasm` of the plugins' directory that is not installed yet. A configured directory must be there; the default one need not.
    pub async fn install_directory(&self, config: &Config) -> anyhow::Result<()> {
        let directory = match &config.plugins {
            Some(directory) => directory.clone(),
            None => match default_directory()? {
                Some(directory) => directory,
                None => return Ok(()),
            },
        };
        let entries = std::fs::read_dir(&directory).with_context(|| {
            format!(
                "cannot read the plugins' directory `{}`",
                directory.display()
            )
        })?;
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        paths.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "wasm")
        });
        paths.sort();
        let seen = every(&*self.store, SEEN).await?;
        let seen: Vec<SeenFile> = seen
            .iter()
            .map(SeenFile::decode)
            .collect::<Result<_, _>>()?;
        for path in paths {
            self.install_file(&path, &seen)
                .await
                .with_context(|| format!("cannot install `{}`", path.display()))?;
        }
        Ok(())
    }

    async fn install_file(&self, path: &Path, seen: &[SeenFile]) -> anyhow::Result<()> {
        let facts = std::fs::metadata(path)?;
        let size = facts.len();
        if size > MAX_COMPONENT {
            bail!("it has {size} bytes, a component has at most {MAX_COMPONENT}");
        }
        let known = seen.iter().find(|file| file.path == path);
        if let Some(known) = known
            && *known == SeenFile::of(path, &facts, known.digest)
            && self.has_built_in(&known.digest)
        {
            return Ok(());
        }
        let component = Bytes::from(std::fs::read(path)?);
        let digest = Digest::of(&component);
        if !self.has_built_in(&digest) {
            let release = self.install(component).await?;
            tracing::info!(name = %release.name, version = %release.version, %digest, "installed a generator");
        }
        let file = SeenFile::of(path, &facts, digest);
        let put = Transaction::new().put(file.key(), file.encode());
        self.store.transact(put).await?;
        Ok(())
    }

    /// Installs one built-in component. The same bytes again change nothing.
    async fn install(&self, component: Bytes) -> anyhow::Result<Release> {
        let plugin = self.engine.install(component).await?;
        let (descriptor, now) = (plugin.descriptor(), self.clock.now());
        let release = Release::new(None, descriptor, *plugin.digest(), now, None);
        let put = Transaction::new().put(release.key(), release.encode());
        self.store.transact(put).await?;
        let mut shelf = self.shelf.write();
        shelf.put(release.clone());
        shelf.keep(plugin);
        Ok(release)
    }

    fn has_built_in(&self, digest: &Digest) -> bool {
        let shelf = self.shelf.read();
        shelf
            .all()
            .iter()
            .any(|release| release.namespace.is_none() && release.digest == *digest)
    }
}

pub fn default_directory() -> anyhow::Result<Option<PathBuf>> {
    let candidates = [beside("plugins")?, beside("../share/bootsplice/plugins")?];
    Ok(candidates.into_iter().find(|path| path.is_dir()))
}
