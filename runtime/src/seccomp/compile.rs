//! From rules to a program for the kernel's filter machine.
//!
//! Calls with neighbouring numbers and the same fate become one range, and a balanced tree of comparisons finds the
//! range: about seven instructions decide any call, and newer kernels remember the calls that are always allowed.

use super::profile::Action;
use super::table::{NONE, TABLE};
use crate::capability::Capabilities;
use crate::sys::SeccompInstruction;

/// Offset of the call's number in `struct seccomp_data`.
const NUMBER: u32 = 0;
/// Offset of the architecture.
const ARCHITECTURE: u32 = 4;
/// Offset of the low half of the first argument, on little-endian machines.
const FIRST_ARGUMENT: u32 = 16;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const JUMP_IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// The bit that marks calls of the x32 convention, which shares x86-64's architecture number.
const X32: u32 = 0x4000_0000;

/// An architecture whose programs this machine may run: its audit number and its column in the table.
struct Architecture {
    audit: u32,
    column: usize,
    /// The bit of a second convention under the same audit number. It is refused: kernels are not built with it, and
    /// its calls have had their own holes.
    foreign_bit: Option<u32>,
}

#[cfg(target_arch = "x86_64")]
const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        audit: 0xc000_003e,
        column: 0,
        foreign_bit: Some(X32),
    },
    Architecture {
        audit: 0x4000_0003,
        column: 1,
        foreign_bit: None,
    },
];

#[cfg(target_arch = "aarch64")]
const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        audit: 0xc000_00b7,
        column: 2,
        foreign_bit: None,
    },
    Architecture {
        audit: 0x4000_0028,
        column: 3,
        foreign_bit: None,
    },
];

/// Numbers from here on are not in the common table but an architecture's own (32-bit ARM).
const PRIVATE_NUMBERS: u32 = 0x000f_0000;

/// Calls from `start` up to the next range's start share `action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    start: u32,
    action: Action,
}

/// The filter for a process with these capabilities.
pub(super) fn program(capabilities: Capabilities) -> Vec<SeccompInstruction> {
    let mut program = vec![statement(LOAD, ARCHITECTURE)];
    for architecture in ARCHITECTURES {
        let mut body = Assembler::default();
        let start = body.tree(&ranges(architecture, capabilities));
        body.goto(start);
        body.push(statement(LOAD, NUMBER));
        let body = body.finish();
        // The body may be longer than a conditional jump reaches, so it is jumped over by a plain one.
        program.push(test(JUMP_IF_EQUAL, architecture.audit, 1, 0));
        program.push(statement(JUMP, body.len() as u32));
        program.extend(body);
    }
    program.push(statement(RETURN, verdict(Action::Refuse)));
    program
}

/// The whole space of numbers as ranges, in order.
fn ranges(architecture: &Architecture, capabilities: Capabilities) -> Vec<Range> {
    let mut calls: Vec<_> = TABLE
        .iter()
        .map(|row| (row.numbers[architecture.column], row.rule))
        .filter(|(number, _)| *number != NONE)
        .map(|(number, rule)| (number, rule.action(capabilities)))
        .collect();
    calls.sort_by_key(|(number, _)| *number);
    let newest = calls
        .iter()
        .map(|(number, _)| *number)
        .filter(|number| *number < PRIVATE_NUMBERS)
        .max()
        .unwrap_or(0);
    let mut ranges = vec![];
    let mut next = 0;
    for (number, action) in calls {
        fill(&mut ranges, next, number, newest);
        push(&mut ranges, number, action);
        next = number + 1;
    }
    fill(&mut ranges, next, u32::MAX, newest);
    if let Some(bit) = architecture.foreign_bit {
        push(&mut ranges, bit, Action::Unknown);
    }
    ranges
}

/// Covers the numbers from `from` to before `to`, which the table does not have: those up to `newest` are refused; newer
/// ones are said not to exist, so that programs try what they did before such calls were made.
fn fill(ranges: &mut Vec<Range>, from: u32, to: u32, newest: u32) {
    if from < to && from <= newest {
        push(ranges, from, Action::Refuse);
    }
    let unknown = from.max(newest + 1);
    if unknown < to {
        push(ranges, unknown, Action::Unknown);
    }
}

fn push(ranges: &mut Vec<Range>, start: u32, action: Action) {
    if ranges.last().is_none_or(|last| last.action != action) {
        ranges.push(Range { start, action });
    }
}

