//! The peak of resident memory while an attempt runs. The system keeps it for the process as a whole, so that it
//! says something about an attempt only where that ran alone.

/// Begins to watch the peak.
pub(super) struct Watch {
    /// Resident bytes when the watch began.
    before: u64,
}

impl Watch {
    /// `None` where the system does not tell, or its mark cannot be set back.
    pub(super) fn begin() -> Option<Self> {
        let before = status_bytes("VmRSS")?;
        // 5 sets the high-water mark back to what is resident now: proc(5), clear_refs.
        std::fs::write("/proc/self/clear_refs", "5").ok()?;
        Some(Self { before })
    }

    /// The most bytes that were resident since, beyond those at the beginning.
    pub(super) fn peak(&self) -> Option<u64> {
        Some(status_bytes("VmHWM")?.saturating_sub(self.before))
    }
}

/// A size out of `/proc/self/status`, which says it in kB of 1024 bytes.
fn status_bytes(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn memory_that_was_given_back_is_still_seen() {
        let watch = Watch::begin().expect("Linux tells");
        drop(std::hint::black_box(vec![1_u8; 64 << 20]));
        let peak = watch.peak().expect("Linux tells");
        assert!((60 << 20..1 << 30).contains(&peak), "{peak}");
    }
}
