//! `bootsplice-agent`: arguments in, exit code out. Everything else is in the library.

use std::path::PathBuf;
use std::process::ExitCode;

use bootsplice_agent::apply::{self, Job, Outcome};
use bootsplice_agent::console::Console;
use bootsplice_agent::journal::Journal;
use bootsplice_agent::settings::{self, Settings};
use bootsplice_agent::{AgentError, clock, points, policy, report};
use bootsplice_archive::step::Stage;
use clap::{Args, Parser, Subcommand, ValueEnum};

const AFTER: &str = "\
Examples:
  bootsplice-agent status --json
  bootsplice-agent verify
  bootsplice-agent apply --device disk.raw --root /mnt --dry-run
  bootsplice-agent apply --device /dev/sda --root /

Exit codes:
  0  done, or nothing to do
  1  the system refused an operation
  2  wrong arguments or settings
  3  an archive was refused; nothing was changed
  4  a step failed and its policy stopped the launch";

/// Verifies and applies what a host spliced into this machine's volume.
#[derive(Parser)]
#[command(version, after_help = AFTER)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Apply the points of a disk or disk image to a directory, without systemd
    Apply(Manual),
    /// Run the steps of one stage on this machine (called by the systemd units)
    Run { stage: StageName },
    /// Verify every point of this machine, or of a disk; change nothing
    Verify {
        #[arg(long)]
        device: Vec<PathBuf>,
        #[arg(long, default_value = "/etc/bootsplice/keys.d")]
        keys: PathBuf,
    },
    /// Show what was applied
    Status {
        #[arg(long)]
        json: bool,
        #[arg(long, default_value = STATE)]
        journal: PathBuf,
    },
    /// Answer for policy-rc.d: 0 is yes, 101 is no (called by what installs packages)
    #[command(name = "policy-rc.d", hide = true)]
    Policy {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Post the queued reports
    Report {
        #[arg(long, default_value = STATE)]
        journal: PathBuf,
    },
}

