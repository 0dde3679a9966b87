//! Imports an image into a directory and prints seconds, bytes and the peak of anonymous memory: `measure IMAGE DIRECTORY`.

use std::sync::Arc;

use bootsplice_import::{ImportRequest, import, parse_point};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(image), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("measure IMAGE DIRECTORY".into());
    };
    std::fs::create_dir_all(&folder)?;
    let store = Arc::new(object_store::local::LocalFileSystem::new_with_prefix(
        &folder,
    )?);
    let request = ImportRequest {
        image: image.into(),
        format: None,
        name: "measure".into(),
        points: vec![parse_point("base=512MiB")?],
        size: None,
        scratch: std::env::temp_dir(),
    };
    let peak = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let seen = peak.clone();
    let begin = std::time::Instant::now();
    let report = import(store, request, move |_| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line
            .and_then(|line| line.split_whitespace().next()?.parse().ok())
            .unwrap_or(0);
        seen.fetch_max(kib, std::sync::atomic::Ordering::Relaxed);
    })
    .await?;
    let seconds = begin.elapsed().as_secs_f64();
    let data = report.data_blocks / 2;
    println!(
        "{data} MiB of data in {seconds:.2} s, {} bytes uploaded, RssAnon at most {} KiB",
        report.uploaded,
        peak.load(std::sync::atomic::Ordering::Relaxed)
    );
    Ok(())
}
