//! Volumes as they lie in the store: their documents, read by name and checked.

use std::sync::Arc;

use bootsplice_content::{BLOCK, Chunk, Digest};
use bootsplice_volume::{
    ContentManifest, Inventory, Location, NAME_SCHEMA, NameRecord, Page, Placement, PlacementPage,
    Point, is_volume_name, paths,
};
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::Serialize;

use crate::{ImportError, Result};

/// The longest stretch of a pack that is read at once, in bytes.
const READ: u64 = 8 << 20;

/// A volume with one placement.
pub(crate) struct Stored {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) id: Digest,
    pub(crate) manifest: ContentManifest,
    pub(crate) placement: Placement,
}

/// Blocks that lie side by side in one pack.
pub(crate) struct Batch {
    pub(crate) pack: String,
    range: std::ops::Range<u64>,
    blocks: Vec<(u64, Digest, Location)>,
}

/// One name of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    pub name: String,
    pub volume: Digest,
    pub placement: u32,
}

/// A volume as `volume inspect` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    pub name: String,
    pub volume: Digest,
    pub placement: u32,
    /// Bytes.
    pub size: u64,
    pub sector: u32,
    pub disk: uuid::Uuid,
    pub points: Vec<Point>,
    /// Bytes in the packs it refers to, blocks of other volumes included.
    pub packs_size: u64,
    pub packs: usize,
    /// Blocks that are not zero.
    pub data_blocks: u64,
    pub blocks: u64,
    pub inventory: Inventory,
}

/// All names of a store, sorted.
pub async fn list(store: &Arc<dyn ObjectStore>) -> Result<Vec<Named>> {
    let prefix = Path::from(paths::NAMES);
    let found: Vec<_> = store
        .list(Some(&prefix))
        .try_collect()
        .await
        .map_err(ImportError::store(paths::NAMES))?;
    let mut names = Vec::new();
    for object in found {
        let Some(name) = object
            .location
            .filename()
            .filter(|name| is_volume_name(name))
        else {
            continue;
        };
        let record = record(store, name).await?;
        names.push(Named {
            name: name.to_owned(),
            volume: record.volume,
            placement: record.placement,
        });
    }
    names.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(names)
}

/// What the volume `name` is and holds.
pub async fn inspect(store: &Arc<dyn ObjectStore>, name: &str) -> Result<Inspection> {
    let stored = Stored::open(store.clone(), name).await?;
    let mut data_blocks = 0;
    for page in 0..stored.manifest.pages.len() {
        if let Some((page, _)) = stored.page(page).await? {
            data_blocks += page.data_blocks() as u64;
        }
    }
    let inventory = stored.inventory().await?;
    let Stored {
        id,
        manifest,
        placement,
        ..
    } = stored;
    Ok(Inspection {
        name: name.to_owned(),
        volume: id,
        placement: placement.version,
        size: manifest.size,
        sector: manifest.sector,
        disk: manifest.disk,
        blocks: manifest.blocks(),
        points: manifest.points,
        packs_size: placement.packs.iter().map(|pack| pack.size).sum(),
        packs: placement.packs.len(),
        data_blocks,
        inventory,
    })
}

/// The record of a name.
async fn record(store: &Arc<dyn ObjectStore>, name: &str) -> Result<NameRecord> {
    if !is_volume_name(name) {
        let expected = "letters, digits, `.`, `_` and `-`, beginning with a letter or digit";
        return Err(ImportError::invalid("volume name", name, expected));
    }
    let path = paths::name(name);
    let bytes = match document(store, &path, 4096).await {
        Err(ImportError::Damaged { .. }) if !exists(store, &path).await? => {
            return Err(ImportError::NoVolume(name.to_owned()));
        }
        other => other?,
    };
    let record: NameRecord =
        serde_json::from_slice(&bytes).map_err(|error| ImportError::damaged(&path, error))?;
    if record.schema != NAME_SCHEMA {
        return Err(ImportError::damaged(
            &path,
            format!("schema `{}`", record.schema),
        ));
    }
    Ok(record)
}

async fn exists(store: &Arc<dyn ObjectStore>, path: &str) -> Result<bool> {
    match store.head(&Path::from(path)).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(ImportError::store(path)(error)),
    }
}

/// An object of at most `limit` bytes. One that is missing or longer is damage: something refers to it.
pub(crate) async fn document(
    store: &Arc<dyn ObjectStore>,
    path: &str,
    limit: usize,
) -> Result<Bytes> {
    let found = match store.get(&Path::from(path)).await {
        Err(object_store::Error::NotFound { .. }) => {
            return Err(ImportError::damaged(path, "it is missing"));
        }
        other => other.map_err(ImportError::store(path))?,
    };
    if found.meta.size > limit as u64 {
        let reason = format!("{} bytes, expected at most {limit}", found.meta.size);
        return Err(ImportError::damaged(path, reason));
    }
    found.bytes().await.map_err(ImportError::store(path))
}

/// An object named by its digest.
pub(crate) async fn verified(
    store: &Arc<dyn ObjectStore>,
    path: &str,
    digest: Digest,
    limit: usize,
) -> Result<Bytes> {
    let bytes = document(store, path, limit).await?;
    let chunk =
        Chunk::verify(digest, bytes).map_err(|refused| ImportError::damaged(path, refused))?;
    Ok(chunk.into_bytes())
}

