//! Every way a store can be wrong, and what a reader sees of it.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use bootsplice_content::BLOCK;
use futures::future::join_all;

use crate::testing::{Fault, Fixture, NAME};
use crate::{
    BlockSource, BlocksError, Cache, CacheConfig, CounterSnapshot, DiskConfig, Origin, Volume,
    open_store,
};

async fn read_all(volume: &Volume, fixture: &Fixture) -> Result<(), BlocksError> {
    for (number, expected) in (0..).zip(&fixture.blocks) {
        if number % 8 == 0 {
            volume.expect(number + 16);
        }
        let found = volume.block(number).await?;
        assert_eq!(
            found.map(|chunk| chunk.into_bytes()),
            expected.clone(),
            "block {number}"
        );
    }
    Ok(())
}

/// Files below a directory.
fn walk(path: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { walk(&path) } else { 1 })
        .sum()
}

fn counters(volume: &Volume) -> CounterSnapshot {
    volume.cache().counters()
}

#[tokio::test]
async fn every_block_is_read_back_in_few_requests() {
    let fixture = Fixture::new(200, 64, vec![]).await;
    let volume = fixture.open_roomy().await;
    read_all(&volume, &fixture).await.unwrap();
    assert_eq!(volume.zeros(4, 100).await.unwrap(), 1);
    assert_eq!(volume.zeros(5, 100).await.unwrap(), 0);
    // 160 blocks of half a block each: at most 16 at a time.
    let requests = fixture.store.pack_requests.load(SeqCst);
    assert!(requests <= 24, "{requests} requests for 160 blocks");
    assert!(fixture.store.pack_bytes.load(SeqCst) <= fixture.stored);
    assert!(matches!(
        volume.block(200).await,
        Err(BlocksError::Invalid { .. })
    ));
}

