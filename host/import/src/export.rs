//! A stored volume as a sparse raw file.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bootsplice_content::{BLOCK_U64, Digest};
use object_store::ObjectStore;
use tempfile::TempPath;

use crate::stored::Stored;
use crate::{ImportError, Progress, Result};

/// Writes the volume `name` to `target`, every block checked, and gives its id. The file is `<target>.partial` until it is whole and synced; a failed export removes it.
pub async fn export(
    store: &Arc<dyn ObjectStore>,
    name: &str,
    target: &Path,
    mut progress: impl FnMut(Progress),
) -> Result<Digest> {
    let stored = Stored::open(store.clone(), name).await?;
    let mut partial = target.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let file = File::options()
        .write(true)
        .create_new(true)
        .open(&partial)
        .map_err(ImportError::file(&partial))?;
    // From here on a failure removes the file.
    let guard = TempPath::try_from_path(&partial).map_err(ImportError::file(&partial))?;
    file.set_len(stored.manifest.size)
        .map_err(ImportError::file(&partial))?;
    let file = Arc::new(file);
    let total = stored.manifest.size;
    for index in 0..stored.manifest.pages.len() {
        let Some((page, places)) = stored.page(index).await? else {
            continue;
        };
        for batch in stored.batches(index, &page, &places) {
            let bytes = batch.read(store).await?;
            let (file, path) = (file.clone(), partial.clone());
            let written = tokio::task::spawn_blocking(move || {
                let mut last = 0;
                for (block, content) in batch.open(&bytes) {
                    let (content, offset) = (content?, block * BLOCK_U64);
                    let length = (total - offset).min(BLOCK_U64) as usize;
                    file.write_all_at(&content[..length], offset)
                        .map_err(ImportError::file(&path))?;
                    last = offset + length as u64;
                }
                Ok::<_, ImportError>(last)
            });
            let done = written.await.map_err(|_| ImportError::Cancelled)??;
            progress(Progress { done, total });
        }
    }
    let target = target.to_owned();
    let finish = tokio::task::spawn_blocking(move || {
        file.sync_all().map_err(ImportError::file(&partial))?;
        guard
            .persist(&target)
            .map_err(|error| ImportError::file(&target)(error.error))?;
        let folder = target
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(ImportError::file(folder))
    });
    finish.await.map_err(|_| ImportError::Cancelled)??;
    progress(Progress { done: total, total });
    Ok(stored.id)
}
