//! Reports to the host (RFC 0005): queued on the disk, posted when there is a network, kept across boots until delivered, refused or expired.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bootsplice_archive::header::ReportAddress;
use serde::{Deserialize, Serialize};

use crate::command::shorten;
use crate::console::Console;
use crate::journal::{Journal, State, StepResult, write_whole};
use crate::{AgentError, clock};

/// Reports kept at most; the oldest go first.
const QUEUED: usize = 64;
/// Bytes of a refusal that are read.
const REASON: u64 = 16 << 10;
const TIMEOUT: Duration = Duration::from_secs(20);
/// Where Debian, Red Hat and SUSE keep trusted certificate authorities.
const AUTHORITIES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];

/// What the host is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub launch: String,
    pub sequence: u64,
    /// `running`, `applied`, `degraded` or `failed`.
    pub result: String,
    pub steps: Vec<StepReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepReport {
    pub id: String,
    pub result: String,
    pub stage: String,
    pub started: String,
    pub seconds: f64,
    pub attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Queued {
    to: ReportAddress,
    report: Report,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<Refusal>,
}

/// A host's answer that no repetition will change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub status: u16,
    /// The start of what the host said.
    pub reason: String,
}

/// What lies in the queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Queue {
    pub waiting: usize,
    pub refused: Vec<RefusedReport>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedReport {
    pub launch: String,
    pub sequence: u64,
    #[serde(flatten)]
    pub refusal: Refusal,
}

/// What became of one attempt.
enum Answer {
    Taken,
    Refused(Refusal),
    /// The host was not reached, or was busy.
    Later,
}

/// The report on what the journal says.
pub fn of(journal: &Journal, detail: Option<String>) -> Report {
    let mut steps: Vec<_> = journal
        .steps
        .iter()
        .map(|(id, step)| StepReport {
            id: id.clone(),
            result: match (step.result, &step.trouble) {
                (Some(StepResult::Ok), None) => "ok".into(),
                (Some(_), _) => "failed".into(),
                (None, _) => "skipped".into(),
            },
            stage: format!("{:?}", step.stage).to_lowercase(),
            started: step.started.clone(),
            seconds: step.seconds,
            attempts: step.attempts,
            detail: step.detail.clone().or_else(|| step.trouble.clone()),
        })
        .collect();
    steps.sort_by(|a, b| a.started.cmp(&b.started));
    Report {
        launch: journal.launch.clone(),
        sequence: journal.reports,
        result: match journal.state {
            State::Applying => "running".into(),
            state => state.name().into(),
        },
        steps,
        boot_id: clock::boot_id(),
        detail,
    }
}

/// Queues a report to `to`; durable when this returns.
pub fn queue(directory: &Path, to: &ReportAddress, report: Report) -> Result<(), AgentError> {
    let queue = directory.join("reports");
    let name = format!("{:020}.json", report.sequence);
    let queued = Queued {
        to: to.clone(),
        report,
        refused: None,
    };
    let bytes = serde_json::to_vec(&queued)
        .map_err(|error| AgentError::system("a report", std::io::Error::from(error)))?;
    write_whole(&queue.join(name), &bytes)?;
    let files = queued_files(directory);
    for old in &files[..files.len().saturating_sub(QUEUED)] {
        let _ = fs::remove_file(old);
    }
    Ok(())
}

/// Posts what is queued, oldest first. What the host refuses stays, without its token, and is said once on `console`. Gives how many are left to be posted.
pub fn flush(directory: &Path, now: u64, console: &mut Console) -> Result<usize, AgentError> {
    let mut client = None;
    let mut left = 0;
    for path in queued_files(directory) {
        let failed = |error| AgentError::system(path.display().to_string(), error);
        let bytes = fs::read(&path).map_err(failed)?;
        let Ok(mut queued) = serde_json::from_slice::<Queued>(&bytes) else {
            // Not ours, or of another release: it would never be delivered.
            fs::remove_file(&path).map_err(failed)?;
            continue;
        };
        if queued.refused.is_some() {
            continue;
        }
        if queued.to.expires <= now {
            fs::remove_file(&path).map_err(failed)?;
            continue;
        }
        match post(client.get_or_insert_with(self::client), &queued) {
            Answer::Taken => fs::remove_file(&path).map_err(failed)?,
            Answer::Later => left += 1,
            Answer::Refused(refusal) => {
                console.say(&format!(
                    "report {} of launch {} was refused by the host: {} {}",
                    queued.report.sequence, queued.report.launch, refusal.status, refusal.reason
                ));
                queued.to.token.clear();
                queued.refused = Some(refusal);
                let bytes = serde_json::to_vec(&queued)
                    .map_err(|error| AgentError::system("a report", error))?;
                write_whole(&path, &bytes)?;
            }
        }
    }
    Ok(left)
}

/// What the queue holds; nothing of it is posted.
pub fn queued(directory: &Path) -> Queue {
    let mut queue = Queue::default();
    for path in queued_files(directory) {
        let Some(queued) = fs::read(path)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Queued>(&bytes).ok())
        else {
            continue;
        };
        match queued.refused {
            None => queue.waiting += 1,
            Some(refusal) => queue.refused.push(RefusedReport {
                launch: queued.report.launch,
                sequence: queued.report.sequence,
                refusal,
            }),
        }
    }
    queue
}

fn post(client: &ureq::Agent, queued: &Queued) -> Answer {
    let answer = client
        .post(&queued.to.url)
        .header("Authorization", format!("Bearer {}", queued.to.token))
        .send_json(&queued.report);
    let Ok(mut answer) = answer else {
        return Answer::Later;
    };
    match answer.status().as_u16() {
        200..300 => Answer::Taken,
        // Too slow, too early, too many: the same report may be taken later.
        408 | 425 | 429 => Answer::Later,
        status @ 400..500 => {
            let body = answer
                .body_mut()
                .with_config()
                .limit(REASON)
                .read_to_string();
            let reason = body.unwrap_or_else(|_| "(no readable reason)".into());
            Answer::Refused(Refusal {
                status,
                reason: shorten(&reason),
            })
        }
        _ => Answer::Later,
    }
}

fn client() -> ureq::Agent {
    use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
    let bundle = AUTHORITIES
        .iter()
        .find_map(|path| fs::read(path).ok())
        .unwrap_or_default();
    let authorities: Vec<Certificate<'static>> = ureq::tls::parse_pem(&bundle)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::from(authorities.into_iter()))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .max_redirects(0)
        .http_status_as_error(false)
        .tls_config(tls)
        .build()
        .into()
}

fn queued_files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory.join("reports"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    files.sort();
    files
}
