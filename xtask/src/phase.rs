//! What takes how long: each phase announces itself, shows that it is alive, and ends up in one table.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// The phases of one chore in their order.
pub struct Phases {
    done: Vec<(String, Duration)>,
}

// === impl Phases ===

impl Phases {
    pub fn new() -> Self {
        Phases { done: Vec::new() }
    }

    /// Runs `work` as a phase. On a terminal its seconds count while it runs.
    pub fn run<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let started = Instant::now();
        eprintln!("==> {name}");
        let (stop, stopped) = channel::<()>();
        let ticker = std::io::stderr().is_terminal().then(|| {
            std::thread::spawn(move || {
                while let Err(RecvTimeoutError::Timeout) =
                    stopped.recv_timeout(Duration::from_secs(1))
                {
                    eprint!("\r    {} s ", started.elapsed().as_secs());
                    let _ = std::io::stderr().flush();
                }
                eprint!("\r          \r");
            })
        });
        let answer = work();
        drop(stop);
        if let Some(ticker) = ticker {
            let _ = ticker.join();
        }
        let took = started.elapsed();
        if took >= Duration::from_secs(1) {
            eprintln!(
                "    {} after {:.1} s",
                if answer.is_ok() { "done" } else { "failed" },
                took.as_secs_f64()
            );
        }
        self.done.push((name.to_owned(), took));
        answer.with_context(|| name.to_owned())
    }

    /// The table of times, when there was more than one phase.
    pub fn print(&self) {
        if self.done.len() < 2 {
            return;
        }
        eprintln!();
        for (name, took) in &self.done {
            eprintln!("{:9.1} s  {name}", took.as_secs_f64());
        }
        let total: Duration = self.done.iter().map(|(_, took)| *took).sum();
        eprintln!("{:9.1} s  in all", total.as_secs_f64());
    }
}
