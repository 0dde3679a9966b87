//! The replay guard's memory of one user: a JSON file, replaced whole.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use async_trait::async_trait;
use bootsplice_engine::trust::{LastSeen, LastSeenError, SeenKey};
use parking_lot::Mutex;

/// The highest value under each key of each generator.
pub struct FileLastSeen {
    path: PathBuf,
    values: Mutex<BTreeMap<String, BTreeMap<String, u64>>>,
}

// === impl FileLastSeen ===

impl FileLastSeen {
    pub fn open(directory: &Path) -> anyhow::Result<Self> {
        let made = std::fs::create_dir_all(directory);
        made.with_context(|| format!("cannot make `{}`", directory.display()))?;
        let path = directory.join("last-seen.json");
        let values = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| {
                format!("`{}` is damaged; without it no replayed repository is noticed: remove it to begin anew", path.display())
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read `{}`", path.display()));
            }
        };
        let values = Mutex::new(values);
        Ok(Self { path, values })
    }

    fn keep(&self, values: &BTreeMap<String, BTreeMap<String, u64>>) -> std::io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let beside = directory.join("last-seen.json.partial");
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(&serde_json::to_vec_pretty(values)?)?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)
    }
}

#[async_trait]
impl LastSeen for FileLastSeen {
    async fn highest(&self, key: &SeenKey) -> Result<Option<u64>, LastSeenError> {
        let values = self.values.lock();
        let known = values.get(&key.generator);
        Ok(known.and_then(|known| known.get(&key.key).copied()))
    }

    async fn raise(&self, raised: &[(SeenKey, u64)]) -> Result<(), LastSeenError> {
        let mut values = self.values.lock();
        for (key, value) in raised {
            let known = values.entry(key.generator.clone()).or_default();
            let held = known.entry(key.key.clone()).or_insert(*value);
            *held = (*held).max(*value);
        }
        self.keep(&values)
            .map_err(|error| LastSeenError(format!("`{}`: {error}", self.path.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_highest_date_outlives_the_process_and_never_falls() {
        let dir = tempfile::tempdir().unwrap();
        let key = SeenKey {
            tenant: "t".into(),
            generator: "apt".into(),
            key: "suite".into(),
        };
        let first = FileLastSeen::open(dir.path()).unwrap();
        assert_eq!(first.highest(&key).await.unwrap(), None);
        first
            .raise(&[(key.clone(), 5), (key.clone(), 3)])
            .await
            .unwrap();
        let second = FileLastSeen::open(dir.path()).unwrap();
        assert_eq!(second.highest(&key).await.unwrap(), Some(5));
        std::fs::write(dir.path().join("last-seen.json"), "{").unwrap();
        assert!(FileLastSeen::open(dir.path()).is_err());
    }
}