// === impl Stored ===

impl Stored {
    pub(crate) async fn open(store: Arc<dyn ObjectStore>, name: &str) -> Result<Self> {
        let record = record(&store, name).await?;
        Self::open_record(store, &record).await
    }

    pub(crate) async fn open_record(
        store: Arc<dyn ObjectStore>,
        record: &NameRecord,
    ) -> Result<Self> {
        let id = record.volume;
        let path = paths::manifest(&id);
        let bytes = verified(&store, &path, id, ContentManifest::MAX_BYTES).await?;
        let manifest =
            ContentManifest::decode(&bytes).map_err(|error| ImportError::damaged(&path, error))?;
        let path = paths::placement(&id, record.placement);
        let bytes = document(&store, &path, Placement::MAX_BYTES).await?;
        let placement =
            Placement::decode(&bytes).map_err(|error| ImportError::damaged(&path, error))?;
        let pages = manifest.pages.iter().zip(&placement.pages);
        let agree = placement.volume == id
            && placement.version == record.placement
            && placement.pages.len() == manifest.pages.len()
            && pages
                .into_iter()
                .all(|(page, places)| page.is_some() == places.is_some());
        if !agree {
            return Err(ImportError::damaged(
                &path,
                format!("it does not place volume {id}"),
            ));
        }
        Ok(Self {
            store,
            id,
            manifest,
            placement,
        })
    }

    pub(crate) async fn inventory(&self) -> Result<Inventory> {
        let path = paths::inventory(&self.manifest.inventory);
        let bytes = verified(
            &self.store,
            &path,
            self.manifest.inventory,
            Inventory::MAX_BYTES,
        )
        .await?;
        serde_json::from_slice(&bytes).map_err(|error| ImportError::damaged(&path, error))
    }

    /// Page `index` and where its blocks lie; none when it is zero.
    pub(crate) async fn page(&self, index: usize) -> Result<Option<(Page, PlacementPage)>> {
        let (Some(Some(page)), Some(Some(places))) = (
            self.manifest.pages.get(index),
            self.placement.pages.get(index),
        ) else {
            return Ok(None);
        };
        let path = paths::page(page);
        let bytes = verified(&self.store, &path, *page, Page::MAX_BYTES).await?;
        let page = Page::decode(&bytes, self.manifest.page_blocks(index))
            .map_err(|error| ImportError::damaged(&path, error))?;
        let path = paths::placement_page(places);
        let bytes = verified(&self.store, &path, *places, PlacementPage::MAX_BYTES).await?;
        let places = PlacementPage::decode(&bytes, page.data_blocks(), &self.placement.packs)
            .map_err(|error| ImportError::damaged(&path, error))?;
        Ok(Some((page, places)))
    }

    /// The reads that bring a page's blocks.
    pub(crate) fn batches(&self, index: usize, page: &Page, places: &PlacementPage) -> Vec<Batch> {
        let first = index as u64 * bootsplice_volume::PAGE_BLOCKS as u64;
        let data = page.blocks().iter().zip(first..);
        let data = data.filter_map(|(digest, block)| Some((block, (*digest)?)));
        let mut batches: Vec<Batch> = Vec::new();
        let mut last_pack = None;
        for ((block, digest), location) in data.zip(&places.0) {
            let end = location.offset + u64::from(location.length);
            match batches.last_mut() {
                Some(batch)
                    if last_pack == Some(location.pack)
                        && batch.range.end == location.offset
                        && end - batch.range.start <= READ =>
                {
                    batch.range.end = end;
                    batch.blocks.push((block, digest, *location));
                }
                _ => batches.push(Batch {
                    pack: self.placement.packs[location.pack as usize].path.clone(),
                    range: location.offset..end,
                    blocks: vec![(block, digest, *location)],
                }),
            }
            last_pack = Some(location.pack);
        }
        batches
    }
}

// === impl Batch ===

impl Batch {
    pub(crate) async fn read(&self, store: &Arc<dyn ObjectStore>) -> Result<Bytes> {
        let read = store
            .get_range(&Path::from(self.pack.as_str()), self.range.clone())
            .await;
        let bytes = read.map_err(ImportError::store(&self.pack))?;
        if bytes.len() as u64 != self.range.end - self.range.start {
            return Err(ImportError::damaged(&self.pack, "it is cut short"));
        }
        Ok(bytes)
    }

    /// The batch's blocks with their content, each checked.
    pub(crate) fn open<'a>(
        &'a self,
        bytes: &'a [u8],
    ) -> impl Iterator<Item = (u64, Result<Vec<u8>>)> + 'a {
        self.blocks.iter().map(move |(block, digest, location)| {
            let start = (location.offset - self.range.start) as usize;
            let frame = &bytes[start..start + location.length as usize];
            (*block, self.content(*block, digest, frame))
        })
    }

    fn content(&self, block: u64, digest: &Digest, frame: &[u8]) -> Result<Vec<u8>> {
        let damaged =
            |reason: String| ImportError::damaged(&self.pack, format!("block {block}: {reason}"));
        let content =
            zstd::bulk::decompress(frame, BLOCK).map_err(|error| damaged(error.to_string()))?;
        let actual = Digest::of(&content);
        if actual != *digest || content.len() != BLOCK {
            return Err(damaged(format!("expected digest {digest}, found {actual}")));
        }
        Ok(content)
    }
}
