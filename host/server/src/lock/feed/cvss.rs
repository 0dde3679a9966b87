//! The base score of a CVSS 3.0 or 3.1 vector (first.org/cvss/v3.1/specification-document, section 7.1) as a severity (section 5).

use super::Severity;

/// None for other versions of CVSS, and for what is no whole base vector.
pub fn severity(text: &str) -> Option<Severity> {
    let score = match text.strip_prefix("CVSS:3.") {
        Some(rest) => base(rest.split_once('/')?.1)?,
        None => text.parse().ok()?,
    };
    Some(match score {
        score if score >= 9.0 => Severity::Critical,
        score if score >= 7.0 => Severity::High,
        score if score >= 4.0 => Severity::Medium,
        score if score > 0.0 => Severity::Low,
        _ => Severity::Negligible,
    })
}

fn base(vector: &str) -> Option<f64> {
    let metric = |name: &str| {
        let of = |part: &'_ str| -> Option<String> {
            let (key, value) = part.split_once(':')?;
            (key == name).then(|| value.to_owned())
        };
        vector.split('/').find_map(of)
    };
    let weight = |name: &str, weights: &[(&str, f64)]| {
        let value = metric(name)?;
        let found = weights.iter().find(|(key, _)| *key == value);
        found.map(|(_, weight)| *weight)
    };
    let changed = match metric("S")?.as_str() {
        "C" => true,
        "U" => false,
        _ => return None,
    };
    let rights = if changed { (0.68, 0.5) } else { (0.62, 0.27) };
    let impact = [("H", 0.56), ("L", 0.22), ("N", 0.0)];
    let exploitability = 8.22
        * weight("AV", &[("N", 0.85), ("A", 0.62), ("L", 0.55), ("P", 0.2)])?
        * weight("AC", &[("L", 0.77), ("H", 0.44)])?
        * weight("PR", &[("N", 0.85), ("L", rights.0), ("H", rights.1)])?
        * weight("UI", &[("N", 0.85), ("R", 0.62)])?;
    let lost = 1.0
        - (1.0 - weight("C", &impact)?)
            * (1.0 - weight("I", &impact)?)
            * (1.0 - weight("A", &impact)?);
    let impact = if changed {
        7.52 * (lost - 0.029) - 3.25 * (lost - 0.02).powi(15)
    } else {
        6.42 * lost
    };
    if impact <= 0.0 {
        return Some(0.0);
    }
    let factor = if changed { 1.08 } else { 1.0 };
    let score = (factor * (impact + exploitability)).min(10.0);
    // Rounded up to one place; the detour is the specification's own, against the noise of binary fractions.
    let parts = (score * 100_000.0).round();
    let tenths = (parts / 10_000.0).floor();
    Some(if parts % 10_000.0 == 0.0 {
        tenths / 10.0
    } else {
        (tenths + 1.0) / 10.0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_have_the_scores_that_their_specification_gives() {
        let score = |text: &str| (base(text).unwrap() * 10.0).round();
        assert_eq!(score("AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"), 98.0);
        assert_eq!(score("AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N"), 61.0);
        assert_eq!(score("AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N"), 64.0);
        assert_eq!(score("AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H"), 78.0);
        assert_eq!(score("AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N"), 0.0);
        let of = |text| severity(text).unwrap();
        assert_eq!(
            of("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"),
            Severity::Critical
        );
        assert_eq!(severity("CVSS:4.0/AV:N"), None);
        assert_eq!(severity("CVSS:3.1/AV:N"), None);
    }
}
