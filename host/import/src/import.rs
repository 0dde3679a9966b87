//! The import itself.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bootsplice_content::point_frame::{FRAME_BLOCKS, first_block};
use bootsplice_content::{BLOCK, BLOCK_U64, Digest, blocks_for};
use bootsplice_volume::gpt::{NewPoint, Table};
use bootsplice_volume::{
    ContentManifest, Inventory, MANIFEST_SCHEMA, MAX_SIZE, NameRecord, PLACEMENT_SCHEMA, Placement,
    Point, is_volume_name, paths,
};
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use serde::Serialize;
use tokio::runtime::Handle;

use crate::guest::Guest;
use crate::image::Image;
use crate::known::Known;
use crate::pack::Packs;
use crate::pages::{EarlierPages, Pages};
use crate::publish::{Before, put_once};
use crate::source::Source;
use crate::stored::{Stored, document};
use crate::{ImportError, ImportRequest, Result, pipeline, publish};

/// Threads that hash and compress.
const WORKERS: usize = 2;
/// How often another import may add a placement of the same volume before ours.
const PLACEMENT_ATTEMPTS: u32 = 8;

/// How far an import is, in bytes of the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub done: u64,
    pub total: u64,
}

/// What an import did.
#[derive(Clone, Debug, Serialize)]
pub struct ImportReport {
    pub name: String,
    pub volume: Digest,
    pub placement: u32,
    /// Bytes of the volume.
    pub size: u64,
    pub sector: u32,
    pub points: Vec<Point>,
    pub blocks: u64,
    /// Blocks that are not zero.
    pub data_blocks: u64,
    /// Of these, those that were stored before or occur again in the image.
    pub reused_blocks: u64,
    /// Bytes put into the store, documents included.
    pub uploaded: u64,
    pub inventory: Inventory,
    /// What will stop or surprise a launch.
    pub warnings: Vec<String>,
}

/// The volume's content, described and stored.
struct Content {
    manifest: ContentManifest,
    placement: Placement,
    guest: Guest,
    data_blocks: u64,
    reused_blocks: u64,
    uploaded: u64,
}

/// Tells the pipeline that nobody waits any more.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Imports an image into `store` and names it. `progress` is called often, from another thread.
///
/// The same image, points and size are the same volume id, and what the store has is not sent again. Dropped before its end it leaves no name, only objects that the
/// next import uses.
pub async fn import(
    store: Arc<dyn ObjectStore>,
    request: ImportRequest,
    progress: impl FnMut(Progress) + Send + 'static,
) -> Result<ImportReport> {
    if !is_volume_name(&request.name) {
        let expected = "letters, digits, `.`, `_` and `-`, beginning with a letter or digit";
        return Err(ImportError::invalid("volume name", &request.name, expected));
    }
    let mut warnings = Vec::new();
    let before = Before::read(&store, &request.name).await?;
    let earlier = match &before.record {
        None => None,
        Some(record) => match Stored::open_record(store.clone(), record).await {
            Ok(stored) => Some(Arc::new(stored)),
            Err(error @ ImportError::Damaged { .. }) => {
                warnings.push(format!(
                    "the volume that had the name is damaged and nothing of it is used: {error}"
                ));
                None
            }
            Err(error) => return Err(error),
        },
    };
    let cancelled = Arc::new(AtomicBool::new(false));
    let guard = CancelOnDrop(cancelled.clone());
    let name = request.name.clone();
    let (blocking_store, handle) = (store.clone(), Handle::current());
    let content = tokio::task::spawn_blocking(move || {
        Content::store(
            blocking_store,
            handle,
            &request,
            earlier,
            &cancelled,
            progress,
        )
    });
    let content = content.await.map_err(|_| ImportError::Cancelled)??;
    drop(guard);
    content.publish(&store, name, before, warnings).await
}

// === impl Content ===

