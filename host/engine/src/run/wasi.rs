//! WASI 0.2 with nothing granted: no files, no environment, no sockets; a clock that stands still, randomness from a seed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bootsplice_content::Digest;
use bytes::Bytes;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

use super::Log;
use crate::clock::{MonotonicClock, WallClock};

/// Random bytes that one call may ask for.
const MAX_RANDOM: u64 = 64 * 1024;
/// Bytes of output that one write may carry.
const MAX_WRITE: usize = 64 * 1024;

/// The WASI context of a run at `epoch`. Equal seeds give equal randomness: plugins must not make keys of it.
pub fn context(epoch: u64, seed: &Digest, log: &Log) -> WasiCtx {
    let seed = *seed.as_bytes();
    let mut insecure = seed;
    insecure[0] ^= 0xff;
    let mut number = [0; 16];
    number.copy_from_slice(&seed[..16]);
    WasiCtxBuilder::new()
        .stdout(Pipe(log.clone()))
        .stderr(Pipe(log.clone()))
        .wall_clock(WallClock(epoch))
        .monotonic_clock(MonotonicClock::default())
        .secure_random(ChaCha20Rng::from_seed(seed))
        .insecure_random(ChaCha20Rng::from_seed(insecure))
        .insecure_random_seed(u128::from_le_bytes(number))
        .max_random_size(MAX_RANDOM)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build()
}

/// Standard output and error, into the log.
#[derive(Clone)]
struct Pipe(Log);

// === impl Pipe ===

impl IsTerminal for Pipe {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Pipe {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Pipe {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.stream(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_WRITE)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Pipe {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.stream(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