#[tokio::test]
async fn a_recorded_order_is_read_as_it_lies_in_the_packs() {
    let order = vec![(90, 30), (0, 20), (50, 25)];
    let fixture = Fixture::new(120, 256, order.clone()).await;
    let volume = fixture.open_roomy().await;
    for (first, count) in order {
        for block in first..first + count {
            let found = volume
                .block(block)
                .await
                .unwrap()
                .map(|chunk| chunk.into_bytes());
            assert_eq!(found, fixture.blocks[block as usize]);
        }
    }
    let requests = fixture.store.pack_requests.load(SeqCst);
    assert!(requests <= 5, "{requests} requests for 60 adjacent blocks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_cold_readers_read_the_origin_once() {
    let fixture = Arc::new(Fixture::new(160, 48, vec![]).await);
    let volume = Arc::new(fixture.open_roomy().await);
    let before = counters(&volume);
    let readers = (0..64).map(|reader| {
        let (fixture, volume) = (fixture.clone(), volume.clone());
        tokio::spawn(async move {
            if reader % 2 == 1 {
                tokio::time::sleep(Duration::from_millis(reader)).await;
            }
            read_all(&volume, &fixture).await
        })
    });
    for reader in join_all(readers).await {
        reader.unwrap().unwrap();
    }
    let read = fixture.store.pack_bytes.load(SeqCst);
    assert!(
        read as f64 <= fixture.stored as f64 * 1.02,
        "{read} bytes read of {} stored",
        fixture.stored
    );
    let after = counters(&volume);
    // 128 blocks with data, and the two pages that name and place them.
    assert_eq!(after.verified_blocks - before.verified_blocks, 128 + 2);
    assert!(after.origin_bytes - before.origin_bytes <= read + 64 * 1024);
}

#[tokio::test]
async fn a_cache_of_a_few_blocks_still_serves_all_of_them() {
    let fixture = Fixture::new(60, 64, vec![]).await;
    let cache = Cache::open(CacheConfig {
        ram_bytes: 3 * BLOCK as u64,
        in_flight_bytes: 1,
        disk: None,
    });
    let volume = fixture.open(cache.unwrap()).await;
    read_all(&volume, &fixture).await.unwrap();
    assert!(volume.cache().ram_bytes() <= 3 * BLOCK as u64);
}

#[tokio::test]
async fn a_restarted_host_reads_blocks_from_its_directory() {
    let fixture = Fixture::new(40, 64, vec![]).await;
    let root = tempfile::tempdir().unwrap();
    let open = || {
        Cache::open(CacheConfig {
            disk: Some(DiskConfig {
                directory: root.path().into(),
                bytes: 1 << 30,
                sync: false,
            }),
            ..CacheConfig::default()
        })
        .unwrap()
    };
    read_all(&fixture.open(open()).await, &fixture)
        .await
        .unwrap();
    let cold = fixture.store.pack_requests.load(SeqCst);
    // Readers do not wait for the directory: give the last batch time to be written.
    let kept = || walk(&root.path().join("sha256"));
    while kept() < 32 + 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let volume = fixture.open(open()).await;
    read_all(&volume, &fixture).await.unwrap();
    assert_eq!(fixture.store.pack_requests.load(SeqCst), cold);
    assert_eq!(counters(&volume).disk_hits, 32 + 2);
    // A damaged file is fetched again, once, and nobody notices.
    let digest = bootsplice_content::Digest::of(fixture.blocks[0].as_ref().unwrap()).hex();
    let path = root.path().join("sha256").join(&digest[..2]).join(&digest);
    std::fs::write(&path, vec![1; BLOCK]).unwrap();
    let volume = fixture.open(open()).await;
    read_all(&volume, &fixture).await.unwrap();
    assert_eq!(counters(&volume).disk_faults, 1);
    assert_eq!(fixture.store.pack_requests.load(SeqCst), cold + 1);
}

#[tokio::test]
async fn server_errors_are_bridged_and_counted() {
    let fixture = Fixture::new(20, 64, vec![]).await;
    let volume = fixture.open_roomy().await;
    fixture.fail(Fault::ServerErrors(2));
    read_all(&volume, &fixture).await.unwrap();
    assert_eq!(counters(&volume).retries, 2);
}

#[tokio::test]
async fn an_origin_that_stays_away_is_a_retry_for_the_caller_and_later_works() {
    let fixture = Fixture::new(20, 64, vec![]).await;
    let volume = fixture.open_roomy().await;
    fixture.fail(Fault::ServerErrors(1000));
    let error = volume.block(0).await.unwrap_err();
    assert!(
        matches!(error, BlocksError::Retry { attempts: 4, .. }),
        "{error}"
    );
    assert!(error.is_retryable());
    fixture.fail(Fault::None);
    read_all(&volume, &fixture).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stalled_origin_costs_its_patience_and_no_more() {
    let fixture = Fixture::new(20, 64, vec![]).await;
    let volume = fixture.open_roomy().await;
    fixture.fail(Fault::Stalled);
    let begun = tokio::time::Instant::now();
    let error = volume.block(0).await.unwrap_err();
    assert!(matches!(error, BlocksError::Retry { .. }), "{error}");
    assert!(begun.elapsed() <= Duration::from_secs(30));
    fixture.fail(Fault::Slow(Duration::from_secs(4)));
    read_all(&volume, &fixture).await.unwrap();
}

#[tokio::test]
async fn a_flipped_bit_is_read_once_more_and_then_refused_by_block() {
    let fixture = Fixture::new(20, 64, vec![]).await;
    let volume = fixture.open_roomy().await;
    // On the way only: the second read is right.
    fixture.fail(Fault::BitFlip {
        at: 300_000,
        answers: 1,
    });
    read_all(&volume, &fixture).await.unwrap();
    assert_eq!(counters(&volume).refused_blocks, 1);
    // In the store: both reads are wrong, for one block of the batch; its neighbours are served.
    let volume = fixture.open_roomy().await;
    fixture.fail(Fault::BitFlip {
        at: 300_000,
        answers: u64::MAX,
    });
    let error = volume.block(1).await.unwrap_err();
    let path = &fixture.packs[0].path;
    assert!(
        matches!(&error, BlocksError::Corrupt { object, block: Some(1), .. } if object == path),
        "{error}"
    );
    for block in [0, 2, 3] {
        assert!(volume.block(block).await.is_ok());
    }
}

#[tokio::test]
async fn a_truncated_pack_is_damage_and_never_content() {
    let fixture = Fixture::without_etags(20, 64).await;
    let whole = fixture.pack(0).await;
    fixture.replace(0, whole.slice(..whole.len() / 2)).await;
    let volume = fixture.open_roomy().await;
    for block in [0, 18] {
        let error = volume.block(block).await.unwrap_err();
        assert!(
            matches!(error, BlocksError::Corrupt { block: Some(found), .. } if found == block),
            "{error}"
        );
    }
}

#[tokio::test]
async fn short_ranges_and_endless_empty_pieces_are_damage_not_hangs() {
    for fault in [Fault::ShortRange, Fault::EmptyPieces] {
        let fixture = Fixture::new(20, 64, vec![]).await;
        let volume = fixture.open_roomy().await;
        fixture.fail(fault);
        let error = volume.block(0).await.unwrap_err();
        assert!(
            matches!(error, BlocksError::Corrupt { block: Some(0), .. }),
            "{error}"
        );
        fixture.fail(Fault::None);
        read_all(&volume, &fixture).await.unwrap();
    }
}

#[tokio::test]
async fn a_replaced_pack_is_changed_when_its_etag_is_known() {
    let fixture = Fixture::new(20, 64, vec![]).await;
    let volume = fixture.open_roomy().await;
    volume.block(0).await.unwrap();
    let same = fixture.pack(0).await;
    fixture.replace(0, same).await;
    let error = volume.block(19 - 1).await.unwrap_err();
    assert!(matches!(error, BlocksError::Changed { .. }), "{error}");
    assert!(volume.block(0).await.is_ok(), "verified bytes stay good");
}

#[tokio::test]
async fn swapped_packs_are_refused() {
    let fixture = Fixture::without_etags(40, 16).await;
    let (first, second) = (fixture.pack(0).await, fixture.pack(1).await);
    fixture.replace(0, second).await;
    fixture.replace(1, first).await;
    let volume = fixture.open_roomy().await;
    for block in [0, 25] {
        let error = volume.block(block).await.unwrap_err();
        assert!(matches!(error, BlocksError::Corrupt { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_missing_pack_or_volume_is_missing() {
    let fixture = Fixture::new(20, 64, vec![]).await;
    let volume = fixture.open_roomy().await;
    fixture.remove(0).await;
    let error = volume.block(0).await.unwrap_err();
    assert!(matches!(error, BlocksError::Missing { .. }), "{error}");
    let cache = volume.cache().clone();
    let error = Volume::open(fixture.origin(), cache.clone(), "nobody")
        .await
        .err()
        .unwrap();
    assert!(
        matches!(&error, BlocksError::Missing { object } if object == "names/nobody"),
        "{error}"
    );
    let error = Volume::open(fixture.origin(), cache, "../up")
        .await
        .err()
        .unwrap();
    assert!(matches!(error, BlocksError::Invalid { .. }), "{error}");
}

#[tokio::test]
async fn any_damaged_document_is_refused() {
    for document in [
        "names/",
        "manifests/",
        "placements/sha256/",
        "pages/",
        "placements/pages/",
    ] {
        for damage in [
            |bytes: &mut Vec<u8>| bytes[7] ^= 1,
            |bytes: &mut Vec<u8>| bytes.truncate(9),
            Vec::clear,
        ] {
            let fixture = Fixture::new(20, 64, vec![]).await;
            fixture.damage(document, damage).await;
            let cache = Cache::open(CacheConfig::default()).unwrap();
            let read = match Volume::open(fixture.origin(), cache, NAME).await {
                Ok(volume) => read_all(&volume, &fixture).await,
                Err(error) => Err(error),
            };
            let error = read.unwrap_err();
            assert!(
                matches!(error, BlocksError::Corrupt { .. }),
                "{document}: {error:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_does_not_spoil_the_read_for_others() {
    let fixture = Fixture::new(20, 64, vec![]).await;
    let volume = Arc::new(fixture.open_roomy().await);
    volume.zeros(0, 1).await.unwrap();
    fixture.fail(Fault::Slow(Duration::from_millis(100)));
    let reader = {
        let volume = volume.clone();
        tokio::spawn(async move { volume.block(0).await })
    };
    let waiting = volume.block(0);
    tokio::pin!(waiting);
    let begun = Instant::now();
    tokio::select! {
        _ = &mut waiting => panic!("the store answers only later"),
        () = tokio::time::sleep(Duration::from_millis(30)) => reader.abort(),
    }
    let chunk = waiting.await.unwrap().unwrap();
    assert_eq!(Some(chunk.into_bytes()), fixture.blocks[0]);
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert_eq!(fixture.store.pack_requests.load(SeqCst), 1);
}

#[tokio::test]
async fn a_launch_shares_the_cache_with_other_volumes_of_the_same_blocks() {
    let (one, two) = (
        Fixture::new(20, 64, vec![]).await,
        Fixture::new(20, 8, vec![]).await,
    );
    let cache = Cache::open(CacheConfig::default()).unwrap();
    read_all(&one.open(cache.clone()).await, &one)
        .await
        .unwrap();
    read_all(&two.open(cache).await, &two).await.unwrap();
    assert_eq!(two.store.pack_requests.load(SeqCst), 0);
}

#[tokio::test]
async fn a_volume_in_a_directory_is_read_and_a_file_that_shrinks_is_damage() {
    let fixture = Fixture::without_etags(20, 64).await;
    let root = tempfile::tempdir().unwrap();
    let store = open_store(&format!("file://{}", root.path().display()), []).unwrap();
    fixture.copy_to(&*store).await;
    let open = || async {
        let origin = Arc::new(Origin::new(store.clone(), fixture.patience()));
        Volume::open(origin, Cache::open(CacheConfig::default()).unwrap(), NAME)
            .await
            .unwrap()
    };
    read_all(&open().await, &fixture).await.unwrap();
    let volume = open().await;
    volume.zeros(0, 1).await.unwrap();
    let pack = std::fs::File::options()
        .write(true)
        .open(root.path().join(&fixture.packs[0].path))
        .unwrap();
    pack.set_len(fixture.packs[0].size / 2).unwrap();
    for block in [0, 18] {
        let error = volume.block(block).await.unwrap_err();
        assert!(
            matches!(error, BlocksError::Corrupt { block: Some(found), .. } if found == block),
            "{error}"
        );
    }
}
