//! What a row costs, as the system counts it: CPU seconds of all threads, and the peak of resident memory.

/// Clock ticks of `/proc/self/stat` in a second, which Linux fixes for programs.
const TICKS: f64 = 100.0;

pub struct Cost {
    cpu: f64,
}

impl Cost {
    /// Sets the system's mark of peak memory back.
    pub fn begin() -> Self {
        // Where it cannot be set back, the peak is that of the program so far.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        Self { cpu: cpu_seconds().unwrap_or_default() }
    }

    /// CPU seconds since, and peak MiB, as cells of a table.
    pub fn cells(&self) -> [String; 2] {
        let cpu = cpu_seconds().map_or("–".to_owned(), |now| format!("{:.1}", now - self.cpu));
        [cpu, peak_mib().map_or("–".to_owned(), |mib| format!("{mib:.0}"))]
    }
}

fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name, which may hold blanks: state is field 3, user and system time are 14 and 15.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
}
