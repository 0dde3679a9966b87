//! A personalised volume as the body of an HTTP response.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bootsplice_content::{BLOCK_U64, Chunk};
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};

use crate::SinkError;
use crate::disk::ZEROS;
use crate::reader::VolumeReader;

/// A range of a volume's bytes, of exactly known length.
///
/// Frames are slices of the verified chunks that all readers share, and zero runs are slices of one static block: a stream owns no bytes. It asks for one block
/// at a time and hints at those to come, whose reads run elsewhere; so a reader that stalls holds one block and what its connection has queued (hyper stops at about 400 KiB),
/// together below 1.5 MiB. A late failure is an error of the body, on which hyper closes the connection short of Content-Length: no client
/// takes a part for the whole.
pub struct HttpVolume {
    reader: Arc<VolumeReader>,
    at: u64,
    end: u64,
    pending: Option<BoxFuture<'static, Result<Option<Chunk>, SinkError>>>,
}

/// How far ahead the hints go, and after how many blocks the next one is due.
const AHEAD: u64 = 16;
const STRIDE: u64 = 8;

// === impl HttpVolume ===

impl HttpVolume {
    /// The bytes in `range`, which the caller took from [`Requested`](crate::Requested); cut at the volume's end.
    pub fn new(reader: Arc<VolumeReader>, range: Range<u64>) -> Self {
        let end = range.end.min(reader.geometry().size);
        Self {
            reader,
            at: range.start.min(end),
            end,
            pending: None,
        }
    }

    /// All of it.
    pub fn whole(reader: Arc<VolumeReader>) -> Self {
        let size = reader.geometry().size;
        Self::new(reader, 0..size)
    }

    fn poll_block(
        &mut self,
        context: &mut Context<'_>,
        block: u64,
    ) -> Poll<Result<Option<Chunk>, SinkError>> {
        if self.pending.is_none() {
            if block.is_multiple_of(STRIDE) {
                let ahead = block + AHEAD;
                if ahead * BLOCK_U64 < self.end {
                    self.reader.expect(ahead);
                }
            }
            if let Some(chunk) = self.reader.ready(block) {
                return Poll::Ready(Ok(chunk));
            }
        }
        let reader = &self.reader;
        let pending = self.pending.get_or_insert_with(|| {
            let reader = reader.clone();
            Box::pin(async move { reader.block(block).await })
        });
        let result = ready!(pending.as_mut().poll(context));
        self.pending = None;
        Poll::Ready(result)
    }
}

impl Body for HttpVolume {
    type Data = Bytes;
    type Error = SinkError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SinkError>>> {
        let this = self.get_mut();
        if this.at >= this.end {
            return Poll::Ready(None);
        }
        let block = this.at / BLOCK_U64;
        let chunk = match ready!(this.poll_block(context, block)) {
            Ok(chunk) => chunk,
            Err(error) => {
                tracing::warn!(%error, at = this.at, end = this.end, "a volume's stream ends short");
                // Nothing may follow an error, whoever polls again.
                this.end = this.at;
                return Poll::Ready(Some(Err(error)));
            }
        };
        let start = this.at - block * BLOCK_U64;
        let end = (this.end - block * BLOCK_U64).min(BLOCK_U64);
        let bytes = match chunk {
            Some(chunk) => chunk.into_bytes(),
            None => Bytes::from_static(&ZEROS),
        };
        this.at = block * BLOCK_U64 + end;
        let frame = Frame::data(bytes.slice(start as usize..end as usize));
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.at >= self.end && self.pending.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.at)
    }
}
