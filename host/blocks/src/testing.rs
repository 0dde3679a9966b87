//! A volume in memory behind a store that counts and can fail in every way a store can.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use bootsplice_content::{BLOCK, BLOCK_U64, Digest};
use bootsplice_volume::{
    ContentManifest, Location, MANIFEST_SCHEMA, NameRecord, PAGE_BLOCKS, PLACEMENT_SCHEMA, Pack,
    Page, Placement, PlacementPage, paths,
};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;

use crate::{Cache, CacheConfig, Origin, Patience, Volume};

/// What the store does wrong with packs.
#[derive(Clone, Debug, Default)]
pub(crate) enum Fault {
    #[default]
    None,
    /// This many requests fail as a server error does.
    ServerErrors(u64),
    /// Every answer waits.
    Slow(Duration),
    /// Never answers.
    Stalled,
    /// The range is answered with its first bytes only, claimed to be all.
    ShortRange,
    /// Pieces without a byte, for ever, as from a file that shrank.
    EmptyPieces,
    /// This many answers have one bit flipped, at this offset of the pack.
    BitFlip { at: u64, answers: u64 },
}

/// A store that counts what is asked of it.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    inner: InMemory,
    pub(crate) fault: Mutex<Fault>,
    pub(crate) pack_requests: AtomicU64,
    pub(crate) pack_bytes: AtomicU64,
}

/// A stored volume with what it should hold.
pub(crate) struct Fixture {
    pub(crate) store: Arc<Probe>,
    pub(crate) blocks: Vec<Option<Bytes>>,
    pub(crate) packs: Vec<Pack>,
    pub(crate) stored: u64,
}

pub(crate) const NAME: &str = "debian-12";

// === impl Fixture ===

impl Fixture {
    /// A volume of `count` blocks in packs of `per_pack`, stored in load order. Every fifth block is zero.
    pub(crate) async fn new(count: u64, per_pack: usize, order: Vec<(u64, u64)>) -> Self {
        Self::build(count, per_pack, order, true).await
    }

    /// From a store that does not name versions.
    pub(crate) async fn without_etags(count: u64, per_pack: usize) -> Self {
        Self::build(count, per_pack, Vec::new(), false).await
    }

    async fn build(count: u64, per_pack: usize, order: Vec<(u64, u64)>, etags: bool) -> Self {
        let store = Arc::new(Probe::default());
        let blocks: Vec<Option<Bytes>> = (0..count).map(content).collect();
        let mut sequence: Vec<u64> = order
            .iter()
            .flat_map(|&(first, n)| first..first + n)
            .collect();
        sequence.extend(
            (0..count)
                .filter(|block| !sequence.contains(block))
                .collect::<Vec<_>>(),
        );
        sequence.retain(|&block| blocks[block as usize].is_some());
        let mut locations = vec![None; count as usize];
        let mut packs = Vec::new();
        for group in sequence.chunks(per_pack) {
            let mut pack = Vec::new();
            for &block in group {
                let plain = blocks[block as usize].as_ref().unwrap();
                let frame = zstd::bulk::compress(plain, 1).unwrap();
                locations[block as usize] = Some(Location {
                    pack: packs.len() as u32,
                    length: frame.len() as u32,
                    offset: pack.len() as u64,
                });
                pack.extend(frame);
            }
            pack.extend(b"a seek table would stand here");
            let digest = Digest::of(&pack);
            let size = pack.len() as u64;
            let path = paths::pack(&digest);
            let put = store
                .put(&Path::from(path.as_str()), pack.into())
                .await
                .unwrap();
            packs.push(Pack {
                path,
                size,
                digest,
                etag: put.e_tag.filter(|_| etags),
            });
        }
        let stored = packs.iter().map(|pack| pack.size).sum();
        let (mut pages, mut places) = (Vec::new(), Vec::new());
        for (blocks, locations) in blocks
            .chunks(PAGE_BLOCKS)
            .zip(locations.chunks(PAGE_BLOCKS))
        {
            let digests = blocks
                .iter()
                .map(|block| block.as_ref().map(|bytes| Digest::of(bytes)));
            let page = Page::new(digests.collect()).unwrap();
            let place = PlacementPage(locations.iter().copied().flatten().collect());
            for (path, bytes) in [
                (
                    page.digest().map(|digest| paths::page(&digest)),
                    page.encode(),
                ),
                (
                    place.digest().map(|digest| paths::placement_page(&digest)),
                    place.encode(),
                ),
            ] {
                if let Some(path) = path {
                    store.put(&Path::from(path), bytes.into()).await.unwrap();
                }
            }
            pages.push(page.digest());
            places.push(place.digest());
        }
        let manifest = ContentManifest {
            schema: MANIFEST_SCHEMA.into(),
            size: count * BLOCK_U64,
            sector: 512,
            disk: uuid::Uuid::from_u128(1),
            points: Vec::new(),
            inventory: Digest::of(b"inventory"),
            pages,
        };
        let id = manifest.id();
        let placement = Placement {
            schema: PLACEMENT_SCHEMA.into(),
            volume: id,
            version: 1,
            packs: packs.clone(),
            pages: places,
            order,
        };
        let name = serde_json::to_vec(&NameRecord::new(id, 1)).unwrap();
        for (path, bytes) in [
            (paths::manifest(&id), manifest.encode()),
            (paths::placement(&id, 1), placement.encode()),
            (paths::name(NAME), name),
        ] {
            store.put(&Path::from(path), bytes.into()).await.unwrap();
        }
        Self {
            store,
            blocks,
            packs,
            stored,
        }
    }