impl Content {
    /// Stores packs and pages.
    fn store(
        store: Arc<dyn ObjectStore>,
        handle: Handle,
        request: &ImportRequest,
        earlier: Option<Arc<Stored>>,
        cancelled: &AtomicBool,
        mut progress: impl FnMut(Progress),
    ) -> Result<Self> {
        let image = Image::open(
            &request.image,
            request.format()?,
            &request.scratch,
            request.isolation,
        )?;
        let mut head = vec![0; BLOCK];
        let length = image.size.min(BLOCK_U64) as usize;
        let read = image.file.read_exact_at(&mut head[..length], 0);
        read.map_err(ImportError::file(&request.image))?;
        let mut table = Table::read(&head, image.size)?;
        let mut guest = Guest::read(&image.file, &table.partitions());
        guest.warnings.extend(image.warning.clone());
        let (size, points) = place(&mut table, image.size, request)?;
        let cleared = old_backup(&image, &table, &head)?;
        let tail = table.write(&mut head, size);
        let mut patches = BTreeMap::from([
            (0, Bytes::from(head)),
            (size / BLOCK_U64 - 1, Bytes::from(tail)),
        ]);
        let frame = first_block().into_bytes();
        for point in &points {
            patches.insert(point.first, frame.clone());
            patches.insert(point.end() - FRAME_BLOCKS, frame.clone());
        }
        let source = Source {
            file: &image.file,
            size: image.size,
            cleared,
            emptied: points
                .iter()
                .map(|point| point.first..point.end())
                .collect(),
            patches,
        };
        let blocks = size / BLOCK_U64;
        let known = Known::default();
        let mut pages = Pages::new(&store, &handle, blocks);
        let mut packs = Packs::new(store.clone(), handle.clone(), request.scratch.clone());
        let (mut data_blocks, mut reused_blocks) = (0, 0);
        let mut lookup = EarlierPages::new(earlier, handle.clone());
        pipeline::run(
            &source,
            WORKERS,
            &known,
            cancelled,
            |block| lookup.of(block),
            |block| {
                let location = match (
                    block.earlier.get(&block.digest),
                    known.get(&block.digest),
                    &block.frame,
                ) {
                    (Some((pack, location)), ..) => packs.adopt(pack, *location),
                    (None, Some(location), _) => location,
                    (None, None, Some(frame)) => {
                        let location = packs.append(frame)?;
                        known.insert(block.digest, location);
                        data_blocks += 1;
                        pages.push(block.number, block.digest, location)?;
                        progress(Progress {
                            done: block.number * BLOCK_U64,
                            total: size,
                        });
                        return Ok(());
                    }
                    (None, None, None) => {
                        return Err(ImportError::damaged(
                            "packs",
                            "a known block was forgotten; this is a defect",
                        ));
                    }
                };
                data_blocks += 1;
                reused_blocks += 1;
                pages.push(block.number, block.digest, location)?;
                progress(Progress {
                    done: block.number * BLOCK_U64,
                    total: size,
                });
                Ok(())
            },
        )?;
        let (content_pages, placement_pages, sent_pages) = pages.finish()?;
        let (packs, sent_packs) = packs.finish()?;
        progress(Progress {
            done: size,
            total: size,
        });
        let inventory = inventory_bytes(&guest.inventory)?;
        let manifest = ContentManifest {
            schema: MANIFEST_SCHEMA.to_owned(),
            size,
            sector: table.sector(),
            disk: table.disk(),
            points,
            inventory: Digest::of(&inventory),
            pages: content_pages,
        };
        // What a reader would refuse must not be written.
        ContentManifest::decode(&manifest.encode())?;
        let placement = Placement {
            schema: PLACEMENT_SCHEMA.to_owned(),
            volume: manifest.id(),
            version: 1,
            packs,
            pages: placement_pages,
            order: Vec::new(),
        };
        let uploaded = sent_pages + sent_packs;
        Ok(Self {
            manifest,
            placement,
            guest,
            data_blocks,
            reused_blocks,
            uploaded,
        })
    }

    /// Stores the documents, then the name.
    async fn publish(
        self,
        store: &Arc<dyn ObjectStore>,
        name: String,
        before: Before,
        mut warnings: Vec<String>,
    ) -> Result<ImportReport> {
        let Self {
            manifest,
            placement,
            guest,
            data_blocks,
            reused_blocks,
            mut uploaded,
        } = self;
        for (digest, bytes) in guest.files {
            uploaded += put_once(store, &paths::inventory_file(&digest), bytes).await?;
        }
        let inventory = inventory_bytes(&guest.inventory)?;
        uploaded += put_once(store, &paths::inventory(&manifest.inventory), inventory).await?;
        let id = manifest.id();
        uploaded += put_once(store, &paths::manifest(&id), manifest.encode()).await?;
        let (version, sent) = place_volume(store, placement).await?;
        let record = NameRecord::new(id, version);
        uploaded += sent + before.replace(store, &name, &record).await?;
        warnings.extend(guest.warnings);
        Ok(ImportReport {
            name,
            volume: id,
            placement: version,
            size: manifest.size,
            sector: manifest.sector,
            blocks: manifest.blocks(),
            points: manifest.points,
            data_blocks,
            reused_blocks,
            uploaded,
            inventory: guest.inventory,
            warnings,
        })
    }
}

fn inventory_bytes(inventory: &Inventory) -> Result<Vec<u8>> {
    serde_json::to_vec(inventory).map_err(|error| ImportError::damaged("inventory", error))
}

