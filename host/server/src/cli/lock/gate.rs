//! What a lock is refused for: another lock, and known vulnerabilities.

use super::super::Failure;
use super::super::exit::Code;
use super::Judged;
use crate::lock::feed::{Feed, Finding, Threshold};
use crate::lock::{Diff, LockFile};
use crate::problem::{BASE, Fault, ProblemBody};

/// What the packages of a lock have, by the feed that is given.
pub fn findings(lock: &LockFile, wanted: &Judged) -> Result<Vec<Finding>, Failure> {
    let Some(path) = &wanted.vulnerabilities else {
        return Ok(Vec::new());
    };
    let codenames = lock
        .packages()
        .filter_map(|package| package.repository.as_ref());
    let mut debian = codenames.filter(|repository| repository.origin == "Debian");
    let release = match debian.next() {
        // `bookworm-security` belongs to bookworm.
        Some(repository) => repository.codename.split('-').next().unwrap_or_default(),
        None => lock.target.release.as_str(),
    };
    let feed = Feed::read(path, release)
        .map_err(|error| Failure::new(Code::Invalid, format!("--vulnerabilities: {error}")))?;
    if feed.is_empty() {
        eprintln!(
            "bootsplice: warning: --vulnerabilities: `{}` says nothing about the release `{release}`",
            path.display()
        );
    }
    Ok(feed.findings(lock))
}

/// Tells what was found, and fails from the threshold on.
pub fn judge(
    lock: &LockFile,
    findings: &[Finding],
    fail_on: Option<Threshold>,
) -> Result<(), Failure> {
    let bad = |finding: &&Finding| fail_on.is_some_and(|limit| limit.fails(finding.severity));
    let rest = findings.iter().filter(|finding| !bad(finding));
    for finding in rest {
        eprintln!("bootsplice: warning: {}", told(finding));
    }
    let faults: Vec<Fault> = findings
        .iter()
        .filter(bad)
        .map(|finding| {
            let pointer = pointer(lock, |name, _| finding.packages.iter().any(|one| one == name));
            let fault = Fault::new(pointer, &finding.id, told(finding));
            fault.hint(match &finding.fixed {
                Some(version) => format!(
                    "renew it: `--from LOCK --update {}`, once {version} is in the repositories",
                    finding.packages.join(" --update ")
                ),
                None => "no version without it is known: leave the package out, or accept it by a higher `--fail-on`".to_owned(),
            })
        })
        .collect();
    if faults.is_empty() {
        return Ok(());
    }
    let title = "The lock has known vulnerabilities";
    Err(refused(Code::Vulnerable, "vulnerable", title, faults))
}

/// Fails when `new` is not what `old` says; only what matters to a launch is compared.
pub fn same(old: &LockFile, new: &LockFile) -> Result<(), Failure> {
    let mut faults = Vec::new();
    for (at, was, is) in [
        ("/profile/name", &old.profile.name, &new.profile.name),
        (
            "/profile/steps",
            &old.profile.steps.to_string(),
            &new.profile.steps.to_string(),
        ),
    ] {
        if was != is {
            let detail = format!("the lock is for `{was}`, the profile is `{is}`");
            let fault = Fault::new(at, "other-profile", detail);
            faults
                .push(fault.hint("make the lock anew from this profile: `--from LOCK --out LOCK`"));
        }
    }
    for (word, change) in Diff::between(old, new).changes() {
        let is = |name: &str, architecture: &str| {
            name == change.name && architecture == change.architecture
        };
        let place = pointer(if word == "added" { new } else { old }, is);
        let detail = format!("now {word}: {change}");
        let fault = Fault::new(place, word, detail);
        faults.push(fault.hint(
            "look at it with `bootsplice lock diff`, and take it with `--from LOCK --out LOCK`",
        ));
    }
    if faults.is_empty() {
        return Ok(());
    }
    let title = "The lock does not hold";
    Err(refused(Code::Differs, "lock-differs", title, faults))
}

fn refused(code: Code, kind: &str, title: &str, faults: Vec<Fault>) -> Failure {
    let body = ProblemBody {
        kind: format!("{BASE}{kind}"),
        title: title.to_owned(),
        status: 422,
        detail: String::new(),
        errors: faults,
        request: String::new(),
    };
    Failure {
        code,
        ..Failure::from(body)
    }
}

fn told(finding: &Finding) -> String {
    let Finding {
        id,
        severity,
        source,
        packages,
        fixed,
    } = finding;
    let fixed = match fixed {
        Some(version) => format!("mended in {version}"),
        None => "not mended".to_owned(),
    };
    format!(
        "{id} ({}) in {} {} ({fixed}): {}",
        severity.word(),
        source.name,
        source.version,
        packages.join(", ")
    )
}

/// Where in the lock the first package or file stands that `is` means.
fn pointer(lock: &LockFile, is: impl Fn(&str, &str) -> bool) -> String {
    for (at, step) in lock.steps.iter().enumerate() {
        let mut packages = step.packages.iter();
        if let Some(index) = packages.position(|one| is(&one.name, &one.architecture)) {
            return format!("/steps/{at}/packages/{index}");
        }
        if let Some(index) = step.artefacts.iter().position(|one| is(&one.name, "")) {
            return format!("/steps/{at}/artefacts/{index}");
        }
    }
    "/steps".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::document::tests::{lock, package};

    #[test]
    fn a_lock_that_does_not_hold_names_every_difference_and_its_place() {
        let old = lock(vec![
            package("a", "1", "requested"),
            package("b", "1", "depends-of a"),
        ]);
        let mut new = lock(vec![
            package("a", "1", "requested"),
            package("b", "2", "depends-of a"),
            package("c", "1", "depends-of b"),
        ]);
        new.profile.steps = bootsplice_content::Digest::of(b"other");
        new.base = bootsplice_content::Digest::of(b"another base");
        let failure = same(&old, &new).unwrap_err();
        assert_eq!(failure.code, Code::Differs);
        let errors = failure.problem.unwrap().errors;
        let told: Vec<(&str, &str)> = errors
            .iter()
            .map(|fault| (fault.pointer.as_str(), fault.code.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("/profile/steps", "other-profile"),
                ("/steps/0/packages/2", "added"),
                ("/steps/0/packages/1", "upgraded"),
            ]
        );
        assert!(
            failure.message.contains("b:amd64 1 -> 2"),
            "{}",
            failure.message
        );
        new.profile.steps = old.profile.steps;
        new.steps.clone_from(&old.steps);
        same(&old, &new).unwrap();
    }

    #[test]
    fn a_vulnerable_lock_is_refused_from_the_threshold_on_with_its_place() {
        use crate::lock::feed::Severity;
        let one = lock(vec![package("a", "1", "requested")]);
        let finding = Finding {
            id: "CVE-2024-1".into(),
            severity: Severity::Medium,
            source: one.steps[0].packages[0].source.clone(),
            packages: vec!["a".into()],
            fixed: Some("2".into()),
        };
        let found = [finding];
        judge(&one, &found, None).unwrap();
        judge(&one, &found, Some(Threshold::High)).unwrap();
        let failure = judge(&one, &found, Some(Threshold::Medium)).unwrap_err();
        assert_eq!(failure.code, Code::Vulnerable);
        assert!(
            failure
                .message
                .contains("/steps/0/packages/0: CVE-2024-1 (medium) in src-a 1 (mended in 2)"),
            "{}",
            failure.message
        );
    }
}
