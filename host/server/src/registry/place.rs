//! Where the registry's blobs lie: below the state directory, or at the URL that the configuration calls `registry`.
//!
//! What nothing refers to is deleted there, so a place belongs to one host: its object `owner` holds the host's id, and the state directory's
//! `registry.json` the same id with the place. A host that finds another id there, or none where its own should be, does not start.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bootsplice_blocks::open_store;
use bootsplice_registry::sweep_local;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Place;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::app::AppState;

const OWNER: &str = "owner";
const SCHEMES: [&str; 4] = ["file", "s3", "gs", "az"];
/// Largest `registry.json` and `owner`, in bytes.
const MOST: u64 = 64 << 10;

/// `registry.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settled {
    /// 32 hex digits.
    id: String,
    url: Url,
    /// The place has the id. Until then a start was interrupted.
    settled: bool,
}

/// Opens the object store of the registry's blobs.
pub(super) async fn open(app: &AppState) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let (local, file) = (app.state.registry(), app.state.root().join("registry.json"));
    let known = read(&file)?;
    let Some(url) = &app.config.registry else {
        if let Some(known) = known {
            bail!(
                "the blobs of this host's registry are at `{}`: say so as `registry` in the configuration",
                known.url
            );
        }
        return sweep(local.clone()).await.and_then(|()| {
            // A record that is durable must have its bytes.
            let store = LocalFileSystem::new_with_prefix(&local)?.with_fsync(true);
            Ok(Arc::new(store) as Arc<dyn ObjectStore>)
        });
    };
    if !SCHEMES.contains(&url.scheme()) {
        bail!(
            "`registry`: `{url}` is no place for blobs, expected file:///DIRECTORY, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX"
        );
    }
    if known.is_none() && holds_blobs(&local) {
        bail!(
            "`registry`: blobs lie in `{0}` already: copy `{0}/blobs` to `{url}` as `blobs`, then remove `{0}/blobs`",
            local.display()
        );
    }
    if let ("file", Ok(directory)) = (url.scheme(), url.to_file_path())
        && directory.is_dir()
    {
        sweep(directory).await?;
    }
    let store = open_store(url.as_str(), std::env::vars()).context("`registry`")?;
    let settled = match known {
        Some(known) => Settled {
            url: url.clone(),
            ..known
        },
        None => Settled {
            id: hex::encode(app.entropy.array::<16>()),
            url: url.clone(),
            settled: false,
        },
    };
    if !settled.settled {
        write(&file, &settled)?;
    }
    own(&*store, &settled).await?;
    write(
        &file,
        &Settled {
            settled: true,
            ..settled
        },
    )?;
    Ok(store)
}

/// Makes sure that the place is this host's.
async fn own(store: &dyn ObjectStore, settled: &Settled) -> anyhow::Result<()> {
    let (place, url) = (Place::from(OWNER), &settled.url);
    let failed = || format!("`registry`: `{url}` cannot be used");
    if !settled.settled {
        let create = PutOptions::from(PutMode::Create);
        let id = settled.id.clone().into_bytes();
        match store.put_opts(&place, id.into(), create).await {
            Ok(_) => return Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(error).with_context(failed),
        }
    }
    let found = match store.get(&place).await {
        Ok(found) if found.meta.size <= MOST => found.bytes().await.with_context(failed)?,
        Ok(found) => bail!("`registry`: `{url}/{OWNER}` has {} bytes", found.meta.size),
        Err(object_store::Error::NotFound { .. }) => bail!(
            "`registry`: nothing of this host lies at `{url}`: copy what lay at the place before, its `{OWNER}` too, or name that place"
        ),
        Err(error) => return Err(error).with_context(failed),
    };
    if found != settled.id.as_bytes() {
        bail!(
            "`registry`: `{url}` belongs to another host, which would delete what it does not know: give each host a prefix of its own"
        );
    }
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Option<Settled>> {
    let shown = file.display();
    match std::fs::metadata(file) {
        Ok(meta) if meta.len() > MOST => bail!("`{shown}` has {} bytes", meta.len()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read `{shown}`")),
    }
    let text = std::fs::read(file).with_context(|| format!("cannot read `{shown}`"))?;
    let settled = serde_json::from_slice(&text).with_context(|| format!("`{shown}` is damaged"))?;
    Ok(Some(settled))
}

fn write(file: &Path, settled: &Settled) -> anyhow::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("."));
    let put = || -> std::io::Result<()> {
        let mut aside = tempfile::NamedTempFile::new_in(directory)?;
        serde_json::to_writer_pretty(&mut aside, settled)?;
        aside.as_file().sync_all()?;
        aside.persist(file)?;
        std::fs::File::open(directory)?.sync_all()
    };
    put().with_context(|| format!("cannot write `{}`", file.display()))
}

fn holds_blobs(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
}

async fn sweep(directory: std::path::PathBuf) -> anyhow::Result<()> {
    let swept = tokio::task::spawn_blocking(move || {
        sweep_local(&directory).with_context(|| format!("cannot read `{}`", directory.display()))
    });
    swept.await??;
    Ok(())
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    fn settled(id: &str, settled: bool) -> Settled {
        Settled {
            id: id.into(),
            url: "s3://bucket/registry".parse().unwrap(),
            settled,
        }
    }

    #[tokio::test]
    async fn a_place_belongs_to_the_host_that_came_first() {
        let store = InMemory::new();
        let told = |error: anyhow::Error| format!("{error:#}");
        // Not there, and it should be: another place was meant.
        let error = own(&store, &settled("a", true)).await.unwrap_err();
        assert!(told(error).contains("nothing of this host"));
        own(&store, &settled("a", false)).await.unwrap();
        // An interrupted start is taken up; later ones find themselves.
        own(&store, &settled("a", false)).await.unwrap();
        own(&store, &settled("a", true)).await.unwrap();
        for begun in [true, false] {
            let error = own(&store, &settled("b", begun)).await.unwrap_err();
            assert!(told(error).contains("another host"));
        }
    }

    #[test]
    fn where_the_blobs_are_is_read_as_it_was_written() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("registry.json");
        assert_eq!(read(&file).unwrap(), None);
        write(&file, &settled("a", true)).unwrap();
        assert_eq!(read(&file).unwrap(), Some(settled("a", true)));
        std::fs::write(&file, "{").unwrap();
        assert!(read(&file).is_err());
    }
}
