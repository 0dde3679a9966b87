//! Decompression of foreign bytes, bounded in output, in ratio and in the decoder's own memory.

use std::io::{self, BufReader, Read, Write};

use super::{Blob, Spool};

/// Output over input beyond which a stream is a bomb …
const RATIO: u64 = 200;
/// … once it has given so many bytes.
const RATIO_FROM: u64 = 16 << 20;
/// Memory that the xz decoder may take.
const XZ_MEMORY: u64 = 128 << 20;
/// Largest zstd window, as a power of two (128 MiB).
const ZSTD_WINDOW: u32 = 27;
const STEP: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Gzip,
    Xz,
    Zstd,
    Bzip2,
}

/// Why bytes could not be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("it is larger than {max} bytes without its compression")]
    TooLarge { max: u64 },
    #[error("it grows more than {RATIO} times when decompressed, past {RATIO_FROM} bytes")]
    Bomb,
    #[error("it is not valid {codec:?}: {source}")]
    Damaged {
        codec: Codec,
        #[source]
        source: io::Error,
    },
    #[error("the spool failed: {0}")]
    Spool(#[source] io::Error),
}

/// Writes `blob` without its compression into `spool`. At most `max` bytes.
pub fn decompress(
    blob: &Blob,
    codec: Codec,
    max: u64,
    spool: &mut Spool,
) -> Result<(), CodecError> {
    let damaged = |source| CodecError::Damaged { codec, source };
    let mut from = decoder(blob, codec).map_err(damaged)?;
    let allowed = blob.size().saturating_mul(RATIO).max(RATIO_FROM);
    let mut buffer = vec![0; STEP];
    let mut total = 0_u64;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(damaged(error)),
        };
        total += count as u64;
        if total > max {
            return Err(CodecError::TooLarge { max });
        }
        if total > allowed {
            return Err(CodecError::Bomb);
        }
        spool
            .write_all(&buffer[..count])
            .map_err(CodecError::Spool)?;
    }
}

/// A reader of the plain bytes, its own memory bounded. Several members one after another are read as one, as `gzip` and `xz` do.
pub fn decoder(blob: &Blob, codec: Codec) -> io::Result<Box<dyn Read + Send>> {
    let from = BufReader::with_capacity(STEP, blob.reader());
    Ok(match codec {
        Codec::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(from)),
        Codec::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(from)),
        Codec::Xz => {
            let stream = liblzma::stream::Stream::new_stream_decoder(
                XZ_MEMORY,
                liblzma::stream::CONCATENATED,
            )?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(from, stream))
        }
        Codec::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(from)?;
            decoder.window_log_max(ZSTD_WINDOW)?;
            Box::new(decoder)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::BlobStore;

    fn pack(codec: Codec, bytes: &[u8]) -> Blob {
        let packed = match codec {
            Codec::Gzip => {
                let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
                to.write_all(bytes).unwrap();
                to.finish().unwrap()
            }
            Codec::Bzip2 => {
                let mut to = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
                to.write_all(bytes).unwrap();
                to.finish().unwrap()
            }
            Codec::Xz => liblzma::encode_all(bytes, 6).unwrap(),
            Codec::Zstd => zstd::encode_all(bytes, 3).unwrap(),
        };
        Blob::from_bytes(packed)
    }

    const ALL: [Codec; 4] = [Codec::Gzip, Codec::Xz, Codec::Zstd, Codec::Bzip2];

    #[test]
    fn every_codec_gives_back_what_went_in() {
        let dir = tempfile::tempdir().unwrap();
        let store = BlobStore::open(dir.path()).unwrap();
        let bytes: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        for codec in ALL {
            let mut spool = store.spool();
            decompress(&pack(codec, &bytes), codec, 1 << 20, &mut spool).unwrap();
            assert_eq!(
                &spool.finish().unwrap().to_bytes().unwrap()[..],
                &bytes[..],
                "{codec:?}"
            );
        }
    }

    #[test]
    fn a_bomb_stops_early_whatever_size_was_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let store = BlobStore::open(dir.path()).unwrap();
        let bomb = pack(Codec::Zstd, &vec![0; 64 << 20]);
        let mut spool = store.spool();
        let error = decompress(&bomb, Codec::Zstd, u64::MAX, &mut spool).unwrap_err();
        assert!(matches!(error, CodecError::Bomb), "{error}");
        assert!(spool.len() <= RATIO_FROM);
        let error = decompress(&bomb, Codec::Zstd, 1000, &mut store.spool()).unwrap_err();
        assert!(
            matches!(error, CodecError::TooLarge { max: 1000 }),
            "{error}"
        );
    }

    #[test]
    fn damaged_and_truncated_streams_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = BlobStore::open(dir.path()).unwrap();
        let bytes: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
        for codec in ALL {
            let whole = pack(codec, &bytes);
            let cut = whole.slice(0, whole.size() / 2).unwrap();
            let result = decompress(&cut, codec, 1 << 20, &mut store.spool());
            assert!(
                matches!(result, Err(CodecError::Damaged { .. })),
                "{codec:?}"
            );
            let noise = Blob::from_bytes(vec![0x5a; 4096]);
            let result = decompress(&noise, codec, 1 << 20, &mut store.spool());
            assert!(
                matches!(result, Err(CodecError::Damaged { .. })),
                "{codec:?}"
            );
        }
    }
}