    pub(crate) fn patience(&self) -> Patience {
        Patience {
            attempts: 4,
            request: Duration::from_secs(5),
            total: Duration::from_secs(30),
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(4),
        }
    }

    pub(crate) fn origin(&self) -> Arc<Origin> {
        Arc::new(Origin::new(self.store.clone(), self.patience()))
    }

    pub(crate) async fn open(&self, cache: Arc<Cache>) -> Volume {
        Volume::open(self.origin(), cache, NAME).await.unwrap()
    }

    /// With a cache that holds all of it.
    pub(crate) async fn open_roomy(&self) -> Volume {
        self.open(Cache::open(CacheConfig::default()).unwrap())
            .await
    }

    pub(crate) fn pack_path(&self, pack: usize) -> Path {
        Path::from(self.packs[pack].path.as_str())
    }

    /// Replaces a pack's bytes.
    pub(crate) async fn replace(&self, pack: usize, bytes: Bytes) {
        self.store
            .put(&self.pack_path(pack), bytes.into())
            .await
            .unwrap();
    }

    pub(crate) async fn pack(&self, pack: usize) -> Bytes {
        self.store
            .inner
            .get(&self.pack_path(pack))
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap()
    }

    /// Copies every object to another store.
    pub(crate) async fn copy_to(&self, store: &dyn ObjectStore) {
        let objects: Vec<_> = self.store.list(None).collect().await;
        for meta in objects.into_iter().flatten() {
            let bytes = self
                .store
                .inner
                .get(&meta.location)
                .await
                .unwrap()
                .bytes()
                .await
                .unwrap();
            store
                .put_opts(&meta.location, bytes.into(), PutOptions::default())
                .await
                .unwrap();
        }
    }

    pub(crate) async fn remove(&self, pack: usize) {
        self.store.delete(&self.pack_path(pack)).await.unwrap();
    }

    /// Changes the first object whose path starts with `prefix` and is not of a longer kind.
    pub(crate) async fn damage(&self, prefix: &str, damage: impl FnOnce(&mut Vec<u8>)) {
        let objects: Vec<_> = self.store.list(None).collect().await;
        let found = objects
            .into_iter()
            .flatten()
            .find(|meta| meta.location.as_ref().starts_with(prefix));
        let path = found.unwrap().location;
        let mut bytes = self
            .store
            .inner
            .get(&path)
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap()
            .to_vec();
        damage(&mut bytes);
        self.store.put(&path, bytes.into()).await.unwrap();
    }

    pub(crate) fn fail(&self, fault: Fault) {
        *self.store.fault.lock() = fault;
    }
}

/// Half noise, half zeros: compresses to about half.
fn content(block: u64) -> Option<Bytes> {
    if block % 5 == 4 {
        return None;
    }
    let mut bytes = vec![0; BLOCK];
    let mut state = block + 1;
    for word in bytes[..BLOCK / 2].chunks_exact_mut(8) {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        word.copy_from_slice(&(state ^ (state >> 31)).to_le_bytes());
    }
    Some(bytes.into())
}

// === impl Probe ===

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("probe")
    }
}

#[async_trait]
impl ObjectStore for Probe {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        if !path.as_ref().starts_with("packs/") || options.head {
            return self.inner.get_opts(path, options).await;
        }
        self.pack_requests.fetch_add(1, SeqCst);
        let fault = {
            let mut fault = self.fault.lock();
            let now = fault.clone();
            match &mut *fault {
                Fault::ServerErrors(left) | Fault::BitFlip { answers: left, .. } => {
                    *left = left.saturating_sub(1)
                }
                _ => {}
            }
            now
        };
        match &fault {
            Fault::ServerErrors(1..) => {
                return Err(object_store::Error::Generic {
                    store: "probe",
                    source: "503 Slow Down".into(),
                });
            }
            Fault::Slow(time) => tokio::time::sleep(*time).await,
            Fault::Stalled => std::future::pending().await,
            _ => {}
        }
        let answer = self.inner.get_opts(path, options).await?;
        let (meta, range) = (answer.meta.clone(), answer.range.clone());
        let (attributes, extensions) = (answer.attributes.clone(), answer.extensions.clone());
        let mut bytes = answer.bytes().await?.to_vec();
        self.pack_bytes.fetch_add(bytes.len() as u64, SeqCst);
        let pieces: BoxStream<'static, Result<Bytes>> = match fault {
            Fault::ShortRange => {
                bytes.truncate(bytes.len() / 2);
                futures::stream::once(async { Ok(bytes.into()) }).boxed()
            }
            Fault::EmptyPieces => futures::stream::repeat_with(|| Ok(Bytes::new())).boxed(),
            Fault::BitFlip { at, answers: 1.. } if range.contains(&at) => {
                bytes[(at - range.start) as usize] ^= 1;
                futures::stream::once(async { Ok(bytes.into()) }).boxed()
            }
            // In odd pieces, as from a network.
            _ => futures::stream::iter(
                bytes
                    .chunks(70_001)
                    .map(|piece| Ok(Bytes::copy_from_slice(piece)))
                    .collect::<Vec<_>>(),
            )
            .boxed(),
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(pieces),
            meta,
            range,
            attributes,
            extensions,
        })
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
