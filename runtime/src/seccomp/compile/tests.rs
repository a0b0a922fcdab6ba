//! The compiled filter, run by a small machine of our own, against the rules it came from.

use super::*;
use crate::capability::Capability;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

/// Runs a filter and gives its verdict and how many instructions it took.
fn run(program: &[SeccompInstruction], audit: u32, number: u32, argument: u32) -> (u32, usize) {
    let (mut at, mut accumulator, mut steps) = (0, 0, 0);
    loop {
        let instruction = program[at];
        at += 1;
        steps += 1;
        let branch = |taken: bool| {
            usize::from(if taken {
                instruction.jump_true
            } else {
                instruction.jump_false
            })
        };
        match instruction.code {
            LOAD => {
                accumulator = match instruction.operand {
                    NUMBER => number,
                    ARCHITECTURE => audit,
                    FIRST_ARGUMENT => argument,
                    offset => panic!("loads offset {offset}"),
                }
            }
            AND => accumulator &= instruction.operand,
            JUMP => at += instruction.operand as usize,
            JUMP_IF_EQUAL => at += branch(accumulator == instruction.operand),
            JUMP_IF_AT_LEAST => at += branch(accumulator >= instruction.operand),
            RETURN => return (instruction.operand, steps),
            code => panic!("instruction {code}"),
        }
    }
}

fn expected(action: Action, argument: u32) -> u32 {
    let allowed = match action {
        Action::Allow => true,
        Action::Refuse => false,
        Action::Unknown => return ENOSYS,
        Action::AllowFirstArgument(ranges) => ranges
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&argument)),
        Action::AllowWithout(bits) => argument & bits == 0,
    };
    if allowed { ALLOW } else { EPERM }
}

#[test]
fn every_row_is_decided_as_its_rule_says() {
    let sets = [
        Capabilities::NONE,
        Capabilities::DEFAULT,
        Capabilities::DEFAULT.with(Capability::SysAdmin),
        Capabilities::ALL,
    ];
    let arguments = [
        0,
        1,
        8,
        11,
        12,
        16,
        38,
        40,
        45,
        46,
        0x11,
        0x0002_0000,
        0x0002_0008,
        0x1000_0000,
        u32::MAX,
    ];
    for capabilities in sets {
        let program = program(capabilities);
        for architecture in ARCHITECTURES {
            for row in TABLE {
                let number = row.numbers[architecture.column];
                if number == NONE {
                    continue;
                }
                let action = row.rule.action(capabilities);
                for argument in arguments {
                    let (verdict, _) = run(&program, architecture.audit, number, argument);
                    assert_eq!(
                        verdict,
                        expected(action, argument),
                        "{} ({argument:#x})",
                        row.name
                    );
                }
            }
        }
    }
}

#[test]
fn calls_outside_the_table_are_refused_and_newer_ones_unknown() {
    let program = program(Capabilities::DEFAULT);
    for architecture in ARCHITECTURES {
        for number in 0..1000 {
            if TABLE
                .iter()
                .any(|row| row.numbers[architecture.column] == number)
            {
                continue;
            }
            let (verdict, _) = run(&program, architecture.audit, number, 0);
            let wanted = if number > 466 { ENOSYS } else { EPERM };
            assert_eq!(verdict, wanted, "call {number}");
        }
    }
}

#[test]
fn other_architectures_and_conventions_are_refused() {
    let program = program(Capabilities::DEFAULT);
    assert_eq!(run(&program, 0x8000_0016, 0, 0).0, EPERM);
    let native = &ARCHITECTURES[0];
    if native.foreign_bit.is_some() {
        assert_eq!(run(&program, native.audit, X32, 0).0, ENOSYS);
        assert_eq!(run(&program, native.audit, X32 + 59, 0).0, ENOSYS);
        assert_eq!(run(&program, native.audit, u32::MAX, 0).0, ENOSYS);
    }
}

#[test]
fn decisions_are_short() {
    let program = program(Capabilities::DEFAULT);
    assert!(program.len() < 320, "{} instructions", program.len());
    let audit = ARCHITECTURES[0].audit;
    let longest = (0..500)
        .map(|number| run(&program, audit, number, 0).1)
        .max();
    assert!(longest.is_some_and(|steps| steps <= 16), "{longest:?}");
}

#[test]
fn numbers_are_the_kernels() {
    let number = |name: &str| {
        let row = TABLE.iter().find(|row| row.name == name);
        i64::from(row.expect("in the table").numbers[ARCHITECTURES[0].column])
    };
    for (name, known) in [
        ("read", libc::SYS_read),
        ("openat", libc::SYS_openat),
        ("execve", libc::SYS_execve),
        ("clone", libc::SYS_clone),
        ("clone3", libc::SYS_clone3),
        ("mount", libc::SYS_mount),
        ("unshare", libc::SYS_unshare),
        ("personality", libc::SYS_personality),
        ("socket", libc::SYS_socket),
        ("futex_waitv", libc::SYS_futex_waitv),
    ] {
        assert_eq!(number(name), known, "{name}");
    }
}

#[test]
fn the_table_is_in_order_and_names_nothing_twice() {
    assert!(TABLE.windows(2).all(|pair| pair[0].name < pair[1].name));
    for column in 0..4 {
        let mut numbers: Vec<_> = TABLE.iter().map(|row| row.numbers[column]).collect();
        numbers.retain(|number| *number != NONE);
        numbers.sort_unstable();
        let before = numbers.len();
        numbers.dedup();
        assert_eq!(numbers.len(), before, "column {column}");
    }
    for name in [
        "keyctl",
        "add_key",
        "io_uring_setup",
        "userfaultfd",
        "kexec_load",
        "swapon",
    ] {
        assert!(TABLE.iter().all(|row| row.name != name), "{name}");
    }
}
