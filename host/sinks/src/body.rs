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
use crate::readers::Readers;

/// A range of a volume's bytes, of exactly known length.
///
/// Frames are slices of the verified chunks that all readers share, and zero runs are slices of one static block: a stream owns no bytes. It asks for one block
/// at a time and hints at those to come, whose reads run elsewhere; so a reader that stalls holds one block and what its connection has queued (hyper stops at about 400 KiB),
/// together below 1.5 MiB. A late failure is an error of the body, on which hyper closes the connection short of Content-Length: no client
/// takes a part for the whole. Progress, waits and failure are told to the volume's [`Readers`].
pub struct HttpVolume {
    reader: Arc<VolumeReader>,
    readers: Readers,
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
    pub fn new(reader: Arc<VolumeReader>, readers: Readers, range: Range<u64>) -> Self {
        let end = range.end.min(reader.geometry().size);
        Self {
            reader,
            readers,
            at: range.start.min(end),
            end,
            pending: None,
        }
    }

    /// All of it.
    pub fn whole(reader: Arc<VolumeReader>, readers: Readers) -> Self {
        let size = reader.geometry().size;
        Self::new(reader, readers, 0..size)
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
        let Self {
            reader, readers, ..
        } = self;
        let pending = self.pending.get_or_insert_with(|| {
            let reader = reader.clone();
            let slot = reader.slot_at(block).filter(|slot| slot.get().is_none());
            let wait = slot.map(|slot| readers.wait(slot.point()));
            Box::pin(async move {
                let result = reader.block(block).await;
                drop(wait);
                result
            })
        });
        let result = ready!(pending.as_mut().poll(context));
        self.pending = None;
        Poll::Ready(result)
    }
}

impl Body for HttpVolume {
    type Data = Bytes;
    type Error = Arc<SinkError>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Arc<SinkError>>>> {
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
                let error = Arc::new(error);
                this.readers.failed(&error);
                return Poll::Ready(Some(Err(error)));
            }
        };
        let start = this.at - block * BLOCK_U64;
        let end = (this.end - block * BLOCK_U64).min(BLOCK_U64);
        let bytes = match chunk {
            Some(chunk) => chunk.into_bytes(),
            None => Bytes::from_static(&ZEROS),
        };
        let from = this.at;
        this.at = block * BLOCK_U64 + end;
        this.readers.came(from, this.at);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Memory, layout, naive, reader};
    use crate::{ArchiveSlot, StreamState};
    use bootsplice_content::BLOCK;
    use futures::FutureExt;
    use http_body_util::BodyExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn volume(slow: bool) -> (Arc<VolumeReader>, Vec<u8>) {
        let base = [1, 2, 0, 0, 3, 9, 9, 4];
        let archive = vec![5, 0];
        let layout = layout(&[(5, None), (2, Some(0)), (1, None)], 1024);
        let expected = naive(&layout, &base, std::slice::from_ref(&archive));
        let slot = ArchiveSlot::filled("p0", Arc::new(Memory::of(&archive)));
        let base = Memory {
            slow,
            ..Memory::of(&base)
        };
        (reader(layout, base, vec![slot]), expected)
    }

    #[tokio::test]
    async fn any_range_is_exact_in_length_and_content() {
        for slow in [false, true] {
            let (reader, expected) = volume(slow);
            let size = expected.len() as u64;
            let block = BLOCK_U64;
            for range in [
                0..size,
                0..1,
                0..0,
                size - 1..size,
                block - 1..block + 1,
                block..3 * block,
                100..size - 100,
            ] {
                let body = HttpVolume::new(reader.clone(), Readers::new(size), range.clone());
                assert_eq!(body.size_hint().exact(), Some(range.end - range.start));
                assert_eq!(body.is_end_stream(), range.is_empty());
                let bytes = body.collect().await.unwrap().to_bytes();
                assert!(
                    bytes == expected[range.start as usize..range.end as usize],
                    "{range:?}"
                );
            }
        }
    }

    #[tokio::test]
    async fn zero_runs_are_one_static_block_and_chunks_are_shared() {
        let (reader, _) = volume(false);
        let mut body = HttpVolume::whole(reader.clone(), Readers::new(0));
        for block in 0..5 {
            let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
            let shared = match reader.ready(block).unwrap() {
                Some(chunk) => chunk.bytes().as_ptr(),
                None => ZEROS.as_ptr(),
            };
            assert_eq!(frame.as_ptr(), shared, "block {block} was copied");
        }
    }

    #[tokio::test]
    async fn a_reader_before_the_archive_gets_the_base_and_then_waits() {
        let (promise, slot) = ArchiveSlot::new("p0");
        let base = [1, 2, 0, 0, 3, 9, 9, 4];
        let reader = reader(
            layout(&[(5, None), (2, Some(0)), (1, None)], 0),
            Memory::of(&base),
            vec![slot],
        );
        let readers = Readers::new(reader.geometry().size);
        let look = || {
            let progress = readers.progress().borrow();
            (progress.done / BLOCK_U64, progress.state.clone())
        };
        let mut body = HttpVolume::whole(reader.clone(), readers.clone());
        for _ in 0..5 {
            body.frame().await.unwrap().unwrap();
        }
        assert_eq!(look(), (5, StreamState::Flowing));
        assert!(body.frame().now_or_never().is_none(), "waits at the mark");
        let held = StreamState::HeldAtMark { point: "p0".into() };
        assert_eq!(look(), (5, held));
        drop(body);
        assert_eq!(look(), (5, StreamState::Flowing), "nobody waits any more");
        let mut body = HttpVolume::new(reader, readers.clone(), 5 * BLOCK_U64..8 * BLOCK_U64);
        assert!(body.frame().now_or_never().is_none(), "waits at the mark");
        promise.fulfil(Arc::new(Memory::of(&[6, 7])));
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(frame[0], 6);
        assert_eq!(look(), (6, StreamState::Flowing));
    }

    /// One connection to a real server; gives what came and what Content-Length said.
    async fn get(reader: Arc<VolumeReader>, readers: Readers) -> (u64, usize) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let service = hyper::service::service_fn(move |_| {
                let body = HttpVolume::whole(reader.clone(), readers.clone());
                async { Ok::<_, std::convert::Infallible>(hyper::Response::new(body)) }
            });
            let io = hyper_util::rt::TokioIo::new(stream);
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(io, service)
                .await;
        });
        let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        let end = answer
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap()
            + 4;
        let head = String::from_utf8(answer[..end].to_vec())
            .unwrap()
            .to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .unwrap();
        (length.parse().unwrap(), answer.len() - end)
    }

    #[tokio::test]
    async fn a_late_failure_closes_the_connection_short_of_its_content_length() {
        let (whole, _) = volume(false);
        let size = whole.geometry().size;
        let readers = Readers::new(size);
        assert_eq!(get(whole, readers.clone()).await, (size, size as usize));
        assert!(readers.failure().now_or_never().is_none());
        assert_eq!(readers.progress().borrow().done, size);
        let broken = Memory {
            broken: Some(6),
            ..Memory::of(&[1; 8])
        };
        let readers = Readers::new(8 * BLOCK_U64);
        let reader = reader(layout(&[(8, None)], 0), broken, vec![]);
        let (length, received) = get(reader, readers.clone()).await;
        assert_eq!(length, 8 * BLOCK_U64);
        assert!(received <= 6 * BLOCK, "{received}");
        let told = readers.failure().await.to_string();
        assert!(
            told.contains("packs/x") && told.contains("block 6"),
            "{told}"
        );
    }
}
