//! Pages of a volume in the making, and those of the volume before it.

use std::sync::Arc;

use bootsplice_content::Digest;
use bootsplice_volume::{Location, PAGE_BLOCKS, Page, PlacementPage, paths};
use object_store::ObjectStore;
use tokio::runtime::Handle;

use crate::Result;
use crate::known::Earlier;
use crate::publish::put_once;
use crate::stored::Stored;

/// Content pages and placement pages in the making; a full one is stored at once.
pub(crate) struct Pages<'a> {
    store: &'a Arc<dyn ObjectStore>,
    handle: &'a Handle,
    blocks: u64,
    current: Vec<Option<Digest>>,
    places: PlacementPage,
    content: Vec<Option<Digest>>,
    placement: Vec<Option<Digest>>,
    sent: u64,
}

// === impl Pages ===

impl<'a> Pages<'a> {
    pub(crate) fn new(store: &'a Arc<dyn ObjectStore>, handle: &'a Handle, blocks: u64) -> Self {
        let (content, placement) = (Vec::new(), Vec::new());
        Self {
            store,
            handle,
            blocks,
            current: Vec::new(),
            places: PlacementPage::default(),
            content,
            placement,
            sent: 0,
        }
    }

    /// The next block with data.
    pub(crate) fn push(&mut self, block: u64, digest: Digest, location: Location) -> Result<()> {
        self.zeros_to(block)?;
        self.current.push(Some(digest));
        self.places.0.push(location);
        self.turn()
    }

    fn zeros_to(&mut self, block: u64) -> Result<()> {
        while self.at() < block {
            let room = PAGE_BLOCKS - self.current.len();
            let more = (block - self.at()).min(room as u64) as usize;
            self.current.resize(self.current.len() + more, None);
            self.turn()?;
        }
        Ok(())
    }

    fn at(&self) -> u64 {
        (self.content.len() * PAGE_BLOCKS + self.current.len()) as u64
    }

    fn turn(&mut self) -> Result<()> {
        if self.current.len() == PAGE_BLOCKS {
            self.close()
        } else {
            Ok(())
        }
    }

    fn close(&mut self) -> Result<()> {
        let page = Page::new(std::mem::take(&mut self.current))?;
        let places = std::mem::take(&mut self.places);
        let (digest, place) = (page.digest(), places.digest());
        if let (Some(digest), Some(place)) = (&digest, &place) {
            let path = paths::page(digest);
            self.sent += self
                .handle
                .block_on(put_once(self.store, &path, page.encode()))?;
            let path = paths::placement_page(place);
            self.sent += self
                .handle
                .block_on(put_once(self.store, &path, places.encode()))?;
        }
        self.content.push(digest);
        self.placement.push(place);
        Ok(())
    }

    #[allow(
        clippy::type_complexity,
        reason = "two lists of the same sort and a sum, taken apart at once"
    )]
    pub(crate) fn finish(mut self) -> Result<(Vec<Option<Digest>>, Vec<Option<Digest>>, u64)> {
        self.zeros_to(self.blocks)?;
        if !self.current.is_empty() {
            self.close()?;
        }
        Ok((self.content, self.placement, self.sent))
    }
}

/// The pages of the volume that had the name before, one at a time.
pub(crate) struct EarlierPages {
    stored: Option<Arc<Stored>>,
    handle: Handle,
    page: Option<usize>,
    blocks: Arc<Earlier>,
}

// === impl EarlierPages ===

impl EarlierPages {
    pub(crate) fn new(stored: Option<Arc<Stored>>, handle: Handle) -> Self {
        Self {
            stored,
            handle,
            page: None,
            blocks: Arc::default(),
        }
    }

    pub(crate) fn of(&mut self, block: u64) -> Arc<Earlier> {
        let page = (block / PAGE_BLOCKS as u64) as usize;
        if self.page != Some(page) {
            self.page = Some(page);
            self.blocks = Arc::new(self.read(page).unwrap_or_default());
        }
        self.blocks.clone()
    }

    /// A page that cannot be read is one whose blocks are stored again.
    fn read(&self, index: usize) -> Option<Earlier> {
        let stored = self.stored.as_ref()?;
        let (page, places) = match self.handle.block_on(stored.page(index)) {
            Ok(found) => found?,
            Err(error) => {
                tracing::warn!(%error, page = index, "the earlier volume's page cannot be used");
                return None;
            }
        };
        let digests = page.blocks().iter().flatten();
        let packs = &stored.placement.packs;
        Some(
            digests
                .zip(&places.0)
                .map(|(digest, place)| (*digest, (packs[place.pack as usize].clone(), *place)))
                .collect(),
        )
    }
}
