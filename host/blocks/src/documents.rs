//! From a volume's name to what its documents say (RFC 0001).

use std::sync::Arc;

use bootsplice_content::{Chunk, Digest};
use bootsplice_volume::{
    ContentManifest, NAME_SCHEMA, NameRecord, PAGE_BLOCKS, Page, Placement, PlacementPage,
    VolumeError, is_volume_name, paths,
};

use crate::cache::Cache;
use crate::fetch::MOST_FRAME;
use crate::index::{Index, Located};
use crate::origin::{Object, Origin};
use crate::{BlocksError, Result, Volume};

/// A content manifest and a placement, checked against each other.
#[derive(Debug)]
pub(crate) struct Description {
    pub(crate) id: Digest,
    pub(crate) manifest: ContentManifest,
    pub(crate) placement: Placement,
    /// Content page and placement page; `None` where a page is all zero.
    pub(crate) pages: Vec<Option<(Digest, Digest)>>,
    /// The placement's packs, as objects to be read.
    pub(crate) packs: Vec<Arc<Object>>,
    /// The placement's order, without what lies outside the volume.
    pub(crate) order: Vec<(u64, u64)>,
}

/// Blocks of a page, as block numbers are counted.
pub(crate) const PAGE: u64 = PAGE_BLOCKS as u64;

const MOST_NAME: usize = 4096;

// === impl Volume ===

impl Volume {
    /// Opens the volume that `name` points to now, with the placement that goes with it.
    pub async fn open(origin: Arc<Origin>, cache: Arc<Cache>, name: &str) -> Result<Self> {
        if !is_volume_name(name) {
            return Err(BlocksError::Invalid {
                what: "volume name",
                found: name.chars().take(130).collect(),
                expected:
                    "1 to 128 of A-Z, a-z, 0-9, `.`, `_` and `-`, the first a letter or digit"
                        .into(),
            });
        }
        let path = paths::name(name);
        let bytes = origin.document(&path, MOST_NAME, &cache.counters).await?;
        let record: NameRecord = serde_json::from_slice(&bytes)
            .map_err(|error| BlocksError::corrupt(&path, None, error.to_string()))?;
        if record.schema != NAME_SCHEMA {
            let reason = format!(
                "schema `{}`, this release reads `{NAME_SCHEMA}`",
                record.schema
            );
            return Err(BlocksError::corrupt(&path, None, reason));
        }
        Self::open_id(origin, cache, record.volume, record.placement).await
    }

    /// Opens a volume by its id, with one version of its placement: what a launch that is taken up again asks for.
    pub async fn open_id(
        origin: Arc<Origin>,
        cache: Arc<Cache>,
        id: Digest,
        placement: u32,
    ) -> Result<Self> {
        let path = paths::manifest(&id);
        let limit = ContentManifest::MAX_BYTES;
        let bytes = origin.document(&path, limit, &cache.counters).await?;
        let chunk = Chunk::verify(id, bytes)
            .map_err(|refused| BlocksError::corrupt(&path, None, refused.to_string()))?;
        let manifest = ContentManifest::decode(chunk.bytes()).map_err(damaged(&path))?;
        let path = paths::placement(&id, placement);
        let limit = Placement::MAX_BYTES;
        let bytes = origin.document(&path, limit, &cache.counters).await?;
        let placement = Placement::decode(&bytes).map_err(damaged(&path))?;
        let description = Description::new(id, manifest, placement)
            .map_err(|reason| BlocksError::corrupt(&path, None, reason))?;
        Ok(Self::new(origin, cache, description))
    }

    pub fn id(&self) -> Digest {
        self.description().id
    }

    pub fn manifest(&self) -> &ContentManifest {
        &self.description().manifest
    }

    pub fn placement(&self) -> &Placement {
        &self.description().placement
    }
}

// === impl Description ===

impl Description {
    fn new(id: Digest, manifest: ContentManifest, placement: Placement) -> Result<Self, String> {
        if placement.volume != id {
            return Err(format!("it places volume {}, not {id}", placement.volume));
        }
        if manifest.pages.len() != placement.pages.len() {
            return Err(format!(
                "{} placement pages for {} content pages",
                placement.pages.len(),
                manifest.pages.len()
            ));
        }
        let pages = manifest.pages.iter().zip(&placement.pages).enumerate();
        let pages = pages
            .map(|(number, pair)| match pair {
                (None, None) => Ok(None),
                (Some(content), Some(places)) => Ok(Some((*content, *places))),
                _ => Err(format!("page {number} has content or places, but not both")),
            })
            .collect::<Result<_, _>>()?;
        let packs = placement.packs.iter().map(|pack| {
            Arc::new(Object {
                path: pack.path.clone(),
                size: Some(pack.size),
                etag: pack.etag.clone(),
            })
        });
        let packs = packs.collect();
        let blocks = manifest.blocks();
        let inside = |&&(first, count): &&(u64, u64)| {
            count > 0 && first.checked_add(count).is_some_and(|end| end <= blocks)
        };
        let order = placement.order.iter().filter(inside).copied().collect();
        Ok(Self {
            id,
            manifest,
            placement,
            pages,
            packs,
            order,
        })
    }

    /// A content page with its places; nothing in either is taken on trust.
    pub(crate) fn join(
        &self,
        page: usize,
        (content, content_bytes): (Digest, &[u8]),
        (places, places_bytes): (Digest, &[u8]),
    ) -> Result<Index> {
        let blocks = self.manifest.page_blocks(page);
        let content =
            Page::decode(content_bytes, blocks).map_err(damaged(&paths::page(&content)))?;
        let path = paths::placement_page(&places);
        let places =
            PlacementPage::decode(places_bytes, content.data_blocks(), &self.placement.packs)
                .map_err(damaged(&path))?;
        let mut places = places.0.iter();
        let mut joined = Vec::with_capacity(blocks);
        for digest in content.blocks() {
            let Some(digest) = *digest else {
                joined.push(None);
                continue;
            };
            let place = places
                .next()
                .ok_or_else(|| BlocksError::corrupt(&path, None, "fewer places than blocks"))?;
            if place.length as usize > MOST_FRAME {
                let reason = format!(
                    "a frame of {} bytes, one block needs at most {MOST_FRAME}",
                    place.length
                );
                return Err(BlocksError::corrupt(&path, None, reason));
            }
            joined.push(Some(Located {
                digest,
                pack: place.pack,
                length: place.length,
                offset: place.offset,
            }));
        }
        Ok(Index::new(joined))
    }
}

fn damaged(path: &str) -> impl Fn(VolumeError) -> BlocksError {
    move |error| BlocksError::corrupt(path, None, error.to_string())
}