#[derive(Args)]
struct Manual {
    /// A disk, or an image of a whole disk; may be given several times
    #[arg(long, required = true)]
    device: Vec<PathBuf>,
    /// The guest's root directory
    #[arg(long)]
    root: PathBuf,
    /// Show the steps; change nothing
    #[arg(long)]
    dry_run: bool,
    /// Trusted keys [default: ROOT/etc/bootsplice/keys.d]
    #[arg(long)]
    keys: Option<PathBuf>,
    /// Where the journal lies [default: ROOT/var/lib/bootsplice]
    #[arg(long)]
    journal: Option<PathBuf>,
    /// Only the steps of this stage
    #[arg(long)]
    stage: Option<StageName>,
    /// Every timeout is multiplied by it
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    scale: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum StageName {
    Files,
    Packages,
    Late,
}

const STATE: &str = "/var/lib/bootsplice";
/// What the first unit of this boot verified.
const RECORD: &str = "/run/bootsplice/verified.json";
/// Says to the later units of a boot that an earlier one refused.
const REFUSED: &str = "/run/bootsplice/refused";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Apply(manual) => apply_manual(manual),
        Command::Run { stage } => run(stage),
        Command::Verify { device, keys } => verify(&device, &keys),
        Command::Status { json, journal } => status(json, &journal),
        Command::Policy { words } => return answer(&words),
        Command::Report { journal } => flush(&journal),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bootsplice-agent: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn apply_manual(manual: Manual) -> Result<(), AgentError> {
    let keys = manual
        .keys
        .unwrap_or_else(|| manual.root.join("etc/bootsplice/keys.d"));
    let settings = Settings::read(&manual.root.join("etc/bootsplice/agent.toml"))?;
    let job = Job {
        points: in_images(&manual.device)?,
        trusted: settings::trusted_keys(&keys)?,
        state: manual
            .journal
            .unwrap_or_else(|| manual.root.join("var/lib/bootsplice")),
        root: manual.root,
        product_uuid: product_uuid(),
        allow_unspliced: settings.allow_unspliced,
        stage: manual.stage.map(Into::into),
        scale: manual.scale,
        dry_run: manual.dry_run,
        once: false,
        boots: settings.boots(),
        record: None,
        held: None,
    };
    apply::apply(&job, &mut Console::default()).map(|_| ())
}

fn run(stage: StageName) -> Result<(), AgentError> {
    let mut console = Console::of_system();
    if !matches!(stage, StageName::Files) && std::path::Path::new(REFUSED).exists() {
        return Err(AgentError::refused(
            "*",
            "the stage `files` refused this launch",
        ));
    }
    let result = run_stage(stage, &mut console);
    match &result {
        Ok(Outcome::Done(_)) => {
            // Without a network the queue waits for the report unit.
            let _ = report::flush(STATE.as_ref(), now(), &mut console);
        }
        Err(
            error @ (AgentError::Refused { .. } | AgentError::Usage(_) | AgentError::System { .. }),
        ) => {
            console.say(&format!("launch - result failed: {error}"));
            let _ = std::fs::create_dir_all("/run/bootsplice");
            let _ = std::fs::write(REFUSED, error.to_string());
            let refused = report::Report {
                launch: "-".into(),
                sequence: 0,
                result: "failed".into(),
                steps: Vec::new(),
                boot_id: None,
                detail: Some(error.to_string()),
            };
            let _ = apply::write_status(STATE.as_ref(), &refused);
        }
        _ => {}
    }
    result.map(|_| ())
}

fn run_stage(stage: StageName, console: &mut Console) -> Result<Outcome, AgentError> {
    let settings = Settings::read("/etc/bootsplice/agent.toml".as_ref())?;
    let job = Job {
        points: points::on_this_machine()?,
        trusted: settings::trusted_keys("/etc/bootsplice/keys.d".as_ref())?,
        root: "/".into(),
        state: STATE.into(),
        product_uuid: product_uuid(),
        allow_unspliced: settings.allow_unspliced,
        stage: Some(stage.into()),
        scale: settings.timeout_scale.unwrap_or(1),
        dry_run: false,
        once: true,
        boots: settings.boots(),
        record: Some(RECORD.into()),
        held: Some(policy::RECORD.into()),
    };
    apply::apply(&job, console)
}

/// Nothing starts because it could not be written down.
fn answer(words: &[String]) -> ExitCode {
    match policy::ask(words, policy::RECORD.as_ref()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(101),
        Err(error) => {
            eprintln!("bootsplice-agent: {}: {error}", policy::RECORD);
            ExitCode::from(101)
        }
    }
}

fn verify(devices: &[PathBuf], keys: &std::path::Path) -> Result<(), AgentError> {
    let found = if devices.is_empty() {
        points::on_this_machine()?
    } else {
        in_images(devices)?
    };
    let trusted = settings::trusted_keys(keys)?;
    match points::verify(&found, &trusted, product_uuid(), None)? {
        points::Found::Launch(launch) => {
            for one in launch {
                println!(
                    "point {} ok: launch {}, {} layers",
                    one.point.name,
                    one.payload.launch,
                    one.layers.len()
                );
            }
            Ok(())
        }
        points::Found::Spent { launch, .. } => {
            println!("launch {launch} was applied");
            Ok(())
        }
        points::Found::Unspliced(reason) => Err(AgentError::refused("*", reason)),
    }
}

fn status(json: bool, directory: &std::path::Path) -> Result<(), AgentError> {
    let path = directory.join("status.json");
    if json {
        let text = std::fs::read_to_string(&path)
            .map_err(|error| AgentError::system(path.display().to_string(), error))?;
        let damaged = |error: serde_json::Error| {
            AgentError::system(path.display().to_string(), std::io::Error::from(error))
        };
        let mut status: serde_json::Value = serde_json::from_str(&text).map_err(damaged)?;
        status["reports"] = serde_json::to_value(report::queued(directory)).map_err(damaged)?;
        println!(
            "{}",
            serde_json::to_string_pretty(&status).map_err(damaged)?
        );
        return Ok(());
    }
    let Some(journal) = Journal::load(directory)? else {
        println!("no launch was applied to this machine");
        return Ok(());
    };
    println!(
        "launch {} of instance {}: {}",
        journal.launch,
        journal.instance,
        journal.state.name()
    );
    for step in report::of(&journal, None).steps {
        println!(
            "{:40} {:8} {:9.2}s {}",
            step.id,
            step.result,
            step.seconds,
            step.detail.unwrap_or_default()
        );
    }
    Ok(())
}

fn flush(directory: &std::path::Path) -> Result<(), AgentError> {
    match report::flush(directory, now(), &mut Console::of_system())? {
        0 => Ok(()),
        left => Err(AgentError::system(
            format!("{left} reports are left in the queue"),
            std::io::Error::other("the host was not reached"),
        )),
    }
}

fn in_images(devices: &[PathBuf]) -> Result<Vec<points::Point>, AgentError> {
    let mut all = Vec::new();
    for device in devices {
        all.extend(points::in_image(device)?);
    }
    Ok(all)
}

fn product_uuid() -> Option<uuid::Uuid> {
    let text = std::fs::read_to_string("/sys/class/dmi/id/product_uuid").ok()?;
    text.trim().parse().ok()
}

fn now() -> u64 {
    u64::try_from(clock::now().unix_timestamp()).unwrap_or(0)
}

// === impl StageName ===

impl From<StageName> for Stage {
    fn from(name: StageName) -> Self {
        match name {
            StageName::Files => Self::Files,
            StageName::Packages => Self::Packages,
            StageName::Late => Self::Late,
        }
    }
}
