//! Findings about a configuration, for the person who wrote it.

use crate::bindings::bootsplice::generator::types::{Diagnostic, Error, Severity};

// === impl Diagnostic ===

impl Diagnostic {
    /// The step cannot run like this.
    pub fn error(pointer: impl Into<String>, code: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, pointer, code, message)
    }

    /// The step can run, but hardly does what its author means.
    pub fn warning(pointer: impl Into<String>, code: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, pointer, code, message)
    }

    /// Says what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    fn new(
        severity: Severity,
        pointer: impl Into<String>,
        code: &str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            pointer: pointer.into(),
            code: code.to_owned(),
            message: message.into(),
            hint: None,
        }
    }
}

/// Refuses when an error is among the findings. `resolve` and `generate` call this first: they may run on a configuration that was never
/// validated.
pub fn refuse(findings: Vec<Diagnostic>) -> Result<(), Error> {
    let errors: Vec<_> = findings.into_iter().filter(Diagnostic::is_error).collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Error::InvalidConfig(errors))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_alone_do_not_stop_a_step() {
        let warning = Diagnostic::warning("/a", "odd", "odd");
        assert!(refuse(vec![warning.clone()]).is_ok());
        let Err(Error::InvalidConfig(errors)) =
            refuse(vec![warning, Diagnostic::error("/b", "bad", "bad")])
        else {
            panic!("an error was let through");
        };
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].pointer, "/b");
    }
}
