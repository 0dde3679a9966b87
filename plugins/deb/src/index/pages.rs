//! The bytes of an index, wherever they lie: asked for by page, kept while there is room.

use std::cell::RefCell;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::{Error, Result};

/// Bytes of one page. Small, for what a request touches lies scattered.
pub const PAGE: u64 = 8 << 10;

/// At most this many pages are kept: 64 MiB. Then all are forgotten, and those in use come back.
const MOST_PAGES: usize = 8 << 10;

/// Bytes that can be read anywhere.
pub trait Pages {
    /// How many bytes there are.
    fn size(&self) -> u64;

    /// Exactly `length` bytes at `offset`, both within [`Pages::size`]; an error in words otherwise.
    fn read(&self, offset: u64, length: u32) -> Result<Vec<u8>, String>;

    /// Many spans at once, for readers where a call is dear. Answers in the order asked.
    fn read_many(&self, spans: &[(u64, u32)]) -> Result<Vec<Vec<u8>>, String> {
        spans
            .iter()
            .map(|&(offset, length)| self.read(offset, length))
            .collect()
    }
}

impl Pages for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, offset: u64, length: u32) -> Result<Vec<u8>, String> {
        let end = offset + u64::from(length);
        if end > self.len() as u64 {
            return Err(format!("bytes {offset} to {end} of {}", self.len()));
        }
        Ok(self[offset as usize..end as usize].to_vec())
    }
}

impl<P: Pages + ?Sized> Pages for &P {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read(&self, offset: u64, length: u32) -> Result<Vec<u8>, String> {
        (**self).read(offset, length)
    }

    fn read_many(&self, spans: &[(u64, u32)]) -> Result<Vec<Vec<u8>>, String> {
        (**self).read_many(spans)
    }
}

impl Pages for Vec<u8> {
    fn size(&self) -> u64 {
        self.as_slice().size()
    }

    fn read(&self, offset: u64, length: u32) -> Result<Vec<u8>, String> {
        self.as_slice().read(offset, length)
    }
}

/// Pages with those that were read lately.
pub(super) struct Cached<'a> {
    pages: Box<dyn Pages + 'a>,
    size: u64,
    kept: RefCell<FxHashMap<u64, Rc<[u8]>>>,
}

// === impl Cached ===

impl<'a> Cached<'a> {
    pub fn new(pages: Box<dyn Pages + 'a>) -> Self {
        Self {
            size: pages.size(),
            pages,
            kept: RefCell::default(),
        }
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many bytes were read and are kept.
    pub fn kept(&self) -> u64 {
        self.kept.borrow().len() as u64 * PAGE
    }

    fn page(&self, number: u64) -> Result<Rc<[u8]>> {
        if let Some(page) = self.kept.borrow().get(&number) {
            return Ok(page.clone());
        }
        let offset = number * PAGE;
        let length = PAGE.min(self.size - offset) as u32;
        let bytes = self.pages.read(offset, length).map_err(Error::Pages)?;
        self.keep(number, length, bytes)
    }

    fn keep(&self, number: u64, length: u32, bytes: Vec<u8>) -> Result<Rc<[u8]>> {
        if bytes.len() != length as usize {
            return Err(Error::Pages(
                "the reader answered with too few or too many bytes".into(),
            ));
        }
        let page: Rc<[u8]> = bytes.into();
        let mut kept = self.kept.borrow_mut();
        if kept.len() >= MOST_PAGES {
            kept.clear();
        }
        kept.insert(number, page.clone());
        Ok(page)
    }

    /// Calls `f` with the bytes from `offset` on, as many as there are in its page.
    pub fn with<T>(
        &self,
        offset: u64,
        length: u64,
        f: impl FnOnce(&[u8]) -> Result<T>,
    ) -> Result<T> {
        let end = match offset.checked_add(length) {
            Some(end) if end <= self.size => end,
            _ => return Err(Error::Index("an offset lies outside")),
        };
        let (first, within) = (offset / PAGE, (offset % PAGE) as usize);
        if length == 0 {
            return f(&[]);
        }
        let page = self.page(first)?;
        if end <= (first + 1) * PAGE {
            return f(&page[within..within + length as usize]);
        }
        let mut bytes = Vec::with_capacity(length as usize);
        bytes.extend_from_slice(&page[within..]);
        for number in first + 1..=(end - 1) / PAGE {
            let page = self.page(number)?;
            let missing = length as usize - bytes.len();
            bytes.extend_from_slice(&page[..missing.min(page.len())]);
        }
        f(&bytes)
    }

    /// Reads the pages of many spans that are not kept yet, with as few calls as may be.
    pub fn prefetch(&self, spans: impl Iterator<Item = (u64, u64)>) -> Result<()> {
        /// The host's limit of one call is 1 MiB.
        const MOST_IN_A_CALL: usize = (1 << 20) / PAGE as usize;
        let mut wanted: Vec<u64> = Vec::new();
        for (offset, length) in spans {
            let end = offset.saturating_add(length.max(1)).min(self.size);
            wanted.extend(offset / PAGE..end.div_ceil(PAGE));
        }
        wanted.sort_unstable();
        wanted.dedup();
        wanted.retain(|number| !self.kept.borrow().contains_key(number));
        for numbers in wanted.chunks(MOST_IN_A_CALL) {
            let span = |&number: &u64| (number * PAGE, PAGE.min(self.size - number * PAGE) as u32);
            let spans: Vec<(u64, u32)> = numbers.iter().map(span).collect();
            let pages = self.pages.read_many(&spans).map_err(Error::Pages)?;
            if pages.len() != numbers.len() {
                return Err(Error::Pages(
                    "the reader answered with too few or too many spans".into(),
                ));
            }
            for ((&number, (_, length)), bytes) in numbers.iter().zip(spans).zip(pages) {
                self.keep(number, length, bytes)?;
            }
        }
        Ok(())
    }
}