/// A place in a program that is being made: its distance from the end.
type Place = usize;

/// Makes a program from its end, so that where jumps lead is known, and what is needed often is there once.
#[derive(Debug, Default)]
struct Assembler {
    reversed: Vec<SeccompInstruction>,
    returns: Vec<(Action, Place)>,
}

impl Assembler {
    /// Code that, with a number loaded, decides it among these ranges.
    fn tree(&mut self, ranges: &[Range]) -> Place {
        if let [range] = ranges {
            return self.leaf(range.action);
        }
        let (low, high) = ranges.split_at(ranges.len() / 2);
        let above = self.tree(high);
        let below = self.tree(low);
        self.branch(JUMP_IF_AT_LEAST, high[0].start, above, below)
    }

    /// Code that carries out an action.
    fn leaf(&mut self, action: Action) -> Place {
        // The kernel takes the arguments that are looked at as 32-bit numbers, so their upper halves must not matter.
        match action {
            Action::Allow | Action::Refuse | Action::Unknown => self.answer(action),
            Action::AllowWithout(bits) => {
                let allow = self.answer(Action::Allow);
                let refuse = self.answer(Action::Refuse);
                self.branch(JUMP_IF_EQUAL, 0, allow, refuse);
                self.push(statement(AND, bits));
                self.push(statement(LOAD, FIRST_ARGUMENT))
            }
            Action::AllowFirstArgument(allowed) => {
                let start = self.tree(&argument_ranges(allowed));
                self.goto(start);
                self.push(statement(LOAD, FIRST_ARGUMENT))
            }
        }
    }

    /// A return of this answer within reach.
    fn answer(&mut self, action: Action) -> Place {
        let known = self
            .returns
            .iter()
            .rev()
            .find(|(known, _)| *known == action);
        if let Some((_, place)) = known
            && self.distance(*place) < 200
        {
            return *place;
        }
        let place = self.push(statement(RETURN, verdict(action)));
        self.returns.push((action, place));
        place
    }

    fn branch(&mut self, code: u16, operand: u32, yes: Place, no: Place) -> Place {
        let yes = self.near(yes);
        let no = self.near(no);
        let (yes, no) = (self.distance(yes), self.distance(no));
        self.push(test(code, operand, yes as u8, no as u8))
    }

    /// A place that leads to this one and is in the reach of a conditional jump.
    fn near(&mut self, place: Place) -> Place {
        match self.distance(place) {
            0..=254 => place,
            distance => self.push(statement(JUMP, distance as u32)),
        }
    }

    /// Makes `place` the next to be executed after what comes before it in the program.
    fn goto(&mut self, place: Place) {
        match self.distance(place) {
            0 => {}
            distance => {
                self.push(statement(JUMP, distance as u32));
            }
        }
    }

    /// How many instructions the next one would skip to get there.
    fn distance(&self, place: Place) -> usize {
        self.reversed.len() - 1 - place
    }

    fn push(&mut self, instruction: SeccompInstruction) -> Place {
        self.reversed.push(instruction);
        self.reversed.len() - 1
    }

    fn finish(mut self) -> Vec<SeccompInstruction> {
        self.reversed.reverse();
        self.reversed
    }
}

/// The whole space of an argument as ranges, in order.
fn argument_ranges(allowed: &[(u32, u32)]) -> Vec<Range> {
    let mut ranges = vec![];
    let mut next = Some(0);
    for &(first, last) in allowed {
        if next.is_some_and(|next| next < first) {
            push(&mut ranges, next.unwrap_or(0), Action::Refuse);
        }
        push(&mut ranges, first, Action::Allow);
        next = last.checked_add(1);
    }
    if let Some(next) = next {
        push(&mut ranges, next, Action::Refuse);
    }
    ranges
}

fn verdict(action: Action) -> u32 {
    match action {
        Action::Allow => libc::SECCOMP_RET_ALLOW,
        Action::Unknown => libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32,
        Action::Refuse | Action::AllowFirstArgument(_) | Action::AllowWithout(_) => {
            libc::SECCOMP_RET_ERRNO | libc::EPERM as u32
        }
    }
}

fn statement(code: u16, operand: u32) -> SeccompInstruction {
    test(code, operand, 0, 0)
}

fn test(code: u16, operand: u32, jump_true: u8, jump_false: u8) -> SeccompInstruction {
    SeccompInstruction {
        code,
        jump_true,
        jump_false,
        operand,
    }
}

#[cfg(test)]
mod tests;
