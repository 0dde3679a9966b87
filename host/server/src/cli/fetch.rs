//! Reading a volume over HTTP into a file: resumed when the connection breaks, confirmed by the digest of what was written.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bootsplice_content::{Digest, Hasher};
use indicatif::ProgressBar;
use reqwest::header::{ETAG, IF_RANGE, RANGE};
use reqwest::{Method, StatusCode};
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt as _;

use super::Failure;
use super::exit::Code;
use super::launch::{bytes_bar, path};
use crate::api::{ConfirmBody, LaunchView};
use crate::client::Client;

/// How often a broken connection is taken up again.
const RESUMES: u32 = 5;

/// Reads the volume into `file.partial`, confirms its digest and renames it. Zero blocks stay holes. What is not confirmed is removed.
pub async fn fetch(client: &Client, id: &str, file: &Path) -> Result<LaunchView, Failure> {
    let mut name = file.as_os_str().to_owned();
    name.push(".partial");
    let partial = PathBuf::from(name);
    let fetched = fetch_to(client, id, &partial, file).await;
    if fetched.is_err() {
        // The failure tells more than a file that cannot be removed either.
        let _ = tokio::fs::remove_file(&partial).await;
    }
    fetched
}

async fn fetch_to(
    client: &Client,
    id: &str,
    partial: &Path,
    file: &Path,
) -> Result<LaunchView, Failure> {
    let io = |action: &str, error: std::io::Error| {
        Failure::new(
            Code::Failure,
            format!("{action} `{}`: {error}", partial.display()),
        )
    };
    let launch: LaunchView = client.get(&path(id, "")).await?;
    let bar = bytes_bar(launch.size, "fetching");
    let mut open = OpenOptions::new();
    let open = open.create(true).truncate(true).write(true).read(true);
    let mut out = open
        .open(partial)
        .await
        .map_err(|error| io("making", error))?;
    let mut hasher = Hasher::new();
    let (mut done, mut etag, mut resumes) = (0, None, 0);
    while done < launch.size {
        match receive(
            client,
            id,
            &mut out,
            &mut hasher,
            &mut done,
            &mut etag,
            &bar,
        )
        .await
        {
            Ok(()) if done == launch.size => break,
            // Short of its length: the host failed late, or the connection broke. What was received stays received.
            Ok(())
            | Err(Failure {
                code: Code::Unavailable,
                ..
            }) if resumes < RESUMES => {
                resumes += 1;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Ok(()) => {
                return Err(Failure::new(
                    Code::Failure,
                    format!("the volume ended after {done} of {} bytes", launch.size),
                ));
            }
            Err(failure) => return Err(failure),
        }
    }
    bar.finish_and_clear();
    out.set_len(launch.size)
        .await
        .map_err(|error| io("sizing", error))?;
    out.sync_all().await.map_err(|error| io("syncing", error))?;
    let confirmed = confirm(client, id, hasher.finish()).await?;
    tokio::fs::rename(partial, file)
        .await
        .map_err(|error| io("renaming", error))?;
    Ok(confirmed)
}

async fn receive(
    client: &Client,
    id: &str,
    out: &mut File,
    hasher: &mut Hasher,
    done: &mut u64,
    etag: &mut Option<String>,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    use tokio::io::AsyncSeekExt as _;
    let at = path(id, "/volume");
    let mut request = client.request(Method::GET, &at);
    if *done > 0 {
        request = request.header(RANGE, format!("bytes={done}-"));
        if let Some(etag) = etag {
            request = request.header(IF_RANGE, etag.as_str());
        }
    }
    let mut response = client.send(request, &at).await?;
    if *done > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
        return Err(Failure::new(
            Code::Failure,
            "the volume is another one than before; fetch it again",
        ));
    }
    if let Some(value) = response
        .headers()
        .get(ETAG)
        .and_then(|value| value.to_str().ok())
    {
        *etag = Some(value.to_owned());
    }
    let io =
        |error: std::io::Error| Failure::new(Code::Failure, format!("writing the volume: {error}"));
    loop {
        let chunk = match response.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) | Err(_) => return Ok(()),
        };
        hasher.update(&chunk);
        out.seek(std::io::SeekFrom::Start(*done))
            .await
            .map_err(io)?;
        if !bootsplice_content::is_zero(&chunk) {
            out.write_all(&chunk).await.map_err(io)?;
        }
        *done += chunk.len() as u64;
        bar.set_position(*done);
    }
}

pub async fn confirm(client: &Client, id: &str, sha256: Digest) -> Result<LaunchView, Failure> {
    let answer = client
        .json::<_, LaunchView>(
            Method::POST,
            &path(id, "/confirm"),
            Some(&ConfirmBody { sha256 }),
            &[],
        )
        .await?;
    Ok(answer.value)
}