/// Decides the volume's size and puts the points into the table.
fn place(table: &mut Table, image: u64, request: &ImportRequest) -> Result<(u64, Vec<Point>)> {
    let mut points = table.points()?;
    let mut new: Vec<NewPoint> = Vec::new();
    for wanted in &request.points {
        if new.iter().any(|other| other.name == wanted.name) {
            return Err(ImportError::invalid(
                "point",
                &wanted.name,
                "each point once",
            ));
        }
        match points.iter_mut().find(|point| point.name == wanted.name) {
            Some(kept) if kept.blocks == wanted.blocks => kept.stage = wanted.stage,
            Some(kept) => {
                let expected = format!(
                    "{} bytes, the size it has in the image, or no request for it",
                    kept.blocks * BLOCK_U64
                );
                return Err(ImportError::invalid("point", &wanted.name, expected));
            }
            None => new.push(wanted.clone()),
        }
    }
    let occupied = table
        .partitions()
        .iter()
        .map(|one| one.offset + one.length)
        .max()
        .unwrap_or(0);
    let image_blocks = blocks_for(image);
    // An image whose last block holds no partition, such as an exported volume, needs no further one for its table.
    let tail_is_free =
        image.is_multiple_of(BLOCK_U64) && occupied <= (image_blocks - 1) * BLOCK_U64;
    let least = if new.is_empty() && !points.is_empty() && tail_is_free {
        image_blocks
    } else {
        image_blocks.saturating_add(
            new.iter()
                .fold(1, |sum, point| sum.saturating_add(point.blocks)),
        )
    };
    let least = least
        .checked_mul(BLOCK_U64)
        .filter(|size| *size <= MAX_SIZE);
    let least = least.ok_or_else(|| {
        ImportError::invalid(
            "points",
            "their sizes",
            format!("a volume of at most {MAX_SIZE} bytes"),
        )
    })?;
    let size = request.size.unwrap_or(least);
    if size < least || size > MAX_SIZE || !size.is_multiple_of(BLOCK_U64) {
        let expected = format!(
            "a multiple of 524288 from {least} (image, points and one block) to {MAX_SIZE}"
        );
        return Err(ImportError::invalid("size", size, expected));
    }
    points.extend(table.append_points(&new, size)?);
    points.sort_by_key(|point| point.first);
    Ok((size, points))
}

/// The bytes of the image's own backup table, where the header says and no partition lies.
fn old_backup(image: &Image, table: &Table, head: &[u8]) -> Result<std::ops::Range<u64>> {
    let sector = table.sector() as usize;
    let field = head[sector + 32..sector + 40].iter().rev();
    let lba = field.fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let nothing = Ok(0..0);
    let Some(end) = lba
        .checked_add(1)
        .and_then(|end| end.checked_mul(sector as u64))
    else {
        return nothing;
    };
    if end > image.size {
        return nothing;
    }
    let mut signature = [0; 8];
    let read = image
        .file
        .read_exact_at(&mut signature, end - sector as u64);
    read.map_err(ImportError::file("the raw image".as_ref()))?;
    let range = table.backup_range(end);
    let taken = |one: &bootsplice_volume::gpt::Partition| {
        one.offset < range.end && range.start < one.offset + one.length
    };
    if &signature != b"EFI PART" || table.partitions().iter().any(taken) {
        return nothing;
    }
    Ok(range)
}

/// Writes the placement unless the volume has one whose packs are all there. Gives its version and the bytes sent.
async fn place_volume(
    store: &Arc<dyn ObjectStore>,
    mut placement: Placement,
) -> Result<(u32, u64)> {
    let folder = format!("placements/sha256/{}", placement.volume.hex());
    for _ in 0..PLACEMENT_ATTEMPTS {
        let listed = store.list(Some(&Path::from(folder.as_str())));
        let found: Vec<_> = listed
            .try_collect()
            .await
            .map_err(ImportError::store(&folder))?;
        let versions = found
            .iter()
            .filter_map(|object| object.location.filename()?.parse::<u32>().ok());
        let newest = versions.max().unwrap_or(0);
        if newest > 0 && is_complete(store, &placement, newest).await? {
            return Ok((newest, 0));
        }
        placement.version = newest + 1;
        let path = paths::placement(&placement.volume, placement.version);
        let bytes = placement.encode();
        let size = bytes.len() as u64;
        let options = PutOptions::from(PutMode::Create);
        let at = Path::from(path.as_str());
        match store
            .put_opts(&at, Bytes::from(bytes).into(), options)
            .await
        {
            Ok(_) => return Ok((placement.version, size)),
            // Another import of the same image was faster; its placement may serve.
            Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(ImportError::store(&path)(error)),
        }
    }
    Err(ImportError::damaged(
        &folder,
        "its versions change faster than one can be added",
    ))
}

async fn is_complete(store: &Arc<dyn ObjectStore>, ours: &Placement, version: u32) -> Result<bool> {
    let path = paths::placement(&ours.volume, version);
    let bytes = document(store, &path, Placement::MAX_BYTES).await?;
    let Ok(stored) = Placement::decode(&bytes) else {
        return Ok(false);
    };
    if stored.volume != ours.volume || stored.pages.len() != ours.pages.len() {
        return Ok(false);
    }
    for pack in &stored.packs {
        if !publish::has(store, &pack.path, pack.size).await? {
            return Ok(false);
        }
    }
    for page in stored.pages.iter().flatten() {
        let path = paths::placement_page(page);
        match store.head(&Path::from(path.as_str())).await {
            Ok(_) => {}
            Err(object_store::Error::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(ImportError::store(&path)(error)),
        }
    }
    Ok(true)
}
