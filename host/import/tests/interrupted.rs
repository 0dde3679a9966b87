//! Imports that do not reach their end, and imports that meet: what is in the store afterwards.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::Path as FilePath;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Barrier};

use bootsplice_import::{ImportError, import, inspect, list, verify};
use common::{disk, local, request};
use futures::TryStreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use tempfile::TempDir;

const POINTS: &[&str] = &["base=8MiB"];

/// A store that takes so many writes and then no more.
#[derive(Debug)]
struct Failing {
    inner: InMemory,
    left: Arc<AtomicI64>,
}

#[derive(Debug)]
struct FailingUpload {
    inner: Box<dyn MultipartUpload>,
    left: Arc<AtomicI64>,
}

fn spend(left: &AtomicI64) -> Result<()> {
    if left.fetch_sub(1, Ordering::Relaxed) > 0 {
        return Ok(());
    }
    Err(Error::Generic {
        store: "failing",
        source: "no more writes".into(),
    })
}

// === impl Failing ===

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failing {}", self.inner)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Failing {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        spend(&self.left)?;
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        spend(&self.left)?;
        let inner = self.inner.put_multipart_opts(location, options).await?;
        let left = self.left.clone();
        Ok(Box::new(FailingUpload { inner, left }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        spend(&self.left)?;
        self.inner.copy_opts(from, to, options).await
    }
}

