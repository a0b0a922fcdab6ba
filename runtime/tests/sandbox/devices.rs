//! Which device nodes can be used.

use crate::support::{Changes, output, runtime, shell};

#[test]
fn nodes_can_be_made_but_only_harmless_ones_opened() {
    assert!(runtime().confines_devices());
    let changes = Changes::new();
    // Memory by its character device, and a loop device, which every kernel that mounts layers has.
    let mut spec = shell(
        "cd /work; mknod null c 1 3 && mknod mem c 1 1 && mknod disk b 7 0 && echo made
        echo x > null && echo opened
        for n in mem disk; do dd if=$n of=/dev/null bs=1 count=1 2>&1 | grep -o 'not permitted'; done",
    );
    spec.root.upper = Some(changes.spec());
    assert_eq!(output(spec), "made\nopened\nnot permitted\nnot permitted");
}
