//! Overwrites what must not stay on the device once a launch was applied or given up: the instance layer (secrets), then the header (report token).

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;

use bootsplice_archive::header::{self, LayerScope};
use bootsplice_archive::keys::VerifyingKey;
use bootsplice_archive::point;
use bootsplice_content::{BLOCK, BLOCK_U64};

use crate::AgentError;
use crate::journal::{Journal, Wipe};
use crate::points::{Point, Trusted};

/// What is to be overwritten of these points.
pub fn plan(points: &[Trusted]) -> Vec<Wipe> {
    points
        .iter()
        .map(|trusted| {
            let layers = trusted.payload.layers.iter().zip(&trusted.layers);
            Wipe {
                point: trusted.point.name.clone(),
                partition: trusted.point.partition,
                instance_layers: layers
                    .filter(|(layer, _)| layer.scope == LayerScope::Instance)
                    .map(|(_, range)| range.clone())
                    .collect(),
                header: trusted.header.clone(),
            }
        })
        .collect()
}

/// Overwrites what the journal says is still to be overwritten. Repeating it is harmless.
pub fn wipe(
    journal: &Journal,
    points: &[Point],
    trusted: &[VerifyingKey],
) -> Result<(), AgentError> {
    for wipe in &journal.wipes {
        let Some(point) = points
            .iter()
            .find(|point| point.partition == wipe.partition)
        else {
            // The partition is gone, and what was on it with it.
            continue;
        };
        wipe_point(journal, wipe, point, trusted).map_err(|error| {
            AgentError::system(format!("overwriting point `{}`", wipe.point), error)
        })?;
    }
    Ok(())
}

fn wipe_point(
    journal: &Journal,
    wipe: &Wipe,
    point: &Point,
    trusted: &[VerifyingKey],
) -> io::Result<()> {
    let mut device = File::options().read(true).write(true).open(&point.device)?;
    device.seek(SeekFrom::Start(point.offset + wipe.header.start))?;
    if header::open(&mut device, trusted).is_ok_and(|(payload, _)| payload.launch != journal.launch)
    {
        // A later launch was spliced in: what was here is overwritten already.
        return Ok(());
    }
    for range in &wipe.instance_layers {
        let blocks = (range.end - range.start) / BLOCK_U64;
        for (index, block) in (0..).zip(point::wiped_layer(blocks)) {
            let index: u64 = index;
            device.write_all_at(&block, point.offset + range.start + index * BLOCK_U64)?;
        }
    }
    // Secrets first: a header that is still there leads the next run to whatever is left.
    device.sync_all()?;
    let blocks = (wipe.header.end - wipe.header.start) / BLOCK_U64;
    let spent = header::spend(&journal.launch, &journal.instance, journal.sequence, blocks);
    for (index, block) in (0..).zip(spent.chunks(BLOCK)) {
        let index: u64 = index;
        device.write_all_at(block, point.offset + wipe.header.start + index * BLOCK_U64)?;
    }
    device.sync_all()
}
