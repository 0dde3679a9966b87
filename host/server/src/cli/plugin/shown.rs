//! What runs made, for people.

use bootsplice_archive::step::EntryKind;

use crate::author::outcome::{Layer, Outcome, Placed, StepOutcome};
use crate::launch::plan::describe;

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
    fn modes_are_told_as_ls_tells_them() {
        assert_eq!(super::mode(0o755), "rwxr-xr-x");
        assert_eq!(super::mode(0o640), "rw-r-----");
    }
}
