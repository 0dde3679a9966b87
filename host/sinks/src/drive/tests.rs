//! The loop against a naive splicer, and what happens at marks, on errors and when it is stopped.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::testing::{Memory, MemorySink, layout, naive, reader};
use crate::{ArchiveSlot, LoadOrder, Progress, SinkError, StreamState, drive};

/// Everything that a stream needs.
struct Run {
    sink: Arc<MemorySink>,
    progress: watch::Receiver<Progress>,
    cancel: CancellationToken,
    done: tokio::task::JoinHandle<crate::Result<()>>,
}

fn start(reader: Arc<crate::VolumeReader>, order: Vec<(u64, u64)>) -> Run {
    let sink = Arc::new(MemorySink::new(reader.geometry()));
    let (sender, progress) = watch::channel(Progress::default());
    let cancel = CancellationToken::new();
    let (into, stop) = (sink.clone(), cancel.clone());
    let done = tokio::spawn(async move {
        let order = LoadOrder::new(reader.layout(), &order);
        drive(&reader, &order, &*into, &sender, &stop).await
    });
    Run {
        sink,
        progress,
        cancel,
        done,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_volume_arrives_as_a_naive_splicer_would_make_it(
        base in prop::collection::vec(0u8..4, 12..40),
        points in prop::collection::vec(prop::collection::vec(0u8..4, 1..6), 0..3),
        order in prop::collection::vec((0u64..40, 1u64..10), 0..5),
        short in 0u64..1000,
    ) {
        let gaps = base.len() / (points.len() + 1);
        let mut parts = Vec::new();
        let mut pattern = Vec::new();
        let mut left = base.as_slice();
        for (index, point) in points.iter().enumerate() {
            let (gap, rest) = left.split_at(gaps);
            parts.extend([(gap.len() as u64, None), (point.len() as u64, Some(index))]);
            pattern.extend(gap);
            // What the base has where a point is must never be seen.
            pattern.extend(vec![9; point.len()]);
            left = rest;
        }
        parts.push((left.len() as u64, None));
        pattern.extend(left);
        let layout = layout(&parts, short * 512);
        let expected = naive(&layout, &pattern, &points);
        let slots = points.iter().enumerate()
            .map(|(index, point)| ArchiveSlot::filled(&format!("p{index}"), Arc::new(Memory::of(point))));
        let reader = reader(layout, Memory::of(&pattern), slots.collect());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let run = start(reader.clone(), order);
            run.done.await.unwrap().unwrap();
            assert!(run.sink.whole().as_deref() == Some(&expected[..]));
            assert_eq!(*run.sink.state.lock(), "committed");
            let progress = run.progress.borrow();
            assert_eq!(progress.state, StreamState::Sealed);
            assert_eq!((progress.done, progress.total), (expected.len() as u64, expected.len() as u64));
            assert_eq!(progress.held, []);
        });
    }
}

#[tokio::test(start_paused = true)]
async fn the_stream_starts_before_the_archives_and_waits_only_at_their_marks() {
    let layout = layout(
        &[(20, None), (3, Some(0)), (2, None), (3, Some(1)), (1, None)],
        0,
    );
    let (first, first_slot) = ArchiveSlot::new("p0");
    let (second, second_slot) = ArchiveSlot::new("p1");
    let reader = reader(layout, Memory::of(&[1; 29]), vec![second_slot, first_slot]);
    let mut run = start(reader, vec![]);
    let held = |point: &str| {
        let point = point.to_owned();
        move |progress: &Progress| {
            progress.state
                == StreamState::HeldAtMark {
                    point: point.clone(),
                }
        }
    };
    let progress = run.progress.wait_for(held("p0")).await.unwrap().clone();
    assert_eq!(
        progress.done,
        20 * bootsplice_content::BLOCK_U64,
        "all before the mark has gone"
    );
    tokio::time::sleep(Duration::from_secs(7)).await;
    first.fulfil(Arc::new(Memory::of(&[5, 0, 6])));
    run.progress.wait_for(held("p1")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    second.fulfil(Arc::new(Memory::of(&[7, 8, 0])));
    run.done.await.unwrap().unwrap();
    let progress = run.progress.borrow().clone();
    let times: Vec<_> = progress
        .held
        .iter()
        .map(|held| (held.point.as_str(), held.time.as_secs()))
        .collect();
    assert_eq!(times, [("p0", 7), ("p1", 2)]);
    assert_eq!(progress.held_time().as_secs(), 9);
    let whole = run.sink.whole().unwrap();
    assert_eq!(whole[20 * bootsplice_content::BLOCK], 5);
    assert_eq!(*run.sink.state.lock(), "committed");
}

#[tokio::test]
async fn an_archive_that_fails_or_does_not_fit_ends_the_launch_and_aborts_the_sink() {
    for answer in [None, Some(2), Some(4)] {
        let (promise, slot) = ArchiveSlot::new("p0");
        let reader = reader(
            layout(&[(4, None), (3, Some(0)), (1, None)], 0),
            Memory::of(&[1; 8]),
            vec![slot],
        );
        match answer {
            None => promise.fail("capacity: 9 blocks for 3"),
            Some(blocks) => promise.fulfil(Arc::new(Memory::of(&vec![1; blocks]))),
        }
        let run = start(reader, vec![]);
        let error = run.done.await.unwrap().unwrap_err();
        assert!(
            matches!(&error, SinkError::Archive { point, .. } if point == "p0"),
            "{error}"
        );
        assert_eq!(*run.sink.state.lock(), "aborted");
        assert_eq!(run.progress.borrow().state, StreamState::Failed);
    }
}

#[tokio::test]
async fn a_damaged_block_ends_the_stream_and_names_itself() {
    let base = Memory {
        broken: Some(5),
        ..Memory::of(&[1; 8])
    };
    let run = start(reader(layout(&[(8, None)], 0), base, vec![]), vec![]);
    let error = run.done.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("block 5"), "{error}");
    assert_eq!(*run.sink.state.lock(), "aborted");
}

#[tokio::test]
async fn a_cancelled_stream_aborts_its_sink_also_while_it_waits_at_a_mark() {
    let (_promise, slot) = ArchiveSlot::new("p0");
    let reader = reader(
        layout(&[(4, None), (3, Some(0)), (1, None)], 0),
        Memory::of(&[1; 8]),
        vec![slot],
    );
    let mut run = start(reader, vec![]);
    run.progress
        .wait_for(|progress| matches!(progress.state, StreamState::HeldAtMark { .. }))
        .await
        .unwrap();
    run.cancel.cancel();
    assert!(matches!(run.done.await.unwrap(), Err(SinkError::Cancelled)));
    assert_eq!(*run.sink.state.lock(), "aborted");
    assert!(run.sink.whole().is_none());
}

#[tokio::test]
async fn a_sink_of_another_shape_is_refused_before_the_first_byte() {
    let reader = reader(layout(&[(4, None)], 0), Memory::of(&[1; 4]), vec![]);
    let geometry = crate::Geometry {
        sector: 4096,
        ..reader.geometry()
    };
    let sink = MemorySink::new(geometry);
    let (progress, _) = watch::channel(Progress::default());
    let order = LoadOrder::new(reader.layout(), &[]);
    let refused = drive(&reader, &order, &sink, &progress, &CancellationToken::new()).await;
    assert!(matches!(refused, Err(SinkError::Misuse { .. })));
    assert!(sink.is_untouched());
}