#[async_trait::async_trait]
impl MultipartUpload for FailingUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        match spend(&self.left) {
            Ok(()) => self.inner.put_part(data),
            Err(error) => Box::pin(async { Err(error) }),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        spend(&self.left)?;
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

async fn objects(store: &Arc<dyn ObjectStore>) -> BTreeSet<String> {
    let all: Vec<_> = store.list(None).try_collect().await.unwrap();
    all.into_iter()
        .map(|object| object.location.to_string())
        .collect()
}

/// What an import leaves that nothing disturbed.
async fn undisturbed(image: &FilePath, folder: &FilePath) -> (BTreeSet<String>, i64) {
    let left = Arc::new(AtomicI64::new(1000));
    let store: Arc<dyn ObjectStore> = Arc::new(Failing {
        inner: InMemory::new(),
        left: left.clone(),
    });
    import(store.clone(), request(image, folder, POINTS), |_| {})
        .await
        .unwrap();
    (objects(&store).await, 1000 - left.load(Ordering::Relaxed))
}

#[tokio::test]
async fn an_import_whose_write_fails_leaves_no_name_and_a_rerun_leaves_what_one_import_does() {
    let folder = TempDir::new().unwrap();
    let image = disk(folder.path());
    let (expected, writes) = undisturbed(&image, folder.path()).await;
    assert!(writes > 10, "an upload in parts and every kind of document");
    for good in 0..writes {
        let left = Arc::new(AtomicI64::new(good));
        let store: Arc<dyn ObjectStore> = Arc::new(Failing {
            inner: InMemory::new(),
            left: left.clone(),
        });
        let wanted = request(&image, folder.path(), POINTS);
        let error = import(store.clone(), wanted.clone(), |_| {})
            .await
            .unwrap_err();
        assert!(
            matches!(error, ImportError::Store { .. }),
            "write {good}: {error}"
        );
        assert!(list(&store).await.unwrap().is_empty(), "write {good}");
        assert!(objects(&store).await.is_subset(&expected), "write {good}");
        left.store(1000, Ordering::Relaxed);
        import(store.clone(), wanted, |_| {}).await.unwrap();
        assert_eq!(objects(&store).await, expected, "write {good}");
        assert_eq!(verify(&store, "base", |_| {}).await.unwrap().fault, None);
    }
}

#[tokio::test]
async fn an_import_given_up_half_way_leaves_no_name() {
    let folder = TempDir::new().unwrap();
    let image = disk(folder.path());
    let (expected, _) = undisturbed(&image, folder.path()).await;
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let wanted = request(&image, folder.path(), POINTS);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let running = tokio::spawn(import(store.clone(), wanted.clone(), move |progress| {
        if progress.done > 0 && progress.done < progress.total {
            let _ = tell.send(());
            // Until the caller has gone.
            let _ = wait.recv();
        }
    }));
    told.recv().await.unwrap();
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    drop(go_on);
    // The work of the one that was given up ends by itself, and its channel with it.
    while told.recv().await.is_some() {}
    assert!(list(&store).await.unwrap().is_empty());
    import(store.clone(), wanted, |_| {}).await.unwrap();
    assert_eq!(objects(&store).await, expected);
}

/// The child of the test below: imports and says how far it is.
#[tokio::test]
#[ignore = "run by the_rerun_of_a_killed_import_leaves_what_one_import_does"]
async fn an_import_to_be_killed() {
    let Some(folder) = std::env::var_os("BOOTSPLICE_TEST_FOLDER") else {
        return;
    };
    let folder = FilePath::new(&folder);
    let (store, _) = local(folder);
    let wanted = request(&folder.join("disk.raw"), folder, POINTS);
    import(store, wanted, |_| println!("progress"))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_rerun_of_a_killed_import_leaves_what_one_import_does() {
    let folder = TempDir::new().unwrap();
    let image = disk(folder.path());
    let (expected, _) = undisturbed(&image, folder.path()).await;
    let mut killed = 0;
    for lines in [1, 6, 12, 18, 24, 26] {
        let (store, root) = local(folder.path());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "an_import_to_be_killed",
                "--ignored",
                "--nocapture",
            ])
            .env("BOOTSPLICE_TEST_FOLDER", folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let seen = output
            .lines()
            .map_while(std::result::Result::ok)
            .filter(|line| line.contains("progress"))
            .take(lines)
            .count();
        child.kill().unwrap();
        killed += u32::from(!child.wait().unwrap().success());
        assert_eq!(seen, lines, "the child came so far");
        // Either it had ended or there is no name.
        for named in list(&store).await.unwrap() {
            assert_eq!(
                verify(&store, &named.name, |_| {}).await.unwrap().fault,
                None
            );
        }
        let wanted = request(&image, folder.path(), POINTS);
        import(store.clone(), wanted, |_| {}).await.unwrap();
        assert_eq!(objects(&store).await, expected, "killed after {lines}");
        assert_eq!(verify(&store, "base", |_| {}).await.unwrap().fault, None);
        std::fs::remove_dir_all(root).unwrap();
    }
    assert!(
        killed >= 3,
        "{killed} children were killed before their end"
    );
}

/// Two imports under one name that both know the name's record before either writes it.
async fn meet(
    store: &Arc<dyn ObjectStore>,
    images: [&FilePath; 2],
    folder: &FilePath,
) -> [std::result::Result<bootsplice_import::ImportReport, ImportError>; 2] {
    let barrier = Arc::new(Barrier::new(2));
    let start = |image: &FilePath| {
        let barrier = barrier.clone();
        let wanted = request(image, folder, POINTS);
        tokio::spawn(import(store.clone(), wanted, move |progress| {
            if progress.done == progress.total {
                barrier.wait();
            }
        }))
    };
    let (one, other) = (start(images[0]), start(images[1]));
    [one.await.unwrap(), other.await.unwrap()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_imports_of_one_name_one_wins_and_the_other_is_told() {
    let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    // Another filesystem, so another volume.
    let (one, other) = (disk(first.path()), disk(second.path()));
    let third = TempDir::new().unwrap();
    let before = disk(third.path());
    let (directory, _) = local(first.path());
    for store in [Arc::new(InMemory::new()) as Arc<dyn ObjectStore>, directory] {
        for had_a_name in [false, true] {
            if had_a_name {
                let wanted = request(&before, first.path(), POINTS);
                import(store.clone(), wanted, |_| {}).await.unwrap();
            }
            let answers = meet(&store, [&one, &other], first.path()).await;
            let won: Vec<_> = answers.iter().flatten().collect();
            let lost: Vec<_> = answers
                .iter()
                .filter_map(|answer| answer.as_ref().err())
                .collect();
            assert_eq!((won.len(), lost.len()), (1, 1), "{store}: {answers:?}");
            assert!(
                matches!(lost[0], ImportError::Conflict(name) if name == "base"),
                "{}",
                lost[0]
            );
            let seen = inspect(&store, "base").await.unwrap();
            assert_eq!(seen.volume, won[0].volume);
            assert_eq!(verify(&store, "base", |_| {}).await.unwrap().fault, None);
            // What the message says helps: nothing of the loser's was lost.
            let loser = if answers[0].is_err() { &one } else { &other };
            let again = import(store.clone(), request(loser, first.path(), POINTS), |_| {})
                .await
                .unwrap();
            assert_ne!(again.volume, won[0].volume);
            assert_eq!(inspect(&store, "base").await.unwrap().volume, again.volume);
            assert_eq!(verify(&store, "base", |_| {}).await.unwrap().fault, None);
            assert!(
                !objects(&store)
                    .await
                    .iter()
                    .any(|path| path.starts_with("claims"))
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_imports_of_one_image_under_one_name_are_no_conflict() {
    let folder = TempDir::new().unwrap();
    let image = disk(folder.path());
    let (expected, _) = undisturbed(&image, folder.path()).await;
    let (directory, _) = local(folder.path());
    for store in [Arc::new(InMemory::new()) as Arc<dyn ObjectStore>, directory] {
        let answers = meet(&store, [&image, &image], folder.path()).await;
        let [one, other] = answers.map(|answer| answer.unwrap());
        assert_eq!((one.volume, one.placement), (other.volume, other.placement));
        assert_eq!(objects(&store).await, expected, "{store}");
        assert_eq!(verify(&store, "base", |_| {}).await.unwrap().fault, None);
    }
}

#[tokio::test]
async fn a_claim_that_somebody_left_is_named() {
    let folder = TempDir::new().unwrap();
    let image = disk(folder.path());
    let (store, root) = local(folder.path());
    let mut wanted = request(&image, folder.path(), POINTS);
    import(store.clone(), wanted.clone(), |_| {}).await.unwrap();
    std::fs::create_dir_all(root.join("claims")).unwrap();
    std::fs::write(root.join("claims/base"), b"").unwrap();
    // Another volume under the same name has to replace the record.
    wanted.points = vec![bootsplice_import::parse_point("users=8MiB").unwrap()];
    let error = import(store.clone(), wanted.clone(), |_| {})
        .await
        .unwrap_err();
    assert!(error.to_string().contains("remove claims/base"), "{error}");
    std::fs::remove_file(root.join("claims/base")).unwrap();
    import(store, wanted, |_| {}).await.unwrap();
}
