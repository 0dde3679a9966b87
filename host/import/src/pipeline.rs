//! The blocks of an image through hashing and compression, on as many threads as there are workers, back in order.
//!
//! Jobs go to the workers in turn, and their results are taken in the same turn, so order needs no sorting. A few jobs wait at each worker: memory is a
//! few blocks per worker whatever the size of the image.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};

use bootsplice_content::{Digest, is_zero};

use crate::known::{Earlier, Known};
use crate::source::{Source, buffer};
use crate::{ImportError, Result};

/// Level of the frames.
const LEVEL: i32 = 3;
/// Jobs that wait at a worker.
const WAITING: usize = 2;

/// A block with its digest.
pub(crate) struct Block {
    pub(crate) number: u64,
    pub(crate) digest: Digest,
    /// None when the block is stored already.
    pub(crate) frame: Option<Vec<u8>>,
    pub(crate) earlier: Arc<Earlier>,
}

struct Job {
    number: u64,
    content: Vec<u8>,
    earlier: Arc<Earlier>,
}

/// Reads every block of `source` that may hold data, and hands those that do to `take`, by ascending number.
///
/// `earlier` gives the blocks that the page of a block had before.
pub(crate) fn run(
    source: &Source<'_>,
    workers: usize,
    known: &Known,
    cancelled: &AtomicBool,
    mut earlier: impl FnMut(u64) -> Arc<Earlier> + Send,
    mut take: impl FnMut(Block) -> Result<()>,
) -> Result<()> {
    std::thread::scope(|scope| {
        let (give_back, spare) = channel::<Vec<u8>>();
        let mut inputs = Vec::new();
        let mut outputs = Vec::new();
        for _ in 0..workers.max(1) {
            let (input, jobs) = sync_channel::<Job>(WAITING);
            let (done, output) = sync_channel(WAITING);
            let give_back = give_back.clone();
            scope.spawn(move || work(&jobs, &done, known, &give_back));
            inputs.push(input);
            outputs.push(output);
        }
        let reader = scope.spawn(move || feed(source, &inputs, &spare, cancelled, &mut earlier));
        let taken = collect(&outputs, &mut take);
        // With nobody to take results the workers end, and with them the reader.
        drop(outputs);
        let fed = reader.join().unwrap_or(Err(ImportError::Cancelled));
        taken.and(fed)
    })
}

fn feed(
    source: &Source<'_>,
    inputs: &[SyncSender<Job>],
    spare: &Receiver<Vec<u8>>,
    cancelled: &AtomicBool,
    earlier: &mut impl FnMut(u64) -> Arc<Earlier>,
) -> Result<()> {
    let read_error = ImportError::file;
    let mut next = 0;
    for input in inputs.iter().cycle() {
        if cancelled.load(Ordering::Relaxed) {
            return Err(ImportError::Cancelled);
        }
        let at = source
            .next(next)
            .map_err(read_error("the raw image".as_ref()))?;
        let Some(number) = at else {
            return Ok(());
        };
        let mut content = spare.try_recv().unwrap_or_else(|_| buffer());
        source
            .read(number, &mut content)
            .map_err(read_error("the raw image".as_ref()))?;
        if input
            .send(Job {
                number,
                content,
                earlier: earlier(number),
            })
            .is_err()
        {
            return Ok(());
        }
        next = number + 1;
    }
    Ok(())
}

fn work(
    jobs: &Receiver<Job>,
    done: &SyncSender<Result<Option<Block>>>,
    known: &Known,
    give_back: &std::sync::mpsc::Sender<Vec<u8>>,
) {
    let mut compressor = match zstd::bulk::Compressor::new(LEVEL) {
        Ok(compressor) => compressor,
        Err(error) => {
            let _ = done.send(Err(ImportError::file("zstd".as_ref())(error)));
            return;
        }
    };
    for Job {
        number,
        content,
        earlier,
    } in jobs
    {
        let result = if is_zero(&content) {
            Ok(None)
        } else {
            let digest = Digest::of(&content);
            let stored = earlier.contains_key(&digest) || known.get(&digest).is_some();
            let frame = (!stored).then(|| compressor.compress(&content)).transpose();
            frame
                .map(|frame| {
                    Some(Block {
                        number,
                        digest,
                        frame,
                        earlier,
                    })
                })
                .map_err(ImportError::file("zstd".as_ref()))
        };
        // Nobody there to take them back: the run is over.
        let _ = give_back.send(content);
        if done.send(result).is_err() {
            return;
        }
    }
}

fn collect(
    outputs: &[Receiver<Result<Option<Block>>>],
    take: &mut impl FnMut(Block) -> Result<()>,
) -> Result<()> {
    for output in outputs.iter().cycle() {
        match output.recv() {
            Ok(Ok(Some(block))) => take(block)?,
            Ok(Ok(None)) => {}
            Ok(Err(error)) => return Err(error),
            // Jobs go round in turn: where there is none, there is none behind it.
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}
