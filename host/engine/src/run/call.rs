//! Runs one call of a guest in a store of its own, under every limit, and names how it ended.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use wasmtime::{Engine, Store, UpdateDeadline};

use super::Run;
use crate::contract::Quota;
use crate::counters::Counters;
use crate::error::GeneratorError;
use crate::job::Level;
use crate::metering::{Metering, Usage};
use crate::v0_1::{PluginPre, World};

/// Length of one epoch.
pub const TICK: Duration = Duration::from_millis(10);
/// Bytes that a guest may hand to the host in one call.
const HOSTCALL_BYTES: usize = 4 << 20;

/// The wasmtime engine, its ticking clock and the places for runs.
#[derive(Clone)]
pub struct Sandbox {
    engine: Engine,
    places: Arc<Semaphore>,
    counters: Arc<Counters>,
    metering: Option<Arc<dyn Metering>>,
    /// The ticking thread ends when the last clone is gone.
    _alive: Arc<()>,
}

/// The guest used up its processor time.
#[derive(Debug, thiserror::Error)]
#[error("processor time used up")]
struct CpuSpent;

/// Adds the time that a future is polled to a counter.
struct Timed<F> {
    inner: Pin<Box<F>>,
    spent: Arc<AtomicU64>,
}

// === impl Sandbox ===

impl Sandbox {
    /// Starts the thread that ends epochs. It is a thread of its own, so that a busy runtime cannot hold it up.
    pub fn start(
        engine: Engine,
        places: usize,
        counters: Arc<Counters>,
        metering: Option<Arc<dyn Metering>>,
    ) -> std::io::Result<Self> {
        let alive = Arc::new(());
        let watched = Arc::downgrade(&alive);
        let ticking = engine.weak();
        std::thread::Builder::new()
            .name("epochs".into())
            .spawn(move || {
                while watched.strong_count() > 0 {
                    std::thread::sleep(TICK);
                    match ticking.upgrade() {
                        Some(engine) => engine.increment_epoch(),
                        None => return,
                    }
                }
            })?;
        Ok(Self {
            engine,
            places: Arc::new(Semaphore::new(places)),
            counters,
            metering,
            _alive: alive,
        })
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Instantiates and calls. The store is dropped whatever happens and never used again.
    pub async fn call<T>(
        &self,
        plugin: &PluginPre<Run>,
        run: Run,
        call: impl AsyncFnOnce(&World, &mut Store<Run>) -> wasmtime::Result<T>,
    ) -> Result<(T, Run), GeneratorError> {
        let cancel = run.reach.access.cancel.clone();
        let limits = run.reach.access.limits.clone();
        let _place = tokio::select! {
            place = self.places.acquire() => place.map_err(|_| GeneratorError::Cancelled)?,
            () = cancel.cancelled() => return Err(GeneratorError::Cancelled),
        };
        self.counters.instantiations.fetch_add(1, Ordering::Relaxed);
        let mut store = Store::new(&self.engine, run);
        store.limiter(|run| &mut run.memory);
        store.set_hostcall_fuel(HOSTCALL_BYTES);
        store.set_max_component_handles(limits.handles as usize);
        store.set_epoch_deadline(1);
        if self.metering.is_some() {
            store
                .set_fuel(u64::MAX)
                .map_err(|error| GeneratorError::Host(format!("{error:#}")))?;
        }
        let mut ticks = u64::try_from(limits.cpu.as_millis() / TICK.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        store.epoch_deadline_callback(move |_| {
            ticks -= 1;
            if ticks == 0 {
                return Err(wasmtime::Error::from(CpuSpent));
            }
            Ok(UpdateDeadline::YieldCustom(
                1,
                Box::pin(tokio::task::yield_now()),
            ))
        });
        let started = Instant::now();
        let spent = Arc::new(AtomicU64::new(0));
        let outcome = {
            let work = async {
                let world = plugin.instantiate_async(&mut store).await?;
                call(&world, &mut store).await
            };
            let timed = Timed {
                inner: Box::pin(work),
                spent: spent.clone(),
            };
            tokio::select! {
                done = tokio::time::timeout(limits.wall, timed) => match done {
                    Ok(result) => result.map_err(Some),
                    Err(_) => Err(None),
                },
                () = cancel.cancelled() => {
                    self.counters.guest_nanos.fetch_add(spent.load(Ordering::Relaxed), Ordering::Relaxed);
                    return Err(GeneratorError::Cancelled);
                }
            }
        };
        self.counters
            .guest_nanos
            .fetch_add(spent.load(Ordering::Relaxed), Ordering::Relaxed);
        self.counters
            .memory_peak
            .fetch_max(store.data().memory.bytes(), Ordering::Relaxed);
        self.meter(&store, started.elapsed());
        let dropped = store.data().log.dropped();
        if dropped > 0 {
            limits_note(store.data(), dropped);
        }
        match outcome {
            Ok(value) => Ok((value, store.into_data())),
            Err(None) => Err(GeneratorError::Timeout {
                what: "wall-clock time",
                limit: limits.wall,
            }),
            Err(Some(error)) => Err(ended(&error, store.data())),
        }
    }

    fn meter(&self, store: &Store<Run>, time: Duration) {
        let (Some(metering), Ok(left)) = (&self.metering, store.get_fuel()) else {
            return;
        };
        let run = store.data();
        let (fetches, fetched) = run.reach.fetched();
        metering.used(&Usage {
            call: run.reach.phase.call(),
            instructions: u64::MAX - left,
            memory: run.memory.bytes(),
            fetches,
            fetched,
            written: run.step.as_ref().map_or(0, |step| step.lock().bytes()),
            time,
        });
    }
}

/// Says what the log left out: the log itself is full by then.
fn limits_note(run: &Run, dropped: u64) {
    let fields = [("dropped".to_owned(), dropped.to_string())];
    run.reach.access.observer.log(
        Level::Warn,
        "messages of the generator were dropped",
        &fields,
    );
}

/// Names how a call ended that gave no answer.
fn ended(error: &wasmtime::Error, run: &Run) -> GeneratorError {
    let limits = &run.reach.access.limits;
    if error.is::<CpuSpent>() {
        return GeneratorError::Timeout {
            what: "processor time",
            limit: limits.cpu,
        };
    }
    if let Some(named) = error.downcast_ref::<GeneratorError>() {
        return named.clone();
    }
    if run.memory.refused() {
        return GeneratorError::MemoryLimit {
            limit: run.memory.limit(),
        };
    }
    let root = error.root_cause().to_string();
    // wasmtime gives no type for its own table's limit.
    if run.handles_refused || root.contains("store handle limit exceeded") {
        return GeneratorError::quota(
            Quota::Handles,
            format!("{} handles at a time", limits.handles),
        );
    }
    let message = match run.log.last_words() {
        Some(words) => format!("{root}; its last words: {words}"),
        None => root,
    };
    GeneratorError::Trap { message }
}

// === impl Timed ===

impl<F: Future> Future for Timed<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let started = Instant::now();
        let polled = self.inner.as_mut().poll(context);
        let nanos = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.spent.fetch_add(nanos, Ordering::Relaxed);
        polled
    }
}
