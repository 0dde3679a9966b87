//! One plain line per event, with a prefix that people and tests look for: on standard output, and on the console when the system runs us.

use std::fs::File;
use std::io::Write;

#[derive(Debug, Default)]
pub struct Console {
    device: Option<File>,
}

// === impl Console ===

impl Console {
    /// Also writes to `/dev/console`, where there is one.
    pub fn of_system() -> Self {
        Self {
            device: File::options().write(true).open("/dev/console").ok(),
        }
    }

    /// `bootsplice: TEXT`. Line breaks and control characters do not survive.
    pub fn say(&mut self, text: &str) {
        let clean: String = text
            .chars()
            .map(|one| if one.is_control() { ' ' } else { one })
            .take(1000)
            .collect();
        // A console that is gone must not stop a launch.
        let _ = writeln!(std::io::stdout(), "bootsplice: {clean}");
        if let Some(device) = &mut self.device {
            let _ = device.write_all(format!("bootsplice: {clean}\r\n").as_bytes());
        }
    }
}
