//! What runs made, for people.

use bootsplice_archive::step::EntryKind;

use crate::author::bench::CaseUse;
use crate::author::meter::Measured;
use crate::cli::output::columns;
use crate::launch::plan::describe;
use crate::made::outcome::{Layer, Outcome, Placed, StepOutcome};

pub fn outcome(outcome: &Outcome) -> String {
    let target = &outcome.target;
    let mut text = format!(
        "{} on {} {} {}\n",
        outcome.profile, target.distribution, target.release, target.architecture
    );
    for one in &outcome.steps {
        text.push_str(&step(one));
    }
    if let Some(one) = &outcome.instance_layer {
        text.push_str(&format!("\ninstance layer: {}\n", layer(one)));
    }
    if !outcome.fetched.is_empty() {
        text.push_str("\nfetched\n");
        for url in &outcome.fetched {
            text.push_str(&format!("  {url}\n"));
        }
    }
    text
}

/// What calls used, as a table.
pub fn usage(cases: &[CaseUse]) -> String {
    let row = |case: &str, call: &Measured| {
        let sure = if call.deterministic { "" } else { " ?" };
        let Measured { figures, wall, .. } = call;
        [
            case.to_owned(),
            figures.step.clone(),
            figures.call.clone(),
            format!("{}{sure}", grouped(figures.instructions)),
            format!("{:.1} MiB", figures.memory as f64 / f64::from(1 << 20)),
            figures.fetches.to_string(),
            grouped(figures.fetched),
            grouped(figures.written),
            millis(wall.p50),
            millis(wall.p95),
        ]
    };
    let rows: Vec<[String; 10]> = cases
        .iter()
        .flat_map(|one| one.calls.iter().map(|call| row(&one.case, call)))
        .collect();
    let head = [
        "CASE",
        "STEP",
        "CALL",
        "INSTRUCTIONS",
        "MEMORY",
        "FETCHES",
        "FETCHED",
        "WRITTEN",
        "P50",
        "P95",
    ];
    columns(head, &rows)
}

fn millis(micros: u64) -> String {
    format!("{:.2} ms", micros as f64 / 1000.0)
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn step(step: &StepOutcome) -> String {
    let own = if step.needs_instance {
        ", per instance"
    } else {
        ""
    };
    let mut text = format!(
        "\nstep {} at {}: {}, {}{own}\n",
        step.id, step.at, step.generator, step.digest
    );
    for one in &step.tree {
        text.push_str(&format!("  {}\n", placed(one)));
    }
    if step.tree.is_empty() {
        text.push_str("  no files\n");
    }
    for (number, one) in (1..).zip(&step.actions) {
        text.push_str(&format!("  action {number}: {}\n", describe(&one.action)));
    }
    for note in &step.notes {
        text.push_str(&format!("  note: {note}\n"));
    }
    if step.reboot_required {
        text.push_str("  the machine is to be started anew\n");
    }
    for pin in &step.pins {
        text.push_str(&format!(
            "  pin {} {}: {} bytes, {}\n",
            pin.name, pin.version, pin.size, pin.digest
        ));
    }
    if let Some(one) = &step.layer {
        text.push_str(&format!("  layer: {}\n", layer(one)));
    }
    text
}

/// `-rw-r--r-- root root 12 /etc/motd`, and a `*` where it differs per launch.
pub fn placed(placed: &Placed) -> String {
    let entry = &placed.entry;
    let kind = match entry.kind {
        EntryKind::File => '-',
        EntryKind::Dir => 'd',
        EntryKind::Symlink => 'l',
    };
    let home = entry.path.strip_prefix('~');
    let home = home.and_then(|home| home.split('/').next());
    let owner = entry.owner.as_deref().or(home).unwrap_or("root");
    let group = entry.group.as_deref().or(home).unwrap_or("root");
    let to = entry.to.as_ref().map(|to| format!(" -> {to}"));
    let star = if placed.instance { " *" } else { "" };
    format!(
        "{kind}{} {owner} {group} {:>8} {}{}{star}",
        mode(entry.mode),
        entry.size,
        entry.path,
        to.unwrap_or_default()
    )
}

fn mode(mode: u32) -> String {
    let bit = |place: u32| match mode >> place & 1 {
        1 => ['x', 'w', 'r'][place as usize % 3],
        _ => '-',
    };
    (0..9).rev().map(bit).collect()
}

fn layer(layer: &Layer) -> String {
    format!(
        "{} bytes ({} as tar, {} entries), tar {}",
        layer.bytes, layer.tar_bytes, layer.entries, layer.tar_digest
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn long_numbers_are_grouped() {
        let grouped = [0, 999, 1000, 1_234_567].map(super::grouped);
        assert_eq!(grouped, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn modes_are_told_as_ls_tells_them() {
        assert_eq!(super::mode(0o755), "rwxr-xr-x");
        assert_eq!(super::mode(0o640), "rw-r-----");
    }
}
