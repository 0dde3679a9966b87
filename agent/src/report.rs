//! Reports to the host (RFC 0005): queued on the disk, posted when there is a network, kept across boots until delivered, refused or expired.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bootsplice_archive::header::ReportAddress;
use serde::{Deserialize, Serialize};

use crate::AgentError;
use crate::journal::{Journal, State, StepResult, write_whole};

/// Reports kept at most; the oldest go first.
const QUEUE: usize = 64;
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
}

/// The report on what the journal says.
pub fn of(journal: &Journal, detail: Option<String>) -> Report {
    let mut steps: Vec<_> = journal
        .steps
        .iter()
        .map(|(id, step)| StepReport {
            id: id.clone(),
            result: match step.result {
                Some(StepResult::Ok) => "ok".into(),
                Some(StepResult::Failed) => "failed".into(),
                None => "skipped".into(),
            },
            stage: format!("{:?}", step.stage).to_lowercase(),
            started: step.started.clone(),
            seconds: step.seconds,
            attempts: step.attempts,
            detail: step.detail.clone(),
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
        boot_id: fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .ok()
            .map(|text| text.trim().to_owned()),
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
    };
    let bytes = serde_json::to_vec(&queued)
        .map_err(|error| AgentError::system("a report", std::io::Error::from(error)))?;
    write_whole(&queue.join(name), &bytes)?;
    let files = queued_files(directory);
    for old in &files[..files.len().saturating_sub(QUEUE)] {
        let _ = fs::remove_file(old);
    }
    Ok(())
}

/// Posts what is queued, oldest first. Gives how many are left: those the host could not be reached for.
pub fn flush(directory: &Path, now: u64) -> Result<usize, AgentError> {
    let files = queued_files(directory);
    if files.is_empty() {
        return Ok(0);
    }
    let client = client();
    let mut left = 0;
    for path in files {
        let failed = |error| AgentError::system(path.display().to_string(), error);
        let bytes = fs::read(&path).map_err(failed)?;
        let settled = match serde_json::from_slice::<Queued>(&bytes) {
            // Not ours, or of another release: it would never be delivered.
            Err(_) => true,
            Ok(queued) if queued.to.expires <= now => true,
            Ok(queued) => post(&client, &queued),
        };
        if settled {
            fs::remove_file(&path).map_err(failed)?;
        } else {
            left += 1;
        }
    }
    Ok(left)
}

/// True when the host took the report, or will never take it.
fn post(client: &ureq::Agent, queued: &Queued) -> bool {
    let answer = client
        .post(&queued.to.url)
        .header("Authorization", format!("Bearer {}", queued.to.token))
        .send_json(&queued.report);
    match answer {
        Ok(answer) => {
            let status = answer.status().as_u16();
            (200..300).contains(&status)
                || matches!(status, 400 | 401 | 403 | 404 | 409 | 410 | 422)
        }
        Err(_) => false,
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
