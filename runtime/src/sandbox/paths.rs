//! The paths of the kernel's that a sandbox must not see or not write: Docker's lists (moby, `oci/defaults.go`).

use std::ffi::{CStr, CString};
use std::sync::OnceLock;

/// Hidden: files behind `/dev/null`, directories behind an empty one. They tell of the host or let it be tampered with.
const MASKED: [&CStr; 12] = [
    c"proc/acpi",
    c"proc/asound",
    c"proc/interrupts",
    c"proc/kcore",
    c"proc/keys",
    c"proc/latency_stats",
    c"proc/sched_debug",
    c"proc/scsi",
    c"proc/timer_list",
    c"proc/timer_stats",
    c"sys/devices/virtual/powercap",
    c"sys/firmware",
];

/// Kept, but not to be written.
pub(super) const READ_ONLY: [&CStr; 5] = [
    c"proc/bus",
    c"proc/fs",
    c"proc/irq",
    c"proc/sys",
    c"proc/sysrq-trigger",
];

/// The paths to hide on this machine: of the list those that its kernel has, and the thermal counters of each
/// processor.
pub(super) fn masked() -> &'static [&'static CStr] {
    static FOUND: OnceLock<Vec<&'static CStr>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let mut found = MASKED.to_vec();
        let Ok(processors) = std::fs::read_dir("/sys/devices/system/cpu") else {
            return found;
        };
        for entry in processors.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| is_processor(name)) else {
                continue;
            };
            if entry.path().join("thermal_throttle").exists()
                && let Ok(path) =
                    CString::new(format!("sys/devices/system/cpu/{name}/thermal_throttle"))
            {
                found.push(Box::leak(path.into_boxed_c_str()));
            }
        }
        found
    })
}

fn is_processor(name: &str) -> bool {
    name.strip_prefix("cpu").is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}
